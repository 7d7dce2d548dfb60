"""An event simulation of people who think, ask and wait, for what means cannot tell. *Pure*: chance is handed in.

Percentiles, one computer that most ask, computers that sleep, a server that fails, owners who come back and want their
processor. Stations serve in the order of arrival, so that the moment at which a request leaves is known when it
comes: one step of the heap for an arrival and a departure. Same chance, same result. Times are in seconds.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from math import inf, log, sqrt
from typing import NamedTuple, Protocol

from commonhold.errors import WrongUsage

BATCHES = 20  # of a run: their means are nearly independent, and bound the mean of all
STUDENT = 2.093  # Student's t with 19 degrees of freedom: of 95 in 100 means of so many batches
WARM_UP = 0.1  # of the requests: they began with nobody waiting

Draw = Callable[[], float]  # a time, another one each time


class Chance(Protocol):
    """What random.Random(seed) is."""

    def random(self) -> float: ...


class Absence(NamedTuple):
    """A station that is away again and again, or whose owner comes back: then each service takes `slows` times as long.

    Without end when it does not serve at all. What has begun is finished.
    """

    there: Draw
    away: Draw
    slows: float = inf


class Facility(NamedTuple):
    """A station at which so many requests are served at once."""

    name: str
    servers: int = 1
    absence: Absence | None = None


class Route(NamedTuple):
    """One kind of request: its share of all, and which facility it visits in turn, by number, for how long."""

    share: float
    visits: tuple[tuple[int, Draw], ...]


class Estimate(NamedTuple):
    """A mean, and how far from it the true one lies at most, in 95 of 100 runs."""

    mean: float
    within: float

    def covers(self, value: float) -> bool:
        return abs(value - self.mean) <= self.within


class Sample(NamedTuple):
    """What a run showed after its warm-up."""

    responses: array[float]  # from the asking to the answer, in the order of the answers
    failures: int  # requests that were given up
    seconds: float
    events: int  # arrivals and departures, those of the warm-up among them
    busy: tuple[float, ...]  # of each facility's servers, 0 to 1

    @property
    def throughput(self) -> float:
        return len(self.responses) / self.seconds

    def mean(self) -> Estimate:
        return estimate(self.responses)

    def percentiles(self, *parts: float) -> list[float]:
        """The response below which so large a part of all lies: `percentiles(0.5, 0.95)`."""
        ordered = sorted(self.responses)
        return [ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in parts]


def exponential(mean: float, chance: Chance) -> Draw:
    """Times that know nothing of how long it has taken already."""
    random = chance.random
    return lambda: -mean * log(1.0 - random())


def always(seconds: float) -> Draw:
    """The same time, each time."""
    return lambda: seconds


def estimate(values: Sequence[float]) -> Estimate:
    """The mean by batches, since what follows one another is alike. Raises WrongUsage for too few values."""
    size = len(values) // BATCHES
    if not size:
        raise WrongUsage(f"A mean with its bounds needs {BATCHES} values at least.", "let it run longer")
    means = [sum(values[at : at + size]) / size for at in range(0, size * BATCHES, size)]
    mean = sum(means) / BATCHES
    variance = sum((each - mean) ** 2 for each in means) / (BATCHES - 1)
    return Estimate(mean, STUDENT * sqrt(variance / BATCHES))


def closed(
    facilities: Sequence[Facility],
    routes: Sequence[Route],
    people: int,
    think: Draw,
    chance: Chance,
    *,
    requests: int,
    patience: float = inf,
) -> Sample:
    """Let so many people ask, until `requests` were answered or given up.

    `patience`: how long a request waits for a facility that is away, before it is given up.
    """
    lines = [_Line(facility, patience) for facility in facilities]
    choose = _choice(routes, chance)
    records = _Records(lines, requests)
    heap: list[_Event] = [(think(), who, 0, 0.0, choose()) for who in range(people)]
    heapify(heap)
    while True:
        now, who, step, asked, visits = heap[0]
        if not step:
            asked = now
        elif step == len(visits):
            if records.add(asked, now):
                return records.sample(now)
            heapreplace(heap, (now + think(), who, 0, 0.0, choose()))
            continue
        facility, draw = visits[step]
        leaves = lines[facility].take(now, draw)
        if leaves < inf:
            heapreplace(heap, (leaves, who, step + 1, asked, visits))
        elif records.add(asked, inf):
            return records.sample(now)
        else:
            heapreplace(heap, (now + patience + think(), who, 0, 0.0, choose()))


def open_(facilities: Sequence[Facility], route: Route, between: Draw, *, requests: int) -> Sample:
    """Let requests arrive whatever is waiting, `between` apart, until so many were answered.

    The facilities must be faster than they come, or the responses grow without end.
    """
    lines = [_Line(facility, inf) for facility in facilities]
    records = _Records(lines, requests)
    heap: list[_Event] = [(between(), 0, 0, 0.0, route.visits)]
    born = 0
    while True:
        now, who, step, asked, visits = heap[0]
        if step == len(visits):
            if records.add(asked, now):
                return records.sample(now)
            heappop(heap)
            continue
        if not step:
            asked, born = now, born + 1
            heappush(heap, (now + between(), born, 0, 0.0, visits))
        facility, draw = visits[step]
        heapreplace(heap, (lines[facility].take(now, draw), who, step + 1, asked, visits))


# When, who, at which step, asked when, of which visits.
_Event = tuple[float, int, int, float, tuple[tuple[int, Draw], ...]]


class _Line:
    """One facility, and since when each of its servers is free again."""

    __slots__ = ("_absence", "_away", "_back", "_free", "_patience", "busy", "servers", "taken")

    def __init__(self, facility: Facility, patience: float) -> None:
        self.servers = facility.servers
        self._free = [0.0] * facility.servers
        self._absence = facility.absence
        self._patience = patience
        self._away = facility.absence.there() if facility.absence else inf  # from when on
        self._back = self._away + facility.absence.away() if facility.absence else inf
        self.busy = 0.0
        self.taken = 0

    def take(self, now: float, draw: Draw) -> float:
        """When a request that comes now leaves; never, when it is given up."""
        start = max(now, self._free[0])
        seconds = draw()
        if start >= self._away:
            start, seconds = self._delayed(start, seconds)
            if start - now > self._patience:
                return inf
        self.taken += 1
        self.busy += seconds
        leaves = start + seconds
        if len(self._free) == 1:
            self._free[0] = leaves
        else:
            heapreplace(self._free, leaves)
        return leaves

    def _delayed(self, start: float, seconds: float) -> tuple[float, float]:
        """When service begins, and how long it takes, of what would begin after the facility went away."""
        absence = self._absence
        assert absence is not None  # noqa: S101 - only such facilities go away
        while start >= self._back:
            self._away = self._back + absence.there()
            self._back = self._away + absence.away()
        if start < self._away:
            return start, seconds
        return (start, seconds * absence.slows) if absence.slows < inf else (self._back, seconds)


class _Records:
    """What is kept of a run, but of its first requests."""

    def __init__(self, lines: Sequence[_Line], requests: int) -> None:
        self._lines = lines
        self._left = requests
        self._warming = int(requests * WARM_UP)
        self._since = 0.0
        self._busy = [0.0] * len(lines)
        self._responses = array("d")
        self._failures = 0

    def add(self, asked: float, answered: float) -> bool:
        """One that was answered, or given up (never answered). Whether it is the last."""
        self._left -= 1
        if self._warming:
            self._warming -= 1
            if not self._warming:
                self._since = max(asked, answered if answered < inf else asked)
                self._busy = [line.busy for line in self._lines]
        elif answered < inf:
            self._responses.append(answered - asked)
        else:
            self._failures += 1
        return self._left <= 0

    def sample(self, now: float) -> Sample:
        seconds = now - self._since
        busy = tuple(
            min(1.0, (line.busy - before) / seconds / line.servers)
            for line, before in zip(self._lines, self._busy, strict=True)
        )
        return Sample(self._responses, self._failures, seconds, 2 * sum(line.taken for line in self._lines), busy)


def _choice(routes: Sequence[Route], chance: Chance) -> Callable[[], tuple[tuple[int, Draw], ...]]:
    """Of which kind the next request is."""
    if not routes or any(not route.visits or route.share < 0 for route in routes):
        raise WrongUsage("Each kind of request visits something, and no share is negative.")
    if len(routes) == 1:
        return lambda: routes[0].visits
    sums = list(accumulate(route.share for route in routes))
    whole, random, visits = sums[-1], chance.random, [route.visits for route in routes]
    last = len(routes) - 1
    return lambda: visits[min(last, bisect(sums, random() * whole))]
