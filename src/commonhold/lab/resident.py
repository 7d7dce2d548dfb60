"""One computer of a laboratory: its node, the processes of its person, and what both have used."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import psutil

from commonhold.api import Network
from commonhold.lab.ration import Ration
from commonhold.node.computer import Computer

T = TypeVar("T")


class Plot(Protocol):
    """Where a computer stands: its network, and the link to the others."""

    address: str  # where its node listens
    found_at: str  # where others find it

    def within(self, work: Callable[[], T]) -> T:
        """Do something in that network; what it starts stays there."""

    def carried(self) -> tuple[int, int]:
        """Bytes (sent, received) by the computer's link so far."""

    def close(self) -> None: ...


class Metered(NamedTuple):
    """What a computer has used until `at`, a moment of the monotonic clock."""

    at: float
    processor: float  # seconds, of the node and of all that its person runs here
    sent: int  # bytes, with all headers where the kernel counts them
    received: int
    disk: int  # bytes that the node and what it started have read from the disk and written to it


class Resident:
    """Its person is one of the network; `share` is a folder that all members may write in, where this computer has one.

    `net` is this process's view of the network through that computer's node. It may be used from any thread.
    """

    def __init__(self, computer: Computer, plot: Plot, ration: Ration | None, share: str) -> None:
        self._computer, self._plot, self._ration = computer, plot, ration
        self.share = share
        self.folder = computer.folder
        self.started: list[subprocess.Popen[str]] = []

    @property
    def name(self) -> str:
        return self._computer.name

    @property
    def person(self) -> str:
        return self._computer.person

    @property
    def home(self) -> Path:
        return self._computer.home.folder

    @property
    def address(self) -> str:
        """Where others find it."""
        return self._plot.found_at

    @property
    def pid(self) -> int:
        """Of its node."""
        return self._computer.pid

    @property
    def net(self) -> Network:
        return self._computer.net

    @property
    def files(self) -> Path:
        """The folder that it shares."""
        return self.folder / "files"

    def found(self, network: str, shape: str, trusting: bool) -> None:
        self._plot.within(lambda: self._computer.create(network, shape, trusting))

    def join(self, inviter: Resident) -> None:
        self._plot.within(lambda: self._computer.join(inviter._computer))

    def offer(self) -> None:
        """Share the folder, and let every member write in it."""
        self.files.mkdir()
        self.net.share(self.files, self.share, to="members", verb="write")

    def lend(self, to: list[str]) -> None:
        """Its processors, at any time: whether this machine is idle says nothing of a computer in it."""
        self.net.lend("members", when="always")
        if self.net.status().sandbox != "bubblewrap":
            for person in to:  # without it only whoever was named computes for others
                self.net.allow(person, "run", "compute")

    def hold(self) -> None:
        """From now on the node is under the cap; until here, standing up was not held back."""
        if self._ration is not None:
            for process in _family(self.pid):
                self._ration.take(process.pid)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """A process of this computer's person: in its network, under its cap, with its home; in a group of its own.

        Standard input and output are pipes of text; what it says to standard error is kept in `folder`/errors.txt.
        It should end when its input ends: then it outlives nobody.
        """
        words = self._ration.command(argv) if self._ration is not None else list(argv)
        environment = os.environ | {"COMMONHOLD_HOME": str(self.home)}

        def started() -> subprocess.Popen[str]:
            with (self.folder / "errors.txt").open("ab") as errors:
                return subprocess.Popen(
                    words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    cwd=self.folder,
                    env=environment,
                    start_new_session=True,
                )

        process = self._plot.within(started)
        self.started.append(process)
        return process

    def reading(self) -> Metered:
        """What was used until now. Without a control group, what ended meanwhile is missing."""
        processes = self._processes()
        processor = self._ration.used() if self._ration is not None else sum(map(_processor, processes))
        return Metered(time.monotonic(), processor, *self._plot.carried(), sum(map(_disk, processes)))

    def _processes(self) -> list[psutil.Process]:
        if self._ration is None:
            return [each for pid in (self.pid, *(each.pid for each in self.started)) for each in _family(pid)]
        found = []
        for pid in self._ration.inhabitants():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return found

    def end(self) -> None:
        """No process of this computer is left, whatever goes wrong with one of them."""
        with ExitStack() as ending:
            ending.callback(self._computer.down)
            ending.callback(self._plot.close)  # first: Ctrl-C may have left a node about to start there
            for process in self.started:
                ending.callback(_killed, process)


def _family(pid: int) -> list[psutil.Process]:
    try:
        node = psutil.Process(pid)
        return [node, *node.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _processor(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return sum(times[:4])
    return 0.0


def _disk(process: psutil.Process) -> int:
    with suppress(psutil.Error, AttributeError):  # macOS does not say
        counted = process.io_counters()
        return int(counted.read_bytes + counted.write_bytes)
    return 0


def _killed(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
