"""Opens sessions at this hub, and finds lenders for them: all that may be asked, or the one that is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from commonhold.authority.authority import Subject
from commonhold.compute.lend import Lending
from commonhold.compute.papers import Clock
from commonhold.compute.relay import Switchboard
from commonhold.compute.seats import Seat
from commonhold.compute.session import Session, SessionListener
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
    ) -> None:
        """`lenders` are the other computers to ask; `find` knows a computer by its name, or raises NotFound."""
        self._folder = folder
        self._name, self._here = computer
        self._parts = computer, lending, switchboard, caller
        self._lenders = lenders
        self._find = find
        self._now = now

    async def open(self, subject: Subject, listener: SessionListener, call_cores: int = 0) -> Session:
        """A new session. With `call_cores` it is for functions, and each call has so many cores."""
        session = Session(subject, self._folder, *self._parts, self._now(), listener, call_cores)
        await session.open()
        return session

    async def seat(self, session: Session, on: str, cores: int) -> tuple[list[Seat], list[str]]:
        """Who takes part with so many cores at least, and why others do not. Raises NotFound for a name of nobody."""
        named = on.casefold() if on not in {"any", "all"} else None
        peers = [p for p in self._lenders(session.subject) if named is None or p.name.casefold() == named]
        here = named is None or named == self._name.casefold()
        if named and not peers and not here:
            self._find(on)
        seats = await session.seating.invite(peers, here, patient=on != "any")
        asked = {peer.fingerprint for peer in peers} | ({self._here} if here else set())
        refusals = [seat.refusal for seat in session.seats if seat.refusal and seat.fingerprint in asked]
        return [seat for seat in seats if seat.accepted and seat.accepted.cores >= cores], refusals
