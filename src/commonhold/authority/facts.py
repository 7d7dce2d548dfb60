"""What this computer has heard about who belongs, kept in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from commonhold.authority.roster import Roster, mark
from commonhold.errors import Damaged
from commonhold.identity.envelope import Envelope


class FactStore:
    """The envelopes of one network, and the roster that they make.

    Each callback in `on_change` gets the new roster, after it is on the disk.
    """

    def __init__(self, connection: sqlite3.Connection, network_id: str) -> None:
        self.network_id = network_id
        self.on_change: list[Callable[[Roster], None]] = []
        self._connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS envelopes (id TEXT PRIMARY KEY, envelope BLOB NOT NULL) STRICT")
        rows = connection.execute("SELECT envelope FROM envelopes").fetchall()
        envelopes = [Envelope.parse(row[0], largest=len(row[0])) for row in rows]
        self._roster = Roster.of(network_id, envelopes) if envelopes else None

    @property
    def roster(self) -> Roster:
        """Who belongs. Raises Damaged while nothing is known, which is before founding or joining only."""
        if self._roster is None:
            hint = "put back a copy of state.db, or move the home away and join again"
            raise Damaged("This computer's state holds no network.", hint)
        return self._roster

    def add(self, envelopes: Iterable[Envelope]) -> bool:
        """Merge; whether something new was worth keeping. What nobody known has signed is dropped.

        Raises Refused when nothing is known yet and the founding charter is not among them.
        """
        before = self._roster
        known = before.envelopes if before else ()
        after = Roster.of(self.network_id, (*known, *envelopes))
        if before is not None and after.digest == before.digest:
            return False
        self._write(known, after.envelopes)
        self._roster = after
        for callback in self.on_change:
            callback(after)
        return True

    def _write(self, before: Iterable[Envelope], after: Iterable[Envelope]) -> None:
        marks = {mark(envelope) for envelope in before}
        stay = {envelope.id for envelope in after}
        new = [(envelope.id, envelope.encoded()) for envelope in after if mark(envelope) not in marks]
        over = [(envelope.id,) for envelope in before if envelope.id not in stay]
        self._connection.execute("SAVEPOINT facts")
        try:
            self._connection.executemany("INSERT OR REPLACE INTO envelopes VALUES (?, ?)", new)
            self._connection.executemany("DELETE FROM envelopes WHERE id = ?", over)
        except BaseException:
            self._connection.execute("ROLLBACK TO facts")
            raise
        finally:
            self._connection.execute("RELEASE facts")
