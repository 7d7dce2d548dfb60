"""The two ends of a copy, alike: a local disk, and a share of another computer."""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
import struct
import unicodedata
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Literal, Protocol, Self

import msgspec

from commonhold.files.disk import HERE, explained
from commonhold.files.entry import Entry
from commonhold.files.used.origin import Origin
from commonhold.files.used.remote import Remote
from commonhold.names import HIDDEN, SharePath
from commonhold.trees import erase_in

BATCH = 500  # entries of a local folder that are read in one change of thread
Kinds = Literal["file", "folder", "link", "device"]
KINDS: tuple[Kinds, ...] = ("file", "folder", "link", "device")  # a device, or a pipe, or a socket
_PACKED = struct.Struct("<BQq")


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A file or folder at one end. `path` is whole; `modified` in seconds since 1970; `etag` is what it is there:

    of a local file that nobody has changed since it was copied from there, what it was then.
    """

    path: str
    kind: Kinds
    size: int = 0
    modified: int = 0
    etag: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        modified = int(entry.modified.timestamp()) if entry.modified else 0
        return cls(entry.path, "file" if entry.kind == "file" else "folder", entry.size, modified, entry.etag)

    def pack(self) -> bytes:
        """Without its path, in few bytes: of a whole folder these are kept at once. Of its name only what NFC loses."""
        odd = b"" if unicodedata.is_normalized("NFC", self.name) else b"\0" + os.fsencode(self.name)
        return _PACKED.pack(KINDS.index(self.kind), self.size, self.modified) + self.etag.encode() + odd

    @classmethod
    def unpack(cls, folder: str, name: str, packed: bytes) -> Self:
        """What was packed, in that folder, of that name in NFC."""
        kind, size, modified = _PACKED.unpack_from(packed)
        etag, _, odd = packed[_PACKED.size :].partition(b"\0")
        return cls(within(folder, os.fsdecode(odd) if odd else name), KINDS[kind], size, modified, etag.decode())


def within(folder: str, name: str) -> str:
    """The path of what has that name in the folder; the folder of a share itself is empty."""
    return f"{folder}/{name}" if folder else name


class Side(Protocol):
    """One end of a copy. Raises what its disk or its computer reports."""

    keeps_origins: bool  # an etag tells of a file here which one it is a copy of

    def entries(self, folder: str) -> AsyncGenerator[Item, None]:
        """What lies in the folder, in no order."""
        ...

    async def make(self, folder: str) -> bool:
        """Make the folder; whether it is new."""
        ...

    async def remove(self, item: Item) -> None:
        """Take away a file, if it is still that one; or a folder with all that is in it."""
        ...

    def foresee(self, path: str) -> None:
        """Raise what is known beforehand to forbid a new file there."""
        ...


class RemoteSide:
    """A share of another computer."""

    keeps_origins = False

    def __init__(self, there: Remote) -> None:
        self._there = there

    async def entries(self, folder: str) -> AsyncGenerator[Item, None]:
        async for entry in self._there.entries(SharePath.parse(folder)):
            yield Item.of(entry)

    async def make(self, folder: str) -> bool:
        path = SharePath.parse(folder)
        return bool(path.parts) and await self._there.mkdir(path, exist_ok=True)

    async def remove(self, item: Item) -> None:
        await self._there.remove(SharePath.parse(item.path), item.etag if item.kind == "file" else "")

    def foresee(self, path: str) -> None:
        SharePath.parse(path).require_portable()


class LocalSide:
    """The disk here. Links are not followed, so that nothing is sent that the person did not mean."""

    keeps_origins = True

    def __init__(self, threads: Executor, there: Remote) -> None:
        """`there` is the share at the other end: of copies of its files the etag is known."""
        self._threads = threads
        self._computer, self._share = str(there.peer.fingerprint), str(there.share)

    async def entries(self, folder: str) -> AsyncGenerator[Item, None]:
        items = self._scan(folder)
        run = asyncio.get_running_loop().run_in_executor
        while batch := await run(self._threads, lambda: list(itertools.islice(items, BATCH))):
            for item in batch:
                yield item

    def _scan(self, folder: str) -> Iterator[Item]:
        with explained(folder, HERE), os.scandir(folder) as found:
            for each in found:
                if (
                    each.name.casefold() == HIDDEN
                ):  # the folder is a share here: what we keep in it is no file of theirs
                    continue
                try:
                    yield self.item(each.path, each.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue

    def item(self, path: str, status: os.stat_result) -> Item:
        if stat.S_ISDIR(status.st_mode):
            return Item(path, "folder")
        if not stat.S_ISREG(status.st_mode):
            return Item(path, "link" if stat.S_ISLNK(status.st_mode) else "device")
        known = Origin.of(path)
        ours = known and known.untouched(status) and (known.computer, known.share) == (self._computer, self._share)
        etag = known.etag if known and ours else ""
        return Item(path, "file", status.st_size, int(status.st_mtime), etag)

    async def make(self, folder: str) -> bool:
        return await asyncio.get_running_loop().run_in_executor(self._threads, _make, Path(folder))

    async def remove(self, item: Item) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, _remove, Path(item.path), item.kind)

    def foresee(self, path: str) -> None:
        """A disk here is asked when it comes to that."""


def _make(folder: Path) -> bool:
    with explained(folder, HERE):
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                return False
            raise
        return True


def _remove(path: Path, kind: str) -> None:
    with explained(path, HERE):
        if kind == "file":
            path.unlink(missing_ok=True)
            return
        above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            erase_in(above, path.name)
        finally:
            os.close(above)
