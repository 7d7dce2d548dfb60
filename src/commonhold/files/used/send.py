"""One file from the local disk to another computer, checked at both ends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import BinaryIO

from msgspec import structs

from commonhold.errors import Conflict, Damaged, Unreachable, WrongUsage
from commonhold.files.disk import HERE, explained
from commonhold.files.used.origin import Origin
from commonhold.files.used.remote import Remote, Unsent, Written
from commonhold.names import SharePath

SMALL = 256 * 1024  # bytes up to which a file is read at once, and sent with its digest ahead
CHUNK = 2**20
RESUMED = 8 * 2**20  # bytes from which an upload that breaks off goes on
TRIES = 8  # a connection that breaks this often in one upload ends it


class Send:
    """One file on its way there; `moved(bytes)` hears of progress (less than nothing when bytes count no more)."""

    def __init__(
        self, there: Remote, source: Path, path: SharePath, threads: Executor, moved: Callable[[int], None]
    ) -> None:
        self._there, self._source, self._path = there, source, path
        self._threads = threads
        self._moved = moved
        self._counted = 0

    async def run(self, etag: str = "") -> int:
        """Send it; its size. It replaces the file of that etag, or without one none.

        Raises what the other computer reports (Changed, when it is not as expected there), Unreachable,
        Damaged, Conflict when the local file changes meanwhile, and what the local disk answers.
        """
        loop = asyncio.get_running_loop()
        file, status, data = await loop.run_in_executor(self._threads, open_source, self._source)
        try:
            if data is not None:
                digest = hashlib.sha256(data).digest()
                there = await self._there.write(self._path, data, len(data), etag, digest, status.st_mtime_ns)
                self._count(len(data))
            else:
                there, digest = await self._large(file, status, etag)
            if there.sha256 != digest:
                raise Damaged(f"“{self._path}” arrived damaged at {self._there.peer.name}.", "send it again")
            if there.etag and (known := Origin.of(file.fileno())) and known.names(*self._place()):
                structs.replace(known, etag=there.etag).note(file.fileno(), status)
            return status.st_size
        except BaseException:
            self._count(0)
            raise
        finally:
            self._threads.submit(file.close)

    async def _large(self, file: BinaryIO, status: os.stat_result, etag: str) -> tuple[Written, bytes]:
        """Send it, from where an earlier upload of it broke off; and go on when this one does, if it came further."""
        token, came = self._token(status), None
        if status.st_size >= RESUMED:
            came = await self._there.upload_offset(self._path, token, status.st_size)
        tries, came_before = TRIES, -1
        while True:
            hashing = hashlib.sha256()
            await asyncio.get_running_loop().run_in_executor(self._threads, self._skip, file, hashing, came or 0)
            self._count(came or 0)
            body = self._chunks(file, status, hashing, came or 0)
            part = None if came is None else Unsent(token, came)
            try:
                what = self._path, body, status.st_size, etag
                return await self._there.write(*what, modified=status.st_mtime_ns, part=part), hashing.digest()
            except Unreachable:
                tries -= 1
                if came is None or not tries:
                    raise
                came_before, came = came, await self._there.upload_offset(self._path, token, status.st_size)
                if came is None or came <= came_before:
                    raise

    def _token(self, status: os.stat_result) -> str:
        """Of this file on its way there: a later command, too, makes the same, and nothing has to be remembered."""
        file = self._source.resolve(), status.st_ino, status.st_size, status.st_mtime_ns
        return hashlib.sha256(repr((*map(str, file), *self._place())).encode(errors="surrogateescape")).hexdigest()

    def _skip(self, file: BinaryIO, hashing: hashlib._Hash, size: int) -> None:
        """Hash what is there already."""
        with explained(self._source, HERE):
            file.seek(0)
            while size and (data := file.read(min(CHUNK, size))):
                hashing.update(data)
                size -= len(data)

    def _place(self) -> tuple[str, str, str]:
        return str(self._there.peer.fingerprint), self._there.share, str(self._path)

    async def _chunks(
        self, file: BinaryIO, status: os.stat_result, hashing: hashlib._Hash, first: int
    ) -> AsyncIterator[bytes]:
        """The file, read and hashed ahead in a thread. The last bytes go only if it did not change meanwhile:

        an upload that misses bytes changes nothing.
        """

        def step() -> bytes:
            with explained(self._source, HERE):
                data = file.read(min(CHUNK, left))
                hashing.update(data)
                if not data or (len(data) == left and not _same(file, status)):
                    raise Conflict(f"{self._source} changed while it was sent; it was not sent.", "send it again")
                return data

        loop = asyncio.get_running_loop()
        left = status.st_size - first
        ahead = loop.run_in_executor(self._threads, step)
        try:
            while left:
                data = await ahead
                left -= len(data)
                if left:
                    ahead = loop.run_in_executor(self._threads, step)
                yield data
                self._count(self._counted + len(data))
        finally:
            if not ahead.done():
                await asyncio.wait({ahead})  # the file is closed next

    def _count(self, size: int) -> None:
        self._moved(size - self._counted)
        self._counted = size


def open_source(source: Path) -> tuple[BinaryIO, os.stat_result, bytes | None]:
    """The open file, its status, and its bytes if they are few."""
    with explained(source, HERE):
        handle = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        file = os.fdopen(handle, "rb")  # buffered: closing it waits for a read in another thread
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise WrongUsage(f"{source} is no ordinary file.", "name a file or folder")
            if status.st_size > SMALL:
                return file, status, None
            data = file.read(SMALL + 1)
            if len(data) != status.st_size or not _same(file, status):
                raise Conflict(f"{source} changed while it was read.", "send it again")
            return file, status, data
        except BaseException:
            file.close()
            raise


def _same(file: BinaryIO, before: os.stat_result) -> bool:
    now = os.fstat(file.fileno())
    return (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
