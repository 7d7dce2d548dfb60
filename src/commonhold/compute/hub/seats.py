"""Who takes part in a session, and who may sit beside whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from commonhold.compute.papers import Accepted
from commonhold.compute.sandbox import Kind
from commonhold.errors import Refused
from commonhold.names import Fingerprint, PersonId
from commonhold.transport import Peer


class Seat:
    """One lender's part in the session. `peer` is None for this computer."""

    def __init__(self, participant: str, name: str, fingerprint: Fingerprint, peer: Peer | None) -> None:
        self.participant = participant
        self.name = name
        self.fingerprint = fingerprint
        self.peer = peer
        self.willing: Accepted | None = None  # it would take part
        self.accepted: Accepted | None = None  # it does
        self.company: tuple[PersonId, ...] = ()  # persons of whom it was told
        self.refusal = ""
        self.denied = False  # by a rule: time alone mends nothing
        self.joined = asyncio.Event()  # its worker has spoken with the scheduler
        self.processes: set[str] = set()  # its workers that speak with the scheduler: p3, or p3.0, p3.1 …
        self.stays = 0  # how often it came
        self.returns = 0  # how often it was asked for a new worker since any task ended
        self.leaving = False  # its lender gives its tasks back, and will end it
        self.noted = 0  # of which of its stays it was told that it is frozen
        self.lingers = False  # it was not there to be told that its last stay is over
        self.turn = asyncio.Lock()  # a lender that is coming back is not asked twice


class Seats:
    """All lenders that a session has asked. `here` is the hub's own (name, fingerprint)."""

    def __init__(self, here: tuple[str, Fingerprint], person_of: Callable[[Fingerprint], PersonId | None]) -> None:
        self._here = here
        self._person_of = person_of
        self._seats: dict[str, Seat] = {}

    def __iter__(self) -> Iterator[Seat]:
        return iter(list(self._seats.values()))

    def find(self, process: str) -> Seat | None:
        """The seat of a participant, or of one of its processes: p3.1 belongs to p3."""
        return self._seats.get(process.partition(".")[0])

    def of(self, peer: Peer | None) -> Seat:
        """A lender keeps its participant's name, so that `--on` still means it after it came back."""
        name, fingerprint = (peer.name, peer.fingerprint) if peer else self._here
        for seat in self:
            if seat.fingerprint == fingerprint:
                seat.peer = peer
                return seat
        participant = f"p{len(self._seats) + 1}"
        seat = self._seats[participant] = Seat(participant, name, fingerprint, peer)
        return seat

    def seated(self) -> list[Seat]:
        """Those that take part."""
        return [seat for seat in self if seat.accepted]

    def invited(self) -> frozenset[Fingerprint]:
        """The computers that take part, or are about to."""
        return frozenset(seat.fingerprint for seat in self if seat.willing or seat.accepted)

    def company(self) -> tuple[PersonId, ...]:
        """Whose computers take part, or are about to."""
        persons = {self._person_of(seat.fingerprint) for seat in self if seat.willing or seat.accepted}
        return tuple(sorted(person for person in persons if person is not None))

    def require_known(self, newcomer: Seat) -> None:
        """Raise Refused when a seated computer without a sandbox was not told of this one's person."""
        person = self._person_of(newcomer.fingerprint)
        for seat in self.seated():
            unconfined = seat.accepted is not None and seat.accepted.sandbox != Kind.BUBBLEWRAP
            if unconfined and person not in {*seat.company, self._person_of(seat.fingerprint)}:
                raise Refused(f"{seat.name} has no bubblewrap, and computes with nobody it has not been told of.")
