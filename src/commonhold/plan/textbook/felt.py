"""What people and owners felt as more people came, read from a comparison; the claims about that. *Pure.*

Trouble has begun when nineteen of twenty requests take up to twice as long as with two people (with the fewest, where
two were not tried), or when the owner of the busiest computer surely (in 95 of 100 such comparisons) waits a tenth
longer for a task of their own. Between two numbers of people that were tried, it is put where a straight line has it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from commonhold.plan.queues.shapes import Shape
from commonhold.plan.textbook.claim import TriedClaim, result
from commonhold.plan.trials.trial import Arrangement, Band, Circumstances, Point, Served, Trial, band, told_apart

TWICE = 2.0  # times the first percentile
TENTH = 1.1  # times as long as alone: more, and an owner notices
NOTHING_FELT = 1.02
ALMOST = 0.99  # busy: at 1 the formula has no end
FEW = 10  # people: the textbook's
EXPLAINED = 3.0  # slope: more is not what serving does
NEAR = 1.5  # times: within that, two numbers of people that were found so roughly are the same


class Onset(NamedTuple):
    """When trouble began: with so many people, or not up to `most`."""

    people: float | None
    most: int

    def __str__(self) -> str:
        return f"never up to {self.most} people" if self.people is None else f"with {self.people:.0f} people"

    @property
    def early(self) -> bool | None:
        """With few people. None where it was not tried with so many."""
        if self.people is not None:
            return round(self.people) <= FEW
        return False if self.most >= FEW else None


class Case(NamedTuple):
    """One arrangement of one comparison; `words` tell it from the other cases."""

    words: str
    trial: Trial
    arrangement: Arrangement
    points: list[Point]


def cases(trials: Sequence[Trial], shape: Shape | None = None) -> Iterator[Case]:
    """Of one shape, or of both."""
    for trial, words in zip(trials, told_apart(trials), strict=True):
        apart = f" ({', '.join(words)})" if words else ""
        for arrangement in trial.arrangements:
            if shape in {None, arrangement.shape}:
                yield Case(f"{named(arrangement)}{apart}", trial, arrangement, trial.of(arrangement))


def onset(points: Sequence[Point]) -> Onset:
    """Of one arrangement's points, by rising number of people."""
    base = next((each for each in points if each.people == 2), points[0])
    first = base.band(lambda each: each.p95).mean
    troubles = [(each.people, _trouble(each, first)) for each in points if each.people >= base.people]
    if troubles[0][1] >= 1:
        return Onset(base.people, points[-1].people)
    for (before, less), (after, more) in pairwise(troubles):
        if more >= 1:
            return Onset(before + (after - before) * (1 - less) / (more - less), points[-1].people)
    return Onset(None, points[-1].people)


def owner_felt(point: Point) -> Band | None:
    """How many times as long an owner's task took: at the busiest peer, or on average at the clients of a server."""
    server, busy = server_of(point), defaultdict[str, float](float)
    for served in _served(point):
        busy[served.computer] += served.processor
    busiest = max(busy, key=busy.__getitem__, default="")
    means = []
    for repeat in point.repeats:
        here = [each for each in repeat.served if (each.computer != server if server else each.computer == busiest)]
        if felt := [each.owner.slowdown for each in here if each.owner is not None]:
            means.append(sum(felt) / len(felt))
    return band(means) if means else None


def server_of(point: Point) -> str:
    """The computer that moved most, where there is a server; else ""."""
    if point.arrangement.shape is not Shape.CLIENT_SERVER:
        return ""
    moved = _moved(point)
    return max(moved, key=moved.__getitem__, default="")


def knee(points: Sequence[Point]) -> float:
    """N* = (D + Z) / Dmax, from the answers to the fewest people and what was busiest with the most."""
    first, last = points[0], points[-1]
    busiest = max((max(each.processor, each.disk, each.link) for each in _served(last)), default=0.0)
    longest = busiest / last.throughput.mean
    think = first.band(lambda each: each.think).mean
    return (first.response.mean + think) / longest if longest else float("inf")


def named(arrangement: Arrangement) -> str:
    """In a sentence."""
    if arrangement.shape is Shape.CLIENT_SERVER:
        return "with a server"
    where = f"with {arrangement.hot:.0%} of the requests at one computer" if arrangement.hot else "spread evenly"
    return f"{'the naive network' if arrangement.naive else 'among peers'} {where}"


def few_clients(trials: Sequence[Trial]) -> TriedClaim:
    """Confirmed for an arrangement if trouble begins with ten people or fewer, and with a server only later."""
    held: list[bool] = []
    told: list[str] = []
    figures: dict[str, float] = {}
    with_server = {id(each.trial): onset(each.points) for each in cases(trials, Shape.CLIENT_SERVER)}
    for case in cases(trials):
        begun, server = onset(case.points), with_server.get(id(case.trial))
        told.append(f"{case.words} {begun}")
        if begun.people is not None:
            figures[f"{case.words}, people"] = begun.people
        if case.arrangement.shape is Shape.PEER_TO_PEER and server is not None and begun.early is not None:
            held.append(begun.early and not server.early)
    return TriedClaim(
        2,
        "Among peers there is trouble with as few as ten clients.",
        result(held),
        f"Answers took twice as long, or an owner waited a tenth longer: {'; '.join(told)}." if told else "",
        figures,
    )


def by_power(trials: Sequence[Trial]) -> TriedClaim:
    """Confirmed if trouble begins later with stronger computers, by as much as the knee (D + Z) / Dmax moves."""
    held: list[bool] = []
    told: list[str] = []
    figures: dict[str, float] = {}
    for arrangement, weaker, stronger in _powers(trials):
        weak, strong = weaker.of(arrangement), stronger.of(arrangement)
        before, after = onset(weak), onset(strong)
        if before.people is None and after.people is None:
            continue
        low, high = (each.people if each.people is not None else each.most for each in (before, after))
        expected = knee(strong) / knee(weak)
        cores = [each.circumstances.power for each in (weaker, stronger)]
        told.append(
            f"{named(arrangement)} of {cores[0]:g} cores {before}, of {cores[1]:g} cores {after}"
            f" (the knee moves {expected:.1f} times)"
        )
        held.append(before.people is not None and high > low and (after.people is None or _near(high / low, expected)))
        figures |= {
            f"{named(arrangement)} of {power:g} cores, people": n for power, n in zip(cores, (low, high), strict=True)
        }
    return TriedClaim(
        3,
        "When that trouble begins depends on the power of the computers.",
        result(held),
        f"Trouble began {'; '.join(told)}." if told else "",
        figures,
    )


def because_shared(trials: Sequence[Trial]) -> TriedClaim:
    """Confirmed for an arrangement if the owner of the busiest peer surely waits a tenth longer, and clients do not.

    The slope is of the slowdown against u/(1 - u), with the processor busy for others so far: 1 if guests and owner
    take turns, 0 if the owner never waits. Far above 1 something else kept the machine busy: that shows nothing, nor do
    repeats that differ too much.
    """
    clients = [felt.mean for case in cases(trials, Shape.CLIENT_SERVER) for felt in _felt(case)]
    idle = max(clients, default=1.0)
    held: list[bool] = []
    told: list[str] = []
    figures: dict[str, float] = {}
    for case in cases(trials, Shape.PEER_TO_PEER):
        if felt := _felt(case):
            most, slope = max(felt, key=lambda each: each.mean), _slope(case.points)
            sure = most.high <= TENTH or (most.low > TENTH and slope <= EXPLAINED)
            held += [most.low > TENTH >= idle] if sure else []
            told.append(f"{case.words} {_longer(most.mean)} (slope {slope:.2f}{'' if sure else ', too uncertain'})")
            figures[f"{case.words}, times as long"] = most.mean
    if clients:
        told.append(f"at clients of a server {_longer(idle)}")
    return TriedClaim(
        4,
        "That is so because everybody's resources are shared.",
        result(held),
        f"The task of the owner of the busiest computer took longer by: {'; '.join(told)}." if told else "",
        figures,
    )


def heavy_lifting(trials: Sequence[Trial]) -> TriedClaim:
    """Confirmed if clients send nothing to others, and no owner of one waits longer than measuring errs (2 %)."""
    held: list[bool] = []
    told: list[str] = []
    figures: dict[str, float] = {}
    for case in cases(trials):
        last = case.points[-1]
        server = server_of(last)
        moved = _moved(last)
        if not (whole := sum(moved.values())):
            continue  # on real computers nobody counts
        most = max(moved.values()) / whole
        told.append(f"{case.words} one computer sent {most:.0%} of it all")
        figures[f"{case.words}, part of the busiest"] = most
        if server:
            held.append(whole == moved[server])
            if (felt := owner_felt(last)) is not None:
                held.append(felt.mean <= NOTHING_FELT)
                told.append(f"its clients' owners waited {_longer(felt.mean)} longer")
    return TriedClaim(
        5,
        "A server does the heavy lifting, and clients need not share their power.",
        result(held),
        f"Of what was sent, {'; '.join(told)}." if told else "",
        figures,
    )


def _served(point: Point) -> Iterator[Served]:
    return (served for repeat in point.repeats for served in repeat.served)


def _moved(point: Point) -> dict[str, int]:
    moved: dict[str, int] = defaultdict(int)
    for served in _served(point):
        moved[served.computer] += served.bytes
    return moved


def _felt(case: Case) -> list[Band]:
    return [each for each in map(owner_felt, case.points) if each is not None]


def _longer(times: float) -> str:
    return f"{max(0.0, times - 1):.0%}"


def _trouble(point: Point, first: float) -> float:
    """1 where trouble begins."""
    owner = owner_felt(point)
    longer = point.band(lambda each: each.p95).mean / (TWICE * first) if first else 0.0
    return max(longer, (owner.low - 1) / (TENTH - 1) if owner is not None else 0.0)


def _near(one: float, other: float) -> bool:
    return max(one, other) <= NEAR * min(one, other)


def _slope(points: Sequence[Point]) -> float:
    """Of a straight line through nothing."""
    pairs = [
        (min(each.processor, ALMOST), each.owner.slowdown - 1)
        for point in points
        for each in _served(point)
        if each.owner is not None
    ]
    busy = [(u / (1 - u), felt) for u, felt in pairs]
    squares = sum(x * x for x, _ in busy)
    return sum(x * y for x, y in busy) / squares if squares else 0.0


def _powers(trials: Sequence[Trial]) -> Iterator[tuple[Arrangement, Trial, Trial]]:
    """Each two comparisons that differ in the power of the computers alone, the next stronger second; of peers."""
    alike: dict[Circumstances, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.circumstances.power:
            alike[msgspec.structs.replace(trial.circumstances, power=0.0, command="", day=None)].append(trial)
    for group in alike.values():
        for weaker, stronger in pairwise(sorted(group, key=lambda each: each.circumstances.power)):
            if weaker.circumstances.power < stronger.circumstances.power:
                for arrangement in weaker.arrangements:
                    if arrangement.shape is Shape.PEER_TO_PEER and stronger.of(arrangement):
                        yield arrangement, weaker, stronger
