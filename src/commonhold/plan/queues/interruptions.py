"""What is not there when it is wanted: a server that is down, peers that sleep, owners who come back. *Pure.*

How long something is away knows nothing of how long it has been (exponential), and people ask at any time. Seconds.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple, Protocol

import msgspec

from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.simulate import Absence, Chance, exponential

HOUR, MINUTE = 3600.0, 60.0


class Values(Protocol):
    """A scenario's numbers, by name."""

    def __getitem__(self, name: str) -> float: ...


class Away(NamedTuple):
    """For which part of the time something is away, and how long each time."""

    part: float
    seconds: float

    def absence(self, chance: Chance) -> Absence | None:
        """None for what is always there."""
        if not 0 < self.part < 1 or not self.seconds:
            return None
        there = self.seconds * (1 - self.part) / self.part
        return Absence(exponential(there, chance), exponential(self.seconds, chance))


class Interruptions(NamedTuple):
    """Of whoever is asked, and of a peer by its owner, who has the processors for themselves; how long people wait."""

    asked: Away
    owner: Away
    patience: float


class Missed(msgspec.Struct, frozen=True):
    """Parts of all requests: given up, and held until what was off is back; these wait `seconds` on average."""

    given_up: float
    held: float
    seconds: float


def interruptions(of: Values, shape: Shape) -> Interruptions:
    """What a scenario says of it. Outages are of the hours in which the network is used."""
    outage = of["server_outage"] if shape is Shape.CLIENT_SERVER else of["computer_outage"]
    asked = Away(min(1.0, outage / of["used"]), of["off_for"] * MINUTE)
    owners = 0.0 if shape is Shape.CLIENT_SERVER else of["owners"]
    return Interruptions(asked, Away(owners, of["visit"] * MINUTE), of["patience"])


def missed(found: Interruptions) -> Missed:
    """Of requests that come at any time: the part u finds nobody, and of these exp(-p/L) would wait longer than p.

    Among peers each request meets one computer, whichever it is, so that the parts are those of one.
    """
    off, length = found.asked
    if not off:
        return Missed(0.0, 0.0, 0.0)
    gone = exp(-found.patience / length) if length else 0.0
    back = 1 - gone
    return Missed(off * gone, off * back, length - found.patience * gone / back if back else 0.0)
