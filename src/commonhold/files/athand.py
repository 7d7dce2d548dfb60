"""A small file that the system has at hand, read without waiting for a disk; whatever would wait is left to a thread.

Linux says so itself: openat2(2) with RESOLVE_CACHED walks only where no disk has to be asked, and preadv2(2) with
RWF_NOWAIT reads what is in memory. The walk is the one of files/ground.py in one call, over no link: a SharePath has no
`..`, and where a link leads to the folder of the share, nothing is at hand. What it finds is looked at before it is
opened: to open a pipe or a device does something. Measured: 9 µs, where a thread's turn costs 60 and more. Where the
system can't say, everything is left to a thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from pathlib import Path
from typing import NamedTuple

from commonhold.authority.authority import Door, Permit, Verb

_OPENAT2 = 437  # the number of the call, on every architecture
_HERE = -100  # AT_FDCWD
_NO_LINKS, _CACHED = 0x04, 0x20
_FOUND = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_AT_ONCE = getattr(os, "RWF_NOWAIT", 0)

# Keeps the interpreter's lock: these calls never wait, and whoever gives the lock away waits for it.
_syscall = ctypes.PyDLL(None).syscall if sys.platform == "linux" and _AT_ONCE else None
if _syscall is not None:
    _syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    _syscall.restype = ctypes.c_long


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_PLACE = os.O_PATH | os.O_CLOEXEC if _syscall is not None else 0  # nothing is opened: the place alone is found
_TO_FILE = _How(_PLACE | os.O_NOFOLLOW, 0, _CACHED | _NO_LINKS)


class AtHand(NamedTuple):
    """A whole file, and what it was before and after it was read."""

    data: bytes
    status: os.stat_result


class Hand:
    """Reads files of the share of that door, the folder `root`."""

    def __init__(self, door: Door, root: Path) -> None:
        self._door = door
        self._root = os.fsencode(root) + b"/"
        self._works = _syscall is not None

    def read(self, permit: Permit, most: int) -> AtHand | None:
        """The file at the permit's path, of at most so many bytes; None where it can't be had so, for any reason.

        Never waits for a disk. A file system that cannot promise that (a network's, FUSE's) is met once, in the
        middle of the first file that could be opened; then no more is read of this folder.
        """
        permit.require(Verb.READ, self._door.id)
        if not self._works or not permit.path.parts:
            return None
        opened: list[int] = []
        try:
            opened.append(_place(self._root + str(permit.path).encode()))
            status = os.fstat(opened[0])
            if not stat.S_ISREG(status.st_mode) or status.st_size > most:
                return None
            opened.append(os.open(f"/proc/self/fd/{opened[0]}", _FOUND))
            return self._whole(opened[1], status)
        except (OSError, ValueError):
            return None
        finally:
            for handle in opened:
                os.close(handle)

    def _whole(self, handle: int, status: os.stat_result) -> AtHand | None:
        data = bytearray(status.st_size + 1)  # more than it has: else nothing tells that it grew
        try:
            size = os.preadv(handle, [data], 0, _AT_ONCE)
        except OSError as error:
            self._works = error.errno != errno.EOPNOTSUPP
            return None
        now = os.fstat(handle)
        if size != status.st_size or (now.st_size, now.st_mtime_ns) != (size, status.st_mtime_ns):
            return None
        return AtHand(bytes(memoryview(data)[:size]), status)


def _place(path: bytes) -> int:
    """A handle of the place. Raises OSError."""
    how, size = ctypes.addressof(_TO_FILE), ctypes.sizeof(_TO_FILE)
    if _syscall is None or (handle := _syscall(_OPENAT2, _HERE, path, how, size)) < 0:
        raise OSError("it is not at hand")
    return int(handle)
