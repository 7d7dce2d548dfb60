"""A town: one network in either shape, of computers on this machine that are held to the rates of real ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeVar

from commonhold.errors import CommonholdError
from commonhold.lab import leftovers, namespaces, watching
from commonhold.lab.felt import Owner
from commonhold.lab.leftovers import Estate
from commonhold.lab.levelling import Levelling
from commonhold.lab.ration import Groups
from commonhold.lab.relays import Relayed
from commonhold.lab.resident import Plot, Resident
from commonhold.lab.watching import Endowment, Watched
from commonhold.node.computer import Computer
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.trial import Arrangement, Served
from commonhold.transport import LoopThread

Way = Literal["namespaces", "loopback"]
T = TypeVar("T")

SHARE = "files"
AT_ONCE = 4  # computers that join side by side: each has a code of its own, and eight codes may be open
PATIENCE = 60.0  # seconds until every computer must know every other's address
MBIT = 1_000_000 / 8  # bytes/s
CORES = os.cpu_count() or 1


class Caps(NamedTuple):
    """What each computer has: `link` in Mbit/s each way, `power` in cores; 0 does not hold it.

    A server has `strength` times both.
    """

    link: float
    power: float
    strength: float = 1.0

    def of(self, server: bool) -> Endowment:
        """What one computer has; without a cap on its power all of this machine's."""
        times = self.strength if server else 1.0
        return Endowment(self.link * times * MBIT, self.power * times or CORES)


def best_way() -> Way:
    """How links can be held on this machine, by whoever runs this."""
    return "namespaces" if namespaces.available() else "loopback"


class Town:
    """So many computers, each with a person: standing inside `with`, and gone without a trace after it.

    In client-server the first is the server and all others are clients; there the server alone shares `files`, else
    each does, and every member may write in them. With `lend` whoever shares also lends its processors; with `owners`
    each computer's owner has a small task each second, by which `watch` says what the owner felt. A town whose
    process was killed is cleared away when the next one is built.

    `way` is how links are held: as well as this machine can, unless told. `warnings` say in sentences what that
    cannot show.
    """

    def __init__(
        self,
        computers: int,
        caps: Caps,
        arrangement: Arrangement,
        *,
        tell: Callable[[str], object],
        lend: bool = False,
        owners: bool = False,
        way: Way | None = None,
    ) -> None:
        self.way: Way = way or best_way()
        self.caps, self.arrangement = caps, arrangement
        self._groups = leftovers.groups_here() if self.way == "namespaces" else None
        self.warnings = warnings(self.way, caps, self._groups)
        self.computers: list[Resident] = []
        self._number, self._lend, self._owned, self._tell = computers, lend, owners, tell
        self._owners: list[Owner] = []
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            for folder in leftovers.abandoned():
                self._tell(f"Clearing away {folder}, which a comparison that was killed has left.")
                leftovers.clear(folder)
            self._estate = Estate()
            ending.callback(self._estate.clear)
            self._build(ending)
            self._populate(ending)
            self._ending = ending.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.close()

    def watch(self) -> Callable[[], list[Served]]:
        """From now on; what it gives says how busy each computer was since, and what its owner felt."""
        watched = [
            Watched(each, self.caps.of(self._serves(number)), self._owners[number] if self._owners else None)
            for number, each in enumerate(self.computers)
        ]
        return watching.watch(watched, self._estate.folder)

    def _serves(self, number: int) -> bool:
        return number == 0 and self.arrangement.shape is Shape.CLIENT_SERVER

    def _build(self, ending: ExitStack) -> None:
        plots = self._plots(ending)
        ending.callback(self._end)
        for number in range(self._number):
            server = self._serves(number)
            means = self.caps.of(server)
            cores = means.power if self.caps.power else 0.0
            ration = self._groups.ration(self._estate.token, number, cores) if self._groups else None
            name, person = ("server", "keeper") if server else (f"pc{number:02}", f"person{number:02}")
            plot = plots(number, means.link)
            computer = Computer(self._estate.folder / name, name, person, plot.address, plot.found_at)
            computer.folder.mkdir()
            self.computers.append(Resident(computer, plot, ration, SHARE))

    def _plots(self, ending: ExitStack) -> Callable[[int, float], Plot]:
        if self.way == "namespaces":
            return namespaces.Lan(self._estate.token).plug
        loop = LoopThread()
        ending.callback(loop.close)
        return lambda number, rate: Relayed(loop, number, rate)

    def _populate(self, ending: ExitStack) -> None:
        first, *others = self.computers
        self._tell(f"Founding a {self.arrangement.shape} network; {len(others)} computers join it.")
        first.found("town", self.arrangement.shape, self.arrangement.naive)
        _side_by_side(AT_ONCE, lambda each: each.join(first), others)
        self._acquaint()
        offering = self.computers if self.arrangement.shape is Shape.PEER_TO_PEER else [first]
        _side_by_side(AT_ONCE, Resident.offer, offering)
        if self._lend:
            _side_by_side(AT_ONCE, lambda each: each.lend([other.person for other in self.computers]), offering)
        for each in self.computers:
            each.hold()
        if self._lend and self.arrangement.naive:
            ending.callback(Levelling([each.pid for each in self.computers]).close)
        if self._owned:
            self._tell("Timing each owner's task, while nothing else is done.")
            self._owners = [Owner(each, number / self._number) for number, each in enumerate(self.computers)]
            for owner in self._owners:
                owner.measure_alone()

    def _acquaint(self) -> None:
        """Wait until each computer knows where all are that open a door."""
        deadline = time.monotonic() + PATIENCE
        for each in self.computers:
            while not self._knows(each):
                if time.monotonic() > deadline:
                    raise CommonholdError(f"{each.name} has not heard of all others within {PATIENCE:.0f} s.")
                time.sleep(0.05)

    def _knows(self, resident: Resident) -> bool:
        known = [m for m in resident.net.members() if m.here or m.role == "client" or m.addresses]
        return len(known) == len(self.computers)

    def _end(self) -> None:
        """All at once: a node takes a second to end well."""
        with ThreadPoolExecutor(len(self.computers) or 1) as threads, ExitStack() as ending:
            for each in self.computers:
                ending.callback(threads.submit(each.end).result)


def warnings(way: Way, caps: Caps, groups: Groups | None) -> list[str]:
    """What cannot be shown so, a sentence each."""
    found = []
    if way == "loopback" and caps.link:
        found.append(
            "Links are held by relays before each computer's door, since namespaces need root and iproute2:"
            " what a computer fetches elsewhere is held to the other's rate alone, and is not counted at its own link."
        )
    if caps.power and groups is None:
        found.append(
            f"No computer's processor is held to {caps.power:g} cores, which needs root and control groups:"
            f" all share the {CORES} of this machine, and one that is busy slows the others."
        )
    return found


def _side_by_side(most: int, work: Callable[[T], object], items: Iterable[T]) -> None:
    with ThreadPoolExecutor(most) as threads:
        for _ in threads.map(work, items):
            pass
