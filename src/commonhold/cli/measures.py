"""Values that people type for a comparison: rates of links, numbers of people, placements."""

from __future__ import annotations

import re
from contextlib import suppress
from math import isfinite
from typing import Any

import click

MOST_PEOPLE = 2_000
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(k|m|g)?(?:bit)?(?:/s)?", re.IGNORECASE)


class Rate(click.ParamType[float]):
    """A link's, in Mbit/s: `20Mbit`, `1Gbit`, or a number of Mbit/s."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        if not (found := _RATE.fullmatch(value.strip())):
            self.fail(f"“{value}” is no rate; write 20Mbit, 1Gbit, or a number of Mbit/s.", param, ctx)
        return float(found[1]) * {"k": 1e-3, "m": 1.0, "g": 1e3}[(found[2] or "m").lower()]


class Number(click.FloatRange):
    """A number within bounds: what is none (nan) lies within any, for click."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"“{value}” is no number.", param, ctx)
        return number


class Crowds(click.ParamType[tuple[int, ...]]):
    """Numbers of people, by commas."""

    name = "people"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = [each.strip() for each in value.split(",")]
        if not all(len(each) < 9 and each.isdecimal() and 0 < int(each) <= MOST_PEOPLE for each in words):
            self.fail(f"“{value}” are no numbers of people; write 2,4,8, each from 1 to {MOST_PEOPLE}.", param, ctx)
        return tuple(sorted({int(each) for each in words}))


class Placement(click.ParamType[float]):
    """Which part of the requests goes to the busiest peer; 0 when all have alike."""

    name = "placement"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        word, _, part = value.partition(":")
        if word == "even" and not part:
            return 0.0
        with suppress(ValueError):
            if word == "hot" and 0.0 < (hot := float(part)) < 1.0:
                return hot
        return self.fail(f"“{value}” is no placement; write even, or hot:0.5 with a part between 0 and 1.", param, ctx)
