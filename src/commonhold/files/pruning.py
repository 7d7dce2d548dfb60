"""Letting versions go: what is too old, too much, or in the way on a full disk. files/thinning.py says what stays.

What is erased is erased before its row goes: a death in between leaves a row of something that is not there any more,
and the next time finds it. Everything here blocks (disk).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection
from contextlib import suppress

from commonhold.files.ground import Ground, look
from commonhold.files.retiring import Retiring, erase_version
from commonhold.files.thinning import DAY, WHOLE, Kept, oldest, surplus
from commonhold.files.versions import Versions
from commonhold.names import SharePath

PART = 10  # of the disk is for versions, unless the owner says otherwise
PRUNE_EVERY = 600.0  # seconds, when nothing much is added
MUCH = 20  # this part of what may be kept was added: it is time


class Pruning:
    """Of one share. Raises NotFound when its folder is not there, and OSError."""

    def __init__(self, ground: Ground, retiring: Retiring, versions: Versions) -> None:
        self._ground, self._retiring, self._versions = ground, retiring, versions
        self._pruned = 0.0

    def due(self) -> bool:
        added = self._versions.added
        return bool(added and added > self._most() // MUCH) or time.monotonic() - self._pruned > PRUNE_EVERY

    def prune(self) -> None:
        """Let go what the policy of the share does not keep."""
        self._pruned, self._versions.added = time.monotonic(), 0
        age_counts = self._versions.age_counts()
        if not self._versions.find("1", order="number LIMIT 1"):
            return
        kept = self._measured()
        now = self._versions.now()
        if not age_counts:  # the clock has leapt: all are as if of this moment, and only what is too much goes
            kept = [each._replace(at=now - len(kept) + number) for number, each in enumerate(kept)]
        self.erase(surplus(kept, self._versions.policy.days, self._most(), now, spacious=self._spacious()))
        if age_counts:
            self._versions.forget_before(now - self._versions.policy.days * DAY)
        self._versions.forget_many()

    def spare(self) -> int:
        """The bytes that could be given up on a full disk: of versions older than a day."""
        self._measure()
        return self._versions.kept_in_all(self._versions.now() - WHOLE)[0]

    def make_room(self, wanted: int) -> bool:
        """Give up versions older than a day, for so many bytes on a full disk; False when there are none."""
        gone = oldest(self._measured(), wanted, self._versions.now())
        self.erase(gone)
        return bool(gone)

    def erase(self, versions: Collection[str]) -> None:
        """These are kept no longer."""
        if not versions:
            return
        with self._retiring.store() as store:
            for version in versions:
                if (found := look(store, version)) is not None:
                    erase_version(store, version, found[1])
        self._versions.forget(versions)

    def figures(self) -> tuple[int, int, int]:
        """-> (how many bytes may be kept, how many are, of how many versions)."""
        self._measure()
        return self._most(), *self._versions.kept_in_all()

    def _spacious(self) -> bool:
        """Whether all that went within a day may stay, however much it is.

        So one large folder that was deleted by mistake is not gone with the next look at it.
        """
        disk = self._disk()
        return self._versions.policy.bytes is None and disk.f_bavail >= disk.f_blocks // PART

    def _most(self) -> int:
        if (most := self._versions.policy.bytes) is not None:
            return most
        disk = self._disk()
        return disk.f_blocks * disk.f_frsize // PART

    def _disk(self) -> os.statvfs_result:
        with self._ground.folder(SharePath()) as folder:
            return os.fstatvfs(folder)

    def _measured(self) -> list[Kept]:
        self._measure()
        return self._versions.kept()

    def _measure(self) -> None:
        """Folders are measured once."""
        if unmeasured := self._versions.unmeasured():
            with self._retiring.store() as store:
                for version in unmeasured:
                    self._versions.measured(version, _weight(store, version))


def _weight(store: int, version: str) -> int:
    """The bytes of all files in a folder; of one that is too deep to be walked, of those that were met."""
    total = 0
    with suppress(OSError, RecursionError):
        for _, _, names, folder in os.fwalk(version, dir_fd=store):
            for name in names:
                with suppress(OSError):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
