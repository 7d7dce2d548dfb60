"""The folder of a town, held while its process lives; and the clearing away of towns whose process was killed.

A town's token names its folder, its networks and its control groups, so that the folder alone tells all.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import psutil

from commonhold import trees
from commonhold.lab import namespaces
from commonhold.lab.ration import Groups

PREFIX = "commonhold-lab-"
HELD = "held"  # the file that a living town has locked
MOUNTS = Path("/proc/mounts")
PATIENCE = 10.0  # seconds until what was killed must be gone


class Estate:
    """A new town's folder and token; `clear` removes all that bears them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.token = self.folder.name.removeprefix(PREFIX)
        new = self.folder / f"{HELD}.new"
        self._lock: BinaryIO = new.open("ab")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self.folder / HELD)  # never seen unlocked: another town that begins would clear this one away

    def clear(self) -> None:
        clear(self.folder)
        self._lock.close()


def abandoned() -> list[Path]:
    """Folders of this user's towns that no process holds."""
    found = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        with suppress(OSError):
            if folder.lstat().st_uid == os.geteuid() and folder.is_dir() and not folder.is_symlink() and _free(folder):
                found.append(folder)
    return found


def _free(folder: Path) -> bool:
    with (folder / HELD).open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def clear(folder: Path) -> None:
    """End every process of that town, then remove its networks, its groups and its folder."""
    token = folder.name.removeprefix(PREFIX)
    groups = groups_here()
    deadline = time.monotonic() + PATIENCE
    while (left := _inhabitants(folder, token, groups)) and time.monotonic() < deadline:
        for pid in left:
            with suppress(psutil.Error):
                psutil.Process(pid).kill()
        time.sleep(0.02)
    namespaces.remove(token)
    if groups is not None:
        groups.remove(token)
    trees.erase(folder)


def groups_here() -> Groups | None:
    """This machine's control groups, where we may use them."""
    return Groups.found(MOUNTS.read_text()) if MOUNTS.exists() and os.geteuid() == 0 else None


def _inhabitants(folder: Path, token: str, groups: Groups | None) -> set[int]:
    """By what they were told, by their network, and by their group: each finds what the others miss."""
    found = {process.pid for process in psutil.process_iter() if _named(process, str(folder))}
    found |= namespaces.inhabitants(token)
    if groups is not None:
        found |= groups.inhabitants(token)
    return found - {os.getpid()}


def _named(process: psutil.Process, folder: str) -> bool:
    """Root reads everybody's arguments: somebody else's process is none of a town's, whatever it speaks of."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE or process.uids().effective != os.geteuid():
            return False
        words = process.cmdline()
        return any(folder in word for word in words) or folder in process.environ().get("COMMONHOLD_HOME", "")
    except psutil.Error:
        return False
