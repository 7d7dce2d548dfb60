"""What the models say of one scenario, for several numbers of people, in both shapes. *Pure*: chance is handed in.

Throughputs are in requests a second, times in seconds, money in the scenario's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from commonhold.errors import WrongUsage
from commonhold.plan.queues.interruptions import Interruptions, Missed, interruptions, missed
from commonhold.plan.queues.queueing import Load, bounds, knee, pooled_wait
from commonhold.plan.queues.shapes import Fleet, Shape, predict, simulate, slowdown, stations
from commonhold.plan.queues.simulate import Chance
from commonhold.plan.values.cost import Cost, Dice, Range, break_even, cost, difference, tornado
from commonhold.plan.values.scenario import Scenario

REQUESTS = 20_000  # of a simulation: its 95th percentile is within a few parts in a hundred
MOST_POINTS = 200  # numbers of people at once
MOST_PEOPLE = 1_000_000
FARTHEST = 500  # computers, for the break-even
GIGABYTE = 1e9


class Spread(msgspec.Struct, frozen=True):
    """Responses by the event simulation: the mean with its 95 % bounds, and percentiles."""

    mean: float
    within: float
    p50: float
    p95: float
    p99: float


class Expected(msgspec.Struct, frozen=True):
    """One shape with so many people. `utilisations` are of each station, 0 to 1; `slowdown` is an owner's, in times."""

    people: int
    throughput: float
    least_throughput: float
    most_throughput: float
    response: float
    least_response: float
    most_response: float
    utilisations: dict[str, float]
    busiest: str
    slowdown: float
    spread: Spread | None = None


class Course(msgspec.Struct, frozen=True):
    """One shape, by rising number of people; from `knee` people on they wait for one another.

    `missed`: of requests, for what is off. Simulations have outages and owners who come back in them, means have not.
    """

    shape: Shape
    knee: float
    missed: Missed
    expected: tuple[Expected, ...]


class Pool(msgspec.Struct, frozen=True):
    """All peers' processors as one place for tasks (M/M/c): how many run on average, how long one waits for its turn.

    `apart`: how long, if each computer had a queue of its own. Both are for tasks that come whatever is waiting.
    `half`: whether they keep below half of all processors, which is what is left beside the computers' own people
    (Arpaci et al. 1995; Domingues et al. 2005).
    """

    people: int
    processors: int
    running: float
    waits: float
    apart: float
    half: bool


class Spreading(msgspec.Struct, frozen=True):
    """Seconds until a gigabyte that one computer has is on all others (Kurose and Ross, chapter 2).

    Whoever has got it does not hand pieces on here: all come from the one. `passing_on` is what would then be needed
    at least.
    """

    copies: int
    server: float
    peer: float
    passing_on: float


class Swing(msgspec.Struct, frozen=True):
    """By how much client-server is dearer at the low and at the high end of one uncertain value."""

    name: str
    low: float
    high: float


class Money(msgspec.Struct, frozen=True):
    """Both shapes' costs over the scenario's years. `dearer`: how much more a server costs, in 8 of 10 cases.

    From `break_even` computers on client-server is cheaper; None: it never is, as far as was looked.
    """

    years: float
    peers: Cost
    server: Cost
    dearer: Range
    break_even: int | None
    swings: tuple[Swing, ...]


class Model(msgspec.Struct, frozen=True):
    """What `model` answers."""

    courses: tuple[Course, ...]
    pools: tuple[Pool, ...]  # none without tasks
    spreading: Spreading | None  # None for one computer
    money: Money
    warnings: tuple[str, ...]


def model(
    scenario: Scenario,
    people: Sequence[int],
    dice: Callable[[], Dice],
    chance: Callable[[], Chance] | None = None,
) -> Model:
    """For each of these numbers of people; with `chance` also percentiles, each simulation from the same beginning.

    Raises WrongUsage for a number of people that makes no sense.
    """
    if not people or not all(1 <= number <= MOST_PEOPLE for number in people):
        raise WrongUsage(f"A number of people lies between 1 and {MOST_PEOPLE:,}.")
    if len(people) > MOST_POINTS:
        raise WrongUsage(f"{len(people):,} numbers of people are more than {MOST_POINTS} at once.", "a few of them")
    people = sorted(set(people))
    fleet = scenario.fleet()
    courses = tuple(_course(scenario, shape, people, chance) for shape in Shape)
    return Model(
        courses=courses,
        pools=tuple(_pools(fleet, courses)) if fleet.demands.computing else (),
        spreading=_spreading(scenario) if fleet.computers > 1 else None,
        money=_money(scenario, dice),
        warnings=tuple(scenario.warnings(people[-1])),
    )


def _course(scenario: Scenario, shape: Shape, people: Sequence[int], chance: Callable[[], Chance] | None) -> Course:
    fleet = scenario.fleet()
    here, gaps = stations(fleet, shape), interruptions(scenario, shape)
    expected = []
    for load in predict(fleet, shape, list(people)):
        limits = bounds(here, load.people, fleet.think)
        busy = {each.name: part for each, part in zip(here, load.utilisations, strict=True) if each.demand}
        found = Expected(
            people=load.people,
            throughput=load.throughput,
            least_throughput=limits.least_throughput,
            most_throughput=limits.most_throughput,
            response=load.response,
            least_response=limits.least_response,
            most_response=limits.most_response,
            utilisations=busy,
            busiest=max(busy, key=busy.__getitem__, default=""),
            slowdown=slowdown(fleet, shape, load),
            spread=_spread(fleet, shape, load, chance(), gaps) if chance else None,
        )
        expected.append(found)
    return Course(shape, knee(here, fleet.think), missed(gaps), tuple(expected))


def _spread(fleet: Fleet, shape: Shape, load: Load, chance: Chance, gaps: Interruptions) -> Spread:
    run = simulate(
        fleet,
        shape,
        load.people,
        chance,
        max(REQUESTS, 20 * load.people),
        asked=gaps.asked.absence(chance),
        owner=gaps.owner.absence(chance),
        patience=gaps.patience,
    )
    mean = run.mean()
    return Spread(mean.mean, mean.within, *run.percentiles(0.5, 0.95, 0.99))


def _pools(fleet: Fleet, courses: Sequence[Course]) -> Iterator[Pool]:
    """At a server all tasks meet anyway: nothing is pooled there."""
    processors, seconds = fleet.cores * fleet.computers, fleet.demands.computing
    (peers,) = [each for each in courses if each.shape is Shape.PEER_TO_PEER]
    for each in peers.expected:
        yield Pool(
            people=each.people,
            processors=processors,
            running=each.throughput * seconds,
            waits=pooled_wait(processors, each.throughput, seconds),
            apart=pooled_wait(fleet.cores, each.throughput / fleet.computers, seconds),
            half=each.throughput * seconds <= processors / 2,
        )


def _spreading(scenario: Scenario) -> Spreading:
    fleet = scenario.fleet()
    link = scenario["link"] * 1e6 / 8
    copies = fleet.computers - 1
    slowest = GIGABYTE / link
    return Spreading(
        copies=copies,
        server=max(copies * GIGABYTE / (link * fleet.strength), slowest),
        peer=max(copies * GIGABYTE / link, slowest),
        passing_on=max(slowest, copies * GIGABYTE / (link + copies * link)),
    )


def _money(scenario: Scenario, dice: Callable[[], Dice]) -> Money:
    return Money(
        years=scenario["years"],
        peers=cost(scenario, Shape.PEER_TO_PEER),
        server=cost(scenario, Shape.CLIENT_SERVER),
        dearer=difference(scenario, dice()),
        break_even=break_even(scenario, FARTHEST),
        swings=tuple(Swing(*each) for each in tornado(scenario)),
    )
