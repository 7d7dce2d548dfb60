"""Tasks that wait at a session's scheduler, and in which batches they go to its workers. Pure.

Dask's way with a task costs some milliseconds of computing, a short command less: short ones travel together
(batching.py). Who has one that takes longer gives back what is behind it (series.py).
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from commonhold.compute.batching import AHEAD, BatchPace

MOMENT = 0.1  # seconds that a batch should take: what is behind one that takes longer than it should waits

Spec = dict[str, Any]  # of one task, as task.perform takes it


class Label(NamedTuple):
    """What all tasks of one batch have in common."""

    job: int
    turn: int  # how often the job's tasks have been handed out: what was lost once goes first
    retries: int
    cores: int
    memory: int  # bytes that each asks for; 0: none in particular
    on: tuple[str, ...]  # participants that may run it; none: all


class Shelf:
    """The tasks that need the same."""

    def __init__(self) -> None:
        self.waiting: deque[Spec] = deque()
        self.out = 0  # batches
        self.pace = BatchPace(MOMENT)

    def take(self, label: Label, places: int) -> dict[str, Spec]:
        """What goes together next. Dask itself tries a task again; and some are to run alone."""
        count = 1 if label.retries else self.pace.size(len(self.waiting), places)
        taken = [self.waiting.popleft()]
        while self.waiting and len(taken) < count and not (taken[0]["alone"] or self.waiting[0]["alone"]):
            taken.append(self.waiting.popleft())
        return {spec["key"]: spec for spec in taken}


class Lot(NamedTuple):
    """A batch that is out: its tasks that have not ended, by their keys."""

    name: str
    label: Label
    specs: dict[str, Spec]


class Stock:
    """Of one session. A task is in it from `add` until it has ended, or is dropped or lost with its worker."""

    def __init__(self) -> None:
        self._shelves: dict[Label, Shelf] = {}
        self._out: dict[str, Lot] = {}
        self._of: dict[str, Lot] = {}  # by task
        self._numbers = itertools.count(1)

    def add(self, label: Label, specs: Iterable[Spec]) -> None:
        self._shelves.setdefault(label, Shelf()).waiting.extend(specs)

    def next(self, places: Callable[[Label], int]) -> Iterator[Lot]:
        """The batches that go out now. `places`: how many can run at a time; some more go, to be there in time."""
        for label, shelf in sorted(self._shelves.items(), key=lambda item: -item[0].turn):
            room = places(label)
            while shelf.waiting and shelf.out < AHEAD * room:
                lot = Lot(f"batch-{next(self._numbers)}", label, shelf.take(label, room))
                shelf.out += 1
                self._out[lot.name] = lot
                self._of.update(dict.fromkeys(lot.specs, lot))
                yield lot

    def lot(self, name: str) -> Lot | None:
        """The batch of that name that is out."""
        return self._out.get(name)

    def end(self, lot: Lot, key: str, seconds: float, size: int) -> None:
        """That task of the batch has ended: it took so long, and so many characters to tell of it."""
        del lot.specs[key], self._of[key]
        self._shelves[lot.label].pace.heed(1, max(seconds, 0.0), size)

    def put_back(self, lot: Lot, keys: Iterable[str]) -> list[str]:
        """Those of them that are still in the batch wait again, before others. -> These."""
        back = [key for key in keys if key in lot.specs]
        for key in reversed(back):
            del self._of[key]
            self._shelves[lot.label].waiting.appendleft(lot.specs.pop(key))
        return back

    def close(self, name: str) -> list[str]:
        """That batch is out no more. -> Its tasks that have not ended: they are forgotten."""
        lot = self._out.pop(name, None)
        if lot is None:
            return []
        for key in lot.specs:
            del self._of[key]
        shelf = self._shelves[lot.label]
        shelf.out -= 1
        self._forget(lot.label, shelf)
        return list(lot.specs)

    def drop(self, keys: Iterable[str]) -> list[str]:
        """Forget these tasks, whether they wait or are out. -> The batches, closed now, of which nothing is left."""
        dropped = set(keys)
        for label, shelf in list(self._shelves.items()):
            if any(spec["key"] in dropped for spec in shelf.waiting):
                shelf.waiting = deque(spec for spec in shelf.waiting if spec["key"] not in dropped)
                self._forget(label, shelf)
        lots = {lot.name: lot for key in dropped if (lot := self._of.get(key))}
        for lot in lots.values():
            for key in dropped & lot.specs.keys():
                del lot.specs[key], self._of[key]
        empty = [name for name, lot in lots.items() if not lot.specs]
        for name in empty:
            self.close(name)
        return empty

    def _forget(self, label: Label, shelf: Shelf) -> None:
        if not shelf.waiting and not shelf.out:
            del self._shelves[label]
