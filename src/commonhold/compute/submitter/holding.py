"""A session for functions, as a person's own process holds it: its papers, what happens in it, and its streams.

Held for as long as the hub's answer is read. A process that ends lets go by that, however it ends.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Protocol

from commonhold.compute.environment import Environment
from commonhold.compute.papers import PYTHON, FunctionsNews, FunctionsPapers, FunctionsWish
from commonhold.compute.relay import Wire, carry
from commonhold.errors import CommonholdError, Unreachable
from commonhold.transport import LoopThread
from commonhold.wire import convert

GOODBYE_WITHIN = 3.0  # seconds


class Hub(Protocol):
    """The node that runs a person's jobs and sessions: this computer's own, or the server."""

    async def ask(self, method: str, path: str, body: object = None) -> Any: ...
    def stream(self, method: str, path: str, body: object = None) -> AsyncGenerator[Any, None]: ...
    def request(self, method: str, path: str, *, data: Any = None) -> AbstractAsyncContextManager[Any]: ...
    def socket(self, path: str) -> AbstractAsyncContextManager[Wire]: ...


class Holding:
    """Made by `open`, which waits for the papers, and let go by `release`. From any thread but the loop's own."""

    papers: FunctionsPapers

    def __init__(
        self, loop: LoopThread, find: Callable[[], Awaitable[Hub]], on: str, cores: int, environment: Environment | None
    ) -> None:
        self._loop = loop
        self._find = find
        self._wish = FunctionsWish(PYTHON, on, cores, environment)
        self._listening: asyncio.Task[None] | None = None
        self.lenders: dict[str, str] = {}  # participant -> computer
        self.notes: list[str] = []  # who does not take part or was lost, and why
        self.trouble: CommonholdError | None = None  # what ended the session

    @property
    def name(self) -> str:
        """No other holding of this process has it."""
        return f"{self.papers.session}-{self.papers.participant}"

    def open(self) -> None:
        """Raises what the hub says: no right, no lender, another Python."""
        self._wish.check()
        self._loop.run(self._open())

    async def _open(self) -> None:
        self._hub = await self._find()
        first: asyncio.Future[FunctionsPapers] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen(first))
        try:
            self.papers = await first
        except BaseException:
            self._listening.cancel()
            raise

    async def _listen(self, first: asyncio.Future[FunctionsPapers]) -> None:
        try:
            async for line in self._hub.stream("POST", "/functions", self._wish):
                if first.done():
                    news = convert(line, FunctionsNews)
                    self.lenders = news.lenders
                    self.notes += [news.note] if news.note else []
                else:
                    papers = convert(line, FunctionsPapers)
                    self.lenders, self.notes = papers.lenders, list(papers.notes)
                    first.set_result(papers)
            self.trouble = Unreachable("The hub let the session go.")
        except CommonholdError as error:
            self.trouble = error
        if not first.done():
            first.set_exception(self.trouble)

    def connect(self, process: str) -> socket.socket:
        """A stream to a process of the session. What cannot be connected ends."""
        near, far = socket.socketpair()
        self._loop.call(self._carry(far, process))
        return near

    async def _carry(self, stream: socket.socket, process: str) -> None:
        with stream, suppress(CommonholdError, OSError):
            async with self._hub.socket(f"/sessions/{self.papers.session}/relay/{process}") as wire:
                await carry(stream, wire)

    def release(self, clean: bool) -> None:
        """Let go. `clean`: nothing of this process's runs there any more; else the session is ended for it."""
        if self._loop.open and self._listening is not None:
            self._loop.run(self._release(clean))

    async def _release(self, clean: bool) -> None:
        assert self._listening is not None  # noqa: S101 - release looked
        if clean and not self._listening.done():
            with suppress(CommonholdError, TimeoutError):
                async with asyncio.timeout(GOODBYE_WITHIN):
                    await self._hub.ask("DELETE", f"/functions/{self.papers.session}/{self.papers.participant}")
                    await asyncio.wait({self._listening})
        self._listening.cancel()
        await asyncio.wait({self._listening})
