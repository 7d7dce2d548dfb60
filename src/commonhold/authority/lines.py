"""The lines of a record, read and verified: all its parts, the oldest first.

`audit.jsonl` is written to; when it is full it becomes `audit-0001.jsonl`, and so on. Parts are never
deleted: the chain goes through them all. Who rewrites the whole chain is found out by what others
witnessed of it (authority.witness).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

BEFORE_ALL = "0" * 64


class Sight(msgspec.Struct, frozen=True):
    """What somebody else saw of one line: its hash, and when."""

    hash: str
    by: str
    time: datetime


class Breach(msgspec.Struct, frozen=True):
    """The first line that is not what it was. `line` is its place in `file`, counted from 1."""

    file: str
    line: int
    n: int
    why: str


class Verdict(msgspec.Struct, frozen=True):
    """What verifying found: so many lines hold, from the first to the last of them."""

    lines: int
    first: datetime | None = None
    last: datetime | None = None
    witnessed: int = 0  # lines that somebody else saw, and that are what they saw
    broken: Breach | None = None


def part(path: Path, number: int) -> Path:
    """The full part of that number."""
    return path.with_name(f"{path.stem}-{number:04}{path.suffix}")


def part_numbers(path: Path) -> list[int]:
    """The numbers of the full parts that are there."""
    named = re.compile(rf"{re.escape(path.stem)}-(\d{{4,}}){re.escape(path.suffix)}")
    found = (named.fullmatch(each.name) for each in path.parent.glob(f"{path.stem}-*{path.suffix}"))
    return sorted(int(match[1]) for match in found if match)


def parts(path: Path) -> list[Path]:
    """All parts that are there, the oldest first, the one that is written to last."""
    return [*(part(path, number) for number in part_numbers(path)), *([path] if path.exists() else [])]


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that can be read, oldest first; none when nothing was recorded yet."""
    for each in parts(path):
        for line in finished(each):
            entry = read(line)
            if entry is not None:
                yield entry


def hashes(path: Path, after: int) -> list[str]:
    """The hashes of the lines after that number, as they stand. Reads the parts that hold them, and no other."""
    needed: list[Path] = []
    for each in reversed(parts(path)):
        first = read(next(finished(each), b"")) or {}
        needed.insert(0, each)
        if isinstance(first.get("n"), int) and first["n"] <= max(after, 1):
            break
    else:
        first = {"n": 1}
    start = int(first["n"]) if needed else 1
    lines = (digest(line) for each in needed for line in finished(each))
    return [found for number, found in enumerate(lines, start) if number > after]


def verify(path: Path, seen: Mapping[int, Sequence[Sight]] | None = None) -> Verdict:
    """Walk the chain. `seen`: what others saw of lines, by number.

    A last line without its end is no sign of forgery: it is being written, or a power cut tore it.
    """
    seen = seen or {}
    walk = _Walk(seen)
    for number, there in enumerate(_expected(path), 1):
        if not there.exists():
            if there == path:
                break
            return walk.verdict(Breach(there.name, 1, walk.lines + 1, "this part is missing"))
        for place, line in enumerate(finished(there), 1):
            if why := walk.step(line, first=number > 1 and place == 1):
                return walk.verdict(Breach(there.name, place, walk.lines + 1, why))
    later = [number for number in seen if number > walk.lines]
    if later:
        sight = seen[max(later)][0]
        why = f"it is missing: {sight.by} saw {max(later)} lines on {sight.time:%Y-%m-%d %H:%M} UTC"
        return walk.verdict(Breach(path.name, walk.last_place + 1, walk.lines + 1, why))
    return walk.verdict(None)


class _Walk:
    """Along the chain, a line at a time."""

    def __init__(self, seen: Mapping[int, Sequence[Sight]]) -> None:
        self._seen = seen
        self._head = BEFORE_ALL
        self._times: list[str] = []
        self.lines = 0
        self.last_place = 0
        self._witnessed = 0

    def step(self, line: bytes, *, first: bool) -> str:
        """Take one line in; or why it cannot be the next."""
        self.last_place = 0 if first else self.last_place
        entry = read(line)
        if entry is None:
            return "it cannot be read"
        number, found = self.lines + 1, digest(line)
        wrong = next((sight for sight in self._seen.get(number, ()) if sight.hash != found), None)
        if wrong is not None:
            return f"it is not what {wrong.by} saw on {wrong.time:%Y-%m-%d %H:%M} UTC"
        if entry.get("n") != number:
            return f"its number is {entry.get('n')} and should be {number}: lines were dropped or slipped in"
        if entry.get("prev") != self._head:
            return "it does not follow the line before it: one of the two was changed"
        self.lines, self._head = number, found
        self.last_place += 1
        self._witnessed += number in self._seen
        self._times = [*self._times[:1], str(entry.get("time", ""))]
        return ""

    def verdict(self, broken: Breach | None) -> Verdict:
        times = [_time(text) for text in self._times]
        first, last = (times[0], times[-1]) if times else (None, None)
        return Verdict(self.lines, first, last, self._witnessed, broken)


def _expected(path: Path) -> list[Path]:
    """Every part that there must be."""
    numbers = part_numbers(path)
    return [*(part(path, number) for number in range(1, max(numbers, default=0) + 1)), path]


def finished(path: Path) -> Iterator[bytes]:
    """The finished lines of one part, without their ends.

    Only a line feed ends one: JSON escapes it, but not U+2028.
    """
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return


def read(line: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except ValueError:  # msgspec's errors and bad UTF-8
        return None


def digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
