"""The event loop that everything here was measured with, and one in a thread for plain calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

CLEANING_UP = 5.0  # seconds that interrupted work gets to clear away what it began


def _factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop (twice the bytes per second), or asyncio's own loop where there is none."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in this thread."""
    with asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(coroutine)


class LoopThread:
    """A loop in a thread of its own: plain calls from any thread, and one set of kept connections for all."""

    def __init__(self) -> None:
        self._loop = _factory()()
        self._thread = threading.Thread(target=self._loop.run_forever, name="commonhold", daemon=True)
        self._thread.start()
        self._unfinished: list[Callable[[], Coroutine[Any, Any, None]]] = []  # what ends each iteration

    @property
    def open(self) -> bool:
        return not self._loop.is_closed()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result. Ctrl-C cancels it and waits until it has cleaned up."""
        ended = threading.Event()

        async def kept() -> T:
            try:
                return await coroutine
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(kept(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            ended.wait(CLEANING_UP)
            raise

    def call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Start it, and wait for nothing."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """An asynchronous iterator as a plain one; ending it early closes the source."""

        steps: list[asyncio.Task[Any] | None] = []

        async def following() -> tuple[T] | None:
            steps[:] = [asyncio.current_task()]
            try:
                return (await anext(source),)
            except StopAsyncIteration:
                return None

        async def finish() -> None:
            for step in steps:  # Ctrl-C may have left one in the middle: a source that runs cannot be closed
                if step is not None and not step.done():
                    if not step.cancelling():
                        step.cancel()
                    await asyncio.wait({step})
            if (close := getattr(source, "aclose", None)) is not None:
                await close()

        self._unfinished.append(finish)
        try:
            while (item := self.run(following())) is not None:
                yield item[0]
        finally:
            if finish in self._unfinished:  # else closing the loop did it
                self._unfinished.remove(finish)
                self.run(finish())

    def close(self) -> None:
        """Stop the loop; iterations left in the middle are ended first, and what still runs there is cancelled."""
        while self._unfinished:
            self.run(self._unfinished.pop()())

        async def cancel_all() -> None:
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.run(cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
