"""What a job's tasks may touch: passes from the doors that own the files, told to each lender."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec

from commonhold.authority.authority import Verb
from commonhold.compute.job import Input, JobSpec, Outcome, words_for
from commonhold.compute.papers import Clock, JobPapers, PassDesk, PassPaper, RemoteFile, Sources, placed
from commonhold.compute.seats import Seat
from commonhold.compute.session import Session
from commonhold.errors import Refused, WrongUsage
from commonhold.names import Fingerprint, SharePath

LONGEST_JOB = timedelta(days=7)  # passes end then


class Running:
    """What a job needs in memory while it runs."""

    def __init__(self, number: int, session: Session, tasks: list[Input | None], into: str, target: RemoteFile) -> None:
        self.number = number
        self.session = session
        self.tasks = tasks
        self.into = into.rstrip("/")  # the same as `target`, as people write it
        self.target = target
        self.left = len(tasks)
        self.failed = 0
        self.bound: set[str] = set()  # participants without which some of its tasks cannot run
        self.sources: dict[int, Sources] = {}
        self._authors: dict[str, int] = {}  # by output: the first task that left it

    def key(self, task: int) -> str:
        return f"{self.number}-{task}"

    def order(self, spec: JobSpec, task: int) -> dict[str, Any]:
        """What a worker gets: as task.perform reads it."""
        return {
            "key": self.key(task),
            "job": self.number,
            "task": task,
            "words": words_for(spec.command, self.tasks[task - 1]),
            "timeout": spec.timeout,
            "fetch": task in self.sources,
        }

    def outcome(self, told: object) -> Outcome:
        """What a worker says of a task, checked; its outputs as remote paths."""
        outcome = msgspec.convert(told, Outcome, strict=False)
        outputs = []
        for path in outcome.outputs:
            with suppress(WrongUsage):
                outputs.append(f"{self.into}/{SharePath.parse(path)}")
        return msgspec.structs.replace(outcome, outputs=tuple(outputs))

    def clash(self, task: int, outcome: Outcome) -> str:
        """Why the outputs of a task are not all its own, or nothing. A task that ran twice replaces what it left."""
        for path in outcome.outputs:
            if (first := self._authors.setdefault(path, task)) != task:
                return f"It left “{path}”, and so did task {first}: the later replaced the earlier."
        return ""


class Briefing:
    """Asks for passes and hands them on."""

    def __init__(self, desk: PassDesk, now: Clock) -> None:
        self._desk = desk
        self._now = now

    async def brief(self, running: Running, seat: Seat) -> None:
        """Get passes for that lender from the doors that own the files, and tell it. Raises what a door refuses."""
        passes = await self._passes(running, seat.fingerprint)
        reldirs = {task: below for task, given in enumerate(running.tasks, 1) if (below := placed(given))}
        papers = JobPapers(running.target, passes, running.sources, reldirs)
        await running.session.papers(seat, running.number, papers)

    async def _passes(self, running: Running, lender: Fingerprint) -> tuple[PassPaper, ...]:
        wanted: dict[tuple[Fingerprint, str], list[str]] = {}
        for each in running.sources.values():
            wanted.setdefault((each.source.computer, each.source.share), []).append(each.source.path)
        asks = [self._pass(running, lender, *door, Verb.READ, sorted(set(paths))) for door, paths in wanted.items()]
        target = running.target
        asks.append(self._pass_into(running, lender, target))
        return tuple(await asyncio.gather(*asks))

    async def _pass_into(self, running: Running, lender: Fingerprint, target: RemoteFile) -> PassPaper:
        """To write, so that a task that runs a second time may replace what its first try left; else to add."""
        door = target.computer, target.share
        try:
            return await self._pass(running, lender, *door, Verb.WRITE, [], target.path)
        except Refused:
            return await self._pass(running, lender, *door, Verb.ADD, [], target.path)

    async def _pass(
        self,
        running: Running,
        lender: Fingerprint,
        computer: Fingerprint,
        share: str,
        verb: Verb,
        paths: list[str],
        folder: str | None = None,
    ) -> PassPaper:
        job, until = str(running.number), self._now() + LONGEST_JOB
        subject = running.session.subject
        pass_id = await self._desk.issue(subject, computer, lender, job, share, verb, paths, folder, until)
        return PassPaper(computer, share, verb, pass_id)
