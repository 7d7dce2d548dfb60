"""Which versions a share keeps, and which it lets go. *Pure.*

What was deleted stays as long as the policy says. Of what was overwritten all stays for a day, then of each file the
last of every hour for a week, then the last of every day. And of all that, what fits: of whoever takes most of the
room with what they overwrote and deleted the oldest goes first. So nobody pushes another's out of an equal part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

SECOND = 10**9  # nanoseconds, in which times are given here
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WHOLE = DAY  # for so long everything stays
HOURLY = 7 * DAY


MOST = 50_000  # versions of one share, however small: each takes a block of the disk, and a row
NOTED = 200_000  # other changes of one share that are known, so that they can be undone: each takes a row
LEAP = 3 * DAY  # what a clock may have gone on between two looks: a weekend switched off


def doubted(seen: int, doubt: int, now: int) -> int:
    """Since when the clock is doubted, 0 when it is not, from when it was `seen` last and how it was with it then.

    It is when it has leapt, until it has gone on for a day from there: a clock that was set ahead by mistake, or by
    somebody who answers in a time server's name, makes nothing old.

    >>> doubted(seen=5 * DAY, doubt=0, now=6 * DAY), doubted(seen=5 * DAY, doubt=0, now=9 * DAY) // DAY
    (0, 9)
    """
    if now - seen > LEAP or now < seen - HOUR:
        return now
    return 0 if now - doubt >= DAY else doubt


class Kept(NamedTuple):
    """A version: `at` is when it went, in nanoseconds since 1970, by `person`; `size` is in bytes."""

    id: str
    path: str
    at: int
    size: int
    deleted: bool
    person: str = ""


def surplus(kept: Iterable[Kept], days: int, most: int, now: int, *, spacious: bool = False) -> list[str]:
    """The ids of those that go, of versions in any order.

    Nothing stays longer than `days`, nor more than `most` bytes, nor more than MOST. `spacious`: what went within a
    day takes nothing of those bytes.

    >>> surplus([Kept("a", "x", 0, 10, False), Kept("b", "x", 5, 10, False)], 30, 15, now=6)
    ['a']
    >>> ann, bob = Kept("a", "x", 0, 10, False, "ann"), Kept("b", "y", 1, 9, False, "bob")
    >>> surplus([ann, bob, bob._replace(id="c", at=2)], 30, 20, now=6)
    ['b']
    """
    gone: list[Kept] = []
    stay: list[Kept] = []
    seen: set[tuple[str, int]] = set()
    for version in sorted(kept, key=lambda each: each.at, reverse=True):
        age = now - version.at
        stays = age < days * DAY and (version.size <= most or (spacious and age < WHOLE))
        if stays and not version.deleted and age >= WHOLE:
            # By the clock, not by age: what was the last of its hour is it tomorrow, too.
            span = (version.path, version.at // (HOUR if age < HOURLY else DAY))
            stays = span not in seen
            seen.add(span)
        (stay if stays else gone).append(version)
    counted = [each for each in stay if not spacious or now - each.at >= WHOLE]
    gone += _lightened(counted, sum(each.size for each in counted) - most, lambda each: each.size)
    left = set(stay).difference(gone)
    gone += _lightened([each for each in stay if each in left], len(left) - MOST, lambda _: 1)
    return [each.id for each in gone]


def oldest(kept: Iterable[Kept], wanted: int, now: int) -> list[str]:
    """The ids of those that are given up for `wanted` bytes on a full disk: older than a day, of whoever has most."""
    old = (each for each in sorted(kept, key=lambda each: each.at, reverse=True) if now - each.at >= WHOLE)
    return [each.id for each in _lightened(old, wanted, lambda each: each.size)]


def parts(wanted: Mapping[str, int], most: int) -> dict[str, int]:
    """How much of `most` each gets who wants so much: nobody less than an equal part, or what they want.

    >>> parts({"ann": 9, "bob": 1, "carol": 5}, 9)
    {'bob': 1, 'carol': 4, 'ann': 4}
    """
    given: dict[str, int] = {}
    for number, who in enumerate(sorted(wanted, key=wanted.__getitem__)):
        given[who] = min(wanted[who], most // (len(wanted) - number))
        most -= given[who]
    return given


def _lightened(kept: Iterable[Kept], wanted: int, weigh: Callable[[Kept], int]) -> Iterator[Kept]:
    """Of versions, newest first, those that go until so much has gone: each time the oldest of whoever has most."""
    theirs: defaultdict[str, list[Kept]] = defaultdict(list)
    weights: defaultdict[str, int] = defaultdict(int)
    for version in kept:
        theirs[version.person].append(version)
        weights[version.person] += weigh(version)
    while wanted > 0 and any(weights.values()):
        person = max(weights, key=weights.__getitem__)
        version = theirs[person].pop()
        weights[person] -= weigh(version)
        wanted -= weigh(version)
        yield version
