"""One of the textbook's claims after it was tried: how it came out, in a sentence with figures. *Pure.*"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Result = Literal["confirmed", "refuted", "depends", "untried"]


class TriedClaim(msgspec.Struct, frozen=True):
    """`because` has the figures in it, or what would try the claim; `figures` has them by name, with their units."""

    number: int
    text: str
    verdict: Result
    because: str
    figures: Mapping[str, float] = {}


def result(held: Sequence[bool]) -> Result:
    """Of a claim that was tried in several cases: it held in each, in none, or it depends.

    >>> result([True, True]), result([False]), result([True, False]), result([])
    ('confirmed', 'refuted', 'depends', 'untried')
    """
    if not held:
        return "untried"
    return "confirmed" if all(held) else "depends" if any(held) else "refuted"
