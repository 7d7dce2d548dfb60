"""Comparisons as they would be written, of computers whose demands are known: processors are shared, links are not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.simulate import Facility, Route, Sample, always, closed
from commonhold.plan.queues.workload import Operation, named
from commonhold.plan.trials.trial import Arrangement, Circumstances, Point, Repeat, Served, Trial

SERVER, EVEN = Arrangement(Shape.CLIENT_SERVER), Arrangement(Shape.PEER_TO_PEER)
HOT = Arrangement(Shape.PEER_TO_PEER, 0.5)
RATE = 2.5e6  # bytes a second: 20 Mbit/s
PROCESSOR, FIXED = 0.004, 0.012  # seconds of each request


class Meter:
    """Chance whose draws are added up."""

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self.whole, self.count = 0.0, 0

    def __call__(self) -> float:
        drawn = self._draw()
        self.whole += drawn
        self.count += 1
        return drawn

    @property
    def mean(self) -> float:
        return self.whole / self.count


def sized(chance: Random, operation: Operation) -> float:
    return operation.size if operation.kind == "list" else chance.gammavariate(1.5, operation.size / 1.5)


def sent(size: Meter) -> float:
    return size() / RATE


def played(said: Circumstances, arrangement: Arrangement, people: int, requests: int, seed: int) -> Repeat:
    """One repeat: delay, processor, then the file over the link of whoever is asked."""
    chance = Random(f"{seed} {arrangement} {people}")  # noqa: S311
    think = Meter(lambda: chance.expovariate(1 / said.think))
    computers = 1 if arrangement.shape is Shape.CLIENT_SERVER else said.computers
    facilities = [Facility("alone", people)]
    for _ in range(computers):
        facilities.append(Facility("processor", said.cores or 1, shared=True))
        facilities += [Facility("out"), Facility("in")]
    operations = named(said.workload).operations
    sizes = {each: Meter(partial(sized, chance, each)) for each in operations}
    routes = []
    for number in range(computers):
        first, hot = 1 + 3 * number, max(arrangement.hot, 1 / computers)
        part = hot if number == 0 else (1 - hot) / (computers - 1)
        for each in operations:
            way = first + (2 if each.kind == "write" else 1)
            processor = 1 if said.cores else first
            visits = ((0, always(FIXED)), (processor, always(PROCESSOR)), (way, partial(sent, sizes[each])))
            routes.append(Route(part * each.part, visits))
    run = closed(facilities, routes, people, think, chance, requests=requests + 2 * people, warm_up=2 * people)
    moved = sum(each.whole for each in sizes.values()) / sum(each.count for each in sizes.values())
    served = [
        Served(f"pc{n}", 0, 0, run.busy[1 + 3 * n], 0.0, max(run.busy[2 + 3 * n], run.busy[3 + 3 * n]))
        for n in range(computers)
    ]
    return _repeat(seed, run, think.mean, moved, served)


def _repeat(seed: int, run: Sample, think: float, moved: float, served: list[Served]) -> Repeat:
    mean, parts = sum(run.responses) / len(run.responses), run.percentiles(0.5, 0.95, 0.99)
    return Repeat(seed, run.seconds, len(run.responses), 0, mean, *parts, think, moved, tuple(served))


def made(
    people: tuple[int, ...] = (1, 2, 4, 8, 12, 16, 64),
    requests: int = 100,
    repeats: int = 5,
    seed: int = 1,
    cores: int = 0,
    arrangements: tuple[Arrangement, ...] = (SERVER, EVEN, HOT),
) -> Trial:
    """All points of a trial of 16 computers; with many people a repeat has ten requests of each at least."""
    said = Circumstances("fileserver", 16, 1.0, seed, "namespaces", link=20.0, power=0.0 if cores else 1.0, cores=cores)
    points = [
        Point(
            arrangement,
            number,
            tuple(played(said, arrangement, number, max(requests, 10 * number), seed + n) for n in range(repeats)),
        )
        for arrangement in arrangements
        for number in people
    ]
    return Trial(said, tuple(points))
