"""From what a person typed to a job at its hub: inputs looked for (inputs.py), local files uploaded.

The hub is the computer whose node runs the jobs of this person: this one, or the server.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from msgspec import structs, to_builtins

from commonhold.answers import KnownComputer, Status
from commonhold.compute.environment import Environment, Packages
from commonhold.compute.job import Forgotten, Input, Job, JobSpec, Plan, State, Task, planned
from commonhold.compute.relay import Wire
from commonhold.compute.said import FollowLine, Said
from commonhold.compute.submitter.holding import Hub
from commonhold.compute.submitter.requirements import Requirements, Resolver
from commonhold.compute.submitter.shipping import Shipping
from commonhold.compute.wheels import OWN, Wheelhouse
from commonhold.errors import CommonholdError, Conflict, PartlyFailed, Refused, WrongUsage
from commonhold.files.disk import HERE, explained
from commonhold.files.used.bundles import BundlePutter
from commonhold.files.used.remote import Remote
from commonhold.files.used.sides import Item, LocalSide, RemoteSide
from commonhold.files.used.tally import Counts, Progress
from commonhold.files.used.together import each
from commonhold.files.used.tree import Manner, Top, Tree
from commonhold.inputs import Inputs
from commonhold.names import RemotePath, SharePath
from commonhold.transport import Caller, LocalCaller, Peer, json_lines
from commonhold.wire import convert, to_json

JobEvent = dict[str, Any]
AT_ONCE = 8  # files, or folders, that are brought at a time


class HubThere:
    """A server, asked with this computer's own certificate. (A LocalCaller is the hub that is here.)"""

    def __init__(self, caller: Caller, peer: Peer) -> None:
        self._caller, self._peer = caller, peer

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        return await self._caller.ask(self._peer, method, path, body)

    async def stream(self, method: str, path: str, body: object = None) -> AsyncGenerator[Any, None]:
        data = None if body is None else to_json(body)
        async with self._caller.request(self._peer, method, path, data=data) as answer:
            async for item in json_lines(answer):
                yield item

    def request(self, method: str, path: str, *, data: Any = None) -> AbstractAsyncContextManager[Any]:
        return self._caller.request(self._peer, method, path, data=data)

    def socket(self, path: str) -> AbstractAsyncContextManager[Wire]:
        return self._caller.socket(self._peer, path)


class Submitter:
    """This person's jobs, wherever their hub is."""

    def __init__(self, node: LocalCaller, caller: Caller, find: Callable[[str], Awaitable[Peer]], wheels: Path) -> None:
        """`find` says where a computer is; `wheels` is the folder in which packages are kept that travel."""
        self._node, self._caller, self._find = node, caller, find
        self._house = Wheelhouse(wheels / OWN)
        self._resolver = Resolver(wheels / "asked", self._house)

    async def environment(
        self, wanted: Requirements | None, progress: Callable[[JobEvent], None] | None
    ) -> Environment | None:
        """The environment that these requirements give; all of it is at the hub then."""
        if wanted is None:
            return None
        environment = await self._resolver.resolve(wanted, progress)
        await Shipping(await self.hub(), self._house, progress).run(environment)
        if progress is not None:
            progress({"event": "environment", "doing": "lenders unpack packages", "done_bytes": 0, "total_bytes": 0})
        return environment

    async def packages(self, wanted: Requirements, progress: Callable[[JobEvent], None] | None) -> Packages:
        """What these requirements give, and how much of it is not at the hub."""
        made = await self._resolver.resolve(wanted, progress)
        to_send = await Shipping(await self.hub(), self._house, None).lacking(made)
        hub = (await self._status()).jobs_at
        return Packages(made.digest, made.python, made.machine, tuple(made.packages), made.size, hub, to_send)

    async def run(
        self,
        spec: JobSpec,
        words: Sequence[str],
        wait: bool,
        progress: Callable[[JobEvent], None] | None,
        requirements: Requirements | None = None,
    ) -> Job:
        """A job of `spec` over the inputs that `words` name: ended, or with `wait` off only begun."""
        spec = await self._specified(spec, words, progress)
        spec = structs.replace(spec, environment=await self.environment(requirements, progress))
        if spec.into is not None:
            await self._make_place(RemotePath.parse(spec.into))
        hub = await self.hub()
        job = convert(await hub.ask("POST", "/jobs", spec), Job)
        if progress is not None:
            progress({"event": "job", "job": to_builtins(job)})
        local = [given for given in spec.inputs if given.kind == "local"]
        return await self._bring(hub, job.job, local, wait, progress, new=True)

    async def _bring(
        self,
        hub: Hub,
        job: int,
        local: Sequence[Input],
        wait: bool,
        progress: Callable[[JobEvent], None] | None,
        *,
        new: bool,
    ) -> Job:
        """Bring these inputs, of which a job that is not `new` may have some, and begin it."""
        async with _held(hub, job):
            if local:
                there = Remote(self._caller, await self._find((await self._status()).jobs_at), f".job-{job}")
                await InputsUpload(there, job, progress).run(local, new)
            if progress is not None:
                progress({"event": "begin", "job": job})
            begun = convert(await hub.ask("POST", f"/jobs/{job}/start"), Job)
        return await self._follow(hub, job, progress) if wait else begun

    async def plan(self, spec: JobSpec, words: Sequence[str], requirements: Requirements | None) -> list[Plan]:
        """What such a job would do, task by task; nothing is done."""
        spec = await self._specified(spec, words)
        if requirements is not None:
            spec = structs.replace(spec, environment=await self._resolver.resolve(requirements))
        if spec.into is not None:
            await self._find(RemotePath.parse(spec.into).computer)
        return [planned(spec, given, number) for number, given in enumerate(spec.inputs or (None,), 1)]

    async def _make_place(self, into: RemotePath) -> None:
        """Make sure that new files can go there, before anything is computed for them. Raises what the door says."""
        there = Remote(self._caller, await self._find(into.computer), into.share)
        if not into.path.parts:
            with suppress(Conflict):  # it is the share itself: who may not add to it hears so
                await there.mkdir(into.path)
            return
        for length in range(1, len(into.path.parts) + 1):
            await there.mkdir(SharePath(into.path.parts[:length]), exist_ok=True)
        with suppress(Refused):  # whoever may only add is told nothing of what is there
            if (await there.stat(into.path)).kind == "file":
                raise Conflict(f"{into} is a file.", "name a folder with --into")

    async def _specified(
        self, spec: JobSpec, words: Sequence[str], progress: Callable[[JobEvent], None] | None = None
    ) -> JobSpec:
        members = convert(await self._node.ask("GET", "/api/members"), list[KnownComputer])
        inputs = Inputs(self._caller, self._find, [member.computer for member in members])
        spec = structs.replace(spec, inputs=await inputs.of(words))
        _require_names(spec.inputs)
        spec.check()
        if progress is not None:
            for doubt in inputs.doubts:
                progress({"event": "note", "job": 0, "note": doubt})
        return spec

    async def jobs(self) -> list[Job]:
        hub = await self.hub()
        return convert(await hub.ask("GET", "/jobs"), list[Job])

    async def job(self, number: int) -> Job:
        hub = await self.hub()
        return convert(await hub.ask("GET", f"/jobs/{number}"), Job)

    async def log(self, job: int, task: int | None, state: State | None = None, said: bool = False) -> list[Task]:
        """All its tasks, or that one, or those in a state, or those that `said` something."""
        hub = await self.hub()
        wanted = {"task": task or "", "state": state or "", "said": "1" if said else ""}
        query = "&".join(f"{name}={value}" for name, value in wanted.items() if value)
        async with aclosing(hub.stream("GET", f"/jobs/{job}/log" + (f"?{query}" if query else ""))) as lines:
            return [convert(line, Task) async for line in lines]

    async def listen(self, job: int, task: int | None) -> AsyncGenerator[Said | Task, None]:
        """What its tasks say, as they say it, and each task that has ended; until the job has, or that task."""
        hub = await self.hub()
        told = FollowLine()
        async with aclosing(hub.stream("GET", f"/jobs/{job}/said" + (f"?task={task}" if task else ""))) as lines:
            async for line in lines:
                told = convert(line, FollowLine)
                if about := told.said or told.task:
                    yield about
        if told.job is None or (task is None and told.job.ended is None):
            raise _silent(job)

    async def cancel(self, job: int) -> Job:
        hub = await self.hub()
        return convert(await hub.ask("POST", f"/jobs/{job}/cancel"), Job)

    async def forget(self, job: int) -> Forgotten:
        hub = await self.hub()
        return convert(await hub.ask("DELETE", f"/jobs/{job}"), Forgotten)

    async def again(self, job: int, wait: bool, progress: Callable[[JobEvent], None] | None) -> Job:
        """What failed or was cancelled of that job, once more: ended, or with `wait` off only begun.

        Of one that never had all its inputs, those that are missing are brought.
        """
        hub = await self.hub()
        begun = convert(await hub.ask("POST", f"/jobs/{job}/again"), Job)
        if begun.state == "collecting":
            if progress is not None:
                progress({"event": "job", "job": to_builtins(begun)})
            local = convert(await hub.ask("GET", f"/jobs/{job}/inputs"), list[Input])
            return await self._bring(hub, job, local, wait, progress, new=False)
        return await self._follow(hub, job, progress) if wait else begun

    async def follow(self, job: int, progress: Callable[[JobEvent], None] | None) -> Job:
        """The job when it has ended; `progress` hears of every change."""
        hub = await self.hub()
        return await self._follow(hub, job, progress)

    async def _follow(self, hub: Hub, job: int, progress: Callable[[JobEvent], None] | None) -> Job:
        last: Job | None = None
        async for event in hub.stream("GET", f"/jobs/{job}/events"):
            if progress is not None:
                progress(event)
            if event.get("event") == "job":
                last = convert(event["job"], Job)
        if last is None or last.ended is None:
            raise _silent(job)
        return last

    async def hub(self) -> Hub:
        """The node that runs this person's jobs. One's own is not looked for: it tells of them after a removal too."""
        status = await self._status()
        here = status.jobs_at == status.computer
        return self._node if here else HubThere(self._caller, await self._find(status.jobs_at))

    async def _status(self) -> Status:
        return convert(await self._node.ask("GET", "/api/status"), Status)


@asynccontextmanager
async def _held(hub: Hub, job: int) -> AsyncIterator[None]:
    """Meanwhile the hub knows that somebody brings the job's inputs: what nobody brings has stopped."""
    known = asyncio.Event()

    async def hold() -> None:
        with suppress(CommonholdError):
            async with aclosing(hub.stream("GET", f"/jobs/{job}/collecting")) as lines:
                async for _ in lines:
                    known.set()
        known.set()

    holding = asyncio.create_task(hold())
    try:
        await known.wait()
        yield
    finally:
        holding.cancel()
        await asyncio.wait({holding})


def _silent(job: int) -> CommonholdError:
    return CommonholdError(f"The node that runs job {job} stopped telling about it.", f"commonhold log {job}")


def _require_names(inputs: Sequence[Input]) -> None:
    """Raise WrongUsage for a local file whose name cannot travel, before anything is begun for it."""
    for given in inputs:
        if given.kind == "local":
            try:
                given.uploaded.require_portable()
            except WrongUsage as error:
                hint = f"give it another name; it lies in {Path(given.text).parent}"
                raise WrongUsage(f"An input cannot be brought: {error.sentence}", hint) from error


class InputsUpload:
    """Brings local inputs to the job's own folder: many small ones in one request."""

    def __init__(self, there: Remote, job: int, progress: Callable[[JobEvent], None] | None) -> None:
        self._there, self._job, self._progress = there, job, progress

    async def run(self, given: Sequence[Input], new: bool = True) -> None:
        """Of a job that is not `new` some may be there: what has not changed since is not brought again.

        Raises PartlyFailed with what could not be brought, or its own error; Unreachable.
        """
        wanted = {str(one.uploaded): one.text for one in given}  # what was named twice goes once
        await self._make_folders({one.uploaded.parent for one in given})
        before = {} if new else await self._before()
        manner, counts = Manner(), Counts(self._tell if self._progress else None)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload") as threads:
            here = LocalSide(threads, self._there)
            carrier = BundlePutter(self._there, threads, counts, manner)
            tree = Tree(here, RemoteSide(self._there), carrier, manner, counts, AT_ONCE)
            await tree.run(self._tops(here, wanted, counts, before))
        if counts.failed:
            sentence = counts.failed[0][1]
            (kind, error), *others = counts.errors.items()
            if not others:
                raise kind(sentence, error.hint, **error.more)
            failed = [{"path": path, "error": sentence} for path, sentence in counts.failed]
            raise PartlyFailed(f"{len(failed)} inputs could not be brought; the first: {sentence}", failed=failed)

    async def _make_folders(self, folders: set[SharePath]) -> None:
        """Level by level, those of a level together."""
        levels: dict[int, set[SharePath]] = {}
        for folder in folders:
            for one in (folder, *folder.above()):
                levels.setdefault(len(one.parts), set()).add(one)

        async def make(folder: SharePath) -> None:
            await self._there.mkdir(folder, exist_ok=True)

        for _, level in sorted(levels.items()):
            await each(level, make, AT_ONCE)

    async def _before(self) -> dict[str, Item]:
        """What an earlier try has brought."""
        entries = self._there.walk(SharePath(("in",)), recursive=True)
        return {unicodedata.normalize("NFC", entry.path): Item.of(entry) async for entry in entries}

    async def _tops(
        self, here: LocalSide, wanted: dict[str, str], counts: Counts, before: dict[str, Item]
    ) -> AsyncIterator[Top]:
        for target, source in wanted.items():
            try:
                with explained(source, HERE):
                    item = here.item(source, os.stat(source))  # noqa: PTH116 - of each of 100,000
            except CommonholdError as error:
                counts.fail(source, error)
                continue
            yield Top(item, target, before.get(unicodedata.normalize("NFC", target)))

    def _tell(self, progress: Progress) -> None:
        if self._progress is not None:
            self._progress({"event": "upload", "job": self._job, **to_builtins(progress)})
