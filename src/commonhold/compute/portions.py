"""Which session has how many of the cores that are lent here: told to each worker, whenever that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from commonhold.compute.fairness import portions
from commonhold.names import PersonId

TURN_EVERY = 2.0  # seconds until what does not divide evenly goes to another


class Portion:
    """One session's. Its worker says how many cores it wants: as many as its tasks would use, up to all."""

    def __init__(self, of: Portions, whose: PersonId | None, tell: Callable[[int], None]) -> None:
        self.whose = whose
        self.wants = 0
        self.told: int | None = None
        self.tell = tell
        self._of = of

    def want(self, cores: int) -> None:
        """A stranger's word: more than all is all, and a lie gets nobody more than an equal part."""
        if cores != self.wants:
            self.wants = max(0, cores)
            self._of.look()

    def close(self) -> None:
        """It wants nothing any more."""
        self._of.leave(self)


class Portions:
    """Of all sessions of one lender. On the event loop only."""

    def __init__(self, cores: Callable[[], int], most: Callable[[PersonId | None, int], int]) -> None:
        """`most`: of so many cores, those that a person may have."""
        self._cores = cores
        self._most = most
        self._open: dict[Portion, None] = {}
        self._turn = 0
        self._next: asyncio.TimerHandle | None = None

    def open(self, whose: PersonId | None, tell: Callable[[int], None]) -> Portion:
        """A session's of that person begins. `tell` hears how many cores it may use, unless these are all."""
        portion = Portion(self, whose, tell)
        self._open[portion] = None
        self.look()
        return portion

    def leave(self, portion: Portion) -> None:
        if portion in self._open:
            del self._open[portion]
            self.look()

    def look(self) -> None:
        """Divide anew, and tell those for whom it changes."""
        cores = self._cores()
        wants = {portion: min(portion.wants, cores) for portion in self._open}
        now = self._divided(cores, wants)
        for portion, wanted in wants.items():
            # Of what it could have beyond its wants it is told too, so that it need not ask first.
            mine = now[portion] if wanted == cores else self._divided(cores, {**wants, portion: cores})[portion]
            if mine != (cores if portion.told is None else portion.told):
                portion.told = mine
                portion.tell(mine)
        scarce = sum(wants.values()) > cores and sum(map(bool, wants.values())) > 1
        if scarce and self._next is None:
            self._next = asyncio.get_running_loop().call_later(TURN_EVERY, self._next_turn)
        elif self._next is not None and not scarce:
            self._next.cancel()
            self._next = None

    def _divided(self, cores: int, wants: dict[Portion, int]) -> dict[Portion, int]:
        by_person: dict[PersonId | None, dict[Portion, int]] = {}
        for portion, wanted in wants.items():
            by_person.setdefault(portion.whose, {})[portion] = wanted
        most = {person: self._most(person, cores) for person in by_person}
        return portions(cores, by_person, most, self._turn)

    def _next_turn(self) -> None:
        self._next = None
        self._turn += 1
        self.look()
