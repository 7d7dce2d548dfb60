"""A request whose answer takes its time: the connection is kept from looking dead."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from aiohttp import HttpVersion11, web

T = TypeVar("T")
# Seconds of silence. Programs that wait at all wait a minute or more; some stop at the sixth answer that is none
# (rclone's until 2024), and wait five minutes for the first.
SILENCE = 55
GOING_ON = b"HTTP/1.1 100 Continue\r\n\r\n"  # 102 (RFC 2518) says more, and Python's own client takes it for the answer


async def patiently(request: web.Request, work: Future[T]) -> T:
    """What comes of the work. Meanwhile the other end hears every now and then that it goes on."""
    done = asyncio.wrap_future(work)
    while not (await asyncio.wait({done}, timeout=SILENCE))[0]:
        if request.version >= HttpVersion11:  # RFC 9110, 15.2
            await request.writer.write(GOING_ON)
            request.writer.output_size = 0
    return done.result()
