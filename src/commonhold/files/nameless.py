"""A file on its way into a share: its bytes are there, its name is not.

It has no name at all (O_TMPFILE of Linux: nobody can meet it, and a crash leaves nothing of it) or one in the
workshop, where the disk has no such thing (FAT, some network disks). Everything here blocks, and raises OSError as
open(2) does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from commonhold.files.renaming import rename_new

NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # FAT and some network disks have none
_HANDLES = "/proc/self/fd"  # a file without a name gets its first one from here
_NAMELESS = getattr(os, "O_TMPFILE", 0) if Path(_HANDLES).is_dir() else 0
_CANNOT = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}


class Nameless(NamedTuple):
    """`handle` is open where it has no `name` in the open folder `workshop`."""

    workshop: int
    name: str
    handle: int = -1

    def link(self, folder: int, wanted: str) -> None:
        """Give it its name in that open folder, unless it is taken: raises FileExistsError.

        By link(2), which never replaces: programs on the owner's disk don't know our lock.
        """
        if not self.name:
            os.link(f"{_HANDLES}/{self.handle}", wanted, dst_dir_fd=folder, follow_symlinks=True)
            return
        try:
            os.link(self.name, wanted, src_dir_fd=self.workshop, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            rename_new(self.workshop, self.name, folder, wanted)
        else:
            os.unlink(self.name, dir_fd=self.workshop)

    @contextmanager
    def named(self) -> Iterator[str]:
        """A name in the workshop, for what only a name can do: it is gone at the end, or the file has another one."""
        if self.name:
            yield self.name
            return
        name = secrets.token_hex(12)
        fcntl.flock(self.handle, fcntl.LOCK_EX)  # nobody tidies it away
        os.link(f"{_HANDLES}/{self.handle}", name, dst_dir_fd=self.workshop, follow_symlinks=True)
        try:
            yield name
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.workshop)
            raise


def open_nameless(workshop: int) -> int | None:
    """A new file without a name on the disk of that open folder; None where there is no such thing."""
    if not _NAMELESS:
        return None
    try:
        return os.open(".", _NAMELESS | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=workshop)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return None
