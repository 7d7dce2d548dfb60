"""How much the guests of a computer may use, and who is to blame when it is too much. Pure.

A guest is one sandbox. Inside it the smallest that can be ended is a *unit*: the process group of a task's
command, or one process in the group of the worker itself (a call of a function). The blame falls on the
fewest units, the largest first, without which all would be well; where these are many it is unclear, and the
whole guest ends. Which guest it is is asked of persons first: who divides what they take among several guests takes
no less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

Named = TypeVar("Named", bound=Hashable)

MOST_BLAMED = 8  # units of one guest that are ended at once
WORTH = 128 * 2**20  # bytes: who holds less is not ended because the computer is short of memory
FLOOR, FLOOR_PART = 512 * 2**20, 20  # the owner's programs keep so many bytes of memory, or that part of it
RESERVE, RESERVE_PART = 5 * 2**30, 20  # and of the disk
NEARLY_PART = 20  # of the memory that is lent: who holds all but that is told of no others
OWN = 128 * 2**20  # bytes of memory: a worker, and some room
THREADS, THREADS_EACH = 256, 64  # processes and threads of one guest: in all, and for each of its cores


class Lent(NamedTuple):
    """What the owner lends, to all guests together."""

    memory: int  # bytes
    disk: int = 0  # bytes; 0: half of what is free


class Machine(NamedTuple):
    """Its memory, as the system tells it (bytes)."""

    total: int
    available: int
    shared: int = 0  # of it, what lies in files that are memory, and in mappings that processes share


class Disk(NamedTuple):
    """The one that holds the guests' folders (bytes)."""

    total: int
    free: int


class Unit(NamedTuple):
    number: int  # of the group, or of the process, as the guest sees it
    group: bool
    memory: int
    processes: int  # and threads
    asked: int = 0  # bytes that it uses at most, its job says; 0: nobody knows


class Use(NamedTuple):
    """What one guest uses."""

    own: int = 0  # bytes of memory that no unit holds
    own_processes: int = 0
    units: tuple[Unit, ...] = ()
    most_processes: int = THREADS
    whose: str = ""  # its person; who is unknown is one of many

    @property
    def memory(self) -> int:
        return self.own + sum(unit.memory for unit in self.units)

    @property
    def processes(self) -> int:
        return self.own_processes + sum(unit.processes for unit in self.units)


class Room(NamedTuple):
    """What one guest takes of the disk: in all, and of it each of its tasks by its key, or group of processes."""

    total: int = 0
    shares: dict[str | int, int] = {}  # noqa: RUF012 - never changed
    whose: str = ""


class Overuse(NamedTuple):
    """Of the guest in that place end these units, or all of it when there are none."""

    guest: int
    units: tuple[Unit, ...]
    why: str


class Eviction(NamedTuple):
    """Of the guest in that place these tasks end, by their keys or groups; or all of it when there are none."""

    guest: int
    named: tuple[str | int, ...]
    why: str


def amount(count: int) -> str:
    """Bytes as owners state them.

    >>> amount(2 * 2**30), amount(1_500_000_000)
    ('2 GiB', '1.5 GB')
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{count / 10**6:.0f} MB"


def threads(cores: int) -> int:
    """How many processes and threads one guest may have. Some libraries start one for each core, in each task."""
    return THREADS + THREADS_EACH * cores


def for_tasks(memory: int) -> int:
    """Bytes of what is lent that tasks may ask for: what runs them needs some, too."""
    return max(memory - OWN, memory // 2)


def verdicts(uses: Sequence[Use], bounds: Lent, machine: Machine, lender: str) -> list[Overuse]:
    """Who is to be ended now, at the computer called `lender`."""
    much = _greedy(uses) or _hungry(uses, bounds, lender) or _starving(uses, machine, lender)
    return [*_crowds(uses, lender), *much]


def near(uses: Sequence[Use], bounds: Lent, machine: Machine) -> bool:
    """Whether it may soon be too much, so that one looks more often."""
    crowded = any(2 * use.processes > use.most_processes for use in uses)
    return crowded or 2 * sum(use.memory for use in uses) > bounds.memory or machine.available < 2 * floor(machine)


def floor(machine: Machine) -> int:
    """Bytes of memory that are the owner's, whatever is lent."""
    return min(FLOOR, machine.total // FLOOR_PART)


def reserve(disk: int) -> int:
    """Bytes of a disk of that size that are to stay free."""
    return min(RESERVE, disk // RESERVE_PART)


def blamed(shares: dict[Named, int], excess: int) -> tuple[Named, ...]:
    """The fewest that take at least `excess` of something, the largest first; none when it takes too many of them."""
    found: list[Named] = []
    for one in sorted(shares, key=lambda each: shares[each], reverse=True)[:MOST_BLAMED]:
        found.append(one)
        excess -= shares[one]
        if excess <= 0:
            return tuple(found)
    return ()


def heaviest(guests: Sequence[tuple[str, int]]) -> int | None:
    """The place of the largest guest of the person whose guests take the most together; each is a person and a size."""
    taken = Counter[str | int]()
    for place, (whose, size) in enumerate(guests):
        taken[whose or place] += size
    ranked = [(taken[whose or place], size) for place, (whose, size) in enumerate(guests)]
    return max(range(len(guests)), key=lambda place: ranked[place], default=None)


def lent_disk(rooms: Sequence[Room], bounds: Lent, disk: Disk) -> int:
    """How many bytes guests may take together."""
    return bounds.disk or (disk.free + sum(room.total for room in rooms)) // 2


def eviction(rooms: Sequence[Room], bounds: Lent, disk: Disk, lender: str) -> Eviction | None:
    """Who is to give room now: guests take more than is lent, or the disk is nearly full and they have some of it."""
    most = lent_disk(rooms, bounds, disk)
    short, excess = reserve(disk.total) - disk.free, sum(room.total for room in rooms) - most
    guest = heaviest([(room.whose, room.total) for room in rooms])
    if guest is None or (excess <= 0 and (short <= 0 or rooms[guest].total < WORTH)):
        return None
    named = blamed(rooms[guest].shares, max(excess, short))
    if excess > 0:
        return Eviction(guest, named, f"It took more than {amount(most)} of the disk, which is what {lender} lends.")
    return Eviction(guest, named, f"The disk of {lender} was nearly full, and it took the most of it.")


def _crowds(uses: Sequence[Use], lender: str) -> list[Overuse]:
    found = []
    for guest, use in enumerate(uses):
        if (excess := use.processes - use.most_processes) > 0:
            units = blamed({unit: unit.processes for unit in use.units}, excess)
            why = f"It started more than {use.most_processes} processes and threads, which is what {lender} lends."
            found.append(Overuse(guest, units, why))
    return found


def _greedy(uses: Sequence[Use]) -> list[Overuse]:
    """Tasks that use more than they have asked for: by that they were given their place."""
    return [
        Overuse(guest, (unit,), f"It used more than {amount(unit.asked)} of memory, which is what its job asked for.")
        for guest, use in enumerate(uses)
        for unit in use.units
        if 0 < unit.asked < unit.memory
    ]


def beyond(uses: Sequence[Use], memory: int, lender: str, person: str) -> list[Overuse]:
    """Who is to be ended of one person's guests, who may have so many bytes of memory together."""
    return _hungry(uses, Lent(memory), lender, f" {person}")


def _hungry(uses: Sequence[Use], bounds: Lent, lender: str, whom: str = "") -> list[Overuse]:
    """More than is lent, in the guest that holds the most."""
    excess = sum(use.memory for use in uses) - bounds.memory
    lent = f"{amount(bounds.memory)} of memory"
    workers = sum(use.own for use in uses)  # what runs the tasks is part of what is lent

    def why(held: int) -> str:
        if held + workers > bounds.memory - bounds.memory // NEARLY_PART:
            return f"It used more than {lent}, which is what {lender} lends{whom}."
        return (
            f"What was running on {lender} used more than {lent} together, which is what {lender} lends{whom};"
            f" of this task it was {amount(held)}, the most."
        )

    return _largest(uses, excess, 0, why) if excess > 0 else []


def _starving(uses: Sequence[Use], machine: Machine, lender: str) -> list[Overuse]:
    """The computer is short of memory, whoever took it: guests go first."""
    excess = floor(machine) - machine.available

    def why(held: int) -> str:
        return f"{lender} was short of memory, and its owner's programs come first; of this task it was {amount(held)}."

    return _largest(uses, excess, WORTH, why) if excess > 0 else []


def _largest(uses: Sequence[Use], excess: int, worth: int, why: Callable[[int], str]) -> list[Overuse]:
    guest = heaviest([(use.whose, use.memory) for use in uses])
    if guest is None or uses[guest].memory < worth:
        return []
    use = uses[guest]
    units = blamed({unit: unit.memory for unit in use.units if unit.memory >= worth}, excess)
    return [Overuse(guest, units, why(units[0].memory if units else use.memory))]
