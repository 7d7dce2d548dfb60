"""How busy the computers of a town were between two moments, each as a part of what it has."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from commonhold.lab.felt import Owner
from commonhold.lab.resident import Metered, Resident
from commonhold.plan.trials.trial import Served

BLOCKS = Path("/sys/dev/block")
BUSY = 9  # which word of a device's `stat` counts the milliseconds with something to do (kernel: block/stat)


class Endowment(NamedTuple):
    """What one computer has: `link` in bytes/s each way (0: nobody knows), `power` in cores."""

    link: float
    power: float


class Watched(NamedTuple):
    """One of those that are watched; `owner` where what its owner feels is looked at."""

    resident: Resident
    means: Endowment
    owner: Owner | None


def watch(watched: Sequence[Watched], folder: Path) -> Callable[[], list[Served]]:
    """From now on. What it gives says how busy each computer was since, the one disk below `folder` shared out."""
    before, disk = [each.resident.reading() for each in watched], busy(folder)
    thought = [each.owner.processor() if each.owner else 0.0 for each in watched]

    def since() -> list[Served]:
        after = [each.resident.reading() for each in watched]
        worked, moved = busy(folder) - disk, sum(now.disk - was.disk for now, was in zip(after, before, strict=True))
        found = []
        for each, was, now, earlier in zip(watched, before, after, thought, strict=True):
            part = (now.disk - was.disk) / moved if moved else 0.0
            own = each.owner.processor() - earlier if each.owner else 0.0
            found.append(served(each, was, now, own, worked * part))
        return found

    return since


def served(watched: Watched, was: Metered, now: Metered, own: float, disk: float) -> Served:
    """`own`: seconds that the owner's task took of the processor; `disk`: seconds that the disk worked for this one.

    A link is as busy as the busier of its two ways. Requests are counted by those who ask.
    """
    seconds, means = now.at - was.at, watched.means
    sent, received = now.sent - was.sent, now.received - was.received
    return Served(
        computer=watched.resident.name,
        requests=0,
        bytes=sent,
        processor=_part(now.processor - was.processor - own, seconds * means.power),
        disk=_part(disk, seconds),
        link=_part(max(sent, received), seconds * means.link),
        owner=watched.owner.felt(was.at, now.at) if watched.owner else None,
    )


def busy(folder: Path) -> float:
    """Seconds that the disk of a folder has worked so far; 0 where there is none, or the system does not say."""
    device = os.stat(folder).st_dev  # noqa: PTH116 - of the folder itself
    try:
        words = (BLOCKS / f"{os.major(device)}:{os.minor(device)}" / "stat").read_text().split()
        return int(words[BUSY]) / 1000
    except (OSError, IndexError, ValueError):
        return 0.0


def _part(used: float, whole: float) -> float:
    return min(1.0, max(0.0, used / whole)) if whole else 0.0
