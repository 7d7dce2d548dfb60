"""What a computer's owner feels: the share of one core that a program of theirs gets, and how long 10 ms take.

Run as a program of its own: `owned.py CORE SECONDS TASKS LOOPS` prints one JSON document; LOOPS are those
that take 10 ms, 0 to find out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

TASK = 0.010  # seconds
REST = 0.005  # seconds between two tasks: the owner comes back to a core that guests have taken
GUESTS = "import os\nos.sched_setaffinity(0, {%d})\nos.fork() and os.fork()\nwhile True: pass"  # three of them


class Felt(NamedTuple):
    """`share` of a core; `tasks` in seconds each, of `loops` loops."""

    share: float
    tasks: list[float]
    loops: int


def felt(core: int, busy: float, tasks: int, loops: int = 0) -> Felt:
    """As a program of the owner's that is pinned to that core feels it."""
    words = [sys.executable, __file__, str(core), str(busy), str(tasks), str(loops)]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60 + 10 * busy).stdout
    return Felt(**json.loads(said))


@contextmanager
def guests_at_19(core: int) -> Iterator[None]:
    """Three processes of the same session on that core, as nice as Unix allows."""
    words = ["nice", "-n", "19", sys.executable, "-c", GUESTS % core]
    guests = subprocess.Popen(words, process_group=0)
    try:
        time.sleep(0.5)
        yield
    finally:
        os.killpg(guests.pid, 9)
        guests.wait()


def _spin(loops: int) -> None:
    for _ in range(loops):
        pass


def _loops() -> int:
    """How many take 10 ms: the quickest of some tries, so that a guest counts for nothing."""
    trial = 100_000
    took = min(_took(trial) for _ in range(20))
    return round(trial * TASK / took)


def _took(loops: int) -> float:
    began = time.perf_counter()
    _spin(loops)
    return time.perf_counter() - began


def main() -> None:
    core, tasks, loops = int(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])
    os.sched_setaffinity(0, {core})
    loops = loops or _loops()
    took = []
    for _ in range(tasks):
        time.sleep(REST)
        took.append(_took(loops))
    began, computed = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < float(sys.argv[2]):
        _spin(1000)
    share = (time.process_time() - computed) / (time.perf_counter() - began)
    json.dump({"share": share, "tasks": took, "loops": loops}, sys.stdout)


if __name__ == "__main__":
    main()
