"""Hands a job's tasks out: asks who takes them, tells these what the tasks may touch, gives them what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from commonhold.compute.hub.means import Means
from commonhold.compute.hub.running import Running
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session
from commonhold.compute.job import JobSpec
from commonhold.compute.lender.bounds import amount
from commonhold.compute.papers import Accepted, Needs
from commonhold.compute.said import Listening, Piece
from commonhold.errors import Unreachable
from commonhold.names import Fingerprint

SCHEDULER_WITHIN = 0.5  # seconds that it has to forget tasks: they are killed then
DOOR_WITHIN = 5.0  # seconds that the door of the outputs is waited for, until it is asked again


class Handout:
    """One job's. `session` is None until there is one, and while the next one is not there."""

    def __init__(self, running: Running, means: Means) -> None:
        self.session: Session | None = None
        self._running = running
        self._means = means
        self._job = str(running.number)
        self._giving = asyncio.Lock()
        self._revoking = asyncio.Lock()
        self._briefed: dict[str, tuple[int, asyncio.Future[None]]] = {}  # by participant: for which of its stays
        self._voided: set[Fingerprint | None] = set()  # whose passes are to be void before anything runs again

    async def enter(self) -> Session:
        """The session for it, opened when there is none. Raises OSError when it cannot be."""
        spec = self._running.spec
        session = await self._means.sessions.get(self._running.subject, spec.on, Needs(environment=spec.environment))
        if session is not self.session:
            self.session = session
            self._briefed.clear()
        return session

    def leave(self) -> None:
        """All that was handed out is lost: before anything runs again, no lender may store any more."""
        self.session = None
        self._voided.add(None)

    def lose(self, seat: Seat) -> None:
        """That lender's worker is gone: it may store nothing any more."""
        if self._briefed.pop(seat.participant, None) is not None:
            self._voided.add(seat.fingerprint)

    def brief_anew(self) -> None:
        """Doors may have forgotten their passes."""
        self._briefed.clear()

    async def invite(self, session: Session, patient: bool) -> list[Seat]:
        """Ask all who may take it and have no part yet. -> All of these, with their refusals."""
        only = frozenset(self._running.places.values())
        return await self._means.opening.invite(session, self._running.spec.on, only, patient)

    def fit(self, seat: Seat) -> bool:
        """Whether it takes part, and could run at least one of the tasks."""
        wanted = self._running.places.values()
        there = seat.accepted is not None and not unfit(seat.name, seat.accepted, self._running.spec)
        return there and (not wanted or seat.fingerprint in wanted)

    def refusals(self, seats: Iterable[Seat]) -> list[str]:
        """Why these, or some of them, do not take it."""
        spec = self._running.spec
        said = (seat.refusal or (unfit(seat.name, seat.accepted, spec) if seat.accepted else "") for seat in seats)
        return [why for why in said if why]

    def _there(self, place: Fingerprint | None) -> list[Seat]:
        """Who takes part and could run tasks that are for `place` (None: for anybody)."""
        seats = self.session.seats if self.session is not None and not self.session.over.is_set() else ()
        return [seat for seat in seats if self.fit(seat) and place in {None, seat.fingerprint}]

    async def brief(self, session: Session, seat: Seat) -> None:
        """Tell it what the tasks may touch, once for each of its stays. Raises what a door refuses."""
        await self.revoke()
        stay, briefing = self._briefed.get(seat.participant, (0, None))
        if briefing is None or stay != seat.stays or (briefing.done() and briefing.exception()):
            briefing = asyncio.ensure_future(self._told(session, seat))
            self._briefed[seat.participant] = seat.stays, briefing
        await asyncio.shield(briefing)

    async def _told(self, session: Session, seat: Seat) -> None:
        try:
            async with asyncio.timeout(2 * DOOR_WITHIN):
                await self._means.briefing.brief(self._running, session, seat)
        except TimeoutError as error:
            raise Unreachable("A computer that holds files of this job does not answer.") from error

    async def revoke(self) -> None:
        """No lender that was given up stores anything any more: only then its tasks may run elsewhere.

        Raises Unreachable while the door of the outputs does not say so.
        """
        async with self._revoking:
            for lender in list(self._voided):
                try:
                    async with asyncio.timeout(DOOR_WITHIN):
                        door = self._running.target.computer
                        await self._means.desk.revoke(self._running.subject, self._job, door, lender)
                except TimeoutError as error:
                    raise Unreachable("The computer that takes the outputs does not answer.") from error
                self._voided.discard(lender)

    async def give(self) -> None:
        """Hand out what waits, to whom it is for."""
        async with self._giving:
            session, spec = self.session, self._running.spec
            by_place: dict[Fingerprint | None, list[int]] = {}
            for task in self._running.waiting if not self._voided else ():
                by_place.setdefault(self._running.places.get(task), []).append(task)
            for place, tasks in by_place.items():
                if session is None or not (seats := self._there(place)):
                    continue
                orders = self._running.hand_out(tasks)
                on = [seat.participant for seat in seats] if place else None
                with suppress(Unreachable):  # its scheduler has just ended: that is heard of in its own way
                    await session.submit(orders, spec.retries, spec.cores, spec.memory, on)

    def nobody_for(self) -> set[Fingerprint | None]:
        """For which places tasks are open that nobody takes (None: any)."""
        running = self._running
        waiting = {running.places.get(task) for task in running.waiting}
        out = {running.places.get(task) for task in running.out} if running.places else {None} if running.out else ()
        return waiting | {place for place in out if not self._there(place)}

    def denied(self, place: Fingerprint | None) -> str:
        """What they say when all who could run tasks for `place` say that a rule forbids it; else nothing."""
        seats = self.session.seats if self.session is not None else ()
        asked = [seat for seat in seats if place in {None, seat.fingerprint}]
        return " ".join(seat.refusal for seat in asked) if all(seat.denied for seat in asked) else ""

    async def said(self, asked: Listening) -> list[Piece]:
        """What is new of the tasks that are out, wherever they run."""
        session = self.session
        if session is None or session.over.is_set():
            return []
        asking = (session.said(seat, self._running.number, asked) for seat in self._there(None))
        return [piece for pieces in await asyncio.gather(*asking) for piece in pieces if self._running.find(piece.key)]

    async def drop(self, tasks: Iterable[int]) -> None:
        """The scheduler forgets them."""
        keys = [self._running.key(task) for task in tasks if task in self._running.out]
        if self.session is not None and keys:
            with suppress(TimeoutError):
                async with asyncio.timeout(SCHEDULER_WITHIN):
                    await self.session.cancel(keys)

    async def end(self) -> None:
        """The job is over: what still runs of it is killed, and its passes open nothing any more."""
        await self.drop(list(self._running.out))
        if self.session is not None:
            await self.session.seating.forget(self._running.number)
        await self._means.desk.void(self._job)


def unfit(lender: str, lent: Accepted, spec: JobSpec) -> str:
    """Why that lender can run none of the tasks, or nothing."""
    if lent.cores < spec.cores:
        return f"{lender} lends {lent.cores} core{'s' * (lent.cores > 1)}, and each task needs {spec.cores}."
    if lent.memory < spec.memory:
        return f"{lender} lends tasks {amount(lent.memory)} of memory, and each needs {amount(spec.memory)}."
    return ""
