"""How much of the disk a guest's folder takes, where everything may have been put there to mislead.

It is looked at while the guest goes on changing it: nothing here follows a link, and what is gone meanwhile is
not counted. Files without a name are seen by the gauge.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from commonhold.compute.sandboxed.task import WORK
from commonhold.trees import FOLDER, openable

DEEPEST = 128  # levels that are looked at: each costs a handle meanwhile
BLOCK = 512  # bytes: what st_blocks counts in


class Footprint(NamedTuple):
    """Bytes that a stay takes, and of them those of each task, by its key."""

    total: int
    tasks: dict[str | int, int]
    hidden: bool  # there are folders that cannot be looked at


class Measurer:
    """For one look at a stay's folder: in it are `room`, which is the guest's, and `staging`, with what is fetched."""

    def __init__(self) -> None:
        self._linked: set[int] = set()  # files of several names that were counted
        self._hidden = False

    def measure(self, stay: Path) -> Footprint:
        tasks: dict[str | int, int] = {}
        total = 0
        with suppress(OSError), _opened(None, str(stay)) as top:
            with suppress(OSError), _opened(top, "room") as room:
                total += self._below(room, 0, without=WORK)
                with suppress(OSError), _opened(room, WORK) as work:
                    tasks = {name: self._size(work, name, 0) for name in _names(work)}
            with suppress(OSError), _opened(top, "staging") as staging:
                for name in _names(staging):
                    key = name.rpartition("-")[0]
                    tasks[key] = tasks.get(key, 0) + self._size(staging, name, 0)
        return Footprint(total + sum(tasks.values()), tasks, self._hidden)

    def _below(self, folder: int, depth: int, without: str = "") -> int:
        return sum(self._size(folder, name, depth) for name in _names(folder) if name != without)

    def _size(self, above: int, name: str, depth: int) -> int:
        """Of a file, or of a folder with all that is in it."""
        with suppress(OSError):
            status = os.stat(name, dir_fd=above, follow_symlinks=False)
            size = status.st_blocks * BLOCK
            if stat.S_ISDIR(status.st_mode):
                return size + self._inside(above, name, depth + 1)
            if status.st_nlink > 1:
                if status.st_ino in self._linked:
                    return 0
                self._linked.add(status.st_ino)
            return size
        return 0

    def _inside(self, above: int, name: str, depth: int) -> int:
        if depth > DEEPEST:
            self._hidden = True
            return 0
        try:
            with _opened(above, name) as folder:
                return self._below(folder, depth)
        except PermissionError:
            self._hidden = True
        except OSError:
            pass  # it is gone, or was exchanged
        return 0


@contextmanager
def _opened(above: int | None, name: str) -> Iterator[int]:
    """A guest may take the rights to its own folders away; they are ours all the same."""
    try:
        folder = os.open(name, FOLDER, dir_fd=above)
    except PermissionError:
        openable(above, name)
        folder = os.open(name, FOLDER, dir_fd=above)
    try:
        yield folder
    finally:
        os.close(folder)


def _names(folder: int) -> list[str]:
    return os.listdir(folder)
