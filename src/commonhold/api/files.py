"""Files of all computers. Bytes go straight between this process and the other computer."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TypedDict, Unpack, cast

from commonhold.answers import Status
from commonhold.api.membership import Membership
from commonhold.errors import CommonholdError, Conflict, PartlyFailed, WrongUsage
from commonhold.files.entry import Entry
from commonhold.files.used import moving, remote
from commonhold.files.used.copy import Copies
from commonhold.files.used.globs import is_glob, named
from commonhold.files.used.remote import Remote
from commonhold.files.used.tally import Counts, Progress, Report
from commonhold.files.used.tree import Manner
from commonhold.names import RemotePath, SharePath
from commonhold.wire import convert

FileProgress = Callable[[Progress], None]
BATCH = 500  # entries of a listing that are handed over at a time
SPOOLED = 8 * 2**20  # bytes of a remote file that `open` keeps in memory before it takes a temporary file


class CopyOptions(TypedDict, total=False):
    """How `get`, `put` and `cp` copy."""

    checksum: bool  # what is the same is told by SHA-256, not by size and time
    delete: bool  # what the source folder has not goes from the target
    dry_run: bool  # only say what would be done
    ignore: Sequence[str] | None  # patterns to leave out, beside the usual ones; None: nothing is left out
    limit: int | None  # bytes a second


class Files(Membership):
    """Look, copy, make and delete; `COMPUTER:SHARE/PATH` says where, and `*`, `?`, `[…]`, `**` in it stand for names.

    Where several may be named, one that fails does not hold up the others. What was asked for and failed is raised: the
    error itself, or PartlyFailed when something else was done. Conflict says that a file was changed at both ends; both
    are kept, and `more["kept"]` tells where.
    """

    def ls(self, where: str = "", recursive: bool = False) -> list[Entry]:
        """What lies at `COMPUTER:SHARE/PATH`; `COMPUTER:` lists its shares, nothing lists the computers.

        Of a glob, what fits.
        """
        if not where:
            return [
                Entry(path=f"{m.computer}:", kind="computer", size=0, modified=m.seen, etag="") for m in self.members()
            ]
        return self._loop.run(self._ls(RemotePath.parse(where), recursive))

    async def _ls(self, target: RemotePath, recursive: bool) -> list[Entry]:
        peer = await self._peer(target.computer)
        if not target.share:
            return await remote.shares(self._caller, peer)
        there = Remote(self._caller, peer, target.share)
        if not is_glob(target.path):
            return await there.ls(target.path, recursive=recursive)
        found = [entry async for entry in self._found(there, target.path, recursive)]
        return sorted(found, key=lambda entry: entry.path)

    def entries(self, where: str = "", recursive: bool = False) -> Iterator[Entry]:
        """As `ls`, as they come and in no order: a folder of any size takes no memory."""
        target = RemotePath.parse(where) if where else None
        if target is None or not target.share:
            yield from self.ls(where)
            return
        for batch in self._loop.iterate(self._batches(target, recursive)):
            yield from batch

    async def _batches(self, target: RemotePath, recursive: bool) -> AsyncIterator[list[Entry]]:
        """Some at a time: each change of thread takes as long as ten entries."""
        there = Remote(self._caller, await self._peer(target.computer), target.share)
        batch: list[Entry] = []
        async for entry in self._found(there, target.path, recursive):
            batch.append(entry)
            if len(batch) == BATCH:
                yield batch
                batch = []
        yield batch

    async def _found(self, there: Remote, path: SharePath, recursive: bool) -> AsyncIterator[Entry]:
        if not is_glob(path):
            async for entry in there.walk(path, recursive):
                yield entry
            return
        async for fitting in named(there, path):
            yield fitting
            if recursive and fitting.kind == "folder":
                async for entry in there.walk(SharePath.parse(fitting.path), recursive):
                    yield entry

    def cat(self, where: str) -> Iterator[bytes]:
        """The bytes of a remote file, as they come; of a glob, of all files that fit, by name."""
        target = RemotePath.parse(where)
        peer = self._loop.run(self._peer(target.computer))
        paths = [target.path]
        if is_glob(target.path):
            paths = [SharePath.parse(entry.path) for entry in self.ls(where) if entry.kind == "file"]
        for path in paths:
            yield from self._loop.iterate(remote.read(self._caller, peer, target.share, path))

    def open(self, where: str) -> IO[bytes]:
        """A remote file, read whole into a spooled temporary file that starts at its beginning."""
        spooled = tempfile.SpooledTemporaryFile(max_size=SPOOLED)  # noqa: SIM115 - the caller's to close
        for chunk in self.cat(where):
            spooled.write(chunk)
        spooled.seek(0)
        return cast("IO[bytes]", spooled)

    def get(
        self,
        where: str | Sequence[str],
        local: str | Path = ".",
        recursive: bool = False,
        progress: FileProgress | None = None,
        **how: Unpack[CopyOptions],
    ) -> Report:
        """Copy remote files, or with `recursive` folders, to this computer; verified by SHA-256, renamed when whole.

        Several, and what goes to a `local` with a slash at its end, go into that folder, made when it is not there. Of
        a folder that ends with a slash, what is in it goes to `local`. What broke is taken up where it stopped.
        """
        goal = Path(local).expanduser()

        async def one(copies: Copies, word: str, into: bool | None) -> None:
            target = RemotePath.parse(word)
            there = copies.remote(self._caller, await self._peer(target.computer), target.share)
            await copies.get(there, target.path, goal, into)

        return self._copying(where, str(local), one, self._manner(recursive, progress, how))

    def put(
        self,
        local: str | Path | Sequence[str | Path],
        where: str,
        recursive: bool = False,
        progress: FileProgress | None = None,
        **how: Unpack[CopyOptions],
    ) -> Report:
        """Copy local files, or with `recursive` folders, to `COMPUTER:SHARE/PATH`; each file replaces atomically.

        The answer comes when the bytes are on the other computer's disk. As `get`.
        """
        goal = RemotePath.parse(where)

        async def one(copies: Copies, word: str, into: bool | None) -> None:
            there = copies.remote(self._caller, await self._peer(goal.computer), goal.share)
            source = Path(word).expanduser()
            await self._require_outside(source, there, goal.path)
            await copies.put(source, there, goal.path, into)

        return self._copying(local, where, one, self._manner(recursive, progress, how))

    def cp(
        self,
        where: str | Sequence[str],
        to: str,
        recursive: bool = False,
        progress: FileProgress | None = None,
        **how: Unpack[CopyOptions],
    ) -> Report:
        """Copy remote files, or with `recursive` folders, to another place of the network, `COMPUTER:SHARE/PATH`.

        Within one computer it copies by itself. Between two they go straight from one to the other, where the first
        lets the second read them; else through this one, and not over its disk.
        """
        manner = self._manner(recursive, progress, how)
        return self._across(where, to, manner, Copies.across)

    def mv(self, where: str | Sequence[str], to: str, progress: FileProgress | None = None) -> Report:
        """Move remote files and folders to another place of the network; nothing that is there is replaced.

        Between two computers each file is deleted when it is on the other's disk, and only if it is still the same.
        """
        manner = Manner(recursive=True, checksum=True, ignore=None, progress=progress)
        return self._across(where, to, manner, Copies.move)

    def _across(
        self, where: str | Sequence[str], to: str, manner: Manner, work: Callable[..., Awaitable[None]]
    ) -> Report:
        goal = RemotePath.parse(to)

        async def one(copies: Copies, word: str, into: bool | None) -> None:
            source = RemotePath.parse(word)
            here = copies.remote(self._caller, await self._peer(source.computer), source.share)
            there = copies.remote(self._caller, await self._peer(goal.computer), goal.share)
            await work(copies, here, source.path, there, goal.path, into)

        return self._copying(where, to, one, manner)

    def _manner(self, recursive: bool, progress: FileProgress | None, how: CopyOptions) -> Manner:
        ignore = how.get("ignore", ())
        manner = Manner(
            recursive,
            how.get("checksum", False),
            how.get("delete", False),
            how.get("dry_run", False),
            None if ignore is None else tuple(ignore),
            how.get("limit"),
            self._computer,
            progress,
        )
        if manner.delete and not recursive:
            raise WrongUsage("What a single file has not cannot be deleted.", "name a folder, and -r with --delete")
        return manner

    def _copying(
        self,
        sources: str | Path | Sequence[str | Path],
        to: str,
        one: Callable[[Copies, str, bool | None], Awaitable[None]],
        manner: Manner,
    ) -> Report:
        """One copy after the other, into a folder if there are several, or `to` says with a slash that it is one."""
        words = [str(sources)] if isinstance(sources, str | Path) else list(map(str, sources))
        if manner.delete and len(words) != 1:
            raise WrongUsage("A mirror is of one folder.", "name one folder with --delete")
        return self._loop.run(self._copy_each(words, one, manner, True if len(words) > 1 or to.endswith("/") else None))

    async def _copy_each(
        self,
        words: list[str],
        one: Callable[[Copies, str, bool | None], Awaitable[None]],
        manner: Manner,
        into: bool | None,
    ) -> Report:
        with Copies(manner) as copies:
            for word in words:
                await _told(copies.counts, word, len(words), one(copies, word, False if word.endswith("/") else into))
            return _whole(copies.counts)

    async def _require_outside(self, source: Path, there: Remote, goal: SharePath) -> None:
        """Raise WrongUsage when a folder would be copied into itself: the share lies on this very computer."""
        if there.peer.name.casefold() != self._computer.casefold() or not source.is_dir():
            return
        for shared in convert(await self._node.ask("GET", "/api/status"), Status).shares:
            target = Path(shared.folder).joinpath(*goal.parts).resolve()
            if shared.share.casefold() == there.share.casefold() and target.is_relative_to(source.resolve()):
                raise WrongUsage(f"{source} would go into itself.", "choose another place")

    def mkdir(self, where: str, parents: bool = False) -> None:
        """Make a folder; with `parents` those above it too, and no error when it is there."""
        target = RemotePath.parse(where)
        self._loop.run(self._mkdir(target, parents))

    async def _mkdir(self, target: RemotePath, parents: bool) -> None:
        await remote.mkdir(self._caller, await self._peer(target.computer), target.share, target.path, parents=parents)

    def rm(self, where: str | Sequence[str], recursive: bool = False) -> int:
        """Delete files, or with `recursive` folders and all in them; how many were deleted."""
        return self._loop.run(self._rm([where] if isinstance(where, str) else list(where), recursive))

    async def _rm(self, words: list[str], recursive: bool) -> int:
        counts = Counts()

        async def one(word: str) -> None:
            target = RemotePath.parse(word)
            there = Remote(self._caller, await self._peer(target.computer), target.share)
            await moving.remove(there, target.path, recursive, counts)

        for word in words:
            await _told(counts, word, len(words), one(word))
        return _whole(counts).removed


async def _told(counts: Counts, word: str, of: int, work: Awaitable[None]) -> None:
    """Do it; of several what fails is counted, and holds up no other."""
    try:
        await work
    except CommonholdError as error:
        if of == 1:
            raise
        counts.strict = False
        counts.fail(word, error)


def _whole(counts: Counts) -> Report:
    """The report. Raises PartlyFailed with what failed, or its own error where nothing else was done; Conflict where

    two versions of a file are kept.
    """
    report = counts.report()
    done = report.files + report.same + report.removed + report.folders + len(report.to_copy) + len(report.to_delete)
    fields = ("files", "bytes", "same", "removed", "folders", "links", "devices", "straight")
    more: dict[str, object] = {name: getattr(report, name) for name in fields}
    more |= {name: paths for name in ("to_copy", "to_delete") if (paths := getattr(report, name))}
    kept = [{"path": path, "kept": kept} for path, kept in report.kept]
    if report.failed:
        failed = [{"path": path, "error": sentence} for path, sentence in report.failed]
        path, sentence = report.failed[0]
        first = f"{len(failed)} of {done + len(failed)} files failed; the first, {path}: {sentence}"
        more |= {"failed": failed, "kept": kept}
        if not done and len(counts.errors) == 1:
            ((kind, error),) = counts.errors.items()
            raise kind(error.sentence if len(failed) == 1 else first, error.hint, **{**error.more, **more})
        raise PartlyFailed(first, _hint(counts), **more)
    if kept:
        path, beside = report.kept[0]
        sentence = f"“{path}” was changed at both ends, and both are kept: this computer's is “{beside}”."
        if len(kept) > 1:
            sentence = f"{len(kept)} files were changed at both ends, and both are kept; the first: {sentence}"
        raise Conflict(sentence, "compare them, and delete the one that is not wanted", kept=kept, **more)
    return report


def _hint(counts: Counts) -> str:
    """What helps with what failed: of one reason its own hint."""
    hints = {error.hint for error in counts.errors.values()}
    return hints.pop() if len(hints) == 1 and "" not in hints else "the same command takes up what is missing"
