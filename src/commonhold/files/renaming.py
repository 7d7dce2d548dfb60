"""Giving names away without replacing anything, or in exchange: renames that Python does not have.

renameat2(2) of Linux, renameatx_np(2) of macOS. Disks that cannot (some network disks, FAT) answer so, and then
what comes nearest is done.
"""

from __future__ import annotations

import ctypes
import errno
import os

from commonhold.files.ground import look

_libc = ctypes.CDLL(None, use_errno=True)
# The call, and its flags for a rename that replaces nothing and for one that exchanges two names.
_rename, _NEW, _EXCHANGE = next(
    ((getattr(_libc, name), *flags) for name, flags in {"renameat2": (1, 2), "renameatx_np": (4, 2)}.items()
     if hasattr(_libc, name)), (None, 0, 0)
)  # fmt: skip
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


def rename_new(source: int, name: str, folder: int, wanted: str) -> None:
    """Rename in one step, from one open folder into another; raises FileExistsError when the name is taken."""
    if not _done(_NEW, source, name, folder, wanted):
        if look(folder, wanted):
            raise FileExistsError(errno.EEXIST, "taken")
        os.rename(name, wanted, src_dir_fd=source, dst_dir_fd=folder)


def exchange(source: int, name: str, folder: int, wanted: str) -> bool:
    """Let the two trade places in one step; False, and nothing is done, where the disk cannot."""
    return _done(_EXCHANGE, source, name, folder, wanted)


def _done(flag: int, source: int, name: str, folder: int, wanted: str) -> bool:
    if _rename is None:
        return False
    if _rename(source, os.fsencode(name), folder, os.fsencode(wanted), flag) == 0:
        return True
    if (number := ctypes.get_errno()) in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), name)
