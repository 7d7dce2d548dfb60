"""A node as a process: takes the lock of its home, serves until it is told to stop, says why it could not."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from logging.handlers import RotatingFileHandler
from typing import BinaryIO

from commonhold.errors import CommonholdError
from commonhold.home import Home
from commonhold.node.background import hold
from commonhold.node.node import Node
from commonhold.thrift import hold_little
from commonhold.transport import run as run_loop
from commonhold.wire import to_json

LOG_BYTES = 2**20
LOG_FILES = 3
LOOK = 2.0  # seconds between two looks whether the home is there

log = logging.getLogger(__name__)


def run(home: Home, ready_fd: int | None = None) -> None:
    """Serve in the foreground until SIGTERM or SIGINT, or until its home is removed; raises why it cannot.

    `ready_fd`: a pipe that gets one JSON line, `{}` when the node serves, else the problem.
    """
    _open_many()
    hold_little()
    starter = Starter(ready_fd)
    try:
        with hold(home) as lock:
            home.gateway_file.unlink(missing_ok=True)  # of a node that was killed: its process id may be another's now
            if ready_fd is not None:
                _log_to(home)
            run_loop(_serve(home, lock, starter))
    except CommonholdError as error:
        starter.tell(error.problem())
        raise


def _open_many() -> None:
    """As many connections and files as the system allows us: the usual 1024 are used up by anybody who connects."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS calls it unlimited, and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(home: Home, lock: BinaryIO, starter: Starter) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    watching = asyncio.create_task(_watch(home, lock, stopping))
    while not stopping.is_set():
        async with Node(home) as node:
            if not starter.tell({}):  # Ctrl-C ended it: nobody would know of this node
                break
            await _first(stopping, node.becoming)
            async with node.recovery.telling:
                log.info("stopping" if stopping.is_set() else "a new charter makes this computer something else")
    watching.cancel()


async def _watch(home: Home, lock: BinaryIO, stopping: asyncio.Event) -> None:
    """Without its home it keeps nothing of what it says it has, and no command finds it to end it.

    A home that was moved is still there for what is open, and some file systems count no names of a file.
    """
    while os.fstat(lock.fileno()).st_nlink or home.lock.exists():  # noqa: ASYNC110 - who removes a file sets no event
        await asyncio.sleep(LOOK)
    log.error("the home was removed")
    stopping.set()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of these is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


class Starter:
    """Whoever started this node and waits at a pipe, if anybody does: told once how it went."""

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe

    def tell(self, document: object) -> bool:
        """Whether it was heard, or nobody waits for it."""
        if (pipe := self._pipe) is None:
            return True
        self._pipe = None
        try:
            os.write(pipe, to_json(document) + b"\n")
            os.close(pipe)
        except OSError:
            log.info("whoever started this node did not wait for it")
            return False
        return True


def _log_to(home: Home) -> None:
    """The node's own words, rotated; what a library writes to standard error lands in the same file."""
    handler = RotatingFileHandler(home.log, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.excepthook = lambda kind, error, at: log.critical("the node died", exc_info=(kind, error, at))
