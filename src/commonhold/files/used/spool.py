"""What waits between those who look for files and those who copy them: in memory while it is little, else on the disk.

So a listing is read as fast as it comes, however long the copying takes, and a folder of any size takes little memory.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
MOST = 2_000  # that wait in memory at either end
AT_ONCE = 512 * 1024  # bytes read from the disk at a time


class Spool(Generic[T]):
    """A queue for one event loop. `put` never waits; `take` waits for something to come, or for the end."""

    def __init__(self, kind: type[T]) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._first: deque[bytes] = deque()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._read = self._written = 0
        self._last: list[bytes] = []
        self._ended = False
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        self._last.append(msgspec.json.encode(item) + b"\n")
        if len(self._last) > MOST:
            self._file.seek(self._written)
            self._written += self._file.write(b"".join(self._last))
            self._last.clear()
        self._news.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._news.set()

    async def take(self) -> T | None:
        """The next; None when all have been taken and no more come."""
        while not self._first and not self._refill():
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._decoder.decode(self._first.popleft())

    def take_now(self) -> T | None:
        """The next, if one waits."""
        return self._decoder.decode(self._first.popleft()) if self._first or self._refill() else None

    def _refill(self) -> bool:
        if self._read < self._written:
            self._file.seek(self._read)
            lines = self._file.readlines(AT_ONCE)
            self._read += sum(map(len, lines))
            if self._read == self._written:
                self._file.truncate(0)
                self._read = self._written = 0
            self._first.extend(lines)
        else:
            self._first.extend(self._last)
            self._last.clear()
        return bool(self._first)

    def close(self) -> None:
        self._file.close()
