"""Wheels on this computer's disk, each under its digest: brought once, and read by the lenders of a person's sessions.

A person's are that person's alone. What is not used for long gives way to what comes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import msgspec

from commonhold.compute.environment import Environment, Wheel
from commonhold.errors import Damaged, NoSpace, NotFound
from commonhold.names import PersonId

CHUNK = 2**20
MOST_KEPT = 16 * 2**30  # bytes of one person's wheels
OWN = "own"  # the folder of the wheels of this computer's own person
MOST_FILES = 4_000  # of these: whoever has many small ones fills a disk too
SHARE_OF_DISK = 4  # and not more than one part in so many of what is free


class Lacking(msgspec.Struct, frozen=True):
    """A wheel that is not here yet, or not whole: the first `have` bytes are."""

    sha256: str
    have: int


class Wheelhouse:
    """One person's. `FOLDER/DIGEST` is a whole wheel, `FOLDER/DIGEST.part` the beginning of one. Blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, wheel: Wheel) -> Path:
        """Where it is, if it is here."""
        return self._folder / wheel.sha256

    def has(self, wheel: Wheel) -> bool:
        return _size(self.file(wheel)) == wheel.size

    def begun(self, wheel: Wheel) -> int:
        """How many bytes of its beginning are here, of one that is not whole."""
        size = max(0, _size(self._part(wheel)))
        return size if size <= wheel.size else 0

    def lacking(self, environment: Environment) -> list[Lacking]:
        """What of it must still come; what is here counts as used now."""
        found = []
        for wheel in environment.wheels:
            if self.has(wheel):
                os.utime(self.file(wheel))
            else:
                found.append(Lacking(wheel.sha256, self.begun(wheel)))
        return found

    def require(self, environment: Environment) -> None:
        """Raise NotFound unless all of it is here."""
        if self.lacking(environment):
            raise NotFound("The packages of its environment are not here any more.", "run it again with --env")

    def make_room(self, size: int, spared: Collection[str] = ()) -> None:
        """Forget what was not used for longest, so that so many bytes more fit; not these, by their digests.

        Raises NoSpace when they never do.
        """
        kept, room = self._kept()
        others = [(status, path) for status, path in kept if path.stem not in spared]
        files = len(kept)
        for status, path in sorted(others, key=lambda each: each[0].st_mtime):
            if room >= size and files < MOST_FILES:
                break
            path.unlink(missing_ok=True)
            room, files = room + status.st_size, files - 1
        if room < size or files >= MOST_FILES:
            raise NoSpace(f"There is room for {max(0, room)} bytes of packages more, and {size} are needed.")

    def _kept(self) -> tuple[list[tuple[os.stat_result, Path]], int]:
        """What is here, and how many bytes more may come."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = [(path.stat(), path) for path in self._folder.iterdir()]
        here = sum(status.st_size for status, _ in kept)
        return kept, min(MOST_KEPT, (shutil.disk_usage(self._folder).free + here) // SHARE_OF_DISK) - here

    def forget_others(self, spared: Collection[str]) -> None:
        """All goes but these, by their digests."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._folder.iterdir():
            if path.stem not in spared:
                path.unlink(missing_ok=True)

    def begin(self, wheel: Wheel, start: int) -> BinaryIO:
        """Its beginning, to go on at that byte. Raises Damaged when it is shorter."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.fdopen(os.open(self._part(wheel), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)
        if file.seek(0, os.SEEK_END) < start:
            file.close()
            raise Damaged("Its beginning is not here.")
        file.truncate(start)
        file.seek(start)
        return file

    def finish(self, wheel: Wheel, file: BinaryIO) -> None:
        """All of it has come. Raises Damaged when it is not what its digest says; then it is forgotten."""
        digest, size = _digest(file)
        if (digest, size) != (wheel.sha256, wheel.size):
            self._part(wheel).unlink(missing_ok=True)
            raise Damaged(f"{wheel.name} arrived damaged.", "run it again")
        os.fsync(file.fileno())
        self._part(wheel).replace(self.file(wheel))

    def take(self, path: Path) -> Wheel:
        """A wheel that lies elsewhere on this disk comes here, and leaves there."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("rb", buffering=0) as file:
            digest, size = _digest(file)
            os.fsync(file.fileno())
        wheel = Wheel(path.name, digest, size)
        if not self.has(wheel):
            path.replace(self.file(wheel))
        return wheel

    def _part(self, wheel: Wheel) -> Path:
        return self._folder / f"{wheel.sha256}.part"


class Wheelhouses:
    """Those of all people whose sessions have their scheduler here."""

    def __init__(self, folder: Path, owner: PersonId) -> None:
        """`owner` is this computer's: where their own programs put wheels, the node finds them."""
        self._folder = folder
        self._owner = owner

    def of(self, person: PersonId) -> Wheelhouse:
        return Wheelhouse(self._folder / (OWN if person == self._owner else person))


def _size(path: Path) -> int:
    """-1 for what is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def _digest(file: BinaryIO) -> tuple[str, int]:
    """Of the whole file, with its size."""
    hashing, size = hashlib.sha256(), 0
    file.seek(0)
    while piece := file.read(CHUNK):
        hashing.update(piece)
        size += len(piece)
    return hashing.hexdigest(), size
