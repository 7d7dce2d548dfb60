"""What becomes of a measurement's raw readings: values of a scenario, each with its day and its spread. *Pure.*"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec

from commonhold.names import visible
from commonhold.plan.values.amounts import rate
from commonhold.plan.values.fields import FIELDS
from commonhold.plan.values.fitting import Middle, line, spread
from commonhold.plan.values.scenario import PACES, Provenance, Value, listed

MBIT = 1e6 / 8  # bytes
FEW = 30  # pauses, of which nothing can be said


class Timing(NamedTuple):
    """So many operations on files of so many bytes kept the processor of whoever served them busy for so long."""

    size: int
    operations: int
    seconds: float


class Round(NamedTuple):
    """One round of reading, storing and listing through a node's doors; `listing` is of one."""

    reads: tuple[Timing, ...]
    writes: tuple[Timing, ...]
    listing: float


class Reached(msgspec.Struct, frozen=True):
    """What was measured with one other computer, and why something was not. Bytes a second, seconds.

    `speed` is how many times as fast as this computer it does a fixed computation.
    """

    computer: str
    round_trip: float | None = None
    sending: float | None = None
    receiving: float | None = None
    speed: float | None = None
    troubles: tuple[str, ...] = ()


class OwnComputer(msgspec.Struct, frozen=True):
    """The computer that measures: bytes of memory, processor seconds of a fixed computation."""

    computer: str
    cores: int
    memory: int
    computation: float | None = None


class Figure(msgspec.Struct, frozen=True):
    """One measured value, and the sentence that tells it."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    source: str
    sentence: str


class Measurement(msgspec.Struct, frozen=True):
    """What `measure` answers: this computer, the others, the values that advice rests on, and what is missing."""

    machine: OwnComputer
    computers: tuple[Reached, ...]
    values: tuple[Figure, ...]
    notes: tuple[str, ...]


def value(name: str, found: Middle, source: str, day: date) -> Value:
    """A measured value, in its field's unit; held within the bounds that make sense, and whole where it counts."""
    field = FIELDS[name]
    number, low, high = (min(max(each, field.least), field.most) for each in found)
    if field.whole:
        number, low, high = (float(round(each)) for each in (number, low, high))
    return Value(number, Provenance.MEASURED, source, low, high, day)


def rates(rounds: Sequence[Round], source: str, day: date) -> dict[str, Value]:
    """What a processor does for each read, write and listing: a line for each round, and how rounds differ."""
    reads, writes = (
        [line([*map(_mean, each)]) for each in kinds] for kinds in zip(*(r[:2] for r in rounds), strict=True)
    )
    found = {
        "read": [each.each for each in reads],
        "read_byte": [each.byte for each in reads],
        "write": [each.each for each in writes],
        "write_byte": [each.byte for each in writes],
        "listing": [each.listing for each in rounds],
    }
    return {
        name: value(name, spread([each / PACES[name] for each in readings]), source, day)
        for name, readings in found.items()
    }


def links(reached: Iterable[Reached], day: date) -> dict[str, Value]:
    """The link: what passed each way, between this computer and each other."""
    found = [rate / MBIT for each in reached for rate in (each.sending, each.receiving) if rate]
    return {"link": value("link", spread(found), "files sent to and from other computers", day)} if found else {}


def strength(speeds: Mapping[str, Sequence[float]], server: str, day: date) -> dict[str, Value]:
    """How many times as fast as an ordinary computer the server is, or where there is none, the fastest would be.

    `speeds` are readings of several computers, in one unit; the ordinary one is the median of the others.
    """
    middles = {name: spread(readings).middle for name, readings in speeds.items()}
    others = middles.keys() - {server or max(middles, key=middles.__getitem__, default="")}
    chosen = middles.keys() - others
    if not others or not chosen:
        return {}
    (best,) = chosen
    ordinary = spread([middles[name] for name in sorted(others)]).middle
    source = f"a fixed computation at {best} and at {len(others)} other{'s' if len(others) > 1 else ''}"
    return {"strength": value("strength", spread([each / ordinary for each in speeds[best]]), source, day)}


def thought(lines: Iterable[Mapping[str, Any]], whole: bool, day: date) -> dict[str, Value]:
    """How long people think, from the pauses that a record tells (authority/visits.py): nothing from a few.

    `whole`: the record is a server's, which sees all that its people ask. A peer sees only its own doors, so that what
    somebody asks of another meanwhile looks like thought.
    """
    told = [(entry.get("pauses"), entry.get("seconds")) for entry in lines if entry.get("event") == "pauses"]
    sound = [(count, mean) for count, mean in told if isinstance(count, int) and isinstance(mean, int | float)]
    total = sum(count for count, _ in sound)
    if total < FEW:
        return {}
    mean = sum(count * mean for count, mean in sound) / total
    _, low, high = spread([each for _, each in sound])
    source = f"{total} pauses in this computer's record{'' if whole else ': at most so much, of those who ask here'}"
    return {"think": value("think", Middle(mean, min(low, mean), max(high, mean)), source, day)}


def merged(before: Mapping[str, Value], now: Mapping[str, Value]) -> dict[str, Value]:
    """Value by value the newest; of two of one day that of `now`."""
    found = dict(before)
    for name, fresh in now.items():
        old = found.get(name)
        if old is None or (old.day or date.min) <= (fresh.day or date.min):
            found[name] = fresh
    return found


def written(values: Mapping[str, Value], notes: Sequence[str] = ()) -> str:
    """A scenario's file of measured values alone, under what has to be said of the measurement."""
    remarks = [f"# {visible(' '.join(note.split()))}" for note in notes]  # another computer's words may be among them
    return "\n".join([*remarks, *listed((name, values[name]) for name in FIELDS if name in values)]) + "\n"


def figures(values: Mapping[str, Value]) -> tuple[Figure, ...]:
    """In the order of FIELDS."""
    return tuple(_figure(name, values[name]) for name in FIELDS if name in values)


def _figure(name: str, found: Value) -> Figure:
    field = FIELDS[name]
    unit = f" {field.unit}" if field.unit else ""
    spread_ = f", 8 of 10 from {rate(found.low)} to {rate(found.high)}" if found.low != found.high else ""
    sentence = f"{field.about} ({name}): {rate(found.number)}{unit}{spread_}; {found.source}"
    return Figure(name, found.number, found.low, found.high, field.unit, found.source, sentence)


def _mean(batch: Timing) -> tuple[float, float]:
    return batch.size, batch.seconds / batch.operations
