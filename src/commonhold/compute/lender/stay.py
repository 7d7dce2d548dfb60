"""One session's stay on a lender: its worker, its folder, and what its tasks may touch."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from commonhold.authority.authority import Permit, Verb
from commonhold.authority.watch import Work
from commonhold.compute import sandbox
from commonhold.compute.environment import Environment
from commonhold.compute.job import Outcome, key_of, parts_of, relative
from commonhold.compute.lender import frost, guest
from commonhold.compute.lender.backrow import BackRow
from commonhold.compute.lender.carriage import Carriage
from commonhold.compute.lender.equipment import Equipment
from commonhold.compute.lender.portions import Portion
from commonhold.compute.lender.warden import Ward, Warden
from commonhold.compute.papers import LARGEST, Courier, Farewell, JobPapers, RemoteFile, Rest
from commonhold.compute.said import Listening, Piece, within_bounds
from commonhold.compute.sandboxed.task import WORK
from commonhold.errors import CommonholdError, NoSpace, Unreachable, WrongUsage
from commonhold.names import PersonId, SharePath
from commonhold.trees import erase

PAPERS_WITHIN = 20.0  # seconds that a task waits until the hub said what it may touch
REMEMBERED = 32  # tasks whose outputs are stored, and of which the scheduler may not have heard
LONGEST_COMMAND = 200  # characters of what is told of a job
MOST_PAPERS, EACH = 2 * LARGEST, 4096  # bytes of all papers that are kept for a hub; what those of a job cost at least
SETTLES_WITHIN = 0.4  # seconds that what a dead worker's tasks left may take to be stored
DIES_WITHIN = 0.5  # seconds that a worker has to be dead of which its hub says that it is gone


async def _unheard(_rest: Rest) -> None:
    """Nobody hears of it yet."""


class Stay:
    """One session's stay here: its worker, its folder, and its jobs' papers."""

    def __init__(
        self,
        folder: Path,
        permit: Permit,
        company: tuple[PersonId, ...],
        courier: Courier,
        equipment: Equipment,
        warden: Warden,
        back_row: BackRow,
    ) -> None:
        self.permit = permit  # to run here
        self.subject = permit.subject
        self.company = company  # whose computers take part
        self.work: Work | None = None
        self.room = folder / "room"  # the guest's
        self.staging = folder / "staging"  # ours: what is fetched lands here first
        self.box: sandbox.Sandbox | None = None
        self.portion: Portion | None = None  # of the lender's cores
        self.since = datetime.now(UTC)
        self.began = False  # its worker runs
        self.cores = 0  # that it was given
        self.frozen: float | None = None  # since when, by the loop's clock
        self.waits = False  # for processors, which its owner needs; its hub is to hear of it
        self.looked_at = 0.0  # when it was last made sure of, by the same clock
        self.stirred = 0  # how often it has moved since
        self.spent: dict[int, float] = {}  # seconds of processor that each of its processes had had by the last time
        self.closed = ""  # why nothing is lent to it any more
        self.tell: Callable[[Rest], Awaitable[None]] = _unheard  # its hub
        self.elsewhere = False  # its hub is another computer
        self.over = asyncio.Event()  # set when it ends
        self.commands: dict[int, str] = {}  # by job: what its hub says that it is
        self._folder = folder
        self._courier = courier
        self._equipment = equipment
        self._environment: Path | None = None
        self._papers: dict[int, asyncio.Future[JobPapers]] = {}
        self._sizes: dict[int, int] = {}  # of papers, by job
        self._carriage = Carriage()
        self._stored: dict[str, Outcome] = {}
        self._warden = warden
        self._back_row = back_row
        self._ward: Ward | None = None

    def prepare(self) -> None:
        self.room.mkdir(parents=True, mode=0o700)
        self.staging.mkdir(mode=0o700)
        self._folder.chmod(0o700)

    async def equip(self, environment: Environment | None, kind: sandbox.Kind) -> Path | None:
        """The folder of its environment, kept for it until `clear`. Raises Unreachable when that is not unpacked."""
        if environment is not None and self.subject.person is not None:
            enter = self._equipment.enter
            self._environment = await asyncio.to_thread(enter, self.subject.person, environment, kind)
        return self._environment

    def watch(self, cores: int, changed: Callable[[], None]) -> None:
        """Its worker has been started. `changed` is called when there is something new to say of it."""
        assert self.box is not None  # noqa: S101
        loop = asyncio.get_running_loop()

        def stop(key: str, why: str) -> None:
            with suppress(RuntimeError):  # the node ends
                loop.call_soon_threadsafe(self._stop, key, why)

        def waits() -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wait, changed)

        self._ward = self._warden.watch(Ward(self.box, self._folder, cores, stop, self.subject, waits=waits))

    def _wait(self, changed: Callable[[], None]) -> None:
        self.waits = True
        changed()

    def hold_still(self, held: bool) -> None:
        """It is about to be frozen; or goes on."""
        if self._ward is not None:
            self._ward.held = held

    def _stop(self, key: str, why: str) -> None:
        """That task takes too much: its command, or what is fetched for it."""
        if self.box is not None:
            self.box.channel.tell("stop", key=key, why=why)
        self._carriage.stop(key, why)

    async def clear(self) -> None:
        if self._environment is not None:
            self._equipment.leave(self._environment)
            self._environment = None
        await asyncio.to_thread(self._back_row.let_go, self._folder.name)
        await asyncio.to_thread(erase, self._folder)

    def learn(self, job: int, papers: JobPapers, size: int) -> None:
        """Raises NoSpace for more than a hub of ours would ever say at a time."""
        if sum(self._sizes.values()) - self._sizes.get(job, 0) + size + EACH > MOST_PAPERS:
            raise NoSpace("That session has too many jobs at a time.", "wait until some are done")
        self._sizes[job] = size + EACH
        self._carriage.learn(job)
        self.commands[job] = papers.command[:LONGEST_COMMAND]
        if self.box is not None:
            self.box.channel.tell("learn", job=job)
        waiting = self._papers.get(job)
        if waiting is None or waiting.done():
            waiting = self._papers[job] = asyncio.get_running_loop().create_future()
        waiting.set_result(papers)

    def forget(self, job: int) -> None:
        """That job is over: its commands are killed, and nothing of it is carried any more."""
        self._papers.pop(job, None)
        self.commands.pop(job, None)
        self._sizes.pop(job, None)
        if self.portion is not None:
            self.portion.forget(job)
        if self.box is not None:
            self.box.channel.tell("forget", job=job)
        self._carriage.forget(job)

    async def farewell(self, *, lost: bool) -> Farewell:
        """Kill the worker; what it left may still be stored. `lost`: it seems to be gone, so it may just be dying."""
        if self.portion is not None:
            self.portion.close()
        if self.box is None:
            return Farewell(closed=self.closed)
        status = await self.box.died(DIES_WITHIN if lost and not self.closed else 0)
        self.box.kill()
        await self.box.wait()
        await self.box.channel.ended()
        await self._carriage.settle(SETTLES_WITHIN if self.permit.ended is None else 0)
        executing = await asyncio.to_thread(self._executing) if status else ()
        if self._ward is not None:
            self._warden.release_soon(self._ward)
        return Farewell(status, executing, self._stored, self._ward.why if self._ward else "", self.closed)

    def _executing(self) -> tuple[str, ...]:
        """The keys of tasks whose folders are there: of ended ones too, which their hub knows."""
        with suppress(OSError):
            return tuple(entry.name for entry in os.scandir(self.room / WORK) if entry.is_dir())
        return ()

    async def answer(self, what: str, words: dict[str, Any]) -> Any:
        """What the worker's tasks ask. Their words are a stranger's: numbers, looked up in the papers."""
        if what == "loaded":
            await asyncio.to_thread(self._stand_back)
            return None
        if what in {"wants", "needs", "began", "ended"}:
            await self._heed(what, words)
            return None
        if what == "why":
            return self._ward.reasons.get(int(words["group"]), "") if self._ward else ""
        if what not in {"fetch", "store"}:
            raise WrongUsage("A worker may ask its node to fetch and to store, and why it ended a task.")
        job, task, turn = parts_of(str(words["key"]))
        papers = await self._papers_of(job)
        key = key_of(job, task, turn)
        if what == "fetch":
            await self._carriage.fetch(job, key, self._fetch(key, task, papers))
            return None
        outcome = msgspec.convert(words["outcome"], Outcome)
        return await self._carriage.store(job, key, self._store(key, task, papers, outcome))

    def _stand_back(self) -> None:
        """Behind the owner, for good. Only now: to begin there would take for ever beside one who leaves nothing."""
        if (box := self.box) is not None:
            self._back_row.take_in(self._folder.name, lambda: [box.pid, *frost.inside(box.pid, box.kind)])

    async def _heed(self, what: str, words: dict[str, Any]) -> None:
        """What the worker tells of cores and memory."""
        portion = self.portion
        if portion is None:
            return
        if what == "wants":
            portion.want(int(words["cores"]))
        elif what == "needs":
            await self._needs(portion, str(words["key"]))
        elif what == "ended":
            portion.give_back(str(words["key"]))
        else:
            await self._began(str(words["key"]), int(words["group"]))

    async def _needs(self, portion: Portion, key: str) -> None:
        """A task waits for the memory that it has asked for. One without papers begins, and comes to nothing then."""
        memory = 0
        with suppress(CommonholdError):
            memory = (await self._papers_of(parts_of(key)[0])).memory
        if self.box is not None:
            portion.reserve(key, memory, partial(self.box.channel.tell, "granted", key=key))

    async def _began(self, key: str, group: int) -> None:
        """A task whose job says how much memory it uses at most."""
        papers = await self._papers_of(parts_of(key)[0])
        if self._ward is not None:
            self._ward.asked[group] = papers.memory

    async def said(self, job: int, asked: Listening) -> list[Piece]:
        """What is new of that job's tasks that run here: a stranger's word, and no more of it than was asked for."""
        if self.box is None or self._carriage.over(job):
            return []
        pieces = within_bounds(await self.box.channel.ask("said", job=job, asked=asked))
        return [piece for piece in pieces if parts_of(piece.key)[0] == job]

    async def _papers_of(self, job: int) -> JobPapers:
        self._carriage.require(job)
        waiting = self._papers.setdefault(job, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(asyncio.shield(waiting), PAPERS_WITHIN)
        except TimeoutError:
            raise Unreachable(f"Nobody said what the tasks of job {job} may touch.") from None

    async def _fetch(self, key: str, task: int, papers: JobPapers) -> None:
        wanted = papers.inputs.get(task)
        if wanted is None:
            return
        name = SharePath((wanted.name,)).name
        staged = f"{key}-{secrets.token_hex(4)}"
        await self._courier.fetch(wanted.source, papers.pass_for(wanted.source, Verb.READ), self.staging, staged)
        await asyncio.to_thread(self._hand_in, self.staging / staged, key, name)

    def _hand_in(self, staged: Path, folder: str, name: str) -> None:
        try:
            with guest.inside(self.room, WORK, folder) as descriptor:
                guest.put(staged, descriptor, name)
        finally:
            staged.unlink(missing_ok=True)

    async def _store(self, key: str, task: int, papers: JobPapers, outcome: Outcome) -> list[str]:
        """Every new file of the task -> paths below `into`. That they are there is remembered with its outcome."""
        wanted = papers.inputs.get(task)
        inputs = frozenset({wanted.name} if wanted else ())
        pass_id = papers.pass_for(papers.into, Verb.WRITE, Verb.ADD)
        above = relative(papers.reldirs.get(task, ""))
        stored = []
        with guest.inside(self.room, WORK, key) as folder:
            for path in await asyncio.to_thread(guest.left, folder, inputs):
                below = SharePath((*above, *path.parts))
                target = SharePath((*SharePath.parse(papers.into.path).parts, *below.parts))
                place = RemoteFile(papers.into.computer, papers.into.share, str(target))
                with guest.take(folder, path) as file:
                    await self._courier.store(file, place, pass_id)
                stored.append(str(below))
        self._stored[key] = msgspec.structs.replace(outcome, outputs=tuple(stored))
        while len(self._stored) > REMEMBERED:
            del self._stored[next(iter(self._stored))]
        return stored
