"""Measures what a guest uses, from outside, and ends parts of it.

Under bubblewrap it looks through the guest's own /proc, which shows the processes of its namespace and no
others: some 10 µs for each, whatever else runs here. Numbers of processes are those that the guest sees, and
signals go by handles. Without bubblewrap it is the tree of processes below the worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from commonhold.compute.lender.backrow import stand_back
from commonhold.compute.lender.bounds import Machine, Unit, Use
from commonhold.compute.lender.shared import uncounted
from commonhold.compute.lender.starvation import Starvation
from commonhold.compute.sandbox import children

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")  # in a second of processor
STOOD_BACK = b" 19\n"  # at the end of what a session's group says of itself
BLOCK = 512  # bytes: what st_blocks counts in
MOST_EXACT = 1000  # processes, the largest, whose memory is measured exactly
TROUBLES = (OSError, ValueError, psutil.Error)  # of processes that begin or end while they are looked at
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class GuestProcess(NamedTuple):
    """One process of a guest."""

    number: int
    group: int
    memory: int  # bytes
    threads: int
    session: int = 0
    spent: float = 0.0  # seconds of processor
    ready: bool = False  # its first thread runs, or waits for a processor only


class Gauge(ABC):
    """Of one sandbox; `group` is that of the worker's own processes."""

    group: int
    starvation: Starvation
    _processes: int  # a handle of the /proc that knows them by their numbers

    @abstractmethod
    def use(self, most_memory: int) -> Use:
        """What it uses now; its memory is measured exactly only when it seems to be more than `most_memory`."""

    def _look(self) -> list[GuestProcess]:
        seen = list(self._seen())
        spent = {each.number: each.spent for each in seen}
        self.starvation.look(time.monotonic(), spent, any(each.ready for each in seen))
        return seen

    def hidden(self) -> dict[int, int]:
        """Bytes of memory that `use` does not find, by process group."""
        return uncounted(((each.number, each.group) for each in self._seen()), self._processes)

    def unlinked(self, device: int) -> dict[int, int]:
        """Bytes of files on that disk that have no name any more and are kept open, by process group."""
        return unlinked(self._seen(), device, self._processes)

    def groups_in(self, folder: str) -> set[int]:
        """Process groups, not the worker's, of which somebody is in a folder whose path has that part."""
        return groups_in(self._seen(), folder, self._processes) - {self.group}

    @abstractmethod
    def stopped(self) -> bool:
        """Whether the worker was told to stop, or is traced."""

    @abstractmethod
    def end(self, unit: Unit) -> None:
        """SIGKILL it."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def _seen(self) -> Iterator[GuestProcess]: ...


def machine() -> Machine:
    """The memory of this computer."""
    memory = psutil.virtual_memory()
    return Machine(memory.total, memory.available, getattr(memory, "shared", 0))


class NamespaceGauge(Gauge):
    """Of a sandbox of bubblewrap. Raises OSError when that has not begun yet, or has ended."""

    def __init__(self, outer: int) -> None:
        self.group, self.workers, self.starvation = 1, frozenset({1, 2}), Starvation()
        [inner] = children(outer)
        self._namespace = os.stat(f"/proc/{inner}/ns/pid").st_ino  # noqa: PTH116 - it is no path
        if self._namespace == os.stat("/proc/self/ns/pid").st_ino:  # noqa: PTH116
            raise FileNotFoundError("It has no namespace yet.")
        with contextlib.ExitStack() as opened:
            self._processes = _opened(opened, f"/proc/{inner}/root/proc")
            if os.fstat(self._processes).st_dev == os.stat("/proc").st_dev:  # noqa: PTH116
                raise FileNotFoundError("Its own /proc is not there yet.")
            self._shared = _opened(opened, f"/proc/{inner}/root/dev/shm")
            self._handles = opened.pop_all()

    def close(self) -> None:
        self._handles.close()

    def use(self, most_memory: int) -> Use:
        seen = self._look()
        self._stand_back(seen)
        shared = os.fstatvfs(self._shared)
        files = (shared.f_blocks - shared.f_bfree) * shared.f_frsize
        if files + sum(each.memory for each in seen) > most_memory:
            seen = [self._exactly(each, rank) for rank, each in enumerate(_by_memory(seen))]
        return summed(seen, self.group, self.workers, files)

    def _seen(self) -> Iterator[GuestProcess]:
        for number in _numbers(self._processes):
            with contextlib.suppress(OSError):
                words = self._read(f"{number}/stat").rpartition(b")")[2].split()
                memory, threads = int(words[21]) * PAGE, int(words[17])
                spent, ready = (int(words[11]) + int(words[12])) / TICKS, words[0] == b"R"
                yield GuestProcess(number, int(words[2]), memory, threads, int(words[3]), spent, ready)

    def _stand_back(self, seen: Iterable[GuestProcess]) -> None:
        """Where Linux divides processors among sessions first (autogroup), a new one has as much as the owner's.

        The worker's own stands back once it has started; and none can undo it, since the guest's /proc is read-only.
        """
        sessions = {each.session: each.number for each in seen if each.number > 1}
        workers = {each.session for each in seen if each.number in self.workers}
        new = set()
        for session in sessions.keys() - workers:
            with contextlib.suppress(OSError):
                if not self._read(f"{sessions[session]}/autogroup").endswith(STOOD_BACK):
                    new.add(sessions[session])
        if new:  # one pass for all: whose sessions are many would keep us from looking at what else they do
            for number, here in self._known_here("NSpid"):
                if number in new:
                    with contextlib.suppress(OSError):
                        stand_back(here)

    def stopped(self) -> bool:
        return self._read(f"{max(self.workers)}/stat").rpartition(b")")[2].split()[0] in {b"T", b"t"}

    def _exactly(self, seen: GuestProcess, rank: int) -> GuestProcess:
        """What processes share is counted once, and what was swapped out is counted."""
        if rank >= MOST_EXACT:
            return seen
        with contextlib.suppress(OSError, ValueError):
            rows = dict(row.split(b":") for row in self._read(f"{seen.number}/smaps_rollup").splitlines()[1:])
            return seen._replace(memory=sum(int(rows[name].split()[0]) for name in (b"Pss", b"SwapPss")) * 1024)
        return seen

    def _read(self, name: str) -> bytes:
        file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._processes)
        try:
            return os.read(file, 4096)
        finally:
            os.close(file)

    def end(self, unit: Unit) -> None:
        if unit.group:
            group = next((here for number, here in self._known_here("NSpgid") if number == unit.number), 0)
            with contextlib.suppress(OSError):
                if group:
                    os.killpg(group, signal.SIGKILL)  # at once: a group that forks all the time outruns one signal each
        for seen in self._seen():
            if unit.number == (seen.group if unit.group else seen.number):
                with contextlib.suppress(OSError):
                    self._kill(seen.number)

    def _kill(self, number: int) -> None:
        process = os.open(str(number), FOLDER, dir_fd=self._processes)
        try:
            signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)

    def _known_here(self, row: str) -> Iterator[tuple[int, int]]:
        """What the guest calls its processes (NSpid) or the groups of these (NSpgid), and what we call them.

        The newest first: they are the most of a fork bomb.
        """
        with contextlib.ExitStack() as opened:
            here = _numbers(_opened(opened, "/proc"))
        for process in sorted(here, reverse=True):
            with contextlib.suppress(OSError, StopIteration, ValueError):
                with Path(f"/proc/{process}/status").open() as rows:
                    _, as_here, inside = next(each for each in rows if each.startswith(f"{row}:")).split()
                if os.stat(f"/proc/{process}/ns/pid").st_ino == self._namespace:  # noqa: PTH116
                    yield int(inside), int(as_here)


class TreeGauge(Gauge):
    """Of a sandbox without bubblewrap: what descends from its first process."""

    def __init__(self, outer: int) -> None:
        self.group, self.starvation = outer, Starvation()
        self._outer = psutil.Process(outer)
        self._processes = os.open("/proc" if sys.platform == "linux" else "/", FOLDER)

    def close(self) -> None:
        os.close(self._processes)

    def use(self, most_memory: int) -> Use:
        seen = self._look()
        if sum(each.memory for each in seen) > most_memory:
            seen = [_exactly_here(each, rank) for rank, each in enumerate(_by_memory(seen))]
        return summed(seen, self.group, frozenset({self.group}), 0)

    def stopped(self) -> bool:
        return self._outer.status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}

    def _seen(self) -> Iterator[GuestProcess]:
        with contextlib.suppress(psutil.Error):
            for process in (self._outer, *self._outer.children(recursive=True)):
                with contextlib.suppress(psutil.Error, OSError), process.oneshot():
                    group, memory, threads = os.getpgid(process.pid), process.memory_info().rss, process.num_threads()
                    spent, ready = sum(process.cpu_times()[:2]), process.status() == psutil.STATUS_RUNNING
                    yield GuestProcess(process.pid, group, memory, threads, 0, spent, ready)

    def end(self, unit: Unit) -> None:
        with contextlib.suppress(OSError):
            (os.killpg if unit.group else os.kill)(unit.number, signal.SIGKILL)


def summed(seen: list[GuestProcess], group: int, workers: frozenset[int], files: int) -> Use:
    """By units. `workers` are the worker's own processes, and `group` is theirs; `files` are bytes kept in memory."""
    own, own_processes, units = files, 0, dict[tuple[bool, int], Unit]()
    for each in seen:
        if each.number in workers:
            own, own_processes = own + each.memory, own_processes + each.threads
            continue
        grouped = each.group != group
        number = each.group if grouped else each.number
        unit = units.get((grouped, number), Unit(number, grouped, 0, 0))
        unit = unit._replace(memory=unit.memory + each.memory, processes=unit.processes + each.threads)
        units[grouped, number] = unit
    return Use(own, own_processes, tuple(units.values()))


def with_hidden(use: Use, hidden: dict[int, int]) -> Use:
    """That use and what was hidden, by process groups; what is of no unit there is the worker's own."""
    of_units = {unit.number for unit in use.units if unit.group}
    units = (unit._replace(memory=unit.memory + hidden.get(unit.number, 0) * unit.group) for unit in use.units)
    own = sum(size for group, size in hidden.items() if group not in of_units)
    return use._replace(own=use.own + own, units=tuple(units))


def _by_memory(seen: list[GuestProcess]) -> list[GuestProcess]:
    return sorted(seen, key=lambda each: each.memory, reverse=True)


def _exactly_here(seen: GuestProcess, rank: int) -> GuestProcess:
    if rank < MOST_EXACT:
        with contextlib.suppress(psutil.Error, AttributeError):
            memory = psutil.Process(seen.number).memory_full_info()
            return seen._replace(memory=memory.pss + memory.swap)
    return seen


def _numbers(processes: int) -> list[int]:
    """Of all processes in an open /proc."""
    return [int(name) for name in os.listdir(processes) if name.isdecimal()]


def _opened(stack: contextlib.ExitStack, path: str) -> int:
    handle = os.open(path, FOLDER)
    stack.callback(os.close, handle)
    return handle


def unlinked(seen: Iterable[GuestProcess], device: int, processes: int) -> dict[int, int]:
    """See `Gauge.unlinked`; `processes` is an open /proc that numbers them as `seen` does."""
    found: dict[int, tuple[int, int]] = {}  # by file: its group, and its bytes
    for each in sorted(seen):  # the worker is the first, and has what its tasks print open, too: that is theirs
        with contextlib.suppress(OSError):
            handles = os.open(f"{each.number}/fd", FOLDER, dir_fd=processes)
            try:
                for status in _statuses(handles):
                    if status.st_dev == device and not status.st_nlink:
                        found[status.st_ino] = each.group, status.st_blocks * BLOCK
            finally:
                os.close(handles)
    groups: dict[int, int] = {}
    for group, size in found.values():
        groups[group] = groups.get(group, 0) + size
    return groups


def groups_in(seen: Iterable[GuestProcess], folder: str, processes: int) -> set[int]:
    """See `Gauge.groups_in`."""
    found = set()
    for each in seen:
        with contextlib.suppress(OSError):
            if f"/{folder}/" in f"{os.readlink(f'{each.number}/cwd', dir_fd=processes)}/":
                found.add(each.group)
    return found


def _statuses(handles: int) -> Iterator[os.stat_result]:
    """Of the regular files that a process has open."""
    for name in os.listdir(handles):
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=handles)
            if stat.S_ISREG(status.st_mode):
                yield status
