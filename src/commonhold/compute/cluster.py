"""The hub: takes jobs, seats lenders in the person's session, hands tasks out, and tells what becomes of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from commonhold.authority.authority import Subject
from commonhold.authority.watch import Watch
from commonhold.compute.briefing import Briefing
from commonhold.compute.job import Input, Job, JobSpec, State, no_lender, verdict
from commonhold.compute.journal import Journal
from commonhold.compute.lend import Lending
from commonhold.compute.news import News
from commonhold.compute.opening import Opening
from commonhold.compute.papers import Clock, JobFolders, PassDesk, RemoteFile, Sources
from commonhold.compute.relay import Switchboard
from commonhold.compute.running import Running
from commonhold.compute.seats import Seat
from commonhold.compute.session import Session
from commonhold.compute.warm import WARM, WarmSessions
from commonhold.errors import CommonholdError, Conflict, Refused
from commonhold.names import Fingerprint, RemotePath
from commonhold.transport import Caller, Peer
from commonhold.trees import erase

log = logging.getLogger(__name__)

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
        switchboard: Switchboard,
        caller: Caller,
        lenders: Callable[[Subject], list[Peer]],
        find: Callable[[str], Fingerprint],
        desk: PassDesk,
        folders: JobFolders,
        now: Clock,
        warm: float = WARM,
    ) -> None:
        """`lenders` are the other computers to ask; `find` knows a computer by its name, or raises NotFound."""
        self.journal = journal
        self._folder = folder
        self._computer, self._here = computer, fingerprint
        self._lending = lending
        self._find = find
        self.opening = Opening(folder, (computer, fingerprint), lending, switchboard, caller, lenders, find, now)
        self._desk = desk
        self._briefing = Briefing(desk, now)
        self._folders = folders
        self._sessions = WarmSessions(self._open, self.lost, watch, warm)
        self._running: dict[int, Running] = {}
        self.news = News(journal)
        self._collecting: dict[int, Subject] = {}  # jobs not begun yet, and whose they are
        self._background: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Say of jobs that the node's end cut off that they stopped; clear what was left."""
        self.journal.stop_unfinished()
        await asyncio.to_thread(erase, self._folder)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def close(self) -> None:
        """All sandboxes end; running jobs are marked as stopped."""
        if self._background:
            await asyncio.wait(self._background, timeout=CLOSE_WITHIN)
        for task in list(self._background):
            task.cancel()
        await self._sessions.close()
        for number in self.journal.stop_unfinished():
            self._tell_end(number)
            with suppress(CommonholdError):
                await self._desk.void(str(number))

    # Jobs

    async def submit(self, subject: Subject, spec: JobSpec) -> Job:
        """A job that collects its local inputs: they are uploaded to its share, then it is begun.

        Raises Refused without the right to run here: a job's own folder takes whatever its person puts there.
        """
        if subject.person is None:
            raise Refused("Only people have jobs.")
        self._lending.require_right(subject)
        spec.check()
        number = self.journal.add(subject.person, subject.person_name, spec)
        await self._folders.make(number, subject.person)
        self._collecting[number] = subject
        return self.journal.job(number)

    async def begin(self, number: int) -> Job:
        """Start it. Returns when its tasks are handed out.

        When no computer takes it or a right is missing, the job has failed, with the reason in its
        notes, and that reason is raised. Conflict when it was begun already.
        """
        self.journal.job(number)
        subject = self._collecting.pop(number, None)
        if subject is None:
            raise Conflict(f"Job {number} was started already.", f"commonhold log {number}")
        session = await self._sessions.get(subject, self.journal.spec(number).on)
        try:
            await self._hand_out(number, self.journal.spec(number), session)
        except CommonholdError as error:
            await self._end(number, State.FAILED, error.sentence)
            raise
        except BaseException:
            await self._end(number, State.FAILED, "The node met an error of its own; see its log.")
            raise
        finally:
            self._cool(session)
        return self.journal.job(number)

    async def _hand_out(self, number: int, spec: JobSpec, session: Session) -> None:
        into = spec.into or f"{self._computer}:.job-{number}/out"
        target = self._remote(into)
        seats = await self._seats(number, session, spec)
        tasks: list[Input | None] = list(spec.inputs) or [None]
        running = Running(number, session, tasks * (len(seats) if spec.on == "all" else 1), into, target)
        self._running[number] = running
        running.sources = self._sources(number, running.tasks)
        self.journal.begin(number, into, running.tasks)
        self.news.tell(number, self.news.snapshot(number))
        await asyncio.gather(*(self._briefing.brief(running, seat) for seat in seats))
        unwilling = [seat.refusal for seat in seats if not seat.accepted]  # who lent before, and lends no more
        if len(unwilling) == len(seats) or (unwilling and spec.on == "all"):
            raise no_lender(unwilling)
        running.bound = {seat.participant for seat in seats} if spec.on != "any" else set()
        for on, first in _shares(spec, seats, len(tasks)):
            specs = [running.order(spec, first + offset) for offset in range(1, len(tasks) + 1)]
            await session.submit(specs, spec.retries, spec.cores, on)

    def _remote(self, text: str) -> RemoteFile:
        path = RemotePath.parse(text)
        here = path.computer.casefold() == self._computer.casefold()
        return RemoteFile(self._here if here else self._find(path.computer), path.share, str(path.path))

    async def _seats(self, number: int, session: Session, spec: JobSpec) -> list[Seat]:
        """The lenders for this job; raises with their reasons when there is none."""
        seats, refusals = await self.opening.seat(session, spec.on, spec.cores)
        self.journal.note(number, *refusals)
        if not seats:
            raise no_lender(refusals)
        return seats

    def _sources(self, number: int, tasks: list[Input | None]) -> dict[int, Sources]:
        found = {}
        for task, given in enumerate(tasks, 1):
            if given is None or given.kind == "value":
                continue
            local = RemoteFile(self._here, f".job-{number}", str(given.uploaded))
            found[task] = Sources(self._remote(given.text) if given.kind == "remote" else local, given.name)
        return found

    async def _end(self, number: int, state: State, *notes: str) -> None:
        running = self._running.pop(number, None)
        self.journal.end(number, state, *notes)
        self._tell_end(number)
        with suppress(CommonholdError):
            await self._desk.void(str(number))
        if running is not None:
            self._cool(running.session)
            await running.session.seating.forget(number)

    async def _open(self, subject: Subject, call_cores: int) -> Session:
        return await self.opening.open(subject, self, call_cores)

    def _cool(self, session: Session) -> None:
        if not self._of(session):
            self._sessions.cool(session)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # What sessions tell (session.Listener)

    def changed(self, session: Session, changes: list[dict[str, Any]]) -> None:
        """The scheduler's word on tasks: from a sandboxed process, so it speaks of its own session's jobs only."""
        ended: set[int] = set()
        with self.journal.together():
            for change in changes:
                job, _, task = str(change["key"]).partition("-")
                running = self._running.get(int(job))
                if running is not None and running.session is session:
                    self._move(running, int(task), State(change["state"]), change)
                    if running.left == 0:
                        ended.add(running.number)
        for number in ended:
            self._spawn(self._end(number, verdict(self._running[number].failed)))

    def _move(self, running: Running, task: int, state: State, change: dict[str, Any]) -> None:
        seat = running.session.seats.find(str(change.get("at", "")))
        outcome, computer = None, seat.name if seat else ""
        if state in {State.DONE, State.FAILED}:
            outcome = running.outcome(change.get("outcome"))
            computer = outcome.computer
            if clash := running.clash(task, outcome):
                state, outcome = State.FAILED, msgspec.structs.replace(outcome, problem=outcome.problem or clash)
        if not self.journal.move(running.number, task, state, computer, outcome):
            return
        if outcome is not None:
            running.left -= 1
            running.failed += state is State.FAILED
        event = {"event": "task", "job": running.number, "task": task, "state": state, "computer": computer}
        self.news.tell(running.number, event | ({"exit": outcome.exit, "problem": outcome.problem} if outcome else {}))

    def note(self, session: Session, sentence: str) -> None:
        for running in self._of(session):
            self.journal.note(running.number, sentence)
            self.news.tell(running.number, {"event": "note", "job": running.number, "note": sentence})

    def seated(self, session: Session, seat: Seat) -> None:
        """A lender that came, or came back, while jobs run: it gets their papers."""
        for running in self._of(session):
            self._spawn(self._brief_late(running, seat))

    async def _brief_late(self, running: Running, seat: Seat) -> None:
        try:
            await self._briefing.brief(running, seat)
        except CommonholdError as error:
            self.note(running.session, f"{seat.name} cannot take part: {error.sentence}")

    def gone(self, session: Session, seat: Seat) -> None:
        """That lender does not come back: jobs that need it, and no other, cannot be finished."""
        for running in self._of(session):
            if seat.participant in running.bound:
                self._spawn(self._lose(running, f"{seat.name} was lost, and some of its tasks were for it alone."))

    def lost(self, session: Session, why: str) -> None:
        for running in self._of(session):
            self._spawn(self._lose(running, why))

    async def _lose(self, running: Running, why: str) -> None:
        await running.session.cancel([running.key(task) for task in range(1, len(running.tasks) + 1)])
        await self._end(running.number, State.FAILED, why)

    def _of(self, session: Session) -> list[Running]:
        return [running for running in self._running.values() if running.session is session]

    def _tell_end(self, number: int) -> None:
        self.news.tell(number, self.news.snapshot(number))


def _shares(spec: JobSpec, seats: list[Seat], count: int) -> list[tuple[list[str] | None, int]]:
    """(participants, number before the first task) for each batch."""
    if spec.on == "any":
        return [(None, 0)]
    if spec.on == "all":
        return [([seat.participant], place * count) for place, seat in enumerate(seats)]
    return [([seat.participant for seat in seats], 0)]
