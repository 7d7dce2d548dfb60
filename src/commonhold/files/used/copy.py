"""Files and whole folders between this computer and shares of others: what `get`, `put` and `cp` do.

Runs in the process of the command, not in the node: bytes take the short way. Small files go many at
a time over kept connections; every file is atomic and durable by itself, and the report says which failed.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import structs

from commonhold.errors import CommonholdError, Conflict, NotFound, Refused, Unreachable, WrongUsage
from commonhold.files.disk import HERE, explained
from commonhold.files.entry import Entry
from commonhold.files.used import ignoring
from commonhold.files.used.bundles import BundleGetter, BundlePutter
from commonhold.files.used.carriers import Cloner, Passer
from commonhold.files.used.crossing import Crosser
from commonhold.files.used.globs import is_glob, named
from commonhold.files.used.goals import Goals
from commonhold.files.used.ignoring import Ignoring
from commonhold.files.used.moving import Mover, bare
from commonhold.files.used.pace import Pace
from commonhold.files.used.remote import Remote, mkdir
from commonhold.files.used.sides import Item, LocalSide, RemoteSide
from commonhold.files.used.tally import Counts, Progress, Report
from commonhold.files.used.tree import Manner, Top, Tree
from commonhold.names import SharePath
from commonhold.transport import Caller, Peer

AT_ONCE = 12  # files under way: fewer than the caller keeps connections, so that other requests find one
THREADS = 12
SLOWEST = 250_000  # bytes a second that each of several files under way has, where there is a limit


class Copies:
    """The copies of one command: one count, one limit, one set of threads. A context manager."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.counts = Counts(manner.progress)
        self._pace = Pace(manner.limit) if manner.limit else None
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="copy")
        self._goals = Goals()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._threads.shutdown(wait=False)  # what they still do ends by itself

    def remote(self, caller: Caller, peer: Peer, share: str) -> Remote:
        """A share, within the limit of this command. Raises WrongUsage without one."""
        if not share:
            raise WrongUsage(f"A copy needs one share of {peer.name}.", f"write {peer.name}:SHARE/PATH")
        return Remote(caller, peer, share, pace=self._pace)

    async def get(self, there: Remote, path: SharePath, local: Path, into: bool | None = None) -> None:
        """Copy what `path` names (or fits, as a glob) to `local`, or into it: as `into` says, else if it is a folder.

        What was named by itself and fails raises its error; of many it is counted, except that Unreachable ends all.
        A local file is replaced in one step.
        """
        side = LocalSide(self._threads, there)
        if self.manner.delete and Path.home().is_relative_to(local.resolve()):
            raise WrongUsage(f"All in {local.resolve()} that is not at the other end would go.", "name a folder in it")
        inside = is_glob(path) or (local.is_dir() if into is None else into)

        async def tops() -> AsyncIterator[Top]:
            async with aclosing(self._readable(there, path)) as entries:
                async for entry in entries:
                    target = local / (SharePath.parse(entry.path).name or there.share) if inside else local
                    with self._counted(path, entry):
                        if inside and self._goals.taken(str(target), f"{there.peer.name}:{there.share}/{entry.path}"):
                            continue
                        top = await self._top(there, entry, str(target), _here(side, target))
                        if not self.manner.dry_run:
                            _require_place(target, inside=inside, folder=top.source.kind == "folder")
                        yield top

        tree = Tree(RemoteSide(there), side, BundleGetter(there, self._threads, self.counts, self.manner), *self._how())
        await tree.run(tops())

    async def put(self, local: Path, there: Remote, path: SharePath, into: bool | None = None) -> None:
        """Copy a local file, or a folder, to `path`; `into` as in `get`.

        What is there is replaced only if nobody changed it since this began to look. Failures are told as in `get`.
        """
        side = LocalSide(self._threads, there)
        self.counts.alone = True
        with explained(local, HERE):
            status = local.stat()
        folder = stat.S_ISDIR(status.st_mode)
        if folder and not self.manner.recursive:
            raise WrongUsage(f"{local} is a folder.", "copy it and all in it with -r")
        if not folder and not stat.S_ISREG(status.st_mode):
            raise WrongUsage(f"{local} is no ordinary file.", "name a file or folder")
        target, before = await self._target(there, path, local.resolve().name, folder, into)
        if target != path and self._goals.taken(str(target), str(local.resolve())):
            return
        await self._foresee(there, target, before, into)
        item = side.item(str(local), status)
        self._require_mirrorable(item)
        if folder:
            top = Top(Item(str(local), "folder"), str(target), None, self._ignoring(_lines(local / ignoring.FILE)))
        else:
            top = Top(item, str(target), _named_alike(item, before))
        self.counts.strict = not folder
        tree = Tree(side, RemoteSide(there), BundlePutter(there, self._threads, self.counts, self.manner), *self._how())
        await tree.run(_only(top))

    async def across(
        self, here: Remote, path: SharePath, there: Remote, goal: SharePath, into: bool | None = None
    ) -> None:
        """Copy from one share to another: within one computer it does so itself, else they go straight to

        the other, or where that cannot be through this one. As `put`.
        """
        carrier = Cloner if here.peer.fingerprint == there.peer.fingerprint else Crosser
        tree = Tree(RemoteSide(here), RemoteSide(there), self._carrying(carrier, here, there), *self._how())
        await tree.run(self._tops_across(here, path, there, goal, into))

    async def move(
        self, here: Remote, path: SharePath, there: Remote, goal: SharePath, into: bool | None = None
    ) -> None:
        """Move to another place: within one computer by name, else each file goes when it has arrived.

        What is at the goal is never replaced: raises Changed.
        """
        folders: list[SharePath] = []

        async def tops() -> AsyncIterator[Top]:
            async for top in self._tops_across(here, path, there, goal, into):
                if not await self._by_name(here, top, there):
                    folders.extend([SharePath.parse(top.source.path)] if top.source.kind == "folder" else [])
                    yield top

        tree = Tree(RemoteSide(here), RemoteSide(there), self._carrying(Mover, here, there), *self._how())
        await tree.run(tops())
        for folder in folders:
            if await bare(here, folder):
                await here.remove(folder)

    async def _by_name(self, here: Remote, top: Top, there: Remote) -> bool:
        if here.peer.fingerprint != there.peer.fingerprint:
            return False
        source, target = SharePath.parse(top.source.path), SharePath.parse(top.target)
        if not await here.relocate("MOVE", source, there.share, target):
            return False
        if top.source.kind == "folder":
            self.counts.folders += 1
        else:
            self.counts.expect(1, 0)
            self.counts.arrived(top.target, 0)
        return True

    async def _tops_across(
        self, here: Remote, path: SharePath, there: Remote, goal: SharePath, into: bool | None
    ) -> AsyncIterator[Top]:
        into = True if is_glob(path) else into
        async with aclosing(self._readable(here, path)) as entries:
            async for entry in entries:
                name = SharePath.parse(entry.path).name or here.share
                with self._counted(path, entry):
                    target, before = await self._target(there, goal, name, entry.kind != "file", into)
                    source = f"{here.peer.name}:{here.share}/{entry.path}"
                    if target != goal and self._goals.taken(str(target), source):
                        continue
                    _require_elsewhere(here, entry, there, target)
                    await self._foresee(there, target, before, into)
                    yield await self._top(here, entry, str(target), before)

    async def _foresee(self, there: Remote, target: SharePath, before: Item | None, into: bool | None) -> None:
        """In a dry run, raise what would keep this from being put there: no folder to hold it, or no share at all.

        What goes `into` a folder with others has it made.
        """
        if not self.manner.dry_run or (before is not None and target.parts):
            return
        above = target.parent if target.parts and not into else SharePath()
        with suppress(Refused):  # whoever may only add does not see it
            try:
                found = await there.stat(above)
            except NotFound:
                await there.stat(SharePath())
                found = None
            if found is None or found.kind == "file":
                raise Conflict(f"There is no folder “{above}” in {there.share} to put it in.", "make the folder first")

    def _carrying(self, kind: type[Passer], here: Remote, there: Remote) -> Passer:
        return kind(here, there, self._threads, self.counts, self.manner)

    async def _readable(self, there: Remote, path: SharePath) -> AsyncGenerator[Entry, None]:
        """What `path` names. Whoever may not even list is told what is missing to read: that is what was asked for."""
        try:
            async with aclosing(named(there, path)) as entries:
                async for entry in entries:
                    yield entry
        except Refused:
            if is_glob(path):
                raise
            async with there.request("GET", path, {"Range": "bytes=0-0"}, ok=(405, 416)):
                raise

    def _require_mirrorable(self, item: Item) -> None:
        if self.manner.delete and item.kind == "file":
            raise WrongUsage("A mirror is of one folder.", "name one folder with --delete")

    @contextmanager
    def _counted(self, path: SharePath, entry: Entry) -> Iterator[None]:
        """What fits a glob and fails holds up nothing else; what was named by itself raises its error."""
        self.counts.alone = self.manner.delete or not is_glob(path)
        if self.manner.delete and is_glob(path):
            raise WrongUsage("A mirror is of one folder.", "name one folder with --delete")
        try:
            yield
        except Unreachable:
            raise
        except CommonholdError as error:
            if self.counts.alone:
                raise
            self.counts.fail(entry.path, error)

    def _how(self) -> tuple[Manner, Counts, int]:
        limit = self.manner.limit  # shared by too many, each would be so slow that its connection seems dead
        return self.manner, self.counts, max(min(limit // SLOWEST, AT_ONCE), 1) if limit else AT_ONCE

    async def _top(self, there: Remote, entry: Entry, target: str, before: Item | None) -> Top:
        """What was named at another computer."""
        item = Item.of(entry)
        self._require_mirrorable(item)
        if item.kind == "file":
            self.counts.strict = self.counts.alone
            return Top(item, target, _named_alike(item, before))
        if not self.manner.recursive:
            raise WrongUsage(f"“{item.path or there.share}” is a folder.", "copy it and all in it with -r")
        self.counts.strict = False
        lines = (
            await _small(there, SharePath.parse(item.path) / ignoring.FILE) if self.manner.ignore is not None else b""
        )
        return Top(item, target, None, self._ignoring(lines))

    async def _target(
        self, there: Remote, path: SharePath, name: str, folder: bool, into: bool | None
    ) -> tuple[SharePath, Item | None]:
        """Where something of that name goes that is copied to `path`, and the file that is there.

        What goes `into` a folder that is not there has it made.
        """
        before = await _seen(there, path) if path.parts else Entry("", "folder", 0, None, "")
        if before and before.kind == "file" and (folder or into):
            goes = f"{name} is a folder" if folder else f"{name} was to go into it"
            raise Conflict(f"“{path}” is a file, and {goes}.", "choose another name")
        if into and before is None and not self.manner.dry_run:
            await mkdir(there.caller, there.peer, there.share, path, parents=True)
        if into or (into is None and before and before.kind == "folder"):
            path = path / name
            before = None if folder else await _seen(there, path)
        return path, Item.of(before) if before else None

    def _ignoring(self, lines: bytes) -> Ignoring | None:
        if self.manner.ignore is None:
            return None
        return Ignoring([*ignoring.USUAL, *self.manner.ignore, *ignoring.lines_of(lines)])


async def get(
    caller: Caller,
    peer: Peer,
    share: str,
    path: SharePath,
    local: Path,
    *,
    recursive: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """One copy by itself, as `Copies.get`."""
    with Copies(Manner(recursive=recursive, progress=progress)) as copies:
        await copies.get(copies.remote(caller, peer, share), path, local)
        return copies.counts.report()


async def put(
    caller: Caller,
    peer: Peer,
    local: Path,
    share: str,
    path: SharePath,
    *,
    recursive: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Report:
    """One copy by itself, as `Copies.put`."""
    with Copies(Manner(recursive=recursive, progress=progress)) as copies:
        await copies.put(local, copies.remote(caller, peer, share), path)
        return copies.counts.report()


def _require_elsewhere(here: Remote, entry: Entry, there: Remote, target: SharePath) -> None:
    same = (here.peer.fingerprint, here.share.casefold()) == (there.peer.fingerprint, there.share.casefold())
    if same and target.within(SharePath.parse(entry.path)):
        what = "is itself" if str(target) == entry.path else "would go into itself"
        raise WrongUsage(f"“{entry.path or here.share}” {what}.", "choose another place")


async def _only(top: Top) -> AsyncIterator[Top]:
    yield top


def _named_alike(item: Item, before: Item | None) -> Item | None:
    """What is there; of another name it is no copy of this file, whatever its size and time."""
    if before is None or before.name == item.name:
        return before
    return structs.replace(before, modified=-1)


def _require_place(target: Path, *, inside: bool, folder: bool) -> None:
    """Raise NotFound or Conflict when there is no folder for it here; what goes `inside` one has it made."""
    above = target.parent
    if above.exists() and not above.is_dir():
        raise Conflict(f"{above} is a file, and {target.name} was to go into it.", "choose another name")
    if inside:
        with explained(above, HERE):
            above.mkdir(parents=True, exist_ok=True)
    elif not folder and not above.exists():
        making = f"make it first: mkdir -p {shlex.quote(str(above))}"
        raise NotFound(f"There is no folder {above} here to put it in.", making)


def _here(side: LocalSide, target: Path) -> Item | None:
    try:
        return side.item(str(target), target.lstat())
    except OSError:
        return None


async def _seen(there: Remote, path: SharePath) -> Entry | None:
    """What is there now; None for nothing, and for whoever may add but not look."""
    try:
        return await there.stat(path)
    except (NotFound, Refused):
        return None


def _lines(file: Path) -> bytes:
    """What is in a small file; nothing when there is none."""
    try:
        with file.open("rb") as opened:
            return opened.read(ignoring.LONGEST_FILE)
    except OSError:
        return b""


async def _small(there: Remote, path: SharePath) -> bytes:
    """What is in a small file there; nothing when there is none, or none for this person."""
    found = b""
    try:
        async with aclosing(there.read(path)) as pieces:
            async for piece in pieces:
                found += piece
                if len(found) >= ignoring.LONGEST_FILE:
                    break
    except (NotFound, Refused, WrongUsage):
        return b""
    return found[: ignoring.LONGEST_FILE]
