"""What the owner of a computer feels: one small task, done each second in that computer, and how long it took.

Run as `python -m commonhold.lab.owner PHASE` in a computer of a town, until its input ends. It imports nothing of
ours: it is there sixteen times.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time

WORK = 0.02  # seconds of a processor, about, on this machine
PAGE = bytes(4096)


def main(phase: float) -> None:
    """Say a line of JSON for each task: when it ended, its seconds, and all seconds of the processor so far.

    It begins at `phase` of each second of the monotonic clock: the owners of one machine do not wait for one another.
    """
    turns = rounds()
    ended = threading.Event()
    threading.Thread(target=_await_end, args=(ended,), daemon=True).start()
    while not ended.wait((phase - time.monotonic()) % 1.0):
        said = {"seconds": task(turns), "at": time.monotonic(), "processor": time.process_time()}
        print(json.dumps(said), flush=True)  # noqa: T201 - the program that started this one reads it


def _await_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def rounds() -> int:
    """How many turns make a task: fixed from here on, whatever happens to this computer."""
    turns = 1000
    while True:
        begun = time.process_time()
        _spin(turns)
        took = time.process_time() - begun
        if took > WORK / 2:
            return int(turns * WORK / took)
        turns *= 2


def task(turns: int) -> float:
    """Compute a little, write a little to the disk; -> seconds that it took."""
    begun = time.monotonic()
    _spin(turns)
    with tempfile.TemporaryFile(dir=".") as file:
        file.write(PAGE)
        file.flush()
        os.fsync(file.fileno())
    return time.monotonic() - begun


def _spin(turns: int) -> None:
    value = 1
    for _ in range(turns):
        value = value * 1103515245 + 12345 & 0x7FFFFFFF


if __name__ == "__main__":
    main(float(sys.argv[1]))
