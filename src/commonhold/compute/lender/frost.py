"""Freezes a guest's processes, all of them, and lets them go on.

A process that is stopped can start no other and signal no other; so they are stopped again and again until two looks
in a row find the same ones, and nothing that moves. That no process can refuse. What it set up before may still wake
it, a timer whose signal is SIGCONT: so who freezes looks later what processors they have had since (`spent`), and
ends what does not stay frozen (precedence.py).

One that lives on in a child every 10 ms was missed twice in a row more often than not while all processes of the
system were asked who their parent is (5 ms); so parents are asked for their children (0.3 ms), and one that is gone
when it is looked at has moved.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import psutil

from commonhold.compute.sandbox import PROGRAM, Kind, end_session

WITHIN = 0.5  # seconds: who starts processes faster than they are stopped is not frozen
PAUSE = 0.002  # seconds until what was told to stop has done so
LITTLE = 0.005  # seconds of processor: who has more of them after it was told to stop does not
MOST = 10_000  # processes that are asked for their children in one look
_CHILDREN = Path("/proc/thread-self/children")
STILL = frozenset("TtZXx")  # states: stopped, traced by one that is stopped, dead


def freeze(outer: int, kind: Kind) -> bool:
    """Stop all that runs in the sandbox whose outermost process is `outer`. -> Whether nothing moves there now.

    May be called again. Blocks for some milliseconds.
    """
    deadline = time.monotonic() + WITHIN
    known, told = None, dict[int, float]()
    while True:
        found = set(inside(outer, kind))
        moving = {process for process in found if _moves(process)}
        if not moving and found == known:
            return True
        if moving and time.monotonic() > deadline:
            # Who was told and got no processor since, because others want it, stops before anything else, and starts
            # no process: fork(2) gives way to a signal that waits.
            return all(each in told and _had(each) - told[each] < LITTLE for each in moving)
        _signal(moving, signal.SIGSTOP)
        told |= {each: _had(each) for each in moving - told.keys()}
        known = found
        time.sleep(PAUSE)


def thaw(outer: int, kind: Kind) -> None:
    """Let them go on."""
    _signal(inside(outer, kind), signal.SIGCONT)


def spent(outer: int, kind: Kind) -> dict[int, float]:
    """Seconds of processor that each process there has had."""
    return {each: _had(each) for each in inside(outer, kind)}


def processor_seconds(process: int) -> float:
    """That it has used so far: to the nanosecond where the system has a clock for it, else to its tick.

    Raises psutil.Error when there is no such process.
    """
    try:
        return time.clock_gettime((~process << 3) | 2)  # clock_getcpuclockid(3), on Linux
    except (OSError, AttributeError):
        return float(sum(psutil.Process(process).cpu_times()[:2]))


def _had(process: int) -> float:
    with suppress(psutil.Error):
        return processor_seconds(process)
    return 0.0


def end_forgotten(folder: Path) -> None:
    """End what was frozen below `folder` when its node was killed: it cannot see that, while it is frozen.

    Of sandboxes without bubblewrap, whose programs name their folder; the others die with their node.
    """
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if PROGRAM in words and any(Path(word).is_relative_to(folder) for word in words):
                end_session(process.pid)


def inside(outer: int, kind: Kind) -> list[int]:
    """The processes in that sandbox, and some that just were. With bubblewrap all descend from the outer one, which is
    none of them.
    """
    below = _below(outer)
    if kind is Kind.BUBBLEWRAP:
        return below
    itself = [outer] if psutil.pid_exists(outer) else []
    return list({*itself, *below, *(each for each in psutil.pids() if _session(each) == outer)})


def _below(process: int) -> list[int]:
    """All that descend from it, however deep: by proc(5)'s `children`, of each thread; else by psutil, slowly."""
    if not _CHILDREN.exists():
        with suppress(psutil.Error):
            return [each.pid for each in psutil.Process(process).children(recursive=True)]
        return []
    found = [process]
    for each in islice(found, MOST):  # which grows meanwhile, with a fork bomb as fast as it is read
        with suppress(OSError):  # it has just ended
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += map(int, (thread / "children").read_text().split())
    return found[1:]


def _session(process: int) -> int:
    with suppress(OSError):
        return os.getsid(process)
    return 0


def _moves(process: int) -> bool:
    """Whether any of its threads may run, or just ended: the first one may have ended while others go on."""
    threads = Path(f"/proc/{process}/task")
    with suppress(OSError, IndexError, psutil.Error):  # even to ask whether there is such a folder fails at times
        if not threads.exists():
            return psutil.Process(process).status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        return any(_state(thread) not in STILL for thread in threads.iterdir())
    return True


def _state(thread: Path) -> str:
    return (thread / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]


def _signal(processes: Iterable[int], what: signal.Signals) -> None:
    for process in processes:
        with suppress(OSError):
            os.kill(process, what)
