"""Without namespaces: each computer at an address of loopback, and before its door a relay that holds it to a rate.

Two token buckets for each computer, one each way, which all connections to it share. What the computer fetches
from another passes that one's relay alone: its own rate does not hold it there, and does not count it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

from commonhold.node.computer import free_address
from commonhold.transport import Address, LoopThread

T = TypeVar("T")

BURST = 0.004  # seconds of the rate that may pass at once, as `namespaces` has it
CHUNK = 16_384  # bytes that one connection passes on before another has its turn; a record of TLS
STORE = 65_536  # bytes that may wait in one connection


class Bucket:
    """Lets pass `rate` bytes/s, and counts them; 0 holds nothing back."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate, clock
        self._free = clock()  # when all that was let pass so far is through
        self.passed = 0

    def wait(self, count: int) -> float:
        """Seconds until so many more bytes may pass, behind all others that were asked for."""
        self.passed += count
        if not self._rate:
            return 0.0
        now = self._clock()
        self._free = max(self._free, now - BURST) + count / self._rate
        return max(0.0, self._free - now)


class Relayed:
    """One computer's place: what reaches its door, and what leaves by it, passes here."""

    def __init__(self, loop: LoopThread, number: int, rate: float) -> None:
        self._loop = loop
        self._in, self._out = Bucket(rate, time.monotonic), Bucket(rate, time.monotonic)
        self._passing: set[asyncio.Task[None]] = set()
        self._server, self.found_at = loop.run(self._open(free_address(number)))
        self.address = free_address(number)  # not the one just taken

    def within(self, work: Callable[[], T]) -> T:
        """Here is where everybody is."""
        return work()

    def carried(self) -> tuple[int, int]:
        """Bytes (sent, received) through the computer's own door."""
        return self._out.passed, self._in.passed

    def close(self) -> None:
        if self._loop.open:
            self._loop.run(self._close())

    async def _open(self, at: str) -> tuple[asyncio.Server, str]:
        server = await asyncio.start_server(self._pass, *Address.parse(at), limit=STORE)
        return server, "{}:{}".format(*server.sockets[0].getsockname())

    async def _close(self) -> None:
        self._server.close()
        for each in self._passing:
            each.cancel()
        if self._passing:
            await asyncio.wait(self._passing)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        # A node that is down, or a connection that broke: each side sees its own end. Cancelled it just ends, too:
        # streams of Python 3.11 print a traceback for whoever passes that on.
        with suppress(OSError, asyncio.CancelledError):
            try:
                inner, outer = await asyncio.open_connection(*Address.parse(self.address), limit=STORE)
                try:
                    async with asyncio.TaskGroup() as both:
                        both.create_task(_pump(reader, outer, self._in))
                        both.create_task(_pump(inner, writer, self._out))
                finally:
                    outer.close()
            finally:
                writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bucket: Bucket) -> None:
    """Until the end, which is passed on too."""
    writer.transport.set_write_buffer_limits(high=CHUNK)
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            await asyncio.sleep(bucket.wait(len(chunk)))
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
