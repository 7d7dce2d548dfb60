"""What the scheduler of a session does is seen whole."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import dask
from distributed import Worker
from tests.compute.test_channel import answers, end_of

from commonhold.compute.sandboxed import engine
from commonhold.compute.sandboxed.stock import Stock


class QuietWorker(engine._Silent, Worker):
    """One of Dask's own, but for its HTTP."""


async def test_a_worker_that_was_there_first_is_seen_and_not_given_up_as_one_that_never_came(tmp_path: Path):
    """It may come while the scheduler's own client still connects: on a busy computer that takes seconds."""
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def hear(what: str, words: dict[str, Any]) -> None:
        heard.put_nowait((what, words["changes"]))

    near, far = socket.socketpair()
    inside, outside = await end_of(near, answers), await end_of(far, hear)
    hearing = asyncio.create_task(outside.serve())
    with dask.config.set(engine.SETTINGS | {"temporary-directory": str(tmp_path)}):
        async with (
            engine.QuietScheduler(protocol="inproc", dashboard=False) as scheduler,
            QuietWorker(scheduler.address, nthreads=1) as worker,
        ):
            observer = engine.Observer(scheduler, inside, Stock(), {}, "client", lambda: None)
            observer.begin()
            reporting = asyncio.create_task(observer.report())
            assert await asyncio.wait_for(heard.get(), 10) == ("changes", [{"joined": worker.address}])
            reporting.cancel()
    inside.close()
    await hearing
