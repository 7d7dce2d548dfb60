"""What a task leaves running behind its parents' back: it becomes this worker's child, and ends with its task.

A process whose parents end goes to the next one above that has said that it takes such in, else to the very
first. So nothing that descends from a worker leaves it, and in the worker's first thread, which starts no tasks,
all children are such. Each is its task's by a word in its environment; one that has none left is nobody's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from commonhold.compute.sandbox import children

TAKE_IN = 36  # PR_SET_CHILD_SUBREAPER, of prctl(2)
TASK = "COMMONHOLD_TASK"  # in the environment of each command: its key


MARK = f"{TASK}=".encode()
_known = {"adopting": False}


def adopt() -> None:
    """From now on. Only Linux knows that; elsewhere such processes end with their session."""
    if sys.platform == "linux":
        _known["adopting"] = ctypes.CDLL(None).prctl(TAKE_IN, 1, 0, 0, 0) == 0


def taken_in() -> list[int]:
    """The processes that became this one's, the dead too."""
    if not _known["adopting"]:
        return []
    return children(os.getpid())


def end(processes: Iterable[int], running: Mapping[str, int]) -> None:
    """Bury the dead, and end those of tasks that do not run any more; `running` are those that do, and their groups."""
    for process in processes:
        with suppress(OSError):
            if os.waitpid(process, os.WNOHANG)[0]:
                continue
            group = os.getpgid(process)
            if group not in running.values() and _task_of(process) not in running:
                if group != os.getpgrp():
                    os.killpg(group, signal.SIGKILL)
                os.kill(process, signal.SIGKILL)


def _task_of(process: int) -> str:
    words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next((word.removeprefix(MARK).decode(errors="replace") for word in words if word.startswith(MARK)), "")
