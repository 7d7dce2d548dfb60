"""Calls that wait to be sent: a line for each function, and batches taken from them in turn."""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from commonhold.compute.batching import BatchPace
from commonhold.compute.parcel import Parcel

MOST_PACES = 256  # functions whose times are remembered

Key = tuple[bytes, int | None]  # the function's digest, and how many calls go together when the person said so


class Call:
    """One call; whoever asked for it has its future."""

    __slots__ = ("alone", "future", "kills", "named", "words")

    def __init__(self, words: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.words, self.named = words, named
        self.future: Future[Any] = Future()
        self.alone = False  # it travels by itself, after it went wrong for others in its batch
        self.kills = 0  # how often it was in a batch that ended its processes


class CallQueue:
    """The calls of one function."""

    def __init__(self, key: Key, parcel: Parcel, pace: BatchPace) -> None:
        self.key = key
        self.parcel = parcel
        self.pace = pace
        self.waiting: deque[Call] = deque()
        self.shared: tuple[object, Any] | None = None  # the client, and the future of a large function there

    def take(self, processes: int) -> list[Call]:
        """The next batch: calls that were cancelled meanwhile are left out."""
        most = self.key[1] or self.pace.size(len(self.waiting), processes)
        taken: list[Call] = []
        while self.waiting and len(taken) < most:
            if self.waiting[0].alone and taken:
                break
            call = self.waiting.popleft()
            if not call.future.cancelled():
                taken.append(call)
            if call.alone and taken:
                break
        return taken

    def put_back(self, calls: Iterable[Call]) -> None:
        """Before the others: they were asked for earlier."""
        self.waiting.extendleft(reversed([call for call in calls if not call.future.done()]))


class Batch:
    _numbers = itertools.count(1)

    def __init__(self, line: CallQueue, calls: list[Call], session: str) -> None:
        self.name = f"calls-{session}-{next(self._numbers)}"
        self.line = line
        self.calls = calls
        self.size = 0  # bytes of its arguments
        self.future: Any = None  # Dask's


class Queues:
    """All that wait. Not safe between threads: who uses it has a lock."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Key, CallQueue] = OrderedDict()
        self._paces: OrderedDict[bytes, BatchPace] = OrderedDict()
        self._suspects: deque[tuple[CallQueue, Call]] = deque()

    @property
    def suspected(self) -> bool:
        """Whether the next batch is a call that may have ended its processes; those go before all others."""
        return bool(self._suspects)

    def add(self, parcel: Parcel, calls: Iterable[Call], fixed: int | None) -> None:
        key = parcel.digest(), fixed
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = CallQueue(key, parcel, self._pace(key[0]))
        line.waiting.extend(calls)

    def _pace(self, function: bytes) -> BatchPace:
        pace = self._paces.setdefault(function, BatchPace())
        self._paces.move_to_end(function)
        while len(self._paces) > MOST_PACES:
            self._paces.popitem(last=False)
        return pace

    def put_back(self, line: CallQueue, calls: Iterable[Call]) -> None:
        calls = list(calls)
        self._suspects.extend((line, call) for call in calls if call.kills)
        calls = [call for call in calls if not call.kills]
        current = self._lines.get(line.key, line)
        current.put_back(calls)
        if current.waiting:
            self._lines[line.key] = current

    def take(self, processes: int) -> tuple[CallQueue, list[Call]] | None:
        """The next batch of the function whose turn it is."""
        while self._suspects:
            line, call = self._suspects.popleft()
            if not call.future.cancelled():
                return line, [call]
        while self._lines:
            key, line = next(iter(self._lines.items()))
            calls = line.take(processes)
            if line.waiting:
                self._lines.move_to_end(key)
            else:
                del self._lines[key]
            if calls:
                return line, calls
        return None

    def __bool__(self) -> bool:
        return bool(self._lines or self._suspects)

    def calls(self) -> list[Call]:
        suspects = [call for _, call in self._suspects]
        return suspects + [call for line in self._lines.values() for call in line.waiting]
