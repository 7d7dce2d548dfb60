"""The hub: takes the jobs of people who submit here, and sees that each goes on until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from commonhold.authority.authority import Subject
from commonhold.authority.watch import Watch
from commonhold.compute.allowances import Allowances
from commonhold.compute.hub.briefing import Briefing
from commonhold.compute.hub.collecting import Collecting
from commonhold.compute.hub.dispatch import Dispatch
from commonhold.compute.hub.forgetting import Forgetting
from commonhold.compute.hub.means import Means, Patience
from commonhold.compute.hub.news import News
from commonhold.compute.hub.opening import Opening
from commonhold.compute.hub.recalling import Recalling
from commonhold.compute.hub.running import Running
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session
from commonhold.compute.hub.warm import WARM, WarmSessions
from commonhold.compute.job import Job, JobSpec, State, parts_of
from commonhold.compute.journal import BROKE_OFF, Journal
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import Clock, Farewell, JobFolders, Needs, PassDesk
from commonhold.compute.said import Listening, Piece
from commonhold.errors import CommonholdError, Conflict, Refused
from commonhold.names import Fingerprint
from commonhold.trees import erase

CLOSE_WITHIN = 3.0  # seconds for ends that are under way when the node stops


class Cluster:
    """Jobs of the people who submit at this node. One session for each person, kept warm for a minute."""

    def __init__(
        self,
        folder: Path,
        computer: str,
        fingerprint: Fingerprint,
        journal: Journal,
        watch: Watch,
        lending: Lending,
        opening: Opening,
        find: Callable[[str], Fingerprint],
        desk: PassDesk,
        folders: JobFolders,
        allowances: Allowances,
        now: Clock,
        warm: float = WARM,
        patience: Patience = Patience(),  # noqa: B008 - a tuple
    ) -> None:
        """`find` knows a computer by its name, or raises NotFound."""
        self.journal = journal
        self.news = News(journal)
        self._folder = folder
        self._watch = watch
        self._lending = lending
        self._opening = opening
        self._folders = folders
        self._allowances = allowances
        self._sessions = WarmSessions(self._open, self.refused, watch, warm)
        self._means = Means(
            computer,
            fingerprint,
            journal,
            self.news,
            self._sessions,
            Briefing(desk, now),
            desk,
            self._opening,
            find,
            patience,
        )
        self._recalling = Recalling(self._means, watch, lending)
        self._dispatches: dict[int, Dispatch] = {}
        self.collecting = Collecting(lambda number: self._never_began(number, State.STOPPED, BROKE_OFF))
        self._background: set[asyncio.Task[Any]] = set()
        self._clearing: dict[int, asyncio.Task[None]] = {}  # jobs that have just ended
        self.forgetting = Forgetting(journal, folders, self._clearing.get)

    async def start(self) -> None:
        """Clear what the last run left, and take up the jobs that its end cut off."""
        await asyncio.to_thread(erase, self._folder)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number in self.journal.take_up():
            try:
                self._take_up(number)
            except CommonholdError as error:
                self.journal.end(number, State.FAILED, error.sentence)

    async def close(self) -> None:
        """All sandboxes end. Jobs that run are taken up at the next start."""
        self.collecting.close()
        await asyncio.gather(*(dispatch.close() for dispatch in list(self._dispatches.values())))
        if ending := [*self._background, *self._clearing.values()]:
            await asyncio.wait(ending, timeout=CLOSE_WITHIN)
        for task in ending:
            task.cancel()
        await self._sessions.close()
        self.news.close()

    # Jobs

    async def submit(self, subject: Subject, spec: JobSpec) -> Job:
        """A job that collects its local inputs: they are uploaded to its share, then it is begun.

        Raises Refused without the right to run here: a job's own folder takes whatever its person puts there. Raises
        NoSpace when they have too much here that has not ended.
        """
        if subject.person is None:
            raise Refused("Only people have jobs.")
        self._lending.require_right(subject)
        spec.check()
        name = subject.person_name
        self._allowances.require(subject.person, name, self.journal, 1, max(1, len(spec.inputs)))
        number = self.journal.add(subject.person, subject.person_name, subject.computer, spec)
        await self._folders.make(number, subject.person)
        self.collecting.add(number, subject)
        return self.journal.job(number)

    async def begin(self, number: int) -> Job:
        """Start it. Returns when its tasks are handed out.

        When no computer takes it or a right is missing, the job has failed, with the reason in its
        notes, and that reason is raised. Conflict when it was begun already.
        """
        state = self.journal.job(number).state
        subject = self.collecting.take(number)
        if state is State.STOPPED:
            raise Conflict(f"Job {number} has stopped, since its inputs came no further.", f"commonhold again {number}")
        if subject is None:
            raise Conflict(f"Job {number} was started already.", f"commonhold log {number}")
        return await self._begin(number, subject)

    async def _begin(self, number: int, subject: Subject) -> Job:
        self.journal.unsay(number, "")  # of an earlier time that it could not begin
        try:
            dispatch = self._dispatch(self._recalling.running(number, subject))
        except CommonholdError as error:
            self._never_began(number, State.FAILED, error.sentence)
            raise
        dispatch.start(anew=True)
        await dispatch.begun
        return self.journal.job(number)

    async def cancel(self, number: int) -> Job:
        """End it: what waits or runs is cancelled, what is done stays. Conflict when it has ended."""
        if self.collecting.take(number):
            self._never_began(number, State.CANCELLED)
        elif dispatch := self._dispatches.get(number):
            dispatch.stop(State.CANCELLED)
        else:
            ended = self.journal.job(number)
            raise Conflict(f"Job {number} has ended already: {ended.state}.", f"commonhold log {number}")
        return self.journal.job(number)

    async def again(self, number: int, computer: Fingerprint | None = None) -> Job:
        """Run what failed or was cancelled of it, under its number; what is done stays.

        One that never had all its inputs collects them again, for `computer` to bring: only where it was made they
        are. Conflict for one that runs, or has nothing left to do. Raises Refused when its person may not run here any
        more.
        """
        job = self.forgetting.require_ended(number)
        if job.total == 0 and job.state is not State.FAILED:
            return self._collect_again(number, computer)
        if job.total and job.done == job.total:
            raise Conflict(f"All tasks of job {number} are done.", f"commonhold log {number}")
        if clearing := self._clearing.get(number):
            await asyncio.wait({clearing})
        self._allowances.require(self.journal.person(number), job.person, self.journal, 1, job.total - job.done)
        if job.total == 0:
            return await self._begin(number, self._recalling.subject(number))
        running = self._recalling.laid_out(number)
        self.journal.reopen(number)
        running.recall(self.journal.ended(number))
        self.news.tell(number, self.news.snapshot(number))
        self._dispatch(running).start(anew=False)
        return self.journal.job(number)

    def _collect_again(self, number: int, computer: Fingerprint | None) -> Job:
        subject, inputs = self._recalling.subject(number), self.journal.spec(number).inputs
        if computer != self.journal.submitter(number) and any(given.kind == "local" for given in inputs):
            raise Conflict(f"Inputs of job {number} are files of another computer.", "type it where the job was made")
        person, name = self.journal.person(number), subject.person_name
        self._allowances.require(person, name, self.journal, 1, max(1, len(inputs)))
        self.journal.collect(number)
        self.collecting.add(number, subject)
        return self.journal.job(number)

    def _never_began(self, number: int, state: State, *notes: str) -> None:
        self.journal.end(number, state, *notes)
        self.news.tell(number, self.news.snapshot(number))

    async def said(self, number: int, asked: Listening) -> list[Piece]:
        """What is new of the tasks of that job that run now."""
        dispatch = self._dispatches.get(number)
        return await dispatch.said(asked) if dispatch is not None else []

    def _take_up(self, number: int) -> None:
        running = self._recalling.laid_out(number)
        running.recall(self.journal.ended(number))
        self._dispatch(running).start(anew=False)

    def _dispatch(self, running: Running) -> Dispatch:
        dispatch = self._dispatches[running.number] = Dispatch(running, self._means, self._ended)
        return dispatch

    def _ended(self, dispatch: Dispatch) -> None:
        number = dispatch.number
        self._dispatches.pop(number, None)
        self._clearing[number] = asyncio.create_task(dispatch.clear_up())
        self._clearing[number].add_done_callback(lambda _: self._clearing.pop(number, None))
        if dispatch.session is not None and not self._of(dispatch.session):
            self._sessions.cool(dispatch.session)

    async def _open(self, subject: Subject, needs: Needs) -> Session:
        return await self._opening.open(subject, self, needs)

    def _of(self, session: Session) -> list[Dispatch]:
        return [dispatch for dispatch in self._dispatches.values() if dispatch.session is session]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # What sessions tell (session.SessionListener)

    def changed(self, session: Session, changes: list[dict[str, Any]]) -> None:
        """The scheduler's word on tasks: from a sandboxed process, so it speaks of its own session's jobs only."""
        with self.journal.together():
            for change in changes:
                with suppress(TypeError, ValueError, KeyError, msgspec.MsgspecError):  # no word of ours
                    dispatch = self._dispatches.get(parts_of(str(change["key"]))[0])
                    if dispatch is not None and dispatch.session is session:
                        dispatch.change(change)

    def note(self, session: Session, sentence: str) -> None:
        for dispatch in self._of(session):
            dispatch.note(sentence)

    def seated(self, session: Session, seat: Seat) -> None:
        """A lender that came, or came back, while jobs run: it gets their papers."""
        for dispatch in self._of(session):
            self._spawn(dispatch.seated(seat))

    async def left(self, session: Session, seat: Seat, keys: list[str], farewell: Farewell | None) -> None:
        await asyncio.gather(*(dispatch.left(seat, keys, farewell) for dispatch in self._of(session)))

    def gone(self, session: Session, seat: Seat) -> None:
        """It is asked again from time to time, as all are."""

    def lost(self, session: Session) -> None:
        for dispatch in self._of(session):
            dispatch.lost()

    def refused(self, session: Session, why: str) -> None:
        """Its person may run here no more."""
        for dispatch in self._of(session):
            dispatch.stop(State.FAILED, why)
