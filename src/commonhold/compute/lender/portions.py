"""Which session has how much of the cores and the memory that are lent here: told to each worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from commonhold.compute.fairness import portions
from commonhold.compute.lender.reservations import Asker, Reservations
from commonhold.names import PersonId

MOST_AHEAD = 8  # more tasks than it has cores, of which one worker may ask for memory at a time: some have just ended
TURN_EVERY = 2.0  # seconds until what does not divide evenly goes to another


class Portion:
    """One session's. Its worker says how many cores it wants: as many as its tasks would use, up to all."""

    def __init__(self, of: Portions, whose: PersonId | None, cores: int, tell: Callable[[int], None]) -> None:
        self.whose = whose
        self.wants = 0
        self.told = cores  # how many its worker uses at most
        self.tell = tell
        self._places = cores + MOST_AHEAD
        self._of = of

    def want(self, cores: int) -> None:
        """A stranger's word: more than all is all, and a lie gets nobody more than an equal part."""
        if cores != self.wants:
            self.wants = max(0, cores)
            self._of.look()

    def reserve(self, key: str, memory: int, grant: Callable[[], None]) -> None:
        """`grant` is called when there are so many bytes for that task, beside all that others have asked for.

        A stranger's word: more than its person may have is that, and of more tasks than run at a time nothing is heard.
        """
        if self._of.reservations.count(self) < self._places:
            self._of.reservations.ask(self._asker(key), memory, grant)

    def give_back(self, key: str) -> None:
        """That task has ended."""
        self._of.reservations.give_back(self._asker(key))

    def forget(self, job: int) -> None:
        """That job is over."""
        self._of.reservations.leave(self, str(job))

    def _asker(self, key: str) -> Asker:
        return Asker(self.whose, self, key)

    def close(self) -> None:
        """It wants nothing any more, and holds nothing."""
        self._of.reservations.leave(self)
        self._of.leave(self)


class Portions:
    """Of all sessions of one lender. On the event loop only."""

    def __init__(
        self,
        cores: Callable[[], int],
        most: Callable[[PersonId | None, int], int],
        memory: Callable[[PersonId | None], int],
    ) -> None:
        """`most`: of so many cores, those that a person may have.

        `memory`: the bytes that tasks of a person may ask for; None: of all together.
        """
        self.reservations = Reservations(lambda: memory(None), memory)
        self._cores = cores
        self._most = most
        self._open: dict[Portion, None] = {}
        self._turn = 0
        self._next: asyncio.TimerHandle | None = None

    def open(self, whose: PersonId | None, cores: int, tell: Callable[[int], None]) -> Portion:
        """A session's of that person begins, with so many cores. `tell` hears how many others these are from now on."""
        portion = Portion(self, whose, cores, tell)
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
            if mine != portion.told:
                portion.told = mine
                portion.tell(mine)
        scarce = sum(wants.values()) > cores and sum(map(bool, wants.values())) > 1
        if scarce and self._next is None:
            self._next = asyncio.get_running_loop().call_later(TURN_EVERY, self._next_turn)
        elif self._next is not None and not scarce:
            self._next.cancel()
            self._next = None
        self.reservations.look()

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
