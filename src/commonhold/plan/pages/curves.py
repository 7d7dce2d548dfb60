"""What is computed for the pictures of one arrangement, from its fleet or from a comparison's calibration. *Pure.*"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from commonhold.plan.queues.queueing import bounds, knee
from commonhold.plan.queues.shapes import Fleet, Shape, predict
from commonhold.plan.queues.shapes import stations as of_fleet
from commonhold.plan.trials.calibrate import Calibration, away, expect, groups, stations
from commonhold.plan.trials.trial import Arrangement, Circumstances, Point, band


class Spot(NamedTuple):
    """Throughput and response with so many people, each with its bounds; from `knee` people on they wait."""

    people: int
    throughput: tuple[float, float, float]  # computed, at least, at most
    response: tuple[float, float, float]
    knee: float


def computed(fleet: Fleet, shape: Shape, people: Sequence[int]) -> list[Spot]:
    """By exact mean value analysis."""
    here = of_fleet(fleet, shape)
    found = []
    for load in predict(fleet, shape, list(people)):
        limits = bounds(here, load.people, fleet.think)
        throughput = (load.throughput, limits.least_throughput, limits.most_throughput)
        response = (load.response, limits.least_response, limits.most_response)
        found.append(Spot(load.people, throughput, response, knee(here, fleet.think)))
    return found


def calibrated(
    said: Circumstances, known: Calibration, arrangement: Arrangement, points: Sequence[Point], people: Sequence[int]
) -> list[Spot]:
    """The same from a calibration, with the thought and the bytes that there were in this arrangement's points.

    Where people fall into groups that meet nobody else's requests, throughputs add up, and bounds are the widest.
    """
    think, moved = (band([point.band(attrgetter(of)).mean for point in points]).mean for of in ("think", "moved"))
    pause, server = away(think, known), arrangement.shape is Shape.CLIENT_SERVER
    found = []
    for number in people:
        means = expect(said, known, arrangement, (number, think, moved))
        apart = groups(said, arrangement, number)
        here = [stations(said, known, group, moved, server) for group in apart]
        limits = [bounds(each, group.people, pause) for each, group in zip(here, apart, strict=True)]
        most = max(apart, key=lambda group: group.people)
        spot = Spot(
            number,
            (means.throughput, sum(each[0] for each in limits), sum(each[1] for each in limits)),
            (
                means.response,
                min(each[2] for each in limits) + known.fixed,
                max(each[3] for each in limits) + known.fixed,
            ),
            knee(here[apart.index(most)], pause) * number / most.people,
        )
        found.append(spot)
    return found
