"""The textbook's network, where nobody puts guests last: our lenders do, and this undoes it, in a town alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

AGAIN = 0.2  # seconds until guests that began meanwhile are found


class Levelling:
    """While it runs, whatever the nodes of these processes have put last has its turn like everything else."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = list(pids)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(AGAIN):
            for pid in self._pids:
                level(pid)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


def level(pid: int) -> None:
    """All threads of all processes below that one. Linux only: elsewhere guests are not told from others."""
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError, ValueError):
            for child in map(int, (task / "children").read_text().split()):
                for thread in Path(f"/proc/{child}/task").glob("*"):
                    if os.sched_getscheduler(int(thread.name)) == os.SCHED_IDLE:
                        os.sched_setscheduler(int(thread.name), os.SCHED_OTHER, os.sched_param(0))
                level(child)
