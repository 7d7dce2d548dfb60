"""Tells a guest that waits for a processor, since the owner needs them all, from one that hangs: both are silent.

What wants to run is ready at every look, and gets next to nothing. Pure: who looks, and when, is told.
"""

from __future__ import annotations

from collections.abc import Mapping

LOOKS = 5  # in a row
SHORTEST = 0.1  # seconds between two looks at least
LITTLE = 0.2  # of one core, by all processes together


class Starvation:
    """Of one guest."""

    def __init__(self) -> None:
        self.seen = False
        self._since = 0.0
        self._spent: Mapping[int, float] = {}
        self._looks = 0

    def look(self, now: float, spent: Mapping[int, float], ready: bool) -> None:
        """`spent`: seconds of processor that each process has had. `ready`: one of them runs, or wants to."""
        if now - self._since < SHORTEST:
            return
        gained = sum(max(0.0, of - self._spent.get(process, 0.0)) for process, of in spent.items())
        waits = ready and gained < LITTLE * (now - self._since)
        self._since, self._spent = now, spent
        self._looks = self._looks + 1 if waits else 0
        self.seen = self._looks >= LOOKS
