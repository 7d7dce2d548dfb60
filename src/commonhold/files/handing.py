"""Many small files on their way out of a share together: their folders are opened once. Everything here blocks."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.errors import Conflict, WrongUsage
from commonhold.files.disk import explained
from commonhold.files.entry import etag_for
from commonhold.files.folders import Folders
from commonhold.files.ground import FILE, Ground, require
from commonhold.names import SharePath

TRIES = 3  # to read a file that somebody writes into meanwhile


class NoFile(WrongUsage):
    """What was to be read is a folder."""


class TooLarge(WrongUsage):
    """A file that goes by itself."""

    status = 413


class Whole(NamedTuple):
    """A file as it was at one moment; `modified` in nanoseconds since 1970."""

    data: bytes
    sha256: bytes
    etag: str
    modified: int


class Handing:
    """Reads files of the share of that door, until it is left."""

    def __init__(self, door: Door, ground: Ground) -> None:
        self._door, self._ground = door, ground
        self._opened = ExitStack()
        self._folders: Folders | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()

    def read(self, permit: Permit, largest: int) -> Whole:
        """The file at the permit's path. Raises TooLarge beyond so many bytes, NoFile, and what

        reading one file by itself raises.
        """
        permit.require(Verb.READ, self._door.id)
        path = permit.path
        if not path.parts:
            raise NoFile(f"“{self._door.name}” is a folder.", "name a file in it")
        with explained(path, self._door.name):
            folder = self._open().open(path.parts[:-1])
            for _ in range(TRIES):
                name, status = require(folder, path.name)
                if stat.S_ISDIR(status.st_mode):
                    raise NoFile(f"“{path}” is a folder.", "name a file in it")
                if status.st_size > largest:
                    raise TooLarge(f"“{path}” has more than {largest} bytes.", "ask for it by itself")
                if (whole := _whole(folder, name, largest)) is not None:
                    return whole
        raise Conflict(f"“{path}” is being written at its own computer at this moment.", "try again in a moment")

    def _open(self) -> Folders:
        """Late: where the folder of the share is away, that is said of each file."""
        if self._folders is None:
            self._folders = Folders(self._opened.enter_context(self._ground.folder(SharePath())))
            self._opened.callback(self._folders.close)
        return self._folders


def _whole(folder: int, name: str, largest: int) -> Whole | None:
    """None when it changed while it was read, or grew."""
    handle = os.open(name, FILE, dir_fd=folder)
    try:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):  # swapped since we looked
            raise FileNotFoundError(errno.ENOENT, "not a file")
        if before.st_size > largest:
            return None
        data = os.read(handle, before.st_size + 1)
        after = os.fstat(handle)
    finally:
        os.close(handle)
    if (len(data), after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        return None
    return Whole(data, hashlib.sha256(data).digest(), etag_for(before), before.st_mtime_ns)
