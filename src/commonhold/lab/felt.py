"""The owner's task in each computer of a town, followed: how long it took alone, and how long in a span of time."""

from __future__ import annotations

import json
import math
import sys
import threading
from contextlib import suppress
from typing import IO, NamedTuple, cast

from commonhold.errors import CommonholdError
from commonhold.lab.resident import Resident
from commonhold.plan.trials.trial import OwnerFelt

SETTLING, ALONE = 2, 10  # tasks: a town that has just been built is busy with itself; then what it takes alone
PATIENCE = 60.0  # seconds until so many were done


class Felt(NamedTuple):
    """One task: when it ended, how long it took, and how much of the processor all tasks so far took, in seconds."""

    at: float
    seconds: float
    processor: float


class Owner:
    """Of one computer. It ends with the computer."""

    def __init__(self, resident: Resident, phase: float) -> None:
        """`phase`: at which part of each second the task begins, 0 to 1."""
        self._name = resident.name
        self._pipe = cast(
            "IO[str]", resident.start(sys.executable, "-m", "commonhold.lab.owner", f"{phase:.3f}").stdout
        )
        self._alone = 0.0
        self._felt: list[Felt] = []
        self._settled = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with suppress(ValueError):  # the pipe was closed, or the process ended in the middle of a line
            for line in self._pipe:
                self._felt.append(Felt(**json.loads(line)))
                if len(self._felt) == SETTLING + ALONE:
                    self._settled.set()
        self._settled.set()

    def measure_alone(self) -> None:
        """While nothing else happens; blocks for some seconds. Raises CommonholdError where the task does not run."""
        self._settled.wait(PATIENCE)
        times = [each.seconds for each in self._felt[SETTLING:]]
        if len(times) < ALONE:
            raise CommonholdError(f"The task of the owner of {self._name} was not done {ALONE} times.")
        self._alone = sum(times) / len(times)

    def processor(self) -> float:
        """Seconds that the task has taken of the processor so far: it is none of the others' doing."""
        return self._felt[-1].processor if self._felt else 0.0

    def felt(self, since: float, until: float) -> OwnerFelt | None:
        """Between two moments of the monotonic clock; nothing where no task ended in between."""
        times = sorted(
            each.seconds for each in list(self._felt) if since <= each.at - each.seconds and each.at <= until
        )
        if not times:
            return None
        worst = times[math.ceil(0.99 * len(times)) - 1]
        return OwnerFelt(alone=self._alone, mean=sum(times) / len(times), p99=worst)
