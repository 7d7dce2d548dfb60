"""Values that people type: ends, durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

import click

Default: TypeAlias = Literal["default"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*(?:([kmgtp])(i?))?b?")
LONGEST = 100 * 366 * 86400  # seconds: what nobody outlives, and what every calendar can add


def seconds(text: str) -> int | None:
    """`90s`, `30m`, `2h`, `3d`, `1w` in seconds; None for anything else.

    >>> seconds("2h"), seconds("soon")
    (7200, None)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if not match:
        return None
    amount = int(match[1]) * UNITS[match[2]]
    return amount if 0 < amount <= LONGEST else None


def moment(text: str, now: datetime) -> datetime | None:
    """The UTC time that `text` means: a duration from `now`, or ISO 8601 (local time where no zone is named)."""
    if (amount := seconds(text)) is not None:
        return now + timedelta(seconds=amount)
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class Until(click.ParamType[datetime]):
    """When something ends."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        found = moment(value, now)
        if found is None:
            self.fail(f"“{value}” is no time; write 30m, 2h, 3d or 2027-01-31T18:00.", param, ctx)
        if found <= now:
            self.fail(f"“{value}” lies in the past.", param, ctx)
        return found


class Past(click.ParamType[datetime]):
    """When something was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        now = datetime.now(UTC)
        amount = seconds(value)
        found = now - timedelta(seconds=amount) if amount is not None else moment(value, now)
        if found is None:
            self.fail(f"“{value}” is no time; write 30m, 2h or 3d (ago), or 2027-01-31T18:00.", param, ctx)
        return found


class Duration(click.ParamType[float]):
    """How long something may take, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return value
        found = int(value) if value.isdecimal() and 0 < int(value) <= LONGEST else seconds(value)
        if found is None:
            self.fail(f"“{value}” is no duration; write 90s, 30m or 2h.", param, ctx)
        return found


class Size(click.ParamType[int]):
    """So many bytes: `1500`, `10 MB` (powers of 1000, as everywhere here), `2GiB` (powers of 1024)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value.strip().lower())
        if not match:
            self.fail(f"“{value}” is no size; write 500kB, 10GB or 2GiB.", param, ctx)
        return int(float(match[1]) * (1024 if match[3] else 1000) ** " kmgtp".index(match[2] or " "))


class OrDefault(click.ParamType[int | Default]):
    """A number of that kind, or the word `default`."""

    def __init__(self, kind: click.ParamType[int]) -> None:
        self._kind, self.name = kind, kind.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Default:
        return "default" if value == "default" else self._kind.convert(value, param, ctx)
