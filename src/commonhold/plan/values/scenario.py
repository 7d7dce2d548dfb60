"""What advice rests on: one file of values, each of which says whether it was measured, told or assumed. *Pure.*

    workload = "office"
    [fleet]
    computers = 12            # told, by whoever wrote the file
    [fleet.strength]
    value = 3.1
    origin = "measured"
    source = "measure, at tower"
    date = 2026-11-30
    low = 2.9                 # 8 of 10 measurements lie from low to high
    high = 3.3

What is not said is assumed: fields.py has what, and why.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple

from commonhold.errors import WrongUsage
from commonhold.plan.queues.shapes import Fleet
from commonhold.plan.queues.workload import Demands, Rates, Workload, demands, named
from commonhold.plan.values.fields import FIELDS, Field

STALE = timedelta(days=183)  # since a measurement: disks fill, and networks grow
LONGEST_SAID = 40  # characters of a wrong value that are repeated
BEYOND = 4  # times the largest load that was measured: further, a forecast is a warning's worth
SECTIONS = tuple(dict.fromkeys(field.section for field in FIELDS.values()))
# What Rates are made of, and the unit of each in theirs.
PACES = {"link": 1.0, **{name: 1e-9 if f.unit == "ns" else 1.0 for name, f in FIELDS.items() if f.section == "rates"}}
WORDS = frozenset({"value", "origin", "source", "date", "low", "high"})


class Provenance(StrEnum):
    MEASURED = "measured"
    TOLD = "told"
    ASSUMED = "assumed"


class Value(NamedTuple):
    """One number, where it comes from, and between which it lies in 8 of 10 cases."""

    number: float
    origin: Provenance
    source: str
    low: float
    high: float
    day: date | None = None


class Scenario:
    """All values of one network. Raises WrongUsage for what contradicts itself."""

    def __init__(self, values: Mapping[str, Value], workload: str = "office") -> None:
        for name, value in values.items():  # first, since others follow from it
            _require(name, FIELDS[name], value)
        self.workload: Workload = named(workload)
        self._said = {name: value for name, value in values.items() if value.origin is not Provenance.ASSUMED}
        # What a file repeats of our own assumptions follows what it follows from; what it assumes otherwise stands.
        self._said |= {name: value for name, value in values.items() if value != self._assume(name)}
        self._values = {name: self._said.get(name) or self._assume(name) for name in FIELDS}
        self._require_sense()

    def __getitem__(self, name: str) -> float:
        return self._values[name].number

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        """In the order of FIELDS."""
        return ((name, self._values[name]) for name in FIELDS)

    def value(self, name: str) -> Value:
        return self._values[name]

    def but(self, **numbers: float) -> Scenario:
        """The same with these numbers told, and everything derived from them anew."""
        return self.changed(numbers)

    def changed(self, numbers: Mapping[str, float], workload: str | None = None) -> Scenario:
        """The same with these numbers told, and another workload. Raises WrongUsage for a name that no value has."""
        return Scenario(self._said | told(numbers), workload or self.workload.name)

    def fleet(self) -> Fleet:
        """What the models ask for."""
        work = Demands(*(self[name] for name in ("processor", "disk", "transfer", "computing")))
        return Fleet(int(self["computers"]), work, self["think"], int(self["cores"]), self["strength"], self["hot"])

    def warnings(self, people: float | None = None, today: date | None = None) -> list[str]:
        """What has to be said with whatever is computed from it, for so many people if not for its own.

        With `today` also how old measurements are.
        """
        doubts = _doubts(self, self["people"] if people is None else people)
        return [*doubts, *(_aged(self, today) if today else ())]

    def _assume(self, name: str) -> Value:
        """What follows from what is known, else what is usual."""
        field = FIELDS[name]
        if name == "people" and "computers" in self._said:
            return _same(self._said["computers"].number, field.source)
        if field.section == "work":
            return self._from_workload(name)
        return Value(field.assumed, Provenance.ASSUMED, field.source, field.low, field.high)

    def _from_workload(self, name: str) -> Value:
        needed = demands(self.workload, self._rates())
        numbers = {
            "think": self.workload.think,
            "processor": needed.processor,
            "disk": needed.disk,
            "transfer": needed.link,
            "computing": needed.computing,
        }
        known = any(FIELDS[each].section == "rates" for each in self._said)
        source = f"the workload {self.workload.name}{', at rates that were said' if known and name != 'think' else ''}"
        return Value(numbers[name], Provenance.ASSUMED, source, numbers[name] / 2, numbers[name] * 2)

    def _rates(self) -> Rates:
        """In the units of `Rates`. What makes no sense is refused elsewhere: here it only divides nothing."""
        known = {name: self._said[name].number if name in self._said else FIELDS[name].assumed for name in PACES}
        link, disk = (max(known.pop(name), FIELDS[name].least) for name in ("link", "disk_rate"))
        return Rates(link * 1e6 / 8, disk * 1e6, **{name: number * PACES[name] for name, number in known.items()})

    def _require_sense(self) -> None:
        for name, value in self:
            _require(name, FIELDS[name], value)
        if not any(self[name] for name in ("think", "processor", "disk", "transfer", "computing")):
            raise WrongUsage("[work] says that people neither think nor wait: they would ask without end.")


def told(numbers: Mapping[str, float]) -> dict[str, Value]:
    """What somebody says. Raises WrongUsage for a name that no value has, and for what is no number."""
    for name in numbers:
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1)
            hint = f"did you mean {near[0]}?" if near else "commonhold advise --save FILE writes them all"
            raise WrongUsage(f"There is no value “{name}”.", hint)
    return {
        name: _same(_finite(FIELDS[name].section, name, number), "told", Provenance.TOLD)
        for name, number in numbers.items()
    }


def parse(text: str) -> Scenario:
    """A scenario's file. Raises WrongUsage with the field, the value and the bound that it breaks."""
    try:
        read = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # Python's own bounds, too: digits of a number, depth of a list
        raise WrongUsage(
            f"This is no scenario: {str(error).rstrip('.')}.", "it is TOML: commonhold advise --save FILE writes one"
        ) from None
    workload = read.pop("workload", "office")
    if not isinstance(workload, str):
        raise WrongUsage("workload is the name of one.")
    values = {}
    for section, fields in read.items():
        if section not in SECTIONS or not isinstance(fields, dict):
            raise WrongUsage(f"“{section}” is no section of a scenario.", f"these are: {', '.join(SECTIONS)}")
        for name, said in fields.items():
            values[name] = _read(section, name, said)
    return Scenario(values, workload)


def written(scenario: Scenario) -> str:
    """The same as a file that `parse` reads, assumptions among it."""
    return "\n".join([f'workload = "{scenario.workload.name}"', *listed(scenario)]) + "\n"


def listed(values: Iterable[tuple[str, Value]]) -> list[str]:
    """The lines of these values in a scenario's file."""
    lines = []
    for name, value in values:
        field = FIELDS[name]
        lines += ["", f"# {field.about}{f', in {field.unit}' if field.unit else ''}", f"[{field.section}.{name}]"]
        lines += [f"value = {_number(value.number, field)}", f'origin = "{value.origin}"']
        lines += [f"source = {_quoted(value.source)}"]
        lines += [f"date = {value.day.isoformat()}"] if value.day else []
        lines += [f"low = {value.low!r}", f"high = {value.high!r}"] if value.low != value.high else []
    return lines


def _read(section: str, name: str, said: Any) -> Value:
    field = FIELDS.get(name)
    if field is None or field.section != section:
        near = get_close_matches(name, [each for each, known in FIELDS.items() if known.section == section], 1)
        raise WrongUsage(f"[{section}] has no “{name}”.", f"did you mean {near[0]}?" if near else "")
    if not isinstance(said, dict):
        return _same(_finite(section, name, said), "told", Provenance.TOLD)
    if unknown := set(said) - WORDS:
        raise WrongUsage(f"[{section}.{name}] has no “{sorted(unknown)[0]}”.", f"these are: {', '.join(sorted(WORDS))}")
    if "value" not in said:
        raise WrongUsage(f"[{section}.{name}] has no value.")
    number, low, high = (_finite(section, name, said.get(word, said["value"])) for word in ("value", "low", "high"))
    origin, day = said.get("origin", "told"), said.get("date")
    if not isinstance(origin, str) or origin not in set(Provenance):
        raise WrongUsage(f"[{section}.{name}] has the origin “{origin}”.", f"one of: {', '.join(Provenance)}")
    if day is not None and not isinstance(day, date):
        raise WrongUsage(f"[{section}.{name}] has a date that is none.", "like 2026-11-30, without quotes")
    if isinstance(day, datetime):
        day = day.date()
    return Value(number, Provenance(origin), str(said.get("source", origin)), low, high, day)


def _finite(section: str, name: str, said: Any) -> float:
    if isinstance(said, bool) and FIELDS[name].most == 1:
        return float(said)
    number = float("nan")
    if isinstance(said, int | float) and not isinstance(said, bool):
        with suppress(OverflowError):  # more digits than a float has room for
            number = float(said)
    if not isfinite(number):
        raise WrongUsage(f"[{section}] {name} = {_shortened(said)} is no number.", f"it {_range(FIELDS[name])}")
    return number


def _require(name: str, field: Field, value: Value) -> None:
    for number, which in ((value.number, ""), (value.low, ", its low end,"), (value.high, ", its high end,")):
        if not field.least <= number <= field.most:
            raise WrongUsage(
                f"[{field.section}] {name} = {number:g}{which} is out of bounds: {field.about} {_range(field)}.",
            )
    if field.whole and value.number != int(value.number):
        raise WrongUsage(f"[{field.section}] {name} = {value.number:g} is no whole number.")
    if not value.low <= value.number <= value.high:
        raise WrongUsage(
            f"[{field.section}] {name} = {value.number:g} does not lie between its own bounds,"
            f" {value.low:g} and {value.high:g}."
        )


def _doubts(scenario: Scenario, people: float) -> Iterator[str]:
    """What is possible, and hardly meant."""
    measured, computers = scenario["measured"], scenario["computers"]
    if measured and people > BEYOND * measured:
        yield (
            f"People: {people:.0f} is more than {BEYOND} times the largest load that was measured ({measured:.0f}):"
            " what is said of it is a guess."
        )
    if 0 < scenario["hot"] < 1 / computers and scenario.value("hot").origin is not Provenance.ASSUMED:
        yield (
            f"Hot: {scenario['hot']:g} is less than an equal part of {computers:.0f} computers:"
            f" they are taken to have {1 / computers:.3g} each."
        )
    if scenario["dependants"] > people and scenario.value("dependants").origin is not Provenance.ASSUMED:
        yield f"Dependants: {scenario['dependants']:g} are more than all people: {people:.0f} are taken to wait."


def _aged(scenario: Scenario, today: date) -> Iterator[str]:
    """Of what was measured: what is old, and what cannot be of that day."""
    measured = [(name, value.day) for name, value in scenario if value.origin is Provenance.MEASURED and value.day]
    old = [name for name, day in measured if today - day > STALE]
    if old:
        oldest = min(day for name, day in measured if name in old)
        yield (
            f"{', '.join(old)}: measured more than {STALE.days} days ago, the first on {oldest}; what has changed since"
            " is not seen. To measure again: commonhold measure"
        )
    if ahead := [f"{name} ({day})" for name, day in measured if day > today + timedelta(days=1)]:
        yield f"{', '.join(ahead)}: measured on a day that is yet to come; is the clock right?"


def _shortened(said: Any) -> str:
    """As it was written, unless that takes a page."""
    try:
        text = repr(said)
    except ValueError:  # Python prints no number of so many digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST_SAID else f"{text[:LONGEST_SAID]}…"


def _range(field: Field) -> str:
    return f"lies between {field.least:g} and {field.most:g}{f' {field.unit}' if field.unit else ''}"


def _same(number: float, source: str, origin: Provenance = Provenance.ASSUMED) -> Value:
    return Value(number, origin, source, number, number)


def _number(number: float, field: Field) -> str:
    return str(int(number)) if field.whole else repr(number)


def _quoted(text: str) -> str:
    """As TOML's basic string."""
    escaped = "".join(
        f"\\u{ord(c):04x}" if ord(c) < 32 or ord(c) == 127 else f"\\{c}" if c in '"\\' else c for c in text
    )
    return f'"{escaped}"'
