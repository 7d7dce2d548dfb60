"""The hub's side of functions: sessions that people's own Python processes hold, and take part in.

A process gets a certificate of the session's own authority, a lender's worker does not get more. Whoever has one may
run anything in the session, so it goes only to a process of the person whose session it is, at a
computer of theirs, over the connection that proved it. The node itself unpickles nothing of what passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from commonhold.authority.authority import Subject
from commonhold.authority.watch import Watch
from commonhold.compute.hub.opening import Opening
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session
from commonhold.compute.hub.warm import WARM, WarmSessions
from commonhold.compute.job import no_lender
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import PYTHON, Farewell, FunctionsNews, FunctionsPapers, FunctionsWish, Needs
from commonhold.errors import CommonholdError, NotFound, Refused, Unreachable, WrongUsage
from commonhold.names import Fingerprint

Said = FunctionsNews | CommonholdError | None  # None: its process says goodbye


class Functions:
    """Sessions for functions. Each lives as long as a process holds it, and, if all said goodbye, a minute longer."""

    def __init__(self, computer: str, opening: Opening, lending: Lending, watch: Watch, warm: float = WARM) -> None:
        self._computer = computer
        self._opening = opening
        self._lending = lending
        self._sessions = WarmSessions(self._open, self.refused, watch, warm)
        self._holders: dict[Session, dict[str, asyncio.Queue[Said]]] = {}

    async def close(self) -> None:
        await self._sessions.close()

    async def hold(
        self, subject: Subject, wish: FunctionsWish
    ) -> AsyncGenerator[FunctionsPapers | FunctionsNews, None]:
        """Papers for a process of this subject, then what happens in its session, for as long as somebody listens.

        Raises Refused without the right to run here or without a lender, WrongUsage for another Python, and
        what ends the session.
        """
        computer = self._require(subject, wish)
        permitted = self._lending.require_right(subject)
        session = await self._sessions.get(subject, wish.on, Needs(wish.cores, wish.environment))
        self._sessions.hold(session, permitted)
        holders = self._holders.setdefault(session, {})
        said: asyncio.Queue[Said] = asyncio.Queue()
        name, papers = session.admit(computer)
        holders[name] = said
        goodbye = False
        try:
            seats, refusals = await self._opening.seat(session, wish.on, wish.cores)
            if not seats:
                goodbye = True
                raise no_lender(refusals)
            await session.ready()
            yield FunctionsPapers(session.id, name, *papers, _lenders(session), tuple(refusals))
            while (news := await said.get()) is not None:
                if isinstance(news, CommonholdError):
                    raise news
                yield news
            goodbye = True
        finally:
            self._release(session, name, goodbye)

    def _require(self, subject: Subject, wish: FunctionsWish) -> Fingerprint:
        """The computer where the process runs."""
        wish.check()
        if subject.person is None or subject.computer is None:
            raise Refused("Functions are called by people, from computers of the network.")
        if wish.python != PYTHON:
            raise WrongUsage(
                f"{self._computer}, where the scheduler runs, has Python {PYTHON}, and this program runs"
                f" under Python {wish.python}.",
                "install Commonhold under the same Python on both",
            )
        return subject.computer

    def goodbye(self, session: str, name: str, computer: Fingerprint | None) -> None:
        """That process has nothing running, and goes. Raises NotFound when it holds no such session."""
        for held, holders in self._holders.items():
            if held.id == session and name in holders and held.callers[name] == computer:
                holders[name].put_nowait(None)
                return
        raise NotFound("That session is over.")

    def _release(self, session: Session, name: str, goodbye: bool) -> None:
        del session.callers[name], self._holders[session][name]
        if self._holders[session]:
            return
        del self._holders[session]
        if goodbye:
            self._sessions.cool(session)
        else:
            self._sessions.end_soon(session)  # it was cut off in the middle: nothing of its runs on

    async def _open(self, subject: Subject, needs: Needs) -> Session:
        return await self._opening.open(subject, self, needs)

    def _tell(self, session: Session, said: Said) -> None:
        for queue in self._holders.get(session, {}).values():
            queue.put_nowait(said)

    # What sessions tell (session.SessionListener)

    def changed(self, session: Session, changes: list[dict[str, Any]]) -> None:
        """Of tasks of commands, and there are none."""

    def note(self, session: Session, sentence: str) -> None:
        self._tell(session, FunctionsNews(_lenders(session), sentence))

    def seated(self, session: Session, seat: Seat) -> None:
        self._tell(session, FunctionsNews(_lenders(session)))

    async def left(self, session: Session, seat: Seat, keys: list[str], farewell: Farewell | None) -> None:
        self._tell(session, FunctionsNews(_lenders(session)))

    def gone(self, session: Session, seat: Seat) -> None:
        if not session.seats.seated():
            self._tell(session, Unreachable("All computers that ran it were lost."))

    def lost(self, session: Session) -> None:
        self._tell(session, Unreachable("The scheduler of this job ended."))

    def refused(self, session: Session, why: str) -> None:
        """Its person may run here no more."""
        self._tell(session, Unreachable(why))


def _lenders(session: Session) -> dict[str, str]:
    """Participant -> computer, of those that take part."""
    return {seat.participant: seat.name for seat in session.seats.seated()}
