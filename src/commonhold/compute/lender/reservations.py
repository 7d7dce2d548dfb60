"""Memory that tasks have asked for, on one lender, whoever's they are: no more of them run at a time than fit.

A worker sees to that among its own tasks; between those of several people it is seen to here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple


class Asker(NamedTuple):
    """A task, of whom, and in which session."""

    whose: Hashable
    session: Hashable
    task: str


class Reservations:
    """Who has how much, and who waits for it. `total` is what is lent now, in bytes; `most` what a person may have."""

    def __init__(self, total: Callable[[], int], most: Callable[[Any], int] | None = None) -> None:
        self._total = total
        self._most = most or (lambda _: total())
        self._granted: dict[Asker, int] = {}
        self._waiting: dict[Asker, tuple[int, Callable[[], None]]] = {}  # in the order in which they came

    def ask(self, asker: Asker, size: int, grant: Callable[[], None]) -> None:
        """`grant` is called when that task may begin: at once, when there is room and nobody is before it."""
        self._waiting[asker] = min(size, self._most(asker.whose)), grant
        self.look()

    def count(self, session: Hashable) -> int:
        """Of how many of its tasks there is anything here."""
        return sum(asker.session == session for asker in {**self._granted, **self._waiting})

    def give_back(self, asker: Asker) -> None:
        """It has ended, or waits no more."""
        self._granted.pop(asker, None)
        self._waiting.pop(asker, None)
        self.look()

    def leave(self, session: Hashable, job: str = "") -> None:
        """That session is over, or one job of it."""
        for asker in [*self._granted, *self._waiting]:
            if asker.session == session and asker.task.startswith(job and f"{job}-"):
                self._granted.pop(asker, None)
                self._waiting.pop(asker, None)
        self.look()

    def look(self) -> None:
        """Grant what fits. Whoever's turn it is and does not fit lets nobody else by, so that it will.

        But for who has all that one person may have: others' turn comes before that ends.
        """
        while (asker := self._first()) is not None:
            size, grant = self._waiting[asker]
            if self._granted and sum(self._granted.values()) + size > self._total():
                return
            del self._waiting[asker]
            self._granted[asker] = size
            grant()

    def _first(self) -> Asker | None:
        """The first of the person who has the least; of several, of whoever came first. None: nobody may have more."""
        has = Counter[Hashable]()
        for asker, size in self._granted.items():
            has[asker.whose] += size
        most = {whose: self._most(whose) for whose in has}
        may = [
            asker
            for asker, (size, _) in self._waiting.items()
            if not has[asker.whose] or has[asker.whose] + size <= most[asker.whose]
        ]
        return min(may, key=lambda asker: has[asker.whose], default=None)
