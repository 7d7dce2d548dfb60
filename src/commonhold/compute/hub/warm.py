"""Sessions that stay a while after their last job, so that the next one starts at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from commonhold.authority.authority import Permit, Subject
from commonhold.authority.watch import Watch, Work
from commonhold.compute import fairness
from commonhold.compute.hub.session import Session
from commonhold.compute.papers import Farewell, Needs
from commonhold.errors import Refused
from commonhold.names import Fingerprint, PersonId

WARM = 60.0  # seconds

# Whose session, from where, for which computer only, for how many cores of each call (0: for commands), and with which
# environment.
Key = tuple[PersonId, Fingerprint | None, str, int, str]


class WarmSessions:
    """One session for each person at each of their computers, and one for each computer named for a job.

    A job for one computer shares no session with those that others take part in: whoever is in a
    session can see and change what runs there. When a computer is removed, its sessions end, and the
    others of its person go on.
    """

    def __init__(
        self,
        start: Callable[[Subject, Needs], Awaitable[Session]],
        refused: Callable[[Session, str], None],
        watch: Watch,
        warm: float,
    ) -> None:
        """`refused` hears why the right to a session has ended in which jobs may run."""
        self._start = start
        self._refused = refused
        self._watch = watch
        self._warm = warm
        self._works: dict[Session, Work] = {}
        self._opened: dict[Key, asyncio.Future[Session]] = {}
        self._cooling: dict[Session, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[Any]] = set()

    async def get(self, subject: Subject, on: str, needs: Needs) -> Session:
        """The session for a job of this subject on that computer (`any`, `all`), opened when there is none."""
        if subject.person is None:
            raise Refused("Only people have jobs.")
        environment = needs.environment.digest if needs.environment is not None else ""
        only = "" if on in {"any", "all"} else on.casefold()
        key = subject.person, subject.computer, only, needs.call_cores, environment
        if (opening := self._found(key)) is None:
            await self._make_room(subject.person)
            opening = self._found(key)  # somebody else may have asked for it meanwhile
        if opening is None:
            opening = self._opened[key] = asyncio.ensure_future(self._open(subject, needs))
        session = await asyncio.shield(opening)
        if handle := self._cooling.pop(session, None):
            handle.cancel()
        return session

    def _found(self, key: Key) -> asyncio.Future[Session] | None:
        """That session, which may just be opening."""
        opening = self._opened.get(key)
        over = opening is None or (
            opening.done() and (opening.exception() is not None or opening.result().over.is_set())
        )
        return None if over else opening

    async def _make_room(self, person: PersonId) -> None:
        """Each costs a process here, and one person names as many computers as they like: what cools makes way.

        Raises Refused when in all of them something runs.
        """
        while sum(key[0] == person and self._found(key) is not None for key in self._opened) >= fairness.MOST_OF_ONE:
            idle = next((session for session in self._cooling if session.subject.person == person), None)
            if idle is None:
                raise Refused(
                    f"One person has {fairness.MOST_OF_ONE} sessions at a time, and something runs in all of them.",
                    "wait until a job is done, or cancel one: commonhold jobs",
                )
            await self.end(idle)

    async def _open(self, subject: Subject, needs: Needs) -> Session:
        session = await self._start(subject, needs)
        self._works[session] = self._watch.begin(
            subject, f"session {session.id}", lambda why: self._end_now(session, why.sentence)
        )
        return session

    def _end_now(self, session: Session, why: str) -> None:
        self._refused(session, why)
        self.end_soon(session)

    def hold(self, session: Session, permit: Permit) -> None:
        """The session ends with that permit, too."""
        if work := self._works.get(session):
            work.hold(permit)

    def cool(self, session: Session) -> None:
        """No job runs in it: it ends after a while, unless it is asked for before."""
        if session in self._works and session not in self._cooling:
            self._cooling[session] = asyncio.get_running_loop().call_later(self._warm, self.end_soon, session)

    def end_soon(self, session: Session) -> None:
        """It is not kept warm: what runs in it may never end by itself."""
        task = asyncio.create_task(self.end(session))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def end(self, session: Session) -> list[Farewell]:
        """End it now, or wait until it has ended. -> What its lenders say of their last tasks."""
        if handle := self._cooling.pop(session, None):
            handle.cancel()
        if work := self._works.pop(session, None):
            work.close()
        for key, opening in list(self._opened.items()):
            if opening.done() and not opening.exception() and opening.result() is session:
                del self._opened[key]
        return await session.close()

    async def close(self) -> None:
        """End them all."""
        for handle in self._cooling.values():
            handle.cancel()
        opened = await asyncio.gather(*self._opened.values(), return_exceptions=True)
        await asyncio.gather(*self._closing, *(each.close() for each in opened if isinstance(each, Session)))
