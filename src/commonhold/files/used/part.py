"""A file on its way to the local disk: `.NAME.ETAG.commonhold-part` beside its place, renamed when it is whole.

The etag in the name says which file the bytes belong to, so that a later transfer can go on where this one
broke off. Everything here blocks (disk).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import threading
from pathlib import Path
from typing import NamedTuple, Self

from commonhold.errors import Conflict
from commonhold.files.disk import HERE, explained, sync_folder
from commonhold.files.used.conflict import keep
from commonhold.files.used.origin import Origin
from commonhold.names import LONGEST_COMPONENT

ENDING = ".commonhold-part"
CHUNK = 2**20
_RESUMABLE = re.compile(r"[0-9a-f]{8,64}")  # other etags might not be fit for a file's name


class Arrived(NamedTuple):
    """What a file that is whole gets: its time of change (nanoseconds since 1970), what it is a copy of, and the name

    of this computer for the file that it would destroy (`conflict.keep`); without one, that is replaced.
    """

    modified: int | None = None
    origin: Origin | None = None
    computer: str = ""


def save(target: Path, data: bytes, arrived: Arrived) -> Path | None:
    """Make `data` the file `target`, durably and in one step; as `Part.finish`.

    Raises NoSpace, Refused, Conflict, NotFound.
    """
    part = Part.begin(target, "")
    try:
        part.write(data)
        return part.finish(arrived)
    except BaseException:
        part.discard()
        raise


class Part:
    """An open part, locked against another transfer of the same file. `size` and `sha256` are those of its bytes."""

    def __init__(self, path: Path, target: Path, etag: str, handle: int) -> None:
        self.path, self.target, self.etag = path, target, etag
        self.size = 0
        self._handle = handle
        self._hash = hashlib.sha256()
        self._busy = threading.Lock()

    @classmethod
    def begin(cls, target: Path, etag: str) -> Self:
        """An empty one; one of the same name is emptied. It can be resumed when there is an etag."""
        label = etag if _RESUMABLE.fullmatch(etag) else f"new-{secrets.token_hex(6)}"
        part = cls._open(target.with_name(part_name(target.name, label)), target, etag, os.O_CREAT)
        with explained(target, HERE):
            os.ftruncate(part._handle, 0)
        return part

    @classmethod
    def resume(cls, target: Path) -> Self | None:
        """The newest part of this file that an earlier transfer left, with its bytes hashed; None without one."""
        stem = _stem(target.name)
        with explained(target, HERE):
            left = [
                path
                for path in target.parent.iterdir()
                if path.name.startswith(stem)
                and path.name.endswith(ENDING)
                and _RESUMABLE.fullmatch(path.name[len(stem) : -len(ENDING)])
            ]
            if not left:
                return None
            path = max(left, key=lambda each: each.lstat().st_mtime_ns)
        part = cls._open(path, target, path.name[len(stem) : -len(ENDING)], 0)
        with explained(target, HERE):
            while data := os.read(part._handle, CHUNK):
                part._hash.update(data)
                part.size += len(data)
        return part

    @classmethod
    def _open(cls, path: Path, target: Path, etag: str, flags: int) -> Self:
        with explained(target, HERE):
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise Conflict(f"{target} is being fetched by another command already.", "wait for it to end") from error
        return cls(path, target, etag, handle)

    @property
    def sha256(self) -> bytes:
        return self._hash.digest()

    def write(self, data: bytes | bytearray) -> None:
        """Append."""
        with self._busy, explained(self.target, HERE):
            rest = memoryview(data)
            while rest:
                written = os.write(self._handle, rest)
                self._hash.update(rest[:written])
                self.size += written
                rest = rest[written:]

    def finish(self, arrived: Arrived) -> Path | None:
        """Make it the file: on the disk when this returns. Where the file is kept that had the name, if it is."""
        with self._busy, explained(self.target, HERE):
            if arrived.modified is not None:
                os.utime(self._handle, ns=(arrived.modified, arrived.modified))
            if arrived.origin:
                arrived.origin.note(self._handle, os.fstat(self._handle))
            os.fsync(self._handle)
            kept = keep(self.target, self.size, self.sha256, arrived.computer) if arrived.computer else None
            self.path.replace(self.target)
        self.close()
        with explained(self.target, HERE):
            _sync(self.target.parent)
        return kept

    def close(self) -> None:
        """Leave it for a later transfer."""
        with self._busy:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    def discard(self) -> None:
        with self._busy:
            self.path.unlink(missing_ok=True)
        self.close()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_folder(handle)
    finally:
        os.close(handle)


def part_name(name: str, label: str) -> str:
    """How a part of the file of that name is called; `label` of at most 64 characters tells it from others."""
    return _stem(name) + label + ENDING


def _stem(name: str) -> str:
    """What the names of a file's parts begin with; short enough that the whole fits."""
    if len(name.encode(errors="surrogateescape")) + 64 + len(ENDING) + 2 > LONGEST_COMPONENT:
        name = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    return f".{name}."
