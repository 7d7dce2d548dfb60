"""Calls functions, inside a worker: one batch after the other, since each process has one thread for them.

Dask finds what is here by its name, so that none of our code travels.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import importlib.util
import io
import os
import pickle
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import cloudpickle
from distributed import get_worker

from commonhold.compute.job import KEPT_OUTPUT
from commonhold.compute.sandboxed.engine import QuietWorker

ENDS_WITHIN = 2.0  # seconds that a cancelled call gets to end before its process does

_running: dict[str, int] = {}  # batches, and the threads they run in
_lock = threading.Lock()


class BrokenOff(BaseException):
    """Raised inside a call that was cancelled."""


class CallOutcome(NamedTuple):
    """What became of one call: `data` is the pickle of its result, or of what it raised, with the traceback as text."""

    done: bool
    data: bytes
    traceback: str = ""


class BatchReply(NamedTuple):
    """What became of a batch. Calls without an outcome were not begun."""

    outcomes: list[CallOutcome]
    seconds: float
    printed: str
    complained: str  # on standard error
    opened: bool = True  # else the batch could not be read, and its one outcome says why


def perform(batch: str, function: bytes, calls: bytes, retries: int, budget: float) -> BatchReply:
    """Make the calls, until the budget of seconds is spent. What they print goes back with the results."""
    began = time.perf_counter()
    outcomes: list[CallOutcome] = []
    with contextlib.redirect_stdout(Printed()) as printed, contextlib.redirect_stderr(Printed()) as complained:
        try:
            callee, todo = _opened(function), pickle.loads(calls)  # noqa: S301 - in a sandbox, made by whoever rents it
        except BaseException as error:
            return BatchReply([_raised(error)], 0.0, "", "", opened=False)
        with contextlib.suppress(BrokenOff), _interruptible(batch):
            for words, named in todo:
                outcomes.append(_outcome(callee, words, named, retries))
                if time.perf_counter() - began > budget:
                    break
    return BatchReply(outcomes, time.perf_counter() - began, printed.getvalue(), complained.getvalue())


@functools.lru_cache(maxsize=8)
def _opened(function: bytes) -> Callable[..., Any]:
    return cast("Callable[..., Any]", pickle.loads(function))  # noqa: S301 - as above


def _outcome(callee: Callable[..., Any], words: Sequence[Any], named: dict[str, Any], retries: int) -> CallOutcome:
    while True:
        try:
            return CallOutcome(True, _pickled(callee(*words, **named)))
        except BrokenOff:
            raise
        except BaseException as error:
            if retries <= 0:
                return _raised(error)
            retries -= 1


def _pickled(value: object) -> bytes:
    """By the quick way, unless it is of the person's own making."""
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception:
        return bytes(cloudpickle.dumps(value))


def _raised(error: BaseException) -> CallOutcome:
    """What a call raised. An exception that does not survive its pickle is told in words."""
    within = error.__traceback__.tb_next if error.__traceback__ else None  # our own frame is of no interest
    text = "".join(traceback.format_exception(type(error), error, within))
    computer = cast("QuietWorker", get_worker()).computer
    try:
        data = cloudpickle.dumps(error.with_traceback(None))
        pickle.loads(data)  # noqa: S301 - it was just made here
    except Exception:
        data = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return CallOutcome(False, data, f"on {computer}:\n{text}")


class Printed(io.StringIO):
    """What is printed in a batch: the first of it, and how much was left out."""

    left_out = 0

    def write(self, text: str) -> int:
        room = max(0, KEPT_OUTPUT - self.tell())
        self.left_out += len(text[room:])
        super().write(text[:room])
        return len(text)

    def getvalue(self) -> str:
        text = super().getvalue()
        return f"{text}\n… {self.left_out} characters left out …\n" if self.left_out else text


@contextlib.contextmanager
def _interruptible(batch: str) -> Iterator[None]:
    me = threading.get_ident()
    _running[batch] = me
    try:
        yield
    finally:
        with _lock:
            _running.pop(batch, None)
            _raise_in(me, None)  # one that has not arrived yet would hit whatever runs here next


def _raise_in(thread: int, what: type[BaseException] | None) -> None:
    """Raise it in a thread of Python, at its next instruction; None takes back what is still to be raised."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(what) if what else None)


async def interrupt(batches: Sequence[str]) -> None:
    """End these, if they run here: by an exception, and if that is of no use (a call in C), with the whole process."""
    for batch in batches:
        with _lock:
            if (thread := _running.get(batch)) is not None:
                _raise_in(thread, BrokenOff)
        if thread is not None:
            asyncio.get_running_loop().call_later(ENDS_WITHIN, _end_if_running, batch)


def _end_if_running(batch: str) -> None:
    if batch in _running:
        os._exit(1)


def missing(modules: Sequence[str]) -> list[str]:
    """Those that this computer does not have."""
    return [name for name in modules if not _found(name)]


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except Exception:  # looking for a.b imports a, which may do anything
        return False


def keep(data: bytes) -> bytes:
    """A large function, sent once and then passed on among the workers."""
    return data
