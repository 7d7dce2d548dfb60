"""What the models say of every point of a comparison, beside what was measured. *Pure*: chance is handed in.

Throughput and mean response by mean value analysis; the 95th percentile, and how far all three scatter, by simulating
as many requests and repeats as were measured, with sizes that are spread as the files' were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from statistics import median
from typing import Protocol

import msgspec

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import loads
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.simulate import Draw, Facility, Route, Sample, always, closed, exponential
from commonhold.plan.trials.calibrate import (
    FILES,
    SATURATED,
    SPREAD,
    Askers,
    Calibration,
    away,
    calibrate,
    chosen,
    directions,
    expect,
    groups,
    meant,
    operations,
    processors,
    stations,
)
from commonhold.plan.trials.trial import Arrangement, Circumstances, Point, Repeat, Trial
from commonhold.plan.trials.usl import FEWEST, Scaling, fit
from commonhold.plan.values.scenario import BEYOND

ROUNDS = 20  # simulated trials of each point: nine in ten lie between the second and the last but one
BAND = 0.9  # of what is measured should lie in the bands
LEFT_OUT = (0.02, 0.08, 0.10)  # parts by which bands are wider, for what models leave out: TCP, and other programs
MOST_SIMULATED = 1_000  # requests of a repeat
TELLING = 1.2  # times: means that are nearer to one another rank nothing


class Fortune(Protocol):
    """What random.Random(seed) is, and knows of the gamma distribution."""

    def random(self) -> float: ...

    def gammavariate(self, alpha: float, beta: float) -> float: ...


class Verified(msgspec.Struct, frozen=True):
    """One figure: measured, predicted, and between which it lies in 9 of 10 such trials."""

    measured: float
    predicted: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """As a part of what was measured."""
        return self.predicted / self.measured - 1 if self.measured else 0.0

    @property
    def inside(self) -> bool:
        return self.low <= self.measured <= self.high


class HeldOut(msgspec.Struct, frozen=True):
    """One point. `calibrated`: it is one of the two that everything was calibrated with."""

    arrangement: Arrangement
    people: int
    calibrated: bool
    throughput: Verified
    response: Verified
    p95: Verified


class Accuracy(msgspec.Struct, frozen=True):
    """Of all points that were held out: median and largest error, and which part lay inside the bands."""

    of: str  # throughput, response, p95
    points: int
    median: float
    most: float
    inside: float


class Scales(msgspec.Struct, frozen=True):
    """A diagnosis of one arrangement's throughput."""

    arrangement: Arrangement
    law: Scaling


class Validation(msgspec.Struct, frozen=True):
    """`ranked` of `pairs`: how often the faster of two arrangements, a fifth or more apart, was the one predicted."""

    calibration: Calibration
    points: tuple[HeldOut, ...]
    summaries: tuple[Accuracy, ...]
    ranked: int
    pairs: int
    scaling: tuple[Scales, ...]
    warnings: tuple[str, ...]


def validate(trial: Trial, chance: Callable[[], Fortune]) -> Validation:
    """Every point of a comparison, both of the calibration among them. Raises WrongUsage for one without these."""
    alone, many = chosen(trial)
    said, drawn = trial.circumstances, chance()
    known = calibrate(said, alone.repeats, many.repeats, many.people)
    around = [
        calibrate(said, _again(alone.repeats, drawn), _again(many.repeats, drawn), many.people) for _ in range(ROUNDS)
    ]
    points = [
        _point(said, known, around, point, chance(), point in (alone, many))
        for arrangement in trial.arrangements
        if not arrangement.naive
        for point in trial.of(arrangement)
    ]
    held = [each for each in points if not each.calibrated]
    if not held:
        raise WrongUsage("This comparison has no point but those that models are calibrated with.")
    pairs = list(_pairs(points))
    return Validation(
        calibration=known,
        points=tuple(points),
        summaries=tuple(_summary(of, [getattr(each, of) for each in held]) for of in ("throughput", "response", "p95")),
        ranked=sum(pairs),
        pairs=len(pairs),
        scaling=tuple(_scaling(trial)),
        warnings=tuple(_warnings(known, points)),
    )


def _point(
    said: Circumstances,
    known: Calibration,
    around: Sequence[Calibration],
    point: Point,
    chance: Fortune,
    calibrated: bool,
) -> HeldOut:
    think, moved = point.band(lambda each: each.think).mean, point.band(lambda each: each.moved).mean
    requests = min(MOST_SIMULATED, max(1, round(point.band(lambda each: each.requests).mean)))
    arrangement, people = point.arrangement, point.people
    means = expect(said, known, arrangement, (people, think, moved))
    figures: list[tuple[float, float, float]] = []
    for possible in around:
        runs = [
            _Play(said, possible, arrangement, people, think, moved, chance).run(requests)
            for _ in range(len(point.repeats))
        ]
        figures.append(tuple(sum(parts) / len(runs) for parts in zip(*runs, strict=True)))
    throughput, response, p95 = (
        _verified(measured, predicted, [each[which] for each in figures], LEFT_OUT[which])
        for which, (measured, predicted) in enumerate(
            (
                (point.throughput.mean, means.throughput),
                (point.response.mean, means.response),
                (point.band(lambda each: each.p95).mean, None),
            )
        )
    )
    return HeldOut(arrangement, people, calibrated, throughput, response, p95)


def _verified(measured: float, predicted: float | None, simulated: list[float], more: float) -> Verified:
    """The band is the simulation's, around what is predicted."""
    ordered = sorted(simulated)
    cut = round(len(ordered) * (1 - BAND) / 2)
    middle = sum(ordered) / len(ordered)
    value = middle if predicted is None else predicted
    low, high = (value / middle * each for each in (ordered[cut], ordered[-1 - cut]))
    return Verified(measured, value, low * (1 - more), high * (1 + more))


class _Play:
    """One simulated repeat of a point: all groups, each by itself."""

    def __init__(
        self,
        said: Circumstances,
        known: Calibration,
        arrangement: Arrangement,
        people: int,
        think: float,
        moved: float,
        chance: Fortune,
    ) -> None:
        self._said, self._known, self._think, self._moved, self._chance = said, known, think, moved, chance
        self._server = arrangement.shape is Shape.CLIENT_SERVER
        self._groups = groups(said, arrangement, people)
        self._together = max(0.0, -known.fixed)  # seconds in which two parts of a request pass
        pause = max(0.0, think - self._together)
        self._draw_think = exponential(pause, chance) if pause else always(0.0)

    def run(self, requests: int) -> tuple[float, float, float]:
        """Throughput, mean response and 95th percentile of so many requests."""
        rates = [self._rate(group) for group in self._groups]
        samples = [
            self._group(group, max(1, round(requests * rate / sum(rates))))
            for group, rate in zip(self._groups, rates, strict=True)
        ]
        responses = sorted(max(0.0, each - self._together) for sample in samples for each in sample.responses)
        throughput = sum(sample.throughput for sample in samples)
        at = min(len(responses) - 1, int(0.95 * len(responses)))
        return throughput, sum(responses) / len(responses), responses[at]

    def _rate(self, group: Askers) -> float:
        here = stations(self._said, self._known, group, self._moved, self._server)
        return loads(here, [group.people], away(self._think, self._known))[0].throughput

    def _group(self, group: Askers, requests: int) -> Sample:
        warm = 2 * group.people
        facilities, routes = self._network(group)
        return closed(
            facilities,
            routes,
            group.people,
            self._draw_think,
            self._chance,
            requests=requests + warm,
            warm_up=warm,
        )

    def _network(self, group: Askers) -> tuple[list[Facility], list[Route]]:
        """What nobody shares, what all do; processor, disk and both directions of the link of each that is asked."""
        said, known = self._said, self._known
        faster = said.strength if self._server else 1.0
        share, servers = processors(said, faster, group.people)
        mix = operations(said)
        scale = self._moved / sum(meant(mix)) * known.per_byte / faster if sum(meant(mix)) else 0.0
        facilities = [Facility("alone", group.people), Facility("machine", said.cores or 1, shared=True)]
        routes = []
        for part, copies in group.asked:
            for _ in range(copies):
                first = len(facilities)
                facilities += [Facility("processor", servers, shared=True), Facility("disk", 1, shared=True)]
                facilities += [Facility("link out"), Facility("link in")]
                for each in mix:
                    sent, received = directions(each)
                    work = (
                        [(1, known.processor)] if said.cores else [(1, known.machine), (first, known.processor / share)]
                    )
                    wanted = [(0, known.fixed), *work, (first + 1, known.disk / faster)]
                    visits = [(place, always(seconds)) for place, seconds in wanted if seconds > 0]
                    visits += [
                        (first + place, self._sized(each.kind, size * scale))
                        for place, size in ((2, sent), (3, received))
                        if size * scale
                    ]
                    routes.append(Route(each.part * part, tuple(visits) or ((0, always(0.0)),)))
        return facilities, routes

    def _sized(self, kind: str, seconds: float) -> Draw:
        """Files that are read and stored are of many sizes; listings and what tasks compute on are not."""
        if kind in FILES:
            gamma = self._chance.gammavariate
            return lambda: gamma(SPREAD, seconds / SPREAD)
        return always(seconds)


def _again(repeats: Sequence[Repeat], chance: Fortune) -> list[Repeat]:
    """As many of them, each drawn anew: how far their mean may be off."""
    return [repeats[int(chance.random() * len(repeats))] for _ in repeats]


def _summary(of: str, found: Sequence[Verified]) -> Accuracy:
    errors = [abs(each.error) for each in found]
    return Accuracy(of, len(found), median(errors), max(errors), sum(each.inside for each in found) / len(found))


def _pairs(points: Sequence[HeldOut]) -> Iterator[bool]:
    """For two arrangements with as many people: whether what is slower was predicted to be."""
    for one, other in combinations(points, 2):
        if one.people == other.people:
            first, second = one.response, other.response
            if max(first.measured, second.measured) > TELLING * min(first.measured, second.measured):
                yield (first.measured < second.measured) == (first.predicted < second.predicted)


def _scaling(trial: Trial) -> Iterator[Scales]:
    for arrangement in trial.arrangements:
        points = trial.of(arrangement)
        if len(points) >= FEWEST:
            law = fit([float(each.people) for each in points], [each.throughput.mean for each in points])
            yield Scales(arrangement, law)


def _warnings(known: Calibration, points: Sequence[HeldOut]) -> Iterator[str]:
    if known.busy < SATURATED:
        yield (
            f"No point of the server was saturated: with {known.people} people its busiest part was {known.busy:.0%}"
            " busy. What is said of more people is less certain."
        )
    most = max(each.people for each in points)
    if most > BEYOND * known.people:
        yield (
            f"People: {most} is more than {BEYOND} times the load that was calibrated with ({known.people}): what is"
            " said of it is a guess."
        )
