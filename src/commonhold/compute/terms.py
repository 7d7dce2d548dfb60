"""What the terms of lending say at a moment: whether this computer lends, or why not. *Pure.*

The terms themselves stand in the settings (home.LendingTerms); the hour of the day and whether somebody uses
the computer are handed in.
"""

from __future__ import annotations

import re
from datetime import time
from typing import NamedTuple

from commonhold.errors import WrongUsage
from commonhold.home import LendingTerms

HOURS = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?")
DAY = 24 * 60  # minutes


class Hours(NamedTuple):
    """A part of each day, in minutes since midnight; one that ends before it begins goes on over midnight."""

    begins: int
    ends: int

    @classmethod
    def parse(cls, text: str) -> Hours:
        """From `19-7` or `8:30-17`. Raises WrongUsage, also for a part without length: nobody knows what it means.

        >>> Hours.parse("8:30-17")
        Hours(begins=510, ends=1020)
        """
        if match := HOURS.fullmatch(text):
            numbers = [int(each or 0) for each in match.groups()]
            begins, ends = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
            if begins < DAY and ends <= DAY and begins != ends and max(numbers[1], numbers[3]) < 60:
                return cls(begins, ends)
        raise WrongUsage(f"“{text}” are no hours.", "write 19-7, 8:30-17, or always")

    def __str__(self) -> str:
        """As it can be parsed again, in the shortest form.

        >>> str(Hours.parse("08:30-17:00"))
        '8:30-17'
        """
        return "-".join(f"{each // 60}:{each % 60:02}" if each % 60 else str(each // 60) for each in self)

    def include(self, clock: time) -> bool:
        """Whether that time of the day lies in it; its end does not."""
        minute = clock.hour * 60 + clock.minute
        if self.begins < self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends


def closed(terms: LendingTerms, clock: time, used: bool) -> str:
    """Why this computer lends nothing at that local time, as what is said of it; nothing when it lends.

    `used`: whether its owner is there.

    >>> closed(LendingTerms(hours="19-7"), time(12), used=False)
    'lends only from 19:00 to 7:00'
    """
    if terms.when == "never":
        return "lends nothing now"
    if terms.hours and not (hours := Hours.parse(terms.hours)).include(clock):
        return f"lends only from {_spoken(hours.begins)} to {_spoken(hours.ends)}"
    if terms.when == "idle" and used:
        return "is in use, and lends only while it is not"
    return ""


def _spoken(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02}"
