"""From what a person typed to a job at its hub: inputs told apart, globs expanded, local files uploaded.

The hub is the computer whose node runs the jobs of this person: this one, or the server.
"""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal

from msgspec import structs

from commonhold.answers import KnownComputer, Status
from commonhold.compute.holding import Hub
from commonhold.compute.job import Input, Job, JobSpec, Task, file_inputs
from commonhold.compute.relay import Wire
from commonhold.errors import CommonholdError, NotFound, WrongUsage
from commonhold.files.used import copy, remote
from commonhold.files.used.globs import is_glob, named
from commonhold.names import RemotePath, SharePath
from commonhold.transport import Caller, LocalCaller, Peer, json_lines
from commonhold.wire import convert, to_json

JobEvent = dict[str, Any]
Found = tuple[Literal["remote", "local"], str, tuple[str, ...]]


class HubThere:
    """A server, asked with this computer's own certificate. (A LocalCaller is the hub that is here.)"""

    def __init__(self, caller: Caller, peer: Peer) -> None:
        self._caller, self._peer = caller, peer

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        return await self._caller.ask(self._peer, method, path, body)

    async def stream(self, method: str, path: str, body: object = None) -> AsyncIterator[Any]:
        data = None if body is None else to_json(body)
        async with self._caller.request(self._peer, method, path, data=data) as answer:
            async for item in json_lines(answer):
                yield item

    def socket(self, path: str) -> AbstractAsyncContextManager[Wire]:
        return self._caller.socket(self._peer, path)


class Submitter:
    """This person's jobs, wherever their hub is."""

    def __init__(self, node: LocalCaller, caller: Caller, find: Callable[[str], Awaitable[Peer]]) -> None:
        """`find` says where a computer is."""
        self._node, self._caller, self._find = node, caller, find

    async def run(
        self, spec: JobSpec, words: Sequence[str], wait: bool, progress: Callable[[JobEvent], None] | None
    ) -> Job:
        """A job of `spec` over the inputs that `words` name: ended, or with `wait` off only begun."""
        members = convert(await self._node.ask("GET", "/api/members"), list[KnownComputer])
        submission = Submission(self._caller, self._find, [member.computer for member in members])
        spec = structs.replace(spec, inputs=await submission.inputs(words))
        if spec.into is not None and (folder := RemotePath.parse(spec.into)).path.parts:
            await remote.mkdir(self._caller, await self._find(folder.computer), folder.share, folder.path, parents=True)
        hub, peer = await self.hub(), await self._find((await self._status()).jobs_at)
        job = await submission.submit(hub, peer, spec)
        return await self._follow(hub, job.job, progress) if wait else job

    async def jobs(self) -> list[Job]:
        hub = await self.hub()
        return convert(await hub.ask("GET", "/jobs"), list[Job])

    async def job(self, number: int) -> Job:
        hub = await self.hub()
        return convert(await hub.ask("GET", f"/jobs/{number}"), Job)

    async def log(self, job: int, task: int | None) -> list[Task]:
        hub = await self.hub()
        return convert(await hub.ask("GET", f"/jobs/{job}/log" + (f"?task={task}" if task else "")), list[Task])

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
            raise CommonholdError(f"The node that runs job {job} stopped telling about it.", f"commonhold log {job}")
        return last

    async def hub(self) -> Hub:
        """The node that runs this person's jobs. One's own is not looked for: it tells of them after a removal too."""
        status = await self._status()
        here = status.jobs_at == status.computer
        return self._node if here else HubThere(self._caller, await self._find(status.jobs_at))

    async def _status(self) -> Status:
        return convert(await self._node.ask("GET", "/api/status"), Status)


class Submission:
    """Makes inputs of words, and a job of them."""

    def __init__(self, caller: Caller, find: Callable[[str], Awaitable[Peer]], computers: Sequence[str]) -> None:
        """`find` says where a computer is; `computers` are the network's: only their names begin a remote path."""
        self._caller = caller
        self._find = find
        self._computers = {_folded(name): name for name in computers}

    async def inputs(self, words: Sequence[str]) -> tuple[Input, ...]:
        """Remote files (globs expanded there), files that exist here, else plain values; in the order given.

        Raises NotFound for a remote file or glob that names nothing.
        """
        pieces = [await self._files(word) for word in words]
        known = iter(file_inputs([found for piece in pieces if piece is not None for found in piece]))
        made: list[Input] = []
        for word, piece in zip(words, pieces, strict=True):
            made += [Input("value", word)] if piece is None else [next(known) for _ in piece]
        return tuple(made)

    async def _files(self, word: str) -> list[Found] | None:
        """The files that a word names, or None for a plain value."""
        computer, colon, rest = word.partition(":")
        if colon and (known := self._computers.get(_folded(computer))):
            return await self._remote(known, rest)
        if not word:
            return None
        try:
            here = Path(word).expanduser().absolute()
            folder, file = here.is_dir(), here.is_file()
        except (OSError, RuntimeError):  # too long for a path, or ~ of somebody who is not here: a value
            return None
        if folder:
            raise WrongUsage(f"{word} is a folder.", f"name the files in it: {word.rstrip('/')}/*")
        return [("local", str(here), here.parts[1:])] if file else None

    async def _remote(self, computer: str, rest: str) -> list[Found]:
        target = RemotePath.parse(f"{computer}:{rest}")
        if not target.path.parts:
            raise WrongUsage(f"{target} is no file.", f"name the files in it: {target}/*" if target.share else "")
        if not is_glob(target.path):
            return [_found(target)]
        there = remote.Remote(self._caller, await self._find(computer), target.share)
        matching = [
            _found(RemotePath(target.computer, target.share, SharePath.parse(entry.path)))
            async for entry in named(there, target.path)
            if entry.kind == "file"
        ]
        if not matching:
            raise NotFound(
                f"No file of {target.computer} matches {target.share}/{target.path}.", "look with commonhold ls"
            )
        return sorted(matching)

    async def submit(self, hub: Hub, hub_peer: Peer, spec: JobSpec) -> Job:
        """Hand the job in, upload its local inputs, begin it. Raises what the hub, a door or a disk reports."""
        job = convert(await hub.ask("POST", "/jobs", spec), Job)
        local = [given for given in spec.inputs if given.kind == "local"]
        folders: set[SharePath] = set()
        for given in local:
            if (parent := given.uploaded.parent) not in folders:
                await remote.mkdir(self._caller, hub_peer, job.share, parent, parents=True)
                folders.add(parent)
            await copy.put(self._caller, hub_peer, Path(given.text), job.share, given.uploaded)
        return convert(await hub.ask("POST", f"/jobs/{job.job}/start"), Job)


def _found(target: RemotePath) -> Found:
    return ("remote", str(target), (target.computer, target.share, *target.path.parts))


def _folded(name: str) -> str:
    """As names of computers are compared."""
    return unicodedata.normalize("NFC", name).casefold()
