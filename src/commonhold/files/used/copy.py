"""Files and whole folders between this computer and a share of another: what `get` and `put` do.

Runs in the process of the command, not in the node: bytes take the short way. Small files go many at
a time over kept connections; every file is atomic and durable by itself, and the report says which failed.
"""

from __future__ import annotations

import asyncio
import itertools
import stat
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import msgspec

from commonhold.errors import CommonholdError, Conflict, NotFound, Refused, Unreachable, WrongUsage
from commonhold.files.disk import explained
from commonhold.files.entry import Entry
from commonhold.files.used.fetch import Fetch
from commonhold.files.used.part import HERE
from commonhold.files.used.remote import Remote
from commonhold.files.used.send import Send
from commonhold.files.used.together import each
from commonhold.names import HIDDEN, SharePath
from commonhold.transport import Caller, Peer

AT_ONCE = 12  # files under way: fewer than the caller keeps connections, so that other requests find one
THREADS = 12


class Progress(msgspec.Struct, frozen=True):
    """How far a copy is. The totals grow as folders are read."""

    done_files: int
    total_files: int
    done_bytes: int
    total_bytes: int
    current: str  # the file that moved last


class Report(msgspec.Struct, frozen=True):
    """What a copy did: files and bytes that arrived, and what failed as (path, sentence)."""

    files: int
    bytes: int
    failed: list[tuple[str, str]]


class _Tally:
    """Counts, and tells."""

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self.done_files = self.total_files = self.done_bytes = self.total_bytes = self.whole_bytes = 0
        self.failed: list[tuple[str, str]] = []

    def expect(self, files: int, size: int) -> None:
        self.total_files += files
        self.total_bytes += size
        self._say("")

    def moved(self, path: str) -> Callable[[int], None]:
        """What hears of the bytes of one file."""

        def move(count: int) -> None:
            self.done_bytes += count
            if count:
                self._say(path)

        return move

    def arrived(self, path: str, size: int) -> None:
        self.done_files += 1
        self.whole_bytes += size
        self._say(path)

    def fail(self, path: str, error: CommonholdError) -> None:
        self.failed.append((path, error.sentence))

    def _say(self, current: str) -> None:
        if self._tell:
            self._tell(Progress(self.done_files, self.total_files, self.done_bytes, self.total_bytes, current))

    def report(self) -> Report:
        return Report(self.done_files, self.whole_bytes, sorted(self.failed))


@contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for the local disk; left without waiting, since what they still do ends by itself."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="copy")
    try:
        yield threads
    finally:
        threads.shutdown(wait=False)


async def get(
    caller: Caller,
    peer: Peer,
    share: str,
    path: SharePath,
    local: Path,
    *,
    recursive: bool = False,
    progress: Callable[[Progress], None] | None = None,
    pass_id: str = "",
) -> Report:
    """Copy a file, or with `recursive` a folder, to `local`: into it if that is a folder, else under that name.

    A single file that fails raises its error; of a folder's files the report says which failed, except that
    Unreachable ends all. A local file is replaced in one step.
    """
    there, tally = Remote(caller, peer, _named(share, peer), pass_id), _Tally(progress)
    target = local / (path.name or share) if local.is_dir() else local
    with _pool() as threads:
        top = await there.stat(path) if recursive else None
        if top is None or top.kind == "file":

            def sized(size: int) -> None:
                tally.expect(0, size - tally.total_bytes)

            tally.expect(1, top.size if top else 0)
            fetch_one = Fetch(there, path, target, threads, tally.moved(str(path)), sized)
            size = await fetch_one.run(top.size if top else None)
            sized(size)
            tally.arrived(str(path), size)
            return tally.report()
        entries = await there.ls(path, recursive=True, failed=tally.fail)
        files = [entry for entry in entries if entry.kind == "file"]
        tally.expect(len(files), sum(entry.size for entry in files))

        def below(entry: Entry) -> Path:
            return target.joinpath(*SharePath.parse(entry.path).parts[len(path.parts) :])

        folders = [target, *(below(entry) for entry in entries if entry.kind == "folder")]
        await asyncio.get_running_loop().run_in_executor(threads, _make_folders, folders)

        async def fetch(entry: Entry) -> None:
            fetching = Fetch(there, SharePath.parse(entry.path), below(entry), threads, tally.moved(entry.path))
            await _counted(tally, entry.path, fetching.run(entry.size))

        await each(files, fetch, AT_ONCE)
        return tally.report()


async def put(
    caller: Caller,
    peer: Peer,
    local: Path,
    share: str,
    path: SharePath,
    *,
    recursive: bool = False,
    progress: Callable[[Progress], None] | None = None,
    pass_id: str = "",
) -> Report:
    """Copy a local file, or with `recursive` a folder, to `path`: into it if that is a folder, else under that name.

    What is there is replaced only if nobody changed it since this began to look. A single file that fails
    raises its error; of a folder's files the report says which failed, except that Unreachable ends all.
    """
    there, tally = Remote(caller, peer, _named(share, peer), pass_id), _Tally(progress)
    with explained(local, HERE):
        status = local.stat()
    folder = stat.S_ISDIR(status.st_mode)
    if folder and not recursive:
        raise WrongUsage(f"{local} is a folder.", "copy it and all in it with -r")
    before = await _seen(there, path) if path.parts else Entry("", "folder", 0, None, "")
    if before and before.kind == "file" and folder:
        raise Conflict(f"“{path}” is a file, and {local} is a folder.", "choose another name")
    if before and before.kind == "folder":
        path = path / local.resolve().name
        before = None if folder else await _seen(there, path)
    with _pool() as threads:
        if folder:
            await _Tree(there, tally, threads).put(local, path)
        else:
            tally.expect(1, status.st_size)
            sending = Send(there, local, path, threads, tally.moved(str(path)))
            tally.arrived(str(path), await sending.run(before.etag if before else ""))
        return tally.report()


def _named(share: str, peer: Peer) -> str:
    if not share:
        raise WrongUsage(f"A copy needs one share of {peer.name}.", f"write {peer.name}:SHARE/PATH")
    return share


async def _seen(there: Remote, path: SharePath) -> Entry | None:
    """What is there now; None for nothing, and for whoever may add but not look."""
    try:
        return await there.stat(path)
    except (NotFound, Refused):
        return None


async def _counted(tally: _Tally, path: str, work: Awaitable[int]) -> None:
    """Wait for one file of many: its failure is noted, unless the other computer is gone."""
    try:
        tally.arrived(path, await work)
    except Unreachable:
        raise
    except CommonholdError as error:
        tally.fail(path, error)


def _make_folders(folders: list[Path]) -> None:
    for folder in folders:
        with explained(folder, HERE):
            folder.mkdir(parents=True, exist_ok=True)


class _Local(msgspec.Struct):
    """A local folder and where all that is in it is to go. Folders come before what is in them."""

    folders: list[tuple[Path, SharePath]]
    files: list[tuple[Path, SharePath]] = []
    size: int = 0
    failed: list[tuple[Path, CommonholdError]] = []

    @classmethod
    def scan(cls, local: Path, path: SharePath) -> Self:
        """Links are not followed, so that nothing is sent that the person did not mean."""
        found = cls([(local, path)])
        for source, target in found.folders:  # grows as folders are found
            try:
                with explained(source, HERE):
                    items = sorted(source.iterdir())
            except CommonholdError as error:
                found.failed.append((source, error))
                continue
            for item in items:
                try:
                    found.add(item, target)
                except CommonholdError as error:
                    found.failed.append((item, error))
        return found

    def add(self, item: Path, folder: SharePath) -> None:
        if item.name.casefold() == HIDDEN:  # the folder is a share here: what we keep in it is no file of theirs
            return
        with explained(item, HERE):
            status = item.lstat()
        if stat.S_ISDIR(status.st_mode):
            self.folders.append((item, folder / item.name))
        elif stat.S_ISREG(status.st_mode):
            self.files.append((item, folder / item.name))
            self.size += status.st_size
        else:
            raise WrongUsage(f"{item} is a link or a device, which are not copied.")


class _Tree:
    """A local folder on its way to a share."""

    def __init__(self, there: Remote, tally: _Tally, threads: ThreadPoolExecutor) -> None:
        self._there = there
        self._tally = tally
        self._threads = threads
        self._etags: dict[str, str] = {}  # of the files that were there before

    async def put(self, local: Path, path: SharePath) -> None:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, _Local.scan, local, path)
        self._tally.expect(len(found.files), found.size)
        for item, error in found.failed:
            self._tally.fail(str(item), error)
        await self._folder(path)
        rest = [target for _, target in found.folders[1:]]
        for _, level in itertools.groupby(rest, lambda target: len(target.parts)):
            await each(list(level), self._inner_folder, AT_ONCE)
        await each(found.files, self._file, AT_ONCE)

    async def _folder(self, path: SharePath) -> None:
        """Make the folder, or learn what is in it."""
        if await self._there.mkdir(path, exist_ok=True):
            return
        with suppress(Refused):  # whoever may only add replaces nothing
            self._etags.update({e.path: e.etag for e in await self._there.ls(path) if e.kind == "file"})

    async def _inner_folder(self, path: SharePath) -> None:
        try:
            await self._folder(path)
        except Unreachable:
            raise
        except CommonholdError as error:
            self._tally.fail(str(path), error)

    async def _file(self, job: tuple[Path, SharePath]) -> None:
        source, path = job
        sending = Send(self._there, source, path, self._threads, self._tally.moved(str(path)))
        await _counted(self._tally, str(path), sending.run(self._etags.get(str(path), "")))
