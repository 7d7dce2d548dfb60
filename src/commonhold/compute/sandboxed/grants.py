"""What tasks wait for, in their threads, until their lender grants it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from commonhold.compute.job import parts_of


class Grants:
    """By the keys of tasks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, threading.Event] = {}

    def wait(self, key: str, ask: Callable[[], None]) -> None:
        """Ask, and return when it is granted, or when the task's job is over."""
        granted = threading.Event()
        with self._lock:
            self._waiting[key] = granted
        ask()
        granted.wait()
        with self._lock:
            self._waiting.pop(key, None)

    def grant(self, key: str) -> None:
        """The lender says yes. One that waits no more minds nothing."""
        with self._lock:
            if granted := self._waiting.get(key):
                granted.set()

    def forget(self, job: int) -> None:
        """That job is over: none of its tasks waits on."""
        with self._lock:
            for key, granted in self._waiting.items():
                if parts_of(key)[0] == job:
                    granted.set()
