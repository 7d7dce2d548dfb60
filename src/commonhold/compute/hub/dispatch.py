"""Sees one job through: hands its tasks out, and out again when what ran them is lost, until all have ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from commonhold.compute.hub.handout import Handout
from commonhold.compute.hub.means import Means
from commonhold.compute.hub.minutes import Minutes
from commonhold.compute.hub.running import Running
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session
from commonhold.compute.job import Input, JobSpec, Outcome, State, no_lender, verdict, why_ended
from commonhold.compute.papers import Farewell
from commonhold.errors import CommonholdError, Conflict, Unreachable
from commonhold.names import Fingerprint

log = logging.getLogger(__name__)

MOST_SCHEDULERS = 3  # that a job loses in a row while none of its tasks ends
CLEARED_WITHIN = 10.0  # seconds that lenders and doors are waited for when it is over
MOST_REFUSALS = 2  # of one task's files, the second time under new passes


class Dispatch:
    """One job that runs. `ended` is called when it does so no more."""

    def __init__(self, running: Running, means: Means, ended: Callable[[Dispatch], None]) -> None:
        self.running = running
        self.number = running.number
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # its tasks are handed out
        self.begun.add_done_callback(lambda begun: begun.exception())  # nobody may be waiting for it
        self._means = means
        self._handout = Handout(running, means)
        self.said = self._handout.said
        self._minutes = Minutes(running, means, self._ended_one)
        self._ended = ended
        self._over = False
        self._driving: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._refusals: dict[int, int] = {}
        self._missing: dict[Fingerprint | None, float] = {}  # since when nobody is there for such tasks
        self._hindrance = ""

    @property
    def session(self) -> Session | None:
        return self._handout.session

    def start(self, *, anew: bool) -> None:
        """Begin it: `anew` with all that it needs, else its tasks are laid out and what ran before is lost."""
        if not anew:
            self._handout.leave()
        self._driving = asyncio.create_task(self._drive(anew))

    async def _drive(self, anew: bool) -> None:
        try:
            if anew:
                await self._first()
            self._has_begun(None)
            await self._see_through(self._means.patience.later if anew else 0)
            self._end(verdict(self.running.failed))
        except CommonholdError as error:
            self._has_begun(error)
            self._end(State.FAILED, error.sentence)
        except Exception as error:
            log.exception("job %d", self.number)
            self._has_begun(error)
            self._end(State.FAILED, "The node met an error of its own; see its log.")

    def _has_begun(self, trouble: Exception | None) -> None:
        if not self.begun.done():
            if trouble is None:
                self.begun.set_result(None)
            else:
                self.begun.set_exception(trouble)

    async def _first(self) -> None:
        """Who takes it is told of all its tasks. Raises with the reasons when nobody does, or a right is missing."""
        spec = self.running.spec
        session = await self._handout.enter()
        asked = await self._handout.invite(session, patient=spec.on != "any")
        self._means.journal.note(self.number, *(refusals := self._handout.refusals(asked)))
        seats = [seat for seat in asked if self._handout.fit(seat)]
        if not seats:
            raise no_lender(refusals)
        self._lay_out(seats)
        self._minutes.tell_job()
        await asyncio.gather(*(self._handout.brief(session, seat) for seat in session.seats if self._handout.fit(seat)))
        unwilling = [seat.refusal for seat in seats if not seat.accepted]  # who lent before, and lends no more
        if len(unwilling) == len(seats) or (unwilling and spec.on == "all"):
            raise no_lender(unwilling)
        await self._handout.give()

    def _lay_out(self, seats: list[Seat]) -> None:
        """In memory and in the journal."""
        laid = _laid(self.running.spec, seats)
        tasks, bound = [given for given, _ in laid], {task: place for task, (_, place) in enumerate(laid, 1) if place}
        self.running.lay_out(tasks, bound, self._means.sources(self.number, tasks))
        self._means.journal.begin(self.number, self.running.into, laid)

    async def _see_through(self, pause: float) -> None:
        """Ask for lenders again and again, and hand out what waits, until all tasks have ended."""
        patience, over = self._means.patience, asyncio.ensure_future(self.running.over.wait())
        try:
            while not over.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await _first_of(over, self._wake.wait())
                woken = self._wake.is_set()
                self._wake.clear()
                if not over.done():
                    await _first_of(over, self._round())
                    await self._give_up()
                soonest = patience.soon if self._missing else patience.later
                pause = soonest if woken or pause < soonest else min(2 * pause, patience.longest)
        finally:
            over.cancel()

    async def _round(self) -> None:
        """Raises what cannot be mended by waiting: a right that is missing, a computer that was removed."""
        self._hindrance = ""
        try:
            await self._leave_what_ended()
            session = await self._handout.enter()
            await self._handout.revoke()
            seats = await self._handout.invite(session, patient=False)
            for seat in seats:
                if self._handout.fit(seat):
                    await self._handout.brief(session, seat)
            await self._handout.give()
            self._hindrance = " ".join(self._handout.refusals(seats))
        except Unreachable as error:
            self._hindrance = error.sentence
        except OSError as error:
            self._hindrance = f"The scheduler cannot be started: {error.strerror}."

    async def _take_farewells(self) -> None:
        """Its session ends. What lenders say that they have stored of it is done."""
        for farewell in await self._means.sessions.end(self.session) if self.session is not None else ():
            self._minutes.take_stored(farewell)

    async def _leave_what_ended(self) -> None:
        """A session whose scheduler is gone: what was handed out in it waits again."""
        if self.session is None or not self.session.over.is_set():
            return
        await self._take_farewells()
        self._handout.leave()
        back = self.running.take_back(map(self.running.key, list(self.running.out)))
        self._minutes.wait_again(back, "The scheduler of its job ended.")
        if self._minutes.schedulers >= MOST_SCHEDULERS:
            raise CommonholdError(f"Its scheduler ended {MOST_SCHEDULERS} times before any task did.")

    async def _give_up(self) -> None:
        """Tasks that nobody takes for too long have failed."""
        now, patience = asyncio.get_running_loop().time(), self._means.patience.waiting
        self._missing = {place: self._missing.get(place, now) for place in self._handout.nobody_for()}
        for place, since in list(self._missing.items()):
            if refusals := self._handout.denied(place):
                await self._fail(place, f"Nobody lets it run any more. {refusals}")
            elif since == now:
                what = self._what(place)
                self.note(f"{what} cannot run now; it is tried for {patience:g} seconds. {self._hindrance}".strip())
            elif now - since > patience:
                await self._fail(place, f"It could not run for {patience:g} seconds. {self._hindrance}".strip())

    async def _fail(self, place: Fingerprint | None, problem: str) -> None:
        """All open tasks that are for that place."""
        tasks = [task for task in self.running.open if self.running.places.get(task) == place]
        await self._handout.drop(tasks)
        with self._means.journal.together():
            for task in tasks:
                self._minutes.move(task, State.FAILED, "", Outcome(problem=problem))

    def _what(self, place: Fingerprint | None) -> str:
        seats = self.session.seats if self.session is not None else ()
        name = next((seat.name for seat in seats if place and seat.fingerprint == place), "")
        return f"What is for {name} alone" if name else "What is left of it"

    def _ended_one(self) -> None:
        if self.session is not None:
            self.session.seating.progress = True

    def change(self, change: dict[str, Any]) -> None:
        """The scheduler's word on one task; what it says of an earlier handing-out is old."""
        task, state = self.running.find(str(change["key"])), State(change["state"])
        if not task or self.session is None:
            return
        seat = self.session.seats.find(str(change.get("at", "")))
        if state not in {State.DONE, State.FAILED}:
            self._minutes.move(task, state, seat.name if seat else "", why=self.running.why(change.get("outcome")))
            return
        outcome = self.running.outcome(change.get("outcome"))
        if not (state is State.FAILED and outcome.trouble and self._mends(task, outcome)):
            self._minutes.move(task, state, outcome.computer, outcome)

    def _mends(self, task: int, outcome: Outcome) -> bool:
        """Whether it is not the task's fault: a computer that holds its files was away, or knows its pass no more.

        Then all lenders are given new passes, and it runs again.
        """
        if outcome.trouble == "refused":
            self._refusals[task] = self._refusals.get(task, 0) + 1
            if self._refusals[task] >= MOST_REFUSALS:
                return False
        self._handout.brief_anew()
        self._minutes.wait_again(self.running.take_back([self.running.key(task)]), why_ended(outcome))
        self.note(f"A task could not reach its files, and runs again. {outcome.problem}")
        self._wake.set()
        return True

    async def seated(self, seat: Seat) -> None:
        """A lender that came, or came back, while it runs."""
        if self.session is None or self._over:
            return
        self._minutes.takes_part(seat.name)
        if not self.running.tasks or not self._handout.fit(seat):
            return
        try:
            await self._handout.brief(self.session, seat)
            await self._handout.give()
        except CommonholdError as error:
            self.note(f"{seat.name} cannot take part: {error.sentence}")

    async def left(self, seat: Seat, keys: list[str], farewell: Farewell | None) -> None:
        """A worker is gone: what it had runs again elsewhere, when its lender can store nothing any more."""
        self._handout.lose(seat)
        if farewell is not None:
            self._minutes.take_stored(farewell)
        self._minutes.lose(self.running.take_back(keys), seat.name, farewell)
        self._wake.set()
        with suppress(CommonholdError):  # the next round tries it again
            await self._handout.revoke()
            await self._handout.give()

    def lost(self) -> None:
        """Its scheduler ended."""
        self._minutes.schedulers += 1
        self.note("The scheduler of this job ended; what was not done yet runs again.")
        self._wake.set()

    def note(self, sentence: str) -> None:
        self._minutes.note(sentence)

    def stop(self, state: State, *notes: str) -> None:
        """End it before its time: what runs of it is killed, what is done stays."""
        if not self._over:
            if self._driving is not None:
                self._driving.cancel()
            self._end(state, *notes)

    def _end(self, state: State, *notes: str) -> None:
        if self._over:
            return
        self._means.journal.end(self.number, state, *notes)  # what cannot be written down has not ended
        self._over = True
        self._minutes.tell_job()
        self._ended(self)
        self._has_begun(Conflict(f"Job {self.number} ended as {state}."))

    async def clear_up(self) -> None:
        """After its end: nothing of it runs any more, and its passes open nothing."""
        with suppress(CommonholdError, TimeoutError):
            async with asyncio.timeout(CLEARED_WITHIN):
                await self._handout.end()

    async def close(self) -> None:
        """The node ends, and the job goes on at its next start."""
        if self._driving is None:
            return
        self._over = True
        self._driving.cancel()
        await asyncio.gather(self._driving, return_exceptions=True)
        await self._take_farewells()
        self._has_begun(Unreachable("The node is stopping.", f"commonhold log {self.number}"))


def _laid(spec: JobSpec, seats: list[Seat]) -> list[tuple[Input | None, Fingerprint | None]]:
    """Each task by its input, and the only computer for it, if there is one."""
    inputs: list[Input | None] = list(spec.inputs) or [None]
    places = [seat.fingerprint for seat in seats] if spec.on == "all" else [None]
    if spec.on not in {"any", "all"}:
        places = [seats[0].fingerprint]
    return [(given, place) for place in places for given in inputs]


async def _first_of(over: asyncio.Future[Any], work: Coroutine[Any, Any, Any]) -> None:
    """Until `work` is done, or `over`; raises what `work` raises."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({over, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, CommonholdError):
            await task
