"""One session's stay on a lender: its worker, its folder, and what its tasks may touch."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

from commonhold.authority.authority import Permit, Verb
from commonhold.authority.watch import Work
from commonhold.compute import guest, sandbox
from commonhold.compute.job import relative
from commonhold.compute.papers import Courier, JobPapers, RemoteFile
from commonhold.compute.task import WORK
from commonhold.errors import Unreachable, WrongUsage
from commonhold.names import PersonId, SharePath
from commonhold.trees import erase

PAPERS_WITHIN = 20.0  # seconds that a task waits until the hub said what it may touch


class Stay:
    """One session's stay here: its worker, its folder, and its jobs' papers."""

    def __init__(self, folder: Path, permit: Permit, company: tuple[PersonId, ...], courier: Courier) -> None:
        self.permit = permit  # to run here
        self.subject = permit.subject
        self.company = company  # whose computers take part
        self.work: Work | None = None
        self.room = folder / "room"  # the guest's
        self.staging = folder / "staging"  # ours: what is fetched lands here first
        self.box: sandbox.Sandbox | None = None
        self._folder = folder
        self._courier = courier
        self._papers: dict[int, asyncio.Future[JobPapers]] = {}

    def prepare(self) -> None:
        self.room.mkdir(parents=True, mode=0o700)
        self.staging.mkdir(mode=0o700)
        self._folder.chmod(0o700)

    async def clear(self) -> None:
        await asyncio.to_thread(erase, self._folder)

    def learn(self, job: int, papers: JobPapers) -> None:
        waiting = self._papers.get(job)
        if waiting is None or waiting.done():
            waiting = self._papers[job] = asyncio.get_running_loop().create_future()
        waiting.set_result(papers)

    def forget(self, job: int) -> None:
        self._papers.pop(job, None)

    async def answer(self, what: str, words: dict[str, Any]) -> Any:
        """What the worker's tasks ask. Their words are a stranger's: numbers, looked up in the papers."""
        if what not in {"fetch", "store"}:
            raise WrongUsage("A worker may ask its node to fetch and to store.")
        job, task = int(words["job"]), int(words["task"])
        papers = await self._papers_of(job)
        return await (self._fetch if what == "fetch" else self._store)(job, task, papers)

    async def _papers_of(self, job: int) -> JobPapers:
        waiting = self._papers.setdefault(job, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), PAPERS_WITHIN)
        except TimeoutError:
            raise Unreachable(f"Nobody said what the tasks of job {job} may touch.") from None

    async def _fetch(self, job: int, task: int, papers: JobPapers) -> None:
        wanted = papers.inputs.get(task)
        if wanted is None:
            return
        name = SharePath((wanted.name,)).name
        staged = f"{job}-{task}-{secrets.token_hex(4)}"
        await self._courier.fetch(wanted.source, papers.pass_for(wanted.source, Verb.READ), self.staging, staged)
        await asyncio.to_thread(self._hand_in, self.staging / staged, f"{job}-{task}", name)

    def _hand_in(self, staged: Path, folder: str, name: str) -> None:
        try:
            with guest.inside(self.room, WORK, folder) as descriptor:
                guest.put(staged, descriptor, name)
        finally:
            staged.unlink(missing_ok=True)

    async def _store(self, job: int, task: int, papers: JobPapers) -> list[str]:
        """Every new file of the task -> paths below `into`."""
        wanted = papers.inputs.get(task)
        inputs = frozenset({wanted.name} if wanted else ())
        pass_id = papers.pass_for(papers.into, Verb.WRITE, Verb.ADD)
        above = relative(papers.reldirs.get(task, ""))
        stored = []
        with guest.inside(self.room, WORK, f"{job}-{task}") as folder:
            for path in await asyncio.to_thread(guest.left, folder, inputs):
                below = SharePath((*above, *path.parts))
                target = SharePath((*SharePath.parse(papers.into.path).parts, *below.parts))
                place = RemoteFile(papers.into.computer, papers.into.share, str(target))
                with guest.take(folder, path) as file:
                    await self._courier.store(file, place, pass_id)
                stored.append(str(below))
        return stored
