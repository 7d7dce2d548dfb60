"""A `concurrent.futures.Executor` whose calls run on lent processors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from types import TracebackType
from typing import Any, TypeVar

from commonhold.compute.parcel import Parcel, pack
from commonhold.compute.submitter.feeder import Feeder
from commonhold.compute.submitter.holding import Holding
from commonhold.compute.submitter.queues import Call
from commonhold.errors import WrongUsage

T = TypeVar("T")


class LentExecutor(Executor):
    """Made by `Network.executor`. Several threads may use it; a process that was forked may not."""

    def __init__(self, hold: Callable[[], Holding], retries: int) -> None:
        """`hold` asks for a session; a call that raises is tried again `retries` times."""
        if not 0 <= retries <= 100:
            raise WrongUsage("Retries are out of bounds.")
        self._process = os.getpid()
        self._feeder = Feeder(hold, retries)
        self._closed = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Who does not take part or was lost, and why: a sentence each."""
        return tuple(self._feeder.notes)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future of `fn(*args, **kwargs)`. Raises NotFound when no computer has a module that it needs."""
        self._require_open()
        call = self._call(args, kwargs)
        self._send(fn, [call], None)
        return call.future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
    ) -> Iterator[T]:
        """As the built-in `map`, with all calls made at once: results in order, and an exception where its turn is.

        `timeout` is in seconds from now; TimeoutError is raised then. Calls travel together as far as they are short;
        `chunksize` says instead how many.
        """
        self._require_open()
        if chunksize is not None and chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        calls = [self._call(words, {}) for words in zip(*iterables, strict=False)]
        if calls:
            self._send(fn, calls, chunksize)
        return _results([call.future for call in calls], end)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. `cancel_futures` cancels those that were not sent yet; `wait` until the others end."""
        self._shut("waiting" if cancel_futures else "")
        if wait:
            self._feeder.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        """Wait for all; but Ctrl-C, and whatever else ends the program, cancels what runs too."""
        self._shut("all" if kind is not None and not issubclass(kind, Exception) else "")
        self._feeder.join()
        return None

    def abandon(self) -> None:
        """Cancel everything, also what runs, and wait until that is done."""
        self._shut("all")
        self._feeder.join()

    def _shut(self, cancel: str) -> None:
        if os.getpid() == self._process:
            self._closed = True
            self._feeder.close(cancel)

    def _require_open(self) -> None:
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if os.getpid() != self._process:
            raise RuntimeError("this executor belongs to the process that made it, and not to its fork")
        if (trouble := self._feeder.broken) is not None:
            raise BrokenExecutor(str(trouble)) from trouble

    def _call(self, words: tuple[Any, ...], named: dict[str, Any]) -> Call:
        call = Call(words, named)
        call.future.add_done_callback(self._ended)
        return call

    def _ended(self, future: Future[Any]) -> None:
        if future.cancelled():
            future.set_running_or_notify_cancel()  # so that whoever waits for it hears
            self._feeder.notice_cancelled()

    def _send(self, fn: Callable[..., Any], calls: list[Call], fixed: int | None) -> None:
        """A function that cannot be pickled fails its calls, as in other executors."""
        try:
            parcel = pack(fn)
        except Exception as error:
            for call in calls:
                call.future.set_exception(error)
            return
        parcel = _with_arguments(parcel, calls[0])
        self._feeder.require(parcel)
        self._feeder.put(parcel, calls, fixed)


def _with_arguments(parcel: Parcel, first: Call) -> Parcel:
    """The function, and which modules its first arguments need beside its own. What is wrong with them shows later."""
    try:
        words = pack((first.words, first.named), parcel.carried)
    except Exception:
        return parcel
    return Parcel(parcel.data, parcel.modules | words.modules, words.carried)


def _results(futures: list[Future[T]], end: float | None) -> Iterator[T]:
    """In order; those that nobody will ask for are cancelled."""
    futures.reverse()
    try:
        while futures:
            # Without a reference to the future of a result that was handed out, it is forgotten as soon as it can be.
            yield _result(futures.pop(), end)
    finally:
        for future in futures:
            future.cancel()


def _result(future: Future[T], end: float | None) -> T:
    try:
        return future.result(None if end is None else end - time.monotonic())
    finally:
        future.cancel()  # nothing happens to one that has ended
