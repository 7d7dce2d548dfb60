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
from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from math import isfinite
from typing import Any, NamedTuple

from commonhold.errors import WrongUsage
from commonhold.plan.fields import FIELDS, Field
from commonhold.plan.shapes import Fleet
from commonhold.plan.workload import Demands, Rates, Workload, demands, named

BEYOND = 4  # times the largest load that was measured: further, a forecast is a warning's worth
SECTIONS = tuple(dict.fromkeys(field.section for field in FIELDS.values()))
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

    def warnings(self) -> list[str]:
        """What has to be said with whatever is computed from it."""
        measured, people = self["measured"], self["people"]
        if measured and people > BEYOND * measured:
            return [
                f"People: {people:.0f} is more than {BEYOND} times the largest load that was measured ({measured:.0f}):"
                " what is said of it is a guess."
            ]
        return []

    def _assume(self, name: str) -> Value:
        """What follows from what is known, else what is usual."""
        field = FIELDS[name]
        if name == "people" and "computers" in self._said:
            return _same(self._said["computers"].number, field.source)
        if field.section == "work":
            return self._from_workload(name)
        return Value(field.assumed, Provenance.ASSUMED, field.source, field.low, field.high)

    def _from_workload(self, name: str) -> Value:
        link = self._said["link"].number if "link" in self._said else FIELDS["link"].assumed
        needed = demands(self.workload, Rates(link=max(link, FIELDS["link"].least) * 1e6 / 8))
        numbers = {
            "think": self.workload.think,
            "processor": needed.processor,
            "disk": needed.disk,
            "transfer": needed.link,
            "computing": needed.computing,
        }
        source = f"the workload {self.workload.name}"
        return Value(numbers[name], Provenance.ASSUMED, source, numbers[name] / 2, numbers[name] * 2)

    def _require_sense(self) -> None:
        for name, value in self:
            _require(name, FIELDS[name], value)
        if not any(self[name] for name in ("think", "processor", "disk", "transfer", "computing")):
            raise WrongUsage("[work] says that people neither think nor wait: they would ask without end.")


def told(numbers: Mapping[str, float]) -> dict[str, Value]:
    """What somebody says. Raises WrongUsage for a name that no value has."""
    for name in numbers:
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1)
            hint = f"did you mean {near[0]}?" if near else "commonhold advise --save FILE writes them all"
            raise WrongUsage(f"There is no value “{name}”.", hint)
    return {name: _same(float(number), "told", Provenance.TOLD) for name, number in numbers.items()}


def parse(text: str) -> Scenario:
    """A scenario's file. Raises WrongUsage with the field, the value and the bound that it breaks."""
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUsage(
            f"This is no scenario: {error}.", "it is TOML: commonhold advise --save FILE writes one"
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
    lines = [f'workload = "{scenario.workload.name}"']
    for name, value in scenario:
        field = FIELDS[name]
        lines += ["", f"# {field.about}{f', in {field.unit}' if field.unit else ''}", f"[{field.section}.{name}]"]
        lines += [f"value = {_number(value.number, field)}", f'origin = "{value.origin}"']
        lines += [f"source = {_quoted(value.source)}"]
        lines += [f"date = {value.day.isoformat()}"] if value.day else []
        lines += [f"low = {value.low!r}", f"high = {value.high!r}"] if value.low != value.high else []
    return "\n".join(lines) + "\n"


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
    if origin not in set(Provenance):
        raise WrongUsage(f"[{section}.{name}] has the origin “{origin}”.", f"one of: {', '.join(Provenance)}")
    if day is not None and not isinstance(day, date):
        raise WrongUsage(f"[{section}.{name}] has a date that is none.", "like 2026-11-30, without quotes")
    return Value(number, Provenance(origin), str(said.get("source", origin)), low, high, day)


def _finite(section: str, name: str, said: Any) -> float:
    if isinstance(said, bool) and FIELDS[name].most == 1:
        return float(said)
    if isinstance(said, bool) or not isinstance(said, int | float) or not isfinite(said):
        raise WrongUsage(f"[{section}] {name} = {said!r} is no number.")
    return float(said)


def _require(name: str, field: Field, value: Value) -> None:
    for number in (value.number, value.low, value.high):
        if not field.least <= number <= field.most:
            raise WrongUsage(
                f"[{field.section}] {name} = {number:g} is out of bounds: {field.about} {_range(field)}.",
            )
    if field.whole and value.number != int(value.number):
        raise WrongUsage(f"[{field.section}] {name} = {value.number:g} is no whole number.")
    if not value.low <= value.number <= value.high:
        raise WrongUsage(
            f"[{field.section}] {name} = {value.number:g} does not lie between its own bounds,"
            f" {value.low:g} and {value.high:g}."
        )


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
