"""An event simulation of people who think, ask and wait, for what means cannot tell. *Pure*: chance is handed in.

Percentiles, one computer that most ask, computers that sleep, a server that fails, owners who come back and want their
processor. Most stations serve in the order of arrival, so that the moment at which a request leaves is known when it
comes: one step of the heap for an arrival and a departure. Links and processors may be shared instead: whoever is there
gets an equal part. Same chance, same result. Times are in seconds.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from math import inf, log, sqrt
from typing import NamedTuple, Protocol, cast

from commonhold.errors import WrongUsage

BATCHES = 20  # of a run: their means are nearly independent, and bound the mean of all
STUDENT = 2.093  # Student's t with 19 degrees of freedom: of 95 in 100 means of so many batches
WARM_UP = 0.1  # of the requests: they began with nobody waiting

Draw = Callable[[], float]  # a time, another one each time


class Chance(Protocol):
    """What random.Random(seed) is."""

    def random(self) -> float: ...


class Absence(NamedTuple):
    """A station that is away again and again, or whose owner comes back: then its work takes `slows` times as long.

    Infinite: it stands still, and goes on where it was.
    """

    there: Draw
    away: Draw
    slows: float = inf


class Facility(NamedTuple):
    """A station at which so many requests are served at once, each by one server.

    `shared`: all at once, with equal parts of the servers, but no more than one for each; never away. `together`: so
    many servers go away at once, by themselves, and work whose server goes away begins anew at another one.
    """

    name: str
    servers: int = 1
    absence: Absence | None = None
    shared: bool = False
    together: int = 0


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
    held: Sequence[float] = ()  # how long each waited who came to a facility that was away, and did not give up

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
    warm_up: int | None = None,
) -> Sample:
    """Let so many people ask, until `requests` were answered or given up.

    `patience`: how long a request waits for a facility that is away, before it is given up. `warm_up`: how many of
    the first do not count; a tenth, unless told.
    """
    lines = [_Crowd(each.servers) if each.shared else _line(each, patience) for each in facilities]
    choose = _choice(routes, chance)
    records = _Records(lines, requests, warm_up)
    heap: list[_Event] = [(think(), who, 0, 0.0, choose()) for who in range(people)]
    heapify(heap)
    while True:
        now, who, step, asked, visits = heap[0]
        if who < 0:
            cast(_Crowd, lines[-1 - who]).depart(heap, step)
            continue
        if not step:
            asked = now
        elif step == len(visits):
            if records.add(asked, now):
                return records.sample(now)
            heapreplace(heap, (now + think(), who, 0, 0.0, choose()))
            continue
        facility, draw = visits[step]
        line = lines[facility]
        if isinstance(line, _Crowd):
            line.arrive(heap, (who, step + 1, asked, visits), draw(), -1 - facility)
            continue
        leaves = line.take(now, draw)
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
    lines = [_line(facility, inf) for facility in facilities]
    records = _Records(lines, requests)
    takes, add, length = [line.take for line in lines], records.add, len(route.visits)
    heap: list[_Event] = [(between(), 0, 0, 0.0, route.visits)]
    born = 0
    while True:
        now, who, step, asked, visits = heap[0]
        if step == length:
            if add(asked, now):
                return records.sample(now)
            heappop(heap)
            continue
        if not step:
            asked, born = now, born + 1
            heappush(heap, (now + between(), born, 0, 0.0, visits))
        facility, draw = visits[step]
        heapreplace(heap, (takes[facility](now, draw), who, step + 1, asked, visits))


# When, who, at which step, asked when, of which visits. A crowd's next departure: its number below 0, and which.
_Event = tuple[float, int, int, float, tuple[tuple[int, Draw], ...]]
_Visitor = tuple[int, int, float, tuple[tuple[int, Draw], ...]]


class _Line:
    """One facility that is always there, and since when each of its servers is free again."""

    __slots__ = ("_free", "busy", "held", "servers", "taken")

    def __init__(self, facility: Facility) -> None:
        self.servers = facility.servers
        self._free = [0.0] * facility.servers
        self.busy = 0.0
        self.taken = 0
        self.held = array("d")

    def take(self, now: float, draw: Draw) -> float:
        """When a request that comes now leaves; never, when it is given up."""
        free, seconds = self._free[0], draw()
        self.taken += 1
        self.busy += seconds
        leaves = (free if free > now else now) + seconds  # what `max` does, in half of its time
        heapreplace(self._free, leaves)
        return leaves


class _Interrupted(_Line):
    """One facility that goes away as a whole, or whose owner comes back."""

    __slots__ = ("_back", "_patience", "_presence")

    def __init__(self, facility: Facility, absence: Absence, patience: float) -> None:
        super().__init__(facility)
        self._presence = _Presence(absence)
        self._back = 0.0  # from the last absence in which somebody came
        self._patience = patience

    def take(self, now: float, draw: Draw) -> float:
        """As above."""
        seconds, presence = draw(), self._presence
        presence.forget(now)
        start = max(now, self._free[0])
        begins = presence.begins(start)
        if begins > start:
            if begins - now > self._patience:
                return inf
            self._back = begins
        if now < self._back:
            self.held.append(begins - now)
        leaves = presence.done(begins, seconds)
        if presence.stops and leaves - begins - seconds > self._patience:
            heapreplace(self._free, presence.leaves(begins))
            return inf
        self.taken += 1
        self.busy += seconds
        heapreplace(self._free, leaves)
        return leaves


class _Scattered(_Line):
    """One facility whose servers go away each by itself."""

    __slots__ = ("_each", "_patience")

    def __init__(self, facility: Facility, absence: Absence, patience: float) -> None:
        super().__init__(facility)
        self._patience = patience
        presences = [_Presence(absence) for _ in range(-(-facility.servers // facility.together))]
        self._each = [presences[number // facility.together] for number in range(facility.servers)]

    def take(self, now: float, draw: Draw) -> float:
        """As above. Whose server goes away is the next to begin at another one: later comers see it as taken."""
        seconds, moment = draw(), now
        for each in self._each:
            each.forget(now)
        while True:
            turns = [
                (each.begins(max(moment, free)), number)
                for number, (each, free) in enumerate(zip(self._each, self._free, strict=True))
            ]
            begins, number = min(turns)
            if begins - now > self._patience:
                return inf
            leaves, ends = begins + seconds, self._each[number].leaves(begins)
            self._free[number] = min(leaves, ends)
            self.busy += self._free[number] - begins
            if leaves <= ends:
                self.taken += 1
                return leaves
            moment = ends


class _Presence:
    """When something is there, from the last moment on that was to be forgotten."""

    __slots__ = ("_absence", "_known", "_slows", "_spells", "stops")

    def __init__(self, absence: Absence) -> None:
        self._absence = absence
        self._slows = absence.slows
        self.stops = absence.slows == inf
        self._spells: deque[tuple[float, float]] = deque()  # from when to when it is away
        self._known = 0.0  # until then

    def forget(self, moment: float) -> None:
        """Nobody will ask for what was before it."""
        while self._spell(0)[1] <= moment:
            self._spells.popleft()

    def begins(self, moment: float) -> float:
        """When work can begin, from that moment on."""
        away, back = self._spell(self._next(moment))
        return back if away <= moment and self.stops else moment

    def leaves(self, moment: float) -> float:
        """When it goes away next."""
        return self._spell(self._next(moment))[0]

    def done(self, begins: float, seconds: float) -> float:
        """When so much work is done that begins then."""
        at, left, number = begins, seconds, self._next(begins)
        while True:
            away, back = self._spell(number)
            number += 1
            if at < away:
                if left <= away - at:
                    return at + left
                left -= away - at
                at = away
            if left * self._slows <= back - at:
                return at + left * self._slows
            left -= (back - at) / self._slows
            at = back

    def _next(self, moment: float) -> int:
        """The number of the absence of that moment, or the first one after it."""
        number = 0
        while self._spell(number)[1] <= moment:
            number += 1
        return number

    def _spell(self, number: int) -> tuple[float, float]:
        while len(self._spells) <= number:
            away = self._known + self._absence.there()
            self._known = away + self._absence.away()
            self._spells.append((away, self._known))
        return self._spells[number]


class _Crowd:
    """One facility that all who are there share: each has had `_had` seconds of a server since the beginning."""

    __slots__ = ("_at", "_had", "_inside", "_which", "busy", "held", "servers", "taken")

    def __init__(self, servers: int) -> None:
        self.servers = servers
        self._inside: list[tuple[float, int, _Visitor]] = []  # by what they will have had when they leave
        self._at = self._had = 0.0
        self._which = 0  # of its departures was announced last: others no longer hold
        self.busy = 0.0
        self.taken = 0
        self.held = array("d")

    def arrive(self, heap: list[_Event], visitor: _Visitor, seconds: float, number: int) -> None:
        """The first event of the heap is who comes."""
        self._pass(heap[0][0])
        self.taken += 1
        heappush(self._inside, (self._had + seconds, self.taken, visitor))
        heapreplace(heap, self._departure(number))

    def depart(self, heap: list[_Event], which: int) -> None:
        """The first event of the heap is a departure from here."""
        now, number = heap[0][:2]
        if which != self._which:
            heappop(heap)
            return
        self._pass(now)
        self._had = self._inside[0][0]  # exactly: sums of parts are not
        heapreplace(heap, (now, *heappop(self._inside)[2]))
        if self._inside:
            heappush(heap, self._departure(number))

    def _departure(self, number: int) -> _Event:
        self._which += 1
        rate = min(1.0, self.servers / len(self._inside))
        return (self._at + max(0.0, self._inside[0][0] - self._had) / rate, number, self._which, 0.0, ())

    def _pass(self, now: float) -> None:
        if inside := len(self._inside):
            working = min(inside, self.servers)
            self._had += (now - self._at) * working / inside
            self.busy += (now - self._at) * working
        self._at = now


def _line(facility: Facility, patience: float) -> _Line:
    if facility.absence is None:
        return _Line(facility)
    return (_Scattered if facility.together else _Interrupted)(facility, facility.absence, patience)


class _Records:
    """What is kept of a run, but of its first requests."""

    def __init__(self, lines: Sequence[_Line | _Crowd], requests: int, warm_up: int | None = None) -> None:
        self._lines = lines
        self._left = requests
        self._warming = int(requests * WARM_UP) if warm_up is None else warm_up
        self._since = 0.0
        self._busy = [0.0] * len(lines)
        self._held = [0] * len(lines)
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
                self._held = [len(line.held) for line in self._lines]
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
        held = array("d")
        for line, before in zip(self._lines, self._held, strict=True):
            held += line.held[before:]
        events = 2 * sum(line.taken for line in self._lines)
        return Sample(self._responses, self._failures, seconds, events, busy, held)


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
