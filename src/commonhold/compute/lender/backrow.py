"""Where guests stand behind the owner: in a group of their own among the system's processes (Linux's cgroups).

SCHED_IDLE, which all guests have, weighs processes against those of the same group only, and Linux makes groups by
itself: one for each session (autogroup), whose least weight is 15 beside 1,024; and systemd makes one for each service
and each log-in, of equal weights: a node that is one shares a core with its owner half and half. So all guests
together get one group, as far up as this node may make it below what limits it, of a weight that leaves the owner 99 %
of a core.

Not `cpu.idle`, whose weight is 3: on a computer that is busy for long next to nothing would ever be done, the owner's
own tasks neither, which stand there as well. Even so what runs tasks may be silent for a while: starvation.py.

In it each stay has a group of its own, so that none takes more for having more processes.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import psutil

NAME = "commonhold-"  # and the number of the node's process, and something by chance
WEIGHTS = {"cpu.shares": "10", "cpu.weight": "1"}  # by versions of cgroups: 10 and 10.24, beside 1,024
MEMBERS = "cgroup.procs"
TRIES, PAUSE = 50, 0.1  # the kernel lets a user say an autogroup's weight ten times a second; a group empties in time
LEAST_NICE = "19"


class Rank(StrEnum):
    """How guests give way, the best first."""

    GROUP = "group"  # of their own
    CLASS = "class"  # SCHED_IDLE alone: three of them leave the owner 98.5 % of a core
    SHARE = "share"  # the same, and the node is in a group that has a share of its own: guests take of that


class Mounted(NamedTuple):
    """Where the system shows the groups that divide processors."""

    top: Path
    own: tuple[str, ...]  # the way from there to this process's own group
    divides: bool  # a group on that way has a share of its own

    def places(self) -> list[Path]:
        """From the top to this process's own group; what limits this one's processors limits guests, too."""
        way = [self.top.joinpath(*self.own[:depth]) for depth in range(len(self.own) + 1)]
        return way[max((depth for depth, place in enumerate(way) if _limited(place)), default=0) :]


class BackRow:
    """The guests' group of one node. Where none can be made, guests give way as far as they do without."""

    def __init__(self, mounted: Mounted | None = None) -> None:
        self.rank = Rank.CLASS
        self._mounted = mounted
        self._folder: Path | None = None

    def open(self) -> None:
        """Make the group, and remove what nodes that were killed have left. Blocks for some milliseconds."""
        mounted = self._mounted or groups()
        if mounted is None:
            return
        self.rank = Rank.SHARE if mounted.divides else Rank.CLASS
        for place in mounted.places():
            _sweep(place)
            if self._folder is None and (found := _made(place / f"{NAME}{os.getpid()}-{secrets.token_hex(3)}")):
                self._folder, self.rank = found, Rank.GROUP

    def take_in(self, stay: str, inside: Callable[[], Iterable[int]]) -> None:
        """The processes of that stay, which all are the node's own programs yet: what they start stays there.

        Their session gets the least weight that it can have, too: of use where there is no group.
        """
        self._keep_place()
        group = self._folder / stay if self._folder is not None else None
        taken = set[int]()
        while new := set(inside()) - taken:
            for process in new:
                with suppress(OSError):  # it has ended, or its session has no weight of its own
                    stand_back(process)
                if group is not None:
                    with suppress(OSError):
                        group.mkdir(exist_ok=True)
                        (group / MEMBERS).write_text(str(process))
            taken |= new

    def _keep_place(self) -> None:
        """While nobody is in it, the group may be removed (a node in a container takes us for gone), or misplaced."""
        if self._folder is None:
            return
        mounted = self._mounted or groups()
        if mounted and self._folder.parent not in mounted.places():  # the node has been limited since
            if not any(below.is_dir() for below in self._folder.iterdir()):
                self.close()
                self.open()
        elif not self._folder.exists():
            _made(self._folder)

    def let_go(self, stay: str) -> None:
        """All of it has been killed but what ran away from its worker: that is killed now. Blocks until it is gone."""
        if self._folder is not None:
            _removed(self._folder / stay, TRIES, _end_members)

    def close(self) -> None:
        if self._folder is not None:
            _removed(self._folder, TRIES)
            self._folder = None


def stand_back(process: int) -> None:
    """Give the session of a process the least weight.

    Raises OSError when the process has ended, and where its session is one that Linux gives no weight (the system's).
    """
    autogroup = Path(f"/proc/{process}/autogroup")
    for _ in range(TRIES):
        if not autogroup.exists() or autogroup.read_text().endswith(f" {LEAST_NICE}\n"):
            return
        try:
            autogroup.write_text(LEAST_NICE)
        except BlockingIOError:
            time.sleep(PAUSE)


def groups(mounts: Path = Path("/proc/self/mountinfo"), own: Path = Path("/proc/self/cgroup")) -> Mounted | None:
    """Where they are here; None where there are none. The first version's, where it is what divides processors."""
    if not own.exists():
        return None
    ways = {controllers: way for _, controllers, way in (row.split(":", 2) for row in own.read_text().splitlines())}
    unified = None
    for row in mounts.read_text().splitlines():
        place, _, system = row.partition(" - ")
        root, top = place.split()[3:5]
        kind, _, words = system.split(" ", 2)
        if kind == "cgroup" and "cpu" in words.split(","):
            way = next((way for names, way in ways.items() if "cpu" in names.split(",")), "/")
            return _mounted(Path(top), root, way, divided=True)
        if kind == "cgroup2" and "" in ways:
            unified = _mounted(Path(top), root, ways[""], divided=False)
    return unified


def _mounted(top: Path, root: str, way: str, *, divided: bool) -> Mounted:
    """`divided`: every group has a share; else those below one that says so."""
    own = Path(way).relative_to(root).parts if Path(way).is_relative_to(root) else ()
    control = top / "cgroup.subtree_control"
    return Mounted(top, own, bool(own) and (divided or "cpu" in control.read_text().split()))


def _limited(place: Path) -> bool:
    """Whether those in it may use so much of the processors and no more, whatever nobody else needs."""
    limits = {"cpu.cfs_quota_us": "-1", "cpu.max": "max"}
    files = ((place / name, none) for name, none in limits.items() if (place / name).exists())
    return any(file.read_text().split()[0] != none for file, none in files)


def _made(group: Path) -> Path | None:
    """That group, empty, if it can be made and a process be brought into a group of its own there."""
    try:
        group.mkdir()
    except OSError:
        return None
    trial = group / "trial"
    try:
        name = next(name for name in WEIGHTS if (group / name).exists())
        (group / name).write_text(WEIGHTS[name])
        with suppress(OSError):  # of the second version; without it stays have one share together
            (group / "cgroup.subtree_control").write_text("+cpu")
        trial.mkdir()
        subprocess.run(["/bin/sh", "-c", f'echo 0 > "$0/{MEMBERS}"', trial], check=True, capture_output=True)
    except (OSError, StopIteration, subprocess.SubprocessError):
        _removed(group, 1)
        return None
    _removed(trial, 1)
    return group


def _sweep(place: Path) -> None:
    """Remove what nodes have left there that are no more."""
    for group in place.glob(f"{NAME}*-*"):
        number = group.name.removeprefix(NAME).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            _removed(group, 1)


def _end_members(group: Path) -> None:
    """SIGKILL them; never the node, which a guest without bubblewrap may have brought there."""
    for word in (group / MEMBERS).read_text().split():
        if int(word) not in {0, os.getpid()}:  # 0: of another namespace
            os.kill(int(word), signal.SIGKILL)


def _removed(group: Path, tries: int, empty: Callable[[Path], None] = lambda _: None) -> None:
    """With those in it, if nobody is there; its files go by themselves. `empty` is called before each try."""
    for _ in range(tries):
        with suppress(OSError):
            empty(group)
        with suppress(OSError):
            for below in group.iterdir() if group.exists() else ():
                if below.is_dir():
                    below.rmdir()
            group.rmdir()
        if not group.exists():
            return
        time.sleep(PAUSE if tries > 1 else 0)
