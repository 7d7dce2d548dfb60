"""What a node and one sandboxed process say to one another: JSON, one line for each message.

    {"id": 7, "ask": "fetch", "words": {…}}     expects  {"id": 7, "answer": …}  or  {"id": 7, "problem": {…}}
    {"tell": "begun", "words": {…}}             expects nothing

Both ends run this same code, over the process's standard input and output. Nothing on it is ever
unpickled; what the process says is a stranger's word, and its asker checks it (lend.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from commonhold.errors import CommonholdError, Unreachable, from_problem

LONGEST_LINE = 16 * 2**20  # bytes: the outputs of a few hundred tasks; a longer one ends the channel
SCHEDULER = "p0"  # the participant that every session has
MOST_ASKED = 64  # asks of the other end that are worked on at once; then it is read no further

Handler = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Orders(msgspec.Struct, frozen=True):
    """The first line: who this process is in its session, and within what bounds."""

    me: str  # participant: p0 is the scheduler
    authority: str  # PEM of the session's own certificate authority
    certificate: str  # PEM
    key: str  # PEM
    computer: str = ""  # its name, for results
    cores: int = 1
    memory: int = 0  # bytes that Dask may keep in a worker; 0: no limit
    idle: bool = False  # compute only when nobody else wants the processor
    nice: bool = False  # give way to the owner's programs, though not to guests
    unpack: int = 0  # bytes, at most: this process does nothing but unpack an environment
    processes: int = 0  # that call functions, one at a time each; 0: one process for commands, `cores` at a time
    patience: float = 15.0  # seconds of silence after which the scheduler takes a worker for lost
    open_files: int = 4096
    file_size: int = 64 * 2**30  # bytes of one file
    asked: int = 0  # bytes that tasks may ask for, together
    data: int = 0  # bytes of memory that one process may write to; 0: no limit
    threads: int = 0  # and processes, where the system counts those of a sandbox by themselves; 0: no limit


class Message(msgspec.Struct, omit_defaults=True):
    id: int = 0
    ask: str = ""
    tell: str = ""
    words: dict[str, Any] = {}
    answer: Any = None
    problem: dict[str, Any] | None = None


class Channel:
    """One end. `serve` reads until the other end closes; asks still open then raise Unreachable."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._numbers = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MOST_ASKED)
        self._closed = False

    async def ask(self, what: str, /, **words: Any) -> Any:
        """The other end's answer; raises the problem that it reports, or Unreachable when it ends first."""
        if self._closed:
            raise _ended()
        number = next(self._numbers)
        future = self._open[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(Message(id=number, ask=what, words=words))
            await self._drain()
            return await future
        finally:
            self._open.pop(number, None)

    def tell(self, what: str, /, **words: Any) -> None:
        """Say something that needs no answer; nothing happens when the other end is gone."""
        if not self._closed:
            self._send(Message(tell=what, words=words))

    async def serve(self) -> None:
        try:
            while line := await self._reader.readline():
                await self._take(msgspec.json.decode(line, type=Message))
                await asyncio.sleep(0)  # of millions of lines that came meanwhile, each gives way to all else
        except (msgspec.MsgspecError, ValueError, OSError):
            pass  # not our language, or a line without end: as good as gone
        finally:
            self.close()

    def close(self) -> None:
        self._closed = True
        for future in self._open.values():
            if not future.done():
                future.set_exception(_ended())
        for task in self._working:
            task.cancel()
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()

    async def ended(self) -> None:
        """Until nothing that was asked here is worked on any more, once it is closed."""
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _take(self, message: Message) -> None:
        if message.ask or message.tell:
            await self._places.acquire()
            task = asyncio.create_task(self._work(message))
            self._working.add(task)
            task.add_done_callback(self._done)
            return
        future = self._open.get(message.id)
        if future is None or future.done():
            return
        if message.problem is not None:
            future.set_exception(from_problem(message.problem, 500))
        else:
            future.set_result(message.answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._places.release()

    async def _work(self, message: Message) -> None:
        reply = Message(id=message.id)
        try:
            reply.answer = await self._handler(message.ask or message.tell, message.words)
        except CommonholdError as error:
            reply.problem = error.problem()
        except Exception as error:  # whatever it was: who asks waits for an answer
            reply.problem = CommonholdError(f"That could not be done: {error}.").problem()
        if message.ask and not self._closed:
            self._send(reply)

    def _send(self, message: Message) -> None:
        self._writer.write(msgspec.json.encode(message) + b"\n")

    async def _drain(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.drain()


def _ended() -> Unreachable:
    return Unreachable("The sandboxed process ended before it answered.")
