"""Tasks that came to a worker together: they run one after the other, and how they ended is told together.

When that takes more than a moment, what has not begun goes back, so that nothing waits behind a long one while a
processor is free elsewhere; from then on each end is told at once. So is one that stored outputs: when the
worker dies, what nobody has heard of runs again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

MOMENT = 0.25  # seconds
MOST_TOLD = 2**17  # characters of outcomes that are told together

Outcomes = list[dict[str, Any]]


class Word(msgspec.Struct, frozen=True):
    """What a worker tells of the batch of that name."""

    batch: str
    ended: Outcomes
    back: list[str]  # keys of tasks that it has not begun


class Series:
    """`next` and `ended` in the thread that runs it; `hurry` in another one, when the moment is over."""

    def __init__(self, batch: str, specs: Iterable[dict[str, Any]], tell: Callable[[Word], None]) -> None:
        """`tell` is called with the lock held: it only hands on."""
        self._batch = batch
        self._waiting = deque(specs)
        self._tell = tell
        self._ended: Outcomes = []
        self._size = 0
        self._hurried = len(self._waiting) < 2
        self._lock = threading.Lock()

    @property
    def several(self) -> bool:
        return not self._hurried

    def next(self) -> dict[str, Any] | None:
        """The next task's spec; None when there is none."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def ended(self, outcome: dict[str, Any]) -> None:
        """With its `key`."""
        with self._lock:
            self._ended.append(outcome)
            self._size += size_of(outcome)
            if self._hurried or not self._waiting or self._size > MOST_TOLD or outcome.get("outputs"):
                self._say([])

    def hurry(self) -> None:
        with self._lock:
            back = [spec["key"] for spec in self._waiting]
            self._waiting.clear()
            if not self._hurried and (back or self._ended):
                self._say(back)
            self._hurried = True

    def _say(self, back: list[str]) -> None:
        self._tell(Word(self._batch, self._ended, back))
        self._ended, self._size = [], 0


def size_of(outcome: dict[str, Any]) -> int:
    """Characters of what a task printed."""
    return len(outcome.get("output", "")) + len(outcome.get("error", ""))
