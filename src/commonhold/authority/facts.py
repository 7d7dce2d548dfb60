"""What this computer has heard about who belongs, kept in SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from commonhold.authority.charter import KIND as CHARTER
from commonhold.authority.roster import Roster
from commonhold.errors import Damaged
from commonhold.identity.envelope import Envelope
from commonhold.names import Fingerprint

MANY = 32  # envelopes; verifying more takes long enough (0.1 ms each) for a thread


class FactStore:
    """The envelopes of one network, and the roster that they make.

    Each callback in `on_change` gets the new roster, after it is on the disk.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        network_id: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.network_id = network_id
        self._now = now
        self.on_change: list[Callable[[Roster], None]] = []
        self._connection = connection
        connection.execute("CREATE TABLE IF NOT EXISTS envelopes (id TEXT PRIMARY KEY, envelope BLOB NOT NULL) STRICT")
        # Beside them, and kept when they go: facts bear no date, since nobody could check it.
        connection.execute("CREATE TABLE IF NOT EXISTS hearing (id TEXT PRIMARY KEY, unix REAL NOT NULL) STRICT")
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

    def as_of(self, moment: datetime, doubted: Collection[Fingerprint]) -> Roster:
        """The roster without the charters that were first heard after `moment`, and without what the `doubted` guards

        alone have said since. By this computer's own clock. Raises Refused when the founding was heard later.
        """
        rows = self._connection.execute("SELECT id FROM hearing WHERE unix > ?", (moment.timestamp(),))
        late = {known for (known,) in rows}

        def stands(envelope: Envelope) -> bool:
            others = any(signature.keyid not in doubted for signature in envelope.signatures)
            return envelope.id not in late or (envelope.payload_type != CHARTER and others)

        return Roster.of(self.network_id, filter(stands, self.roster.envelopes))

    def add(self, envelopes: Iterable[Envelope]) -> bool:
        """Merge; whether something new was worth keeping. What nobody known has signed is dropped.

        Raises Refused when nothing is known yet and the founding charter is not among them.
        """
        before = self._roster
        return self._take_in(before.merged(envelopes) if before else Roster.of(self.network_id, envelopes))

    async def hear(self, envelopes: Sequence[Envelope]) -> bool:
        """`add`, for what others sent: whatever takes long to verify is verified in a thread."""
        long = len(envelopes) > MANY or any(each.payload_type == CHARTER for each in envelopes)
        while long:
            before = self.roster
            after = await asyncio.to_thread(before.merged, envelopes)
            if self._roster is before:  # else something else was learnt meanwhile
                return self._take_in(after)
        return self.add(envelopes)

    def _take_in(self, after: Roster) -> bool:
        before = self._roster
        if before is not None and after.digest == before.digest:
            return False
        self._write(before.kept if before else {}, after.kept)
        self._roster = after
        for callback in self.on_change:
            callback(after)
        return True

    def _write(self, before: Mapping[str, Envelope], after: Mapping[str, Envelope]) -> None:
        new = [(each.id, each.encoded()) for each in (after[known] for known in after.keys() - before.keys())]
        stay = {known for known, _ in new}
        over = [(each.id,) for each in (before[known] for known in before.keys() - after.keys()) if each.id not in stay]
        self._connection.execute("SAVEPOINT facts")
        try:
            self._connection.executemany("INSERT OR REPLACE INTO envelopes VALUES (?, ?)", new)
            heard = [(known, self._now().timestamp()) for known in stay]
            self._connection.executemany("INSERT OR IGNORE INTO hearing VALUES (?, ?)", heard)
            self._connection.executemany("DELETE FROM envelopes WHERE id = ?", over)
        except BaseException:
            self._connection.execute("ROLLBACK TO facts")
            raise
        finally:
            self._connection.execute("RELEASE facts")
