"""Which tasks of a worker run now, in their threads: on as many cores as its lender says."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


class Turnstile:
    """Tasks run side by side; one that may have killed its worker runs alone, so that it alone is to blame.

    Dask gives a worker tasks for all cores of its lender. When other people want these too, the worker may use
    fewer (`use`), and its tasks wait here until others of its own have ended.
    """

    def __init__(self) -> None:
        self.on_wanted: Callable[[], object] | None = None  # called in a task's thread: some wait, after a rest
        self._changed = threading.Condition()
        self._cores: int | None = None  # that may be used now; all that Dask knows of, while nobody has said less
        self._inside = 0  # tasks
        self._used = 0  # cores, by those inside
        self._alone = False  # one is inside that wants nobody beside it
        self._wanted_alone = 0
        self._wanted = 0  # cores, by those inside and those who wait
        self._most_wanted = 0  # of late
        self._resting = True

    def use(self, cores: int) -> None:
        """So many cores from now on. What runs is not stopped."""
        with self._changed:
            self._cores = cores
            self._changed.notify_all()

    def look(self) -> int:
        """How many cores were wanted at most since the last look."""
        with self._changed:
            most, self._most_wanted = self._most_wanted, self._wanted
            self._resting = most == 0
            return most

    @contextlib.contextmanager
    def passed(self, alone: bool, cores: int = 1) -> Iterator[None]:
        """Waits until one may run, with so many cores. Those who want to be alone go first."""
        with self._changed:
            self._want(cores)
            self._wanted_alone += alone
            self._changed.wait_for(lambda: self._may_pass(alone, cores))
            self._wanted_alone -= alone
            self._count(1, cores, alone)
        try:
            yield
        finally:
            with self._changed:
                self._count(-1, -cores, False)
                self._wanted -= cores
                self._changed.notify_all()

    def _want(self, cores: int) -> None:
        self._wanted += cores
        self._most_wanted = max(self._most_wanted, self._wanted)
        if self._resting and self.on_wanted is not None:
            self._resting = False
            self.on_wanted()

    def _may_pass(self, alone: bool, cores: int) -> bool:
        """One that needs more cores than there are for this worker now passes when nothing else runs."""
        if self._cores == 0 or self._alone:
            return False
        if self._inside == 0:
            return alone or not self._wanted_alone
        return not alone and not self._wanted_alone and (self._cores is None or self._used + cores <= self._cores)

    def _count(self, tasks: int, cores: int, alone: bool) -> None:
        self._inside += tasks
        self._used += cores
        self._alone = alone
