"""Closed queueing networks: how fast N people are served who think, ask, and wait for the answer. *Pure.*

Throughputs are in requests a second, times in seconds. A station's demand is the busy time that one request needs
there in all, however often it comes by: utilisation divided by throughput (Denning and Buzen 1978).

Exact mean value analysis after Reiser and Lavenberg (JACM 27(2), 1980); for many people Schweitzer's approximation;
several processors of one station by Seidmann's split; where requests of very different lengths are served in the order
of arrival, who comes waits for the rest of one that may be long (Reiser 1979), less so near saturation (`_rest`).
All give means: percentiles are simulate.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from commonhold.errors import WrongUsage

MOST_EXACT = 2_000  # people; beyond, Schweitzer's fixed point is as near as anybody can measure
CLOSE = 1e-10  # relative change at which the fixed point stands
MOST_TURNS = 100_000


class Station(NamedTuple):
    """What requests wait at: `demand` seconds of one request, worked on by `servers` at once, one request by each.

    `copies`: so many stations like this one, each of which has that demand. `variation`: variance of one visit's
    service by its mean's square, 1 or more; it matters in the order of arrival alone, and 1 says that it does not.
    """

    name: str
    demand: float
    servers: int = 1
    copies: int = 1
    variation: float = 1.0


class Load(NamedTuple):
    """How a closed network does with `people`: what one of a station's copies holds stands under its number."""

    people: int
    throughput: float
    response: float
    queues: tuple[float, ...]  # requests at each station, those that are worked on among them
    utilisations: tuple[float, ...]  # of each station's servers, 0 to 1


class Bounds(NamedTuple):
    """What no network of these demands can leave (Lazowska et al. 1984, chapter 5)."""

    least_throughput: float
    most_throughput: float
    least_response: float
    most_response: float


def total(stations: Sequence[Station]) -> float:
    """Seconds that a request needs when nobody else asks."""
    return sum(each.demand * each.copies for each in stations)


def bottleneck(stations: Sequence[Station]) -> float:
    """The longest time for which one request keeps a station from all others."""
    return max((each.demand / each.servers for each in stations), default=0.0)


def knee(stations: Sequence[Station], think: float) -> float:
    """The number of people from which on they begin to wait for one another.

    >>> knee([Station("link", 0.1)], think=1.0)
    11.0
    """
    longest = bottleneck(stations)
    return (total(stations) + think) / longest if longest else float("inf")


def bounds(stations: Sequence[Station], people: int, think: float) -> Bounds:
    """Between these lie throughput and mean response for so many people."""
    _require(stations, people, think)
    needed, longest = total(stations), bottleneck(stations)
    if not needed:
        free = people / think if think else float("inf")
        return Bounds(free, free, 0.0, 0.0)
    return Bounds(
        least_throughput=people / (people * needed + think),
        most_throughput=min(1 / longest, people / (needed + think)),
        least_response=max(needed, people * longest - think),
        most_response=people * needed,
    )


def exact(stations: Sequence[Station], people: int, think: float) -> list[Load]:
    """Mean value analysis: a Load for each number of people from 1 on. Takes about 3 µs for each and station.

    >>> round(exact([Station("link", 0.1)], 20, think=1.0)[-1].response, 3)
    1.004
    """
    _require(stations, people, think)
    queueing, waiting = _split(stations)
    copies = [each.copies for each in stations]
    at_once = _sumprod(copies, waiting)
    queues, throughput, uneven = [0.0] * len(stations), 0.0, _uneven(stations)
    found = []
    for number in range(1, people + 1):
        times = [demand * (1.0 + queue) for demand, queue in zip(queueing, queues, strict=True)]
        for place in uneven:
            times[place] += _rest(stations[place], queueing[place], throughput)
        response = _sumprod(copies, times) + at_once
        throughput = number / (think + response)
        queues = [throughput * time for time in times]
        found.append(_load(stations, number, throughput, response, queues, waiting))
    return found


def approximate(stations: Sequence[Station], people: int, think: float) -> Load:
    """Schweitzer's approximation for any number of people: an arriving request finds (N-1)/N of the queue."""
    _require(stations, people, think)
    queueing, waiting = _split(stations)
    copies = [each.copies for each in stations]
    at_once = _sumprod(copies, waiting)
    queues, throughput, uneven = [people / sum(copies)] * len(stations), 0.0, _uneven(stations)
    others = (people - 1) / people
    for _ in range(MOST_TURNS):
        times = [demand * (1.0 + others * queue) for demand, queue in zip(queueing, queues, strict=True)]
        for place in uneven:
            times[place] += _rest(stations[place], queueing[place], others * throughput)
        response = _sumprod(copies, times) + at_once
        throughput = people / (think + response)
        before, queues = queues, [throughput * time for time in times]
        if all(abs(new - old) <= CLOSE * max(1.0, old) for new, old in zip(queues, before, strict=True)):
            break
    return _load(stations, people, throughput, response, queues, waiting)


def loads(stations: Sequence[Station], people: Sequence[int], think: float) -> list[Load]:
    """A Load for each of these numbers of people, exact as far as that goes."""
    known = exact(stations, min(max(people), MOST_EXACT), think)
    return [known[n - 1] if n <= MOST_EXACT else approximate(stations, n, think) for n in people]


def erlang_c(servers: int, offered: float) -> float:
    """How likely a request has to wait when `offered` servers' worth of work comes at random. 1 from saturation on.

    By the recursion of Erlang's B, which no large number overflows.

    >>> round(erlang_c(2, 1.0), 6)
    0.333333
    """
    if servers < 1 or offered < 0:
        raise WrongUsage("A queue needs a server at least, and work that is not negative.")
    if offered >= servers:
        return 1.0
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return servers * blocked / (servers - offered * (1.0 - blocked))


def pooled_wait(servers: int, arrivals: float, service: float) -> float:
    """Mean seconds that a task waits for one of `servers` (M/M/c); without end from saturation on.

    `arrivals` a second, each of which takes `service` seconds.
    """
    spare = servers - arrivals * service
    if spare <= 0:
        return float("inf")
    return erlang_c(servers, arrivals * service) * service / spare


def _sumprod(counts: Sequence[int], values: Sequence[float]) -> float:
    return sum(count * value for count, value in zip(counts, values, strict=True))


def _split(stations: Sequence[Station]) -> tuple[list[float], list[float]]:
    """Each station as a queue and a wait that nobody shares (Seidmann, Schweitzer and Shalev-Oren 1987)."""
    queueing = [each.demand / each.servers for each in stations]
    return queueing, [each.demand - alone for each, alone in zip(stations, queueing, strict=True)]


def _uneven(stations: Sequence[Station]) -> list[int]:
    """The places of those at which variation matters: the others cost nothing more."""
    return [place for place, each in enumerate(stations) if each.variation > 1]


def _rest(station: Station, demand: float, throughput: float) -> float:
    """How much longer than at an even station who comes waits for the end of what is served there.

    In full where anybody comes at any time (Pollaczek and Khinchin). The fewer are away, the more come just when
    something has begun: less by the square of the utilisation, which keeps means within 8 % of a simulation's with
    2 to 24 people and variations up to 3 (with all of it they are a fifth too long; with less by the utilisation
    itself, a tenth too short).
    """
    busy = min(1.0, throughput * demand)
    return demand * busy * (1.0 - busy * busy) * (station.variation - 1.0) / 2


def _load(
    stations: Sequence[Station],
    people: int,
    throughput: float,
    response: float,
    queues: Sequence[float],
    waiting: Sequence[float],
) -> Load:
    held = tuple(queue + throughput * wait for queue, wait in zip(queues, waiting, strict=True))
    busy = tuple(min(1.0, throughput * each.demand / each.servers) for each in stations)
    return Load(people, throughput, response, held, busy)


def _require(stations: Sequence[Station], people: int, think: float) -> None:
    if people < 1:
        raise WrongUsage("A network is used by one person at least.")
    if think < 0 or any(each.demand < 0 or each.servers < 1 or each.variation < 1 for each in stations):
        raise WrongUsage("Think times and demands are never negative; servers and variations are 1 or more.")
    if not think and not total(stations):
        raise WrongUsage("People who neither think nor wait would ask without end.")
