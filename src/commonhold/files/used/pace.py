"""A limit on bytes a second, one for all that a command sends and receives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator

BURST = 0.1  # seconds' worth of bytes that may go at once
SLICE = 64 * 1024  # bytes that are sent together: a whole chunk of a file would be a long silence, then a flood


class Pace:
    """So many bytes a second. Whoever has bytes waits for their turn, first come, first served."""

    def __init__(self, rate: int) -> None:
        """`rate` in bytes a second."""
        self._rate = rate
        self._free = 0.0  # when all that was let through will have had its time

    async def __call__(self, size: int) -> None:
        """Wait until `size` bytes more may go."""
        now = time.monotonic()
        self._free = max(self._free, now) + size / self._rate
        await asyncio.sleep(max(self._free - now - BURST, 0))

    async def slowed(self, source: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for data in _once(source) if isinstance(source, bytes) else source:
            view = memoryview(data)
            for at in range(0, len(view), SLICE):
                await self(len(view[at : at + SLICE]))
                yield bytes(view[at : at + SLICE])


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
