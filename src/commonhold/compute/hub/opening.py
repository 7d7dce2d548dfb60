"""Opens sessions at this hub, and finds lenders for them: all that may be asked, or the one that is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from commonhold.authority.authority import Subject
from commonhold.compute.hub.outfitting import Outfitting
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session, SessionListener
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import Clock, Needs, Rest
from commonhold.compute.relay import Switchboard
from commonhold.errors import NotFound, Unreachable
from commonhold.names import Fingerprint
from commonhold.transport import Caller, Peer


class Opening:
    """For jobs (cluster.py) and for people's own processes (functions.py)."""

    def __init__(
        self,
        folder: Path,
        computer: tuple[str, Fingerprint],
        lending: Lending,
        switchboard: Switchboard,
        caller: Caller,
        lenders: Callable[[Subject], list[Peer]],
        find: Callable[[str], Fingerprint],
        now: Clock,
        silence: float,
        outfitting: Outfitting,
    ) -> None:
        """`lenders` are the other computers to ask; `find` knows a computer by its name, or raises NotFound.

        `silence`: seconds after which a worker that says nothing counts as lost.
        """
        self._folder = folder
        self._name, self._here = computer
        self._parts = computer, lending, switchboard, caller, outfitting
        self._lenders = lenders
        self._find = find
        self._now = now
        self._silence = silence
        self._outfitting = outfitting
        self._opened: dict[str, Session] = {}

    async def open(self, subject: Subject, listener: SessionListener, needs: Needs) -> Session:
        """A new session. Raises NotFound when the packages of its environment are not here."""
        await self._outfitting.require(subject, needs.environment)
        session = Session(subject, self._folder, *self._parts, self._now(), self._silence, listener, needs)
        await session.open()
        self._opened = {each.id: each for each in (*self._opened.values(), session) if not each.over.is_set()}
        return session

    async def rest(self, session: str, participant: str, computer: Fingerprint | None, rest: Rest) -> None:
        """A lender's word on its worker in a session of ours. Raises NotFound."""
        opened = self._opened.get(session)
        if opened is None or opened.over.is_set():
            raise NotFound("That session is over.")
        await opened.seating.rest(participant, computer, rest)

    async def seat(self, session: Session, on: str, cores: int) -> tuple[list[Seat], list[str]]:
        """Who takes part with so many cores at least, and why others do not. Raises as `invite` does."""
        asked = await self.invite(session, on, frozenset(), patient=on != "any")
        seats = [seat for seat in asked if seat.accepted and seat.accepted.cores >= cores]
        return seats, [why for seat in asked if (why := seat.refusal or _absence(seat, cores))]

    async def invite(self, session: Session, on: str, only: frozenset[Fingerprint], patient: bool) -> list[Seat]:
        """Ask all who may take it (of `only` these, if there are any) and have no part yet. -> All of these.

        `patient` waits for every answer. Raises NotFound for a name that nobody has, and Unreachable for a computer
        of which nobody knows where it is: one that has only just joined, say, or a client.
        """
        named = on.casefold() if on not in {"any", "all"} else ""
        peers = [
            peer
            for peer in self._lenders(session.subject)
            if (not named or peer.name.casefold() == named) and (not only or peer.fingerprint in only)
        ]
        here = (not named or named == self._name.casefold()) and (not only or self._here in only)
        if named and not peers and not here:
            self._find(on)
            raise Unreachable(f"“{on}” cannot be asked to compute: nobody knows its address yet.", "commonhold members")
        await session.seating.invite(peers, here, patient)
        asked = {peer.fingerprint for peer in peers} | ({self._here} if here else set())
        return [seat for seat in session.seats if seat.fingerprint in asked]


def _absence(seat: Seat, cores: int) -> str:
    """Why one that refused nothing is of no use."""
    if seat.accepted is None:
        return f"{seat.name} left before anything could begin there."
    return "" if seat.accepted.cores >= cores else f"{seat.name} lends {seat.accepted.cores} cores."
