"""Which versions a share keeps, and which it lets go. *Pure.*

What was deleted stays as long as the policy says. Of what was overwritten all stays for a day, then of each file the
last of every hour for a week, then the last of every day. And of all that, what fits: the oldest goes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SECOND = 10**9  # nanoseconds, in which times are given here
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WHOLE = DAY  # for so long everything stays
HOURLY = 7 * DAY


MOST = 50_000  # versions of one share, however small: each takes a block of the disk, and a row
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
    """A version: `at` is when it went, in nanoseconds since 1970; `size` is in bytes."""

    id: str
    path: str
    at: int
    size: int
    deleted: bool


def surplus(kept: Iterable[Kept], days: int, most: int, now: int) -> list[str]:
    """The ids of those that go, of versions in any order.

    Nothing stays longer than `days`, nor more than `most` bytes, nor more than MOST.

    >>> surplus([Kept("a", "x", 0, 10, False), Kept("b", "x", 5, 10, False)], 30, 15, now=6)
    ['a']
    """
    gone: list[str] = []
    room = most
    seen: set[tuple[str, int]] = set()
    for number, version in enumerate(sorted(kept, key=lambda each: each.at, reverse=True)):
        age = now - version.at
        stays = age < days * DAY and version.size <= most
        if stays and not version.deleted and age >= WHOLE:
            # By the clock, not by age: what was the last of its hour is it tomorrow, too.
            span = (version.path, version.at // (HOUR if age < HOURLY else DAY))
            stays = span not in seen
            seen.add(span)
        if stays and (version.size > room or number - len(gone) >= MOST):
            stays, room = False, 0  # the oldest go first: nothing older takes the place
        if stays:
            room -= version.size
        else:
            gone.append(version.id)
    return gone


def oldest(kept: Iterable[Kept], wanted: int, now: int) -> list[str]:
    """The ids of those that are given up for `wanted` bytes on a full disk: older than a day, the oldest first."""
    gone = []
    for version in sorted(kept, key=lambda each: each.at):
        if wanted <= 0 or now - version.at < WHOLE:
            break
        gone.append(version.id)
        wanted -= version.size
    return gone
