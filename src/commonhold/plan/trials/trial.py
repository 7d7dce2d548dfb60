"""What a comparison showed: one workload, the same seeds, in both shapes; kept as one JSON file. *Pure.*

A trial has points; a point is one arrangement with so many people, tried several times. Times are in seconds, sizes
in bytes. What was meant (mean thought, mean size) and what happened differ, and models are fed with what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from math import inf, sqrt
from typing import Annotated, Literal, NamedTuple

import msgspec

from commonhold import wire
from commonhold.errors import WrongUsage
from commonhold.plan.queues.shapes import Shape

FORM = 1  # of the file
MOST = 1e15
Amount = Annotated[float, msgspec.Meta(ge=0, le=MOST)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=MOST)]
Part = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=int(MOST))]
Several = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
# Student's t of 95 in 100, by degrees of freedom; beyond, as of the last.
STUDENT = (inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.2, 2.18, 2.16, 2.145, 2.131)


class Circumstances(msgspec.Struct, frozen=True):
    """What all points of a trial have in common."""

    workload: str
    computers: Several
    think: Amount  # that was meant, on average
    seed: int
    caps: Literal["namespaces", "loopback", "real"]  # how links and processors were held to their rates
    link: Amount = 0.0  # Mbit/s of each computer, each way; 0 without a cap
    power: Amount = 0.0  # cores of each computer; 0 without a cap
    strength: Positive = 1.0  # how many times the server had as much
    cores: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0  # of the one machine that all shared; 0: each had its own
    command: str = ""
    machine: str = ""
    day: date | None = None


class Arrangement(msgspec.Struct, frozen=True):
    """Which shape, and how large a part of the requests goes to the busiest computer: 0 spreads them evenly.

    `naive` is the textbook's peer-to-peer network: everybody may do everything, and guests come before their owner.
    """

    shape: Shape
    hot: Part = 0.0
    naive: bool = False


class OwnerFelt(msgspec.Struct, frozen=True):
    """How long a fixed small task of a computer's owner took, alone and while others were served."""

    alone: Positive
    mean: Amount
    p99: Amount

    @property
    def slowdown(self) -> float:
        return self.mean / self.alone


class Served(msgspec.Struct, frozen=True):
    """What one computer did for others in one repeat. `processor`, `disk` and `link` were busy so far, 0 to 1."""

    computer: str
    requests: Count
    bytes: Count
    processor: Part
    disk: Part
    link: Part
    owner: OwnerFelt | None = None


class Repeat(msgspec.Struct, frozen=True):
    """One repeat of a point, after its warm-up. Responses are from the asking to the last byte."""

    seed: int
    seconds: Positive
    requests: Count
    errors: Count
    mean: Amount
    p50: Amount
    p95: Amount
    p99: Amount
    think: Amount  # that there was, on average
    moved: Amount  # bytes a request
    served: tuple[Served, ...]
    machine: Part = 0.0  # of the processors of the one machine that played all; 0: nobody looked, or there was none

    @property
    def throughput(self) -> float:
        return self.requests / self.seconds


class Band(NamedTuple):
    """The mean of several repeats, and between which the true mean lies in 95 of 100 such trials."""

    mean: float
    low: float
    high: float


class Point(msgspec.Struct, frozen=True):
    """So many people in one arrangement, tried several times."""

    arrangement: Arrangement
    people: Several
    repeats: tuple[Repeat, ...]

    def band(self, of: Callable[[Repeat], float]) -> Band:
        """`point.band(lambda each: each.p95)`."""
        return band([of(each) for each in self.repeats])

    @property
    def throughput(self) -> Band:
        return self.band(lambda each: each.throughput)

    @property
    def response(self) -> Band:
        return self.band(lambda each: each.mean)


class Trial(msgspec.Struct, frozen=True):
    """All of a comparison. `warnings` are what its reader must know."""

    circumstances: Circumstances
    points: tuple[Point, ...]
    warnings: tuple[str, ...] = ()
    form: int = FORM

    def of(self, arrangement: Arrangement) -> list[Point]:
        """By rising number of people."""
        return sorted((each for each in self.points if each.arrangement == arrangement), key=lambda each: each.people)

    @property
    def arrangements(self) -> list[Arrangement]:
        return list(dict.fromkeys(each.arrangement for each in self.points))


def told_apart(trials: Sequence[Trial]) -> list[tuple[str, ...]]:
    """What tells each of several from the others, in a few words."""
    told = [_told(each.circumstances) for each in trials]
    differing = [place for place, words in enumerate(zip(*told, strict=True)) if len(set(words)) > 1]
    return [tuple(words[place] for place in differing if words[place]) for words in told]


def _told(circumstances: Circumstances) -> tuple[str, ...]:
    """Nothing of what was not held to a rate."""
    power = f"{circumstances.power:g} cores each" if circumstances.power else ""
    link = f"links of {circumstances.link:g} Mbit/s" if circumstances.link else ""
    return circumstances.workload, f"{circumstances.computers} computers", power, link


def band(values: Sequence[float]) -> Band:
    """Raises WrongUsage for no values; one alone says nothing of how far off it is."""
    if not values:
        raise WrongUsage("A mean needs a value at least.")
    mean = sum(values) / len(values)
    if len(values) == 1:
        return Band(mean, -inf, inf)
    variance = sum((each - mean) ** 2 for each in values) / (len(values) - 1)
    within = STUDENT[min(len(values), len(STUDENT)) - 1] * sqrt(variance / len(values))
    return Band(mean, mean - within, mean + within)


def written(trial: Trial) -> bytes:
    """As the file that `read` reads."""
    return msgspec.json.format(wire.to_json(trial), indent=1)


def read(data: bytes) -> Trial:
    """Raises WrongUsage for what is no trial."""
    try:
        trial = wire.from_json(data, Trial)
    except (ValueError, RecursionError) as error:  # the second: lists in lists without end
        raise WrongUsage(f"This is no comparison: {error}.", "commonhold compare --save FILE writes one") from None
    repeats = [point.repeats for point in trial.points]
    if trial.form != FORM or not repeats or not all(each and all(one.served for one in each) for each in repeats):
        raise WrongUsage("This comparison has no points, or was written by another version.", "run compare again")
    return trial
