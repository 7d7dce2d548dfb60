"""Which file a name means, beyond the name: its inode, and when that was made, where the disk tells.

An inode alone would not do: ext4 gives the number of a deleted file to the next one that is made. statx(2) is a
call that Python does not have.
"""

from __future__ import annotations

import ctypes
import os
import sys

_SIZE, _BORN_AT = 256, 80  # of struct statx, and where in it the birth stands: seconds (64 bits), nanoseconds (32)
_NOFOLLOW, _EMPTY_PATH, _BORN = 0x100, 0x1000, 0x800
_statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)


def identity(folder: int, name: str = "") -> str:
    """Of what has that name in the open folder; without a name, of the open file or folder itself. Raises OSError."""
    status = os.stat(name, dir_fd=folder, follow_symlinks=False) if name else os.fstat(folder)
    return f"{status.st_ino}-{_born(folder, name, status)}"


def _born(folder: int, name: str, status: os.stat_result) -> str:
    if (born := getattr(status, "st_birthtime", None)) is not None:  # macOS
        return str(born)
    told = ctypes.create_string_buffer(_SIZE)
    flags = _NOFOLLOW if name else _EMPTY_PATH
    if _statx is None or _statx(folder, os.fsencode(name), flags, _BORN, told):
        return ""
    if not int.from_bytes(told.raw[:4], sys.byteorder) & _BORN:
        return ""
    return told.raw[_BORN_AT : _BORN_AT + 12].hex()
