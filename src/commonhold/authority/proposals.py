"""Wishes for a new charter that too few guards have signed so far, kept until the others agree or another one holds.

A guard never signs what another wrote without comparing it: only if the charter is, but for its time,
the one that this computer would write for the same wish does it add its signature to the very same bytes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from commonhold.authority.charter import KIND, Charter, agreed, guard_keys, read
from commonhold.authority.facts import FactStore
from commonhold.authority.roster import Roster
from commonhold.identity.envelope import Envelope, sign, witnessed
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint

MOST = 8  # open at a time with one guard's signature: a stolen guard fills no disk


class Proposal(msgspec.Struct, frozen=True):
    """A charter that would follow the one in force, and the guards who have signed it."""

    envelope: Envelope
    charter: Charter
    signed: frozenset[Fingerprint]

    @property
    def guards(self) -> frozenset[str]:
        return frozenset(self.charter.guards)

    @property
    def gone(self) -> frozenset[str]:
        return frozenset(self.charter.gone)


def missing(roster: Roster, signed: Iterable[Fingerprint]) -> int:
    """How many more guards must sign."""
    return len(roster.guards) // 2 + 1 - len(set(signed))


class Proposals:
    """The open proposals of one network, in SQLite."""

    def __init__(self, connection: sqlite3.Connection, facts: FactStore) -> None:
        self._connection, self._facts = connection, facts
        connection.execute("CREATE TABLE IF NOT EXISTS proposals (id TEXT PRIMARY KEY, envelope BLOB NOT NULL) STRICT")

    def open(self) -> list[Proposal]:
        """Those that could still follow the charter in force; others leave the disk."""
        found, over = [], []
        rows = self._connection.execute("SELECT id, envelope FROM proposals ORDER BY id").fetchall()
        for known, written in rows:
            proposal = self._read([Envelope.parse(written, largest=len(written))])
            if proposal is None:
                over.append((known,))
            else:
                found.append(proposal)
        if over:
            self._connection.executemany("DELETE FROM proposals WHERE id = ?", over)
        return found

    def wish(self, key: Key, charter: Charter) -> tuple[Envelope, bool]:
        """Sign a charter, or the same one that another guard has written already. -> (it, whether that was enough).

        What stands in the way of its being kept is told by the charters themselves: see `hear`.
        """
        same = (each.envelope for each in self.open() if replace(each.charter, made=charter.made) == charter)
        first = next(same, None)
        own = charter.signed([key]) if first is None else sign(first.payload, KIND, [key])
        together = [own] if first is None else [first, own]
        return (witnessed(together, guard_keys(self._facts.roster.charter)) or own), self._keep(together)

    def hear(self, envelopes: Iterable[Envelope]) -> None:
        """Take in what another guard tells. Whatever no guard has signed, or follows another charter, is dropped."""
        for envelope in envelopes:
            opened = self.open()
            known = [each.envelope for each in opened if each.envelope.id == envelope.id]
            proposal = self._read([envelope, *known])
            counts = Counter(signer for each in opened for signer in each.signed)
            if proposal is not None and (known or min(counts[signer] for signer in proposal.signed) < MOST):
                self._keep([proposal.envelope])

    def _keep(self, copies: list[Envelope]) -> bool:
        """Write it down, or make it the charter in force when enough have signed; whether they have."""
        proposal = self._read(copies)
        if proposal is None:
            return False
        if missing(self._facts.roster, proposal.signed) <= 0:
            self._facts.add([proposal.envelope])
            self.open()  # all others are over
            return True
        row = (proposal.envelope.id, proposal.envelope.encoded())
        self._connection.execute("INSERT OR REPLACE INTO proposals VALUES (?, ?)", row)
        return False

    def _read(self, copies: list[Envelope]) -> Proposal | None:
        roster = self._facts.roster
        envelope = witnessed(copies, guard_keys(roster.charter))
        charter = read(envelope) if envelope is not None else None
        if envelope is None or charter is None or charter.recovery != roster.charter.recovery:
            return None
        if (charter.network, charter.previous, charter.number) != (
            roster.network_id,
            roster.charter_id,
            roster.charter.number + 1,
        ):
            return None
        if not roster.gone.isdisjoint(charter.guards):  # who was removed meanwhile guards nothing, whoever agrees
            return None
        return Proposal(envelope, charter, agreed(envelope, roster.charter))
