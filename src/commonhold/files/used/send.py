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

from commonhold.errors import Conflict, Damaged, WrongUsage
from commonhold.files.disk import explained
from commonhold.files.used.origin import Origin
from commonhold.files.used.part import HERE
from commonhold.files.used.remote import Remote
from commonhold.names import SharePath

SMALL = 256 * 1024  # bytes up to which a file is read at once, and sent with its digest ahead
CHUNK = 2**20


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
                hashing = hashlib.sha256()
                body = self._chunks(file, status, hashing)
                there = await self._there.write(self._path, body, status.st_size, etag, modified=status.st_mtime_ns)
                digest = hashing.digest()
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

    def _place(self) -> tuple[str, str, str]:
        return str(self._there.peer.fingerprint), self._there.share, str(self._path)

    async def _chunks(self, file: BinaryIO, status: os.stat_result, hashing: hashlib._Hash) -> AsyncIterator[bytes]:
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
        left = status.st_size
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
