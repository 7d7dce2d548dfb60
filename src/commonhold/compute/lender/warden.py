"""Watches over the guests of this computer: what they use of its memory, processes and disk, together.

One thread looks at processes and memory several times a second, another at the disk: neither waits for the
event loop, which may be busy, nor do they cost more than a hundredth of a core. What rules say is too much
(bounds.py) is ended at once: a task, and its worker asks why; or all that a guest is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from commonhold.authority.authority import Subject
from commonhold.compute.lender import bounds, gauge
from commonhold.compute.lender.bounds import Disk, Eviction, Lent, Room, Unit, Use
from commonhold.compute.lender.footprint import Measurer
from commonhold.compute.sandbox import Kind, Sandbox
from commonhold.compute.sandboxed.task import WORK
from commonhold.names import PersonId

log = logging.getLogger(__name__)

SHARE = 100  # one part of a core at most is spent with looking at processes, unless they are thousands
PAUSE, LONGEST_PAUSE = 0.2, 1.0  # seconds between two such looks
NEAR_PAUSE = 0.05  # seconds at least, when it may soon be too much
HIDDEN_PAUSE, WORTH_A_LOOK = 1.0, 64 * 2**20  # seconds, and bytes of shared memory that there are more than before
DISK_SHARE, DISK_PAUSE, LONGEST_DISK_PAUSE = 20, 1.0, 15.0  # the same for the disk
GLANCE = 0.25  # seconds: how often one sees how much of the disk is free
AGAIN, MOST_GROWN = 30.0, 3  # seconds that what is to give room has for it; looks in which it took still more
LONGEST_LOG = 16 * 2**20  # bytes of what a worker itself says; then it is begun anew
STOOD, STOPPED = 5, "It stopped the worker that ran it."  # looks in a row
SAID_EVERY = 1.0  # seconds
HIDES = "It made folders that cannot be looked at, or too deep to."


class Ward:
    """One sandbox that is watched. `stay` is the folder whose `room` it has."""

    def __init__(
        self,
        box: Sandbox,
        stay: Path,
        cores: int,
        stop: Callable[[str, str], None],
        of: Subject | None = None,
        spared: int = 0,
        waits: Callable[[], None] = lambda: None,
    ) -> None:
        """`stop` is told the key of a task to end, and why, in a thread of ours. `of`: whose guest it is.

        `waits` is called there, about once a second, while it gets no processor since others need them.
        `spared`: bytes of memory that do not count as that person's.
        """
        self.of = of
        self.spared = spared
        self.whose = str(of.person or "") if of is not None else ""
        self.stay = stay
        self.stop = stop
        self._waits = waits
        self._said = 0.0  # when that was called
        self.why = ""  # it was ended as a whole
        self.reasons: dict[int, str] = {}  # by process group: why that was ended
        self.asked: dict[int, int] = {}  # by process group: bytes of memory that it uses at most, its job says
        self.held = False  # its owner came back, or nothing is lent any more: what stands still was told to
        self._stood = 0  # looks in a row in which its worker stood still
        self._gone: set[int] = set()
        self._hidden: dict[int, int] = {}  # by process group: bytes of memory
        self._looked = 0.0
        self._box = box
        self._most_processes = bounds.threads(cores)
        self._gauge: gauge.Gauge | None = None
        self._lock = threading.Lock()
        self._closed = False

    def _measured(self) -> gauge.Gauge | None:
        """None while it has not begun, and when it has ended."""
        if self._gauge is None and not self._closed:
            kind = gauge.NamespaceGauge if self._box.kind is Kind.BUBBLEWRAP else gauge.TreeGauge
            with contextlib.suppress(*gauge.TROUBLES):
                self._gauge = kind(self._box.pid)
        return self._gauge

    def use(self, most_memory: int, hides: bool = False) -> Use:
        """`hides`: some of its memory may be where it is not looked for each time."""
        with self._lock, contextlib.suppress(*gauge.TROUBLES):
            if (found := self._measured()) is not None:
                hidden = self._look_for_hidden(found) if hides else {}
                use = self._promised(gauge.with_hidden(found.use(0 if hidden else most_memory), hidden))
                self._stood = 0 if self.held or not found.stopped() else self._stood + 1
                if not hidden and any(0 < unit.asked < unit.memory for unit in use.units):
                    use = self._promised(found.use(0))
                return use
        return Use(most_processes=self._most_processes, whose=self.whose)

    def tell_if_it_waits(self) -> None:
        """Who hears nothing of it takes it for dead."""
        starvation, now = self._gauge and self._gauge.starvation, time.monotonic()
        if starvation and starvation.seen and not self.held and now - self._said > SAID_EVERY:
            self._said = now
            self._waits()

    def end_if_stopped(self) -> None:
        """Nobody would see an end of what its own task has stopped; a second look, since a sleeping lid stops all."""
        if self._stood >= STOOD:
            self.end(STOPPED)

    def _look_for_hidden(self, found: gauge.Gauge) -> dict[int, int]:
        """Once a second: it costs a millisecond for each process."""
        if time.monotonic() - self._looked > HIDDEN_PAUSE:
            self._hidden, self._looked = found.hidden(), time.monotonic()
        return self._hidden

    def _promised(self, use: Use) -> Use:
        """With what its tasks have asked for. What is not seen twice has ended; once, it may have just begun."""
        gone = set(self.asked.copy()) - {unit.number for unit in use.units if unit.group}
        for group in gone & self._gone:
            self.asked.pop(group, None)
        self._gone = gone
        units = tuple(unit._replace(asked=self.asked.get(unit.number, 0)) for unit in use.units)
        return use._replace(units=units, most_processes=self._most_processes, whose=self.whose)

    def room(self) -> tuple[Room, bool]:
        """What it takes of the disk; whether some of it cannot be looked at."""
        named = Measurer().measure(self.stay)
        nameless, group = dict[int, int](), 0
        with self._lock, contextlib.suppress(*gauge.TROUBLES):
            if (found := self._measured()) is not None:
                nameless = found.unlinked(self.stay.stat().st_dev)
                group = found.group
        total = named.total + sum(nameless.values())
        nameless.pop(group, None)  # the worker's own
        for task, size in nameless.items():
            named.tasks[task] = size
        return Room(total, named.tasks, self.whose), named.hidden

    def end(self, why: str, *units: Unit) -> None:
        """These, or all of it, now."""
        log.warning("%s of a guest: %s", "a part" if units else "all", why)
        if not units:
            self.why = self.why or why
            self._box.strike()
        with self._lock, contextlib.suppress(*gauge.TROUBLES):
            for unit in units:
                self.reasons[unit.number] = why
                if (found := self._measured()) is not None:
                    found.end(unit)

    def evict(self, named: str | int, why: str) -> None:
        """A task, by its key, or a group of processes: it takes too much of the disk."""
        if isinstance(named, int):
            self.end(why, Unit(named, True, 0, 0))
            return
        groups: set[int] = set()
        with self._lock, contextlib.suppress(*gauge.TROUBLES):
            if (found := self._measured()) is not None:
                groups = found.groups_in(f"{WORK}/{named}")
        if groups:
            self.end(why, *(Unit(group, True, 0, 0) for group in groups))
        self.stop(named, why)  # what left its folder, and what is still being fetched for it

    def shorten_log(self) -> None:
        """Nobody reads it but who looks for a fault."""
        with contextlib.suppress(OSError):
            log_file = self.stay / "room.log"
            if log_file.stat().st_size > LONGEST_LOG:
                os.truncate(log_file, 0)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._gauge is not None:
                self._gauge.close()
            self._gauge = None


class Warden:
    """Of one computer, called `lender`. Its threads end with `close`; without guests they sleep."""

    def __init__(self, lender: str, lent: Callable[[], Lent], memory: Callable[[PersonId | None, int], int]) -> None:
        """`lent` is asked at each look, in threads of ours; `memory` tells, of so many bytes, those of one person."""
        self._lender = lender
        self._memory = memory
        self._lent = lent
        self._wards: list[Ward] = []
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._disk = DiskRounds(lender, lent)
        self._least_shared = gauge.machine().shared

    def watch(self, ward: Ward) -> Ward:
        """From now on, until `release_soon`."""
        with self._changed:
            self._wards.append(ward)
            if not self._threads and not self._closed:
                looks = {"memory": self._look, "disk": self._disk.look}
                self._threads = [
                    threading.Thread(target=self._watch, args=(look,), name=f"warden-{name}", daemon=True)
                    for name, look in looks.items()
                ]
                for thread in self._threads:
                    thread.start()
            self._changed.notify_all()
        return ward

    def release_soon(self, ward: Ward) -> None:
        """It has ended. Called on the event loop, which does not wait for a look that is under way."""
        asyncio.get_running_loop().run_in_executor(None, self._release, ward)

    def _release(self, ward: Ward) -> None:
        with self._changed:
            if ward in self._wards:
                self._wards.remove(ward)
        ward.close()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _watch(self, look: Callable[[list[Ward]], float]) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wards or self._closed)
                wards = list(self._wards)
                if self._closed:
                    return
            try:
                pause = look(wards)
            except Exception:  # whatever it was: nobody is left unwatched for it
                log.exception("guests could not be looked at")
                pause = DISK_PAUSE
            with self._changed:
                self._changed.wait_for(lambda: self._closed, pause)

    def _look(self, wards: list[Ward]) -> float:
        """At processes and memory. -> Seconds until the next look."""
        began = time.thread_time()  # not what passes while others have the processors: just then one is to look on
        lent, machine = self._lent(), gauge.machine()
        self._least_shared = min(self._least_shared, machine.shared)
        hides = machine.shared > self._least_shared + WORTH_A_LOOK
        uses = [ward.use(lent.memory, hides) for ward in wards]
        for ward in wards:
            ward.end_if_stopped()
            ward.tell_if_it_waits()
        for verdict in bounds.verdicts(uses, lent, machine, self._lender):
            wards[verdict.guest].end(verdict.why, *verdict.units)
        self._look_at_persons(wards, uses, lent.memory)
        near = bounds.near(uses, lent, machine)
        spent = time.thread_time() - began
        return max(NEAR_PAUSE, spent) if near else min(max(PAUSE, SHARE * spent), LONGEST_PAUSE)

    def _look_at_persons(self, wards: list[Ward], uses: list[Use], lent: int) -> None:
        """Who may have less memory than is lent to all."""
        for person in {ward.of.person: ward.of for ward in wards if ward.of is not None}.values():
            if (most := self._memory(person.person, lent)) < lent:
                theirs = [place for place, ward in enumerate(wards) if ward.of and ward.of.person == person.person]
                held = [uses[each]._replace(own=max(0, uses[each].own - wards[each].spared)) for each in theirs]
                for verdict in bounds.beyond(held, most, self._lender, str(person)):
                    wards[theirs[verdict.guest]].end(verdict.why, *verdict.units)


class Notice(NamedTuple):
    """Who is to give room: until when, what it took then, and in how many looks that had become more."""

    ward: Ward
    until: float
    total: int
    grown: int


class DiskRounds:
    """The looks at the disk: often at how much is free, and seldom, or when that fell, at who took it."""

    def __init__(self, lender: str, lent: Callable[[], Lent]) -> None:
        self._lender = lender
        self._lent = lent
        self._next = 0.0  # when it is to be looked who took it
        self._until = 0  # bytes free: with less it is looked earlier
        self._warned: Notice | None = None

    def look(self, wards: list[Ward]) -> float:
        for ward in wards:
            ward.shorten_log()
        began = time.monotonic()
        usage = shutil.disk_usage(wards[0].stay.parent)
        disk = Disk(usage.total, usage.free)
        if began < self._next and disk.free > self._until:
            return GLANCE
        lent = self._lent()
        rooms = []
        for ward in wards:
            room, hidden = ward.room()
            rooms.append(room)
            if hidden:
                ward.end(HIDES)
        evicted = bounds.eviction(rooms, lent, disk, self._lender)
        if evicted is not None:
            self._evict(wards[evicted.guest], rooms[evicted.guest].total, evicted)
        left = bounds.lent_disk(rooms, lent, disk) - sum(room.total for room in rooms)
        self._until = disk.free - max(left, 0) // 4 if evicted is None else 0
        self._warned = None if evicted is None else self._warned
        spent = time.monotonic() - began
        pause = min(max(DISK_PAUSE, DISK_SHARE * spent), LONGEST_DISK_PAUSE)
        self._next = time.monotonic() + (pause if evicted is None else DISK_PAUSE)
        return GLANCE

    def _evict(self, ward: Ward, total: int, evicted: Eviction) -> None:
        """Its tasks are to end, and their folders go. Who goes on taking more after that ends as a whole."""
        before = self._warned
        if before is None or before.ward is not ward:
            before = Notice(ward, time.monotonic() + AGAIN, total, 0)
        grown = before.grown + (total > before.total)
        self._warned = before._replace(total=total, grown=grown)
        if not evicted.named or grown >= MOST_GROWN or time.monotonic() > before.until:
            ward.end(evicted.why)
        for named in evicted.named:
            ward.evict(named, evicted.why)
