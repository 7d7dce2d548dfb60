"""Files of all computers. Bytes go straight between this process and the other computer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from commonhold.api.membership import Membership
from commonhold.errors import PartlyFailed
from commonhold.files.entry import Entry
from commonhold.files.used import copy, remote
from commonhold.files.used.copy import Progress, Report
from commonhold.names import RemotePath

FileProgress = Callable[[Progress], None]
SPOOLED = 8 * 2**20  # bytes of a remote file that `open` keeps in memory before it takes a temporary file


class Files(Membership):
    """Look, copy, make and delete; `COMPUTER:SHARE/PATH` says where."""

    def ls(self, where: str = "", recursive: bool = False) -> list[Entry]:
        """What lies at `COMPUTER:SHARE/PATH`; `COMPUTER:` lists its shares, nothing lists the computers."""
        if not where:
            return [
                Entry(path=f"{m.computer}:", kind="computer", size=0, modified=m.seen, etag="") for m in self.members()
            ]
        target = RemotePath.parse(where)
        return self._loop.run(self._ls(target, recursive))

    async def _ls(self, target: RemotePath, recursive: bool) -> list[Entry]:
        peer = await self._peer(target.computer)
        if not target.share:
            return await remote.shares(self._caller, peer)
        return await remote.ls(self._caller, peer, target.share, target.path, recursive=recursive)

    def cat(self, where: str) -> Iterator[bytes]:
        """The bytes of a remote file, as they come."""
        target = RemotePath.parse(where)
        peer = self._loop.run(self._peer(target.computer))
        return self._loop.iterate(remote.read(self._caller, peer, target.share, target.path))

    def open(self, where: str) -> IO[bytes]:
        """A remote file, read whole into a spooled temporary file that starts at its beginning."""
        spooled = tempfile.SpooledTemporaryFile(max_size=SPOOLED)  # noqa: SIM115 - the caller's to close
        for chunk in self.cat(where):
            spooled.write(chunk)
        spooled.seek(0)
        return cast("IO[bytes]", spooled)

    def get(
        self, where: str, local: str | Path = ".", recursive: bool = False, progress: FileProgress | None = None
    ) -> Report:
        """Copy a remote file, or with `recursive` a folder, to this computer; verified by SHA-256, renamed when whole.

        A transfer that broke is taken up where it stopped. Raises PartlyFailed when some files failed.
        """
        target = RemotePath.parse(where)
        return _whole(self._loop.run(self._get(target, Path(local).expanduser(), recursive, progress)))

    async def _get(self, target: RemotePath, local: Path, recursive: bool, progress: FileProgress | None) -> Report:
        peer = await self._peer(target.computer)
        return await copy.get(
            self._caller, peer, target.share, target.path, local, recursive=recursive, progress=progress
        )

    def put(
        self, local: str | Path, where: str, recursive: bool = False, progress: FileProgress | None = None
    ) -> Report:
        """Copy a local file, or with `recursive` a folder, to `COMPUTER:SHARE/PATH`; each file replaces atomically.

        The answer comes when the bytes are on the other computer's disk. Raises Conflict when a file
        changed there meanwhile, PartlyFailed when some files failed.
        """
        target = RemotePath.parse(where)
        return _whole(self._loop.run(self._put(Path(local).expanduser(), target, recursive, progress)))

    async def _put(self, local: Path, target: RemotePath, recursive: bool, progress: FileProgress | None) -> Report:
        peer = await self._peer(target.computer)
        return await copy.put(
            self._caller, peer, local, target.share, target.path, recursive=recursive, progress=progress
        )

    def mkdir(self, where: str, parents: bool = False) -> None:
        """Make a folder; with `parents` those above it too, and no error when it is there."""
        target = RemotePath.parse(where)
        self._loop.run(self._mkdir(target, parents))

    async def _mkdir(self, target: RemotePath, parents: bool) -> None:
        await remote.mkdir(self._caller, await self._peer(target.computer), target.share, target.path, parents=parents)

    def rm(self, where: str, recursive: bool = False) -> None:
        """Delete a file, or with `recursive` a folder and all in it."""
        self._loop.run(self._rm(RemotePath.parse(where), recursive))

    async def _rm(self, target: RemotePath, recursive: bool) -> None:
        await remote.rm(self._caller, await self._peer(target.computer), target.share, target.path, recursive=recursive)


def _whole(report: Report) -> Report:
    """The report, or PartlyFailed with what failed; the error itself when nothing else was asked for."""
    if not report.failed:
        return report
    path, sentence = report.failed[0]
    raise PartlyFailed(
        f"{len(report.failed)} of {report.files + len(report.failed)} files failed; the first, {path}: {sentence}",
        "the same command takes up what is missing",
        failed=[{"path": path, "error": sentence} for path, sentence in report.failed],
        files=report.files,
        bytes=report.bytes,
    )
