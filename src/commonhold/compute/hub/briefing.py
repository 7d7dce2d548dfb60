"""What a job's tasks may touch: passes from the doors that own the files, told to each lender."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from commonhold.authority.authority import Verb
from commonhold.compute.hub.running import Running
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session
from commonhold.compute.papers import Clock, JobPapers, PassDesk, PassPaper, RemoteFile, placed
from commonhold.errors import Refused
from commonhold.names import Fingerprint

LONGEST_JOB = timedelta(days=7)  # passes end then


class Briefing:
    """Asks for passes and hands them on."""

    def __init__(self, desk: PassDesk, now: Clock) -> None:
        self._desk = desk
        self._now = now

    async def brief(self, running: Running, session: Session, seat: Seat) -> None:
        """Get passes for that lender from the doors that own the files, and tell it. Raises what a door refuses."""
        passes = await self._passes(running, seat.fingerprint)
        reldirs = {task: below for task, given in enumerate(running.tasks, 1) if (below := placed(given))}
        spec = running.spec
        papers = JobPapers(running.target, passes, running.sources, reldirs, spec.title, spec.memory)
        await session.seating.papers(seat, running.number, papers)

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
        pass_id = await self._desk.issue(running.subject, computer, lender, job, share, verb, paths, folder, until)
        return PassPaper(computer, share, verb, pass_id)
