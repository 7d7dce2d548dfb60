"""What real operations cost the node that serves them: two throw-away nodes on loopback, asked through their doors."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Self

import psutil

from commonhold.compute.job import Job
from commonhold.compute.lender.frost import processor_seconds
from commonhold.errors import CommonholdError, Conflict
from commonhold.lab import leftovers, probes
from commonhold.node.computer import Computer, free_address
from commonhold.plan.values.measured import Round, Timing

SHARE = "files"
BATCHES = ((4_096, 30), (65_536, 15), (1_048_576, 6))  # bytes of a file, and how many operations of a round
ENTRIES = 100  # of the folder that is listed
LISTINGS = 10
TASKS = 12  # of one reading of a task's start
ROUNDS = 7  # at most
PATIENCE = 30.0  # seconds until guests must have done what they are asked


class Stand:
    """Two nodes of a network of their own in a temporary folder; nothing of them is left after it.

    `served` shares a folder and lends; `asking` is who asks. One whose process was killed is cleared away by the next.
    """

    def __init__(self) -> None:
        self._ending = ExitStack()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            for left in leftovers.abandoned():
                leftovers.clear(left)
            estate = leftovers.Estate()
            ending.callback(estate.clear)
            self.folder = estate.folder
            self.served, self.asking = (self._computer(ending, *each) for each in enumerate(("served", "asking")))
            self.served.create("measuring")
            self.asking.join(self.served)
            (self.folder / SHARE / "many").mkdir(parents=True)
            for number in range(ENTRIES):
                (self.folder / SHARE / "many" / f"file {number}.txt").touch()
            self.served.net.share(self.folder / SHARE, SHARE, to=self.asking.person, verb="write")
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def _computer(self, ending: ExitStack, number: int, name: str) -> Computer:
        made = Computer(self.folder / name, name, f"person{number}", free_address(number, [0]))
        made.folder.mkdir()
        ending.callback(made.down)
        return made

    def rounds(self, seconds: float) -> Iterator[Round]:
        """The first is left out: it opens connections, and loads what was never used."""
        self._round()
        for _ in probes.readings(seconds, ROUNDS):
            yield self._round()

    def _round(self) -> Round:
        reads, writes = [], []
        for size, count in BATCHES:
            source = self.folder / "source"
            source.write_bytes(os.urandom(size))
            names = [f"served:{SHARE}/{next(self._numbers)}" for _ in range(count)]
            writes.append(Timing(size, count, self._busy(partial(self.asking.net.put, source), names)))
            reads.append(Timing(size, count, self._busy(self._read, names)))
        folder = f"served:{SHARE}/many"
        listing = self._busy(self.asking.net.ls, [folder] * LISTINGS) / LISTINGS
        return Round(tuple(reads), tuple(writes), listing)

    def _busy(self, ask: Callable[[str], object], places: Sequence[str]) -> float:
        """Processor seconds of the node that serves, while the other asks."""
        before = processor_seconds(self.served.pid)
        for place in places:
            ask(place)
        return processor_seconds(self.served.pid) - before

    def _read(self, where: str) -> None:
        for _ in self.asking.net.cat(where):
            pass

    def lend(self) -> None:
        """Open the processors, to somebody who is named: that is enough without a sandbox, too."""
        self.served.net.lend(when="always")
        self.served.net.allow(self.asking.person, "run", "compute")

    def starts(self, seconds: float) -> Iterator[float]:
        """Processor seconds at the lender of a task that does nothing, once its session is warm."""
        self._run(2)
        for _ in probes.readings(seconds, ROUNDS):
            before = self._family_seconds()
            self._run(TASKS)
            yield (self._family_seconds() - before) / TASKS

    def _run(self, count: int) -> None:
        with self._job("true", count) as number:
            self._wait(number, lambda job: job.done == count)

    @contextmanager
    def _job(self, command: str, count: int) -> Iterator[int]:
        """A job of so many tasks; whatever runs of it is cancelled at the end."""
        net = self.asking.net
        number = net.run(command, [str(task) for task in range(count)], on="served", wait=False).job
        try:
            yield number
        finally:
            with suppress(Conflict):  # it has ended
                net.cancel(number)

    def _wait(self, number: int, condition: Callable[[Job], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition(job := self.asking.net.job(number)):
            if job.failed:
                raise CommonholdError(f"{job.failed} of {job.total} tasks that were to be measured failed.")
            if time.monotonic() > deadline:
                raise CommonholdError(f"This computer had no processor free for guests within {PATIENCE:.0f} s.")
            time.sleep(0.02)

    def _family_seconds(self) -> float:
        node = psutil.Process(self.served.pid)
        total = processor_seconds(node.pid)
        for child in node.children(recursive=True):
            with suppress(psutil.Error):
                total += sum(child.cpu_times()[:2])
        return total

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Within, a large file is read over and over."""
        source = self.folder / "source"
        source.write_bytes(os.urandom(BATCHES[-1][0]))
        where = f"served:{SHARE}/{next(self._numbers)}"
        self.asking.net.put(source, where)
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                self._read(where)

        thread = threading.Thread(target=ask, name="asking", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Within, guests compute on every processor that is lent."""
        cores = os.cpu_count() or 1
        with self._job("while :; do :; done # {}", cores) as number:
            self._wait(number, lambda job: job.running == cores)
            yield
