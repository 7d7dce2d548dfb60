"""What became of people's requests, one by one, and a repeat of them all. *Pure.*"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Literal

import msgspec

from commonhold.errors import CommonholdError
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.simulate import Sample
from commonhold.plan.trials.trial import Band, Point, Repeat, Served, band


class Happened(msgspec.Struct, frozen=True, array_like=True):
    """One request. Moments are seconds of one clock, `bytes` those of the file, not of what the network adds."""

    person: int
    kind: Literal["read", "write", "list", "compute"]
    where: int
    thought: float
    asked: float
    answered: float
    bytes: int
    error: str = ""  # what was answered instead

    @property
    def response(self) -> float:
        return self.answered - self.asked


def within(happened: Sequence[Happened], begin: float, end: float) -> list[Happened]:
    """What was answered in that time."""
    return [each for each in happened if begin <= each.answered < end]


def repeat(seed: int, seconds: float, happened: Sequence[Happened], served: Sequence[Served]) -> Repeat:
    """Of what was answered in so many seconds. Requests that failed count as errors, and as nothing else.

    Raises CommonholdError where none was answered well: of that nothing can be said.
    """
    good = [each for each in happened if not each.error]
    if not good:
        first = next((each.error for each in happened), "nothing was asked for long enough")
        raise CommonholdError(f"No request was answered: {first}", "a longer --think, or fewer --people")
    times = Sample(array("d", [each.response for each in good]), len(happened) - len(good), seconds, 0, ())
    count = len(good)
    p50, p95, p99 = times.percentiles(0.5, 0.95, 0.99)
    return Repeat(
        seed,
        seconds,
        count,
        times.failures,
        sum(times.responses) / count,
        p50,
        p95,
        p99,
        think=sum(each.thought for each in good) / count,
        moved=sum(each.bytes for each in good) / count,
        served=tuple(_counted(each, number, good) for number, each in enumerate(served)),
    )


def _counted(served: Served, number: int, good: Sequence[Happened]) -> Served:
    """With how many requests that computer answered, and how many bytes of files it gave or took for them."""
    mine = [each.bytes for each in good if each.where == number]
    return msgspec.structs.replace(served, requests=len(mine), bytes=sum(mine))


def slowdown(point: Point) -> Band | None:
    """How many times as long an owner's own task took, at the computer where it was worst on average; a server has no

    owner. None where it was not measured.
    """
    felt: dict[str, list[float]] = {}
    for each in point.repeats:
        for served in each.served[1 if point.arrangement.shape is Shape.CLIENT_SERVER else 0 :]:
            if served.owner is not None:
                felt.setdefault(served.computer, []).append(served.owner.slowdown)
    return max(map(band, felt.values()), key=lambda each: each.mean, default=None)
