"""A large file on its way out, or spans of it.

What the system has in memory is read on the event loop, into a buffer that is used again: a thread's turn and new
memory for each piece cost as much as encrypting it. What a disk has to be waited for is read in a thread, which asks
the disk for the next pieces too. A digest is made in a thread, of the next piece while this one is sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import BinaryIO, TypeAlias

from commonhold.errors import Damaged
from commonhold.files.entry import Entry
from commonhold.files.ranges import Span
from commonhold.files.share import unchanged

CHUNK = 512 * 1024  # bytes read at a time: with 2 MiB it was no faster over TLS
AHEAD = 4 * CHUNK  # bytes that a disk is asked for before they are needed
AT_HAND = getattr(os, "RWF_NOWAIT", 0)

Plan: TypeAlias = list[bytes | Span]


class Reading:
    """The spans of an open file in `plan`, with what stands between; `hashing` when its digest is wanted."""

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        self.hashing = False
        self._file = file
        self._plan = deque(plan)
        self._at = self._end = 0  # of the span that is being read
        self._hash = hashlib.sha256()
        self._buffers: deque[bytearray] = deque()
        self._busy = threading.Lock()

    async def pieces(self, threads: ThreadPoolExecutor) -> AsyncIterator[bytes | memoryview]:
        """The bytes; whoever has let go of each piece when asking for the next spares new memory.

        Raises Damaged when the file has become shorter.
        """
        ahead: Future[int] | None = None
        while self._at < self._end or self._plan:
            if self._at == self._end:
                piece = self._plan.popleft()
                if isinstance(piece, bytes):
                    yield piece
                    continue
                self._at, self._end = piece
            size = None if self.hashing else self._read(self._turn(), AT_HAND)
            if size is None:
                size = await asyncio.wrap_future(ahead or threads.submit(self._wait, self._turn(), self._at))
            if not size:
                raise Damaged("The file became shorter while it was read.", "get it again")
            self._at += size
            more = self.hashing and self._at < self._end
            ahead = threads.submit(self._wait, self._turn(), self._at) if more else None
            yield memoryview(self._buffers[-2 if more else -1])[:size]

    def _turn(self) -> bytearray:
        """The buffer for the next bytes: with a digest to be made not the last one, which is sent meanwhile."""
        if len(self._buffers) > self.hashing:
            self._buffers.rotate(-1)
            try:
                self._buffers[-1].append(self._buffers[-1].pop())  # refused while anybody has a view of it
            except BufferError:
                self._buffers[-1] = bytearray(CHUNK)
        else:
            self._buffers.append(bytearray(CHUNK))
        return self._buffers[-1]

    def _read(self, buffer: bytearray, flags: int) -> int | None:
        """How many bytes came; None when they are not at hand."""
        if not flags:
            return None
        with suppress(OSError):
            return os.preadv(self._file.fileno(), [memoryview(buffer)[: self._end - self._at]], self._at, flags)
        return None

    def _wait(self, buffer: bytearray, at: int) -> int:
        """As `_read`, however long it takes."""
        with self._busy:
            room = memoryview(buffer)[: self._end - at]
            size = os.preadv(self._file.fileno(), [room], at)
            if self.hashing:
                self._hash.update(room[:size])
            elif hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._file.fileno(), at + size, AHEAD, os.POSIX_FADV_WILLNEED)
            return size

    @property
    def changed(self) -> float:
        """When the file was changed last, in seconds since 1970; by what nobody can set."""
        return os.fstat(self._file.fileno()).st_ctime

    def sha256(self, entry: Entry) -> bytes | None:
        """The digest of what was read, if the file is still the one that it was at the beginning."""
        return self._hash.digest() if unchanged(self._file, entry) else None

    def close(self) -> None:
        with self._busy:  # a thread may still read for a request that is over
            self._file.close()
