"""Many small files to the local disk together: each is whole or not there, and few syncs make all of them last.

The bytes of all go to the disk first, each beside its place, then each gets its name, then the folders are synced,
each once. Everything here blocks.
"""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from commonhold.errors import CommonholdError
from commonhold.files.disk import FEW, HERE, explanation, sync_disk, sync_folder, together
from commonhold.files.used.conflict import keep
from commonhold.files.used.part import Arrived, part_name

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Delivery(NamedTuple):
    """A file that is to be `target`, an absolute path or one from here; `sha256` is that of `data`."""

    target: str
    data: bytes
    sha256: bytes
    arrived: Arrived


def land(files: Sequence[Delivery]) -> list[Path | CommonholdError | None]:
    """Make each the file at its target, durably and in one step; as `part.save`. Of each: where the file is kept

    that had the name, or why it failed.
    """
    with _Landing(files) as landing:
        landing.each(landing.write, range(len(files)))
        landing.sync()
        landing.each(landing.name, list(landing.beside))
        landing.sync_folders()
        return landing.results


class _Site(NamedTuple):
    handle: int
    disk: int


class _Landing:
    def __init__(self, files: Sequence[Delivery]) -> None:
        self.results: list[Path | CommonholdError | None] = [None] * len(files)
        self.beside: dict[int, str] = {}  # files that wait for their name, and what they are called meanwhile
        self._files = files
        self._named: dict[str, list[int]] = {}  # those that have it, by folder
        self._folders: dict[str, _Site] = {}
        self._token = secrets.token_hex(6)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number in list(self.beside):
            self._drop(number)
        for folder in self._folders.values():
            os.close(folder.handle)

    def each(self, step: Callable[[int], None], numbers: Iterable[int]) -> None:
        """What goes wrong with one file is the end of that one."""
        for number in numbers:
            try:
                step(number)
            except OSError as error:
                self._fail(number, error)

    def write(self, number: int) -> None:
        above, _, name = self._files[number].target.rpartition("/")
        folder = self._folder(above or "/")
        data, arrived = memoryview(self._files[number].data), self._files[number].arrived
        beside = part_name(name, f"new-{self._token}{number}")
        handle = os.open(beside, NEW, 0o666, dir_fd=folder.handle)
        self.beside[number] = beside
        try:
            while data:
                data = data[os.write(handle, data) :]
            if arrived.modified is not None:
                os.utime(handle, ns=(arrived.modified, arrived.modified))
            if arrived.origin:
                arrived.origin.note(handle, os.fstat(handle))
        finally:
            os.close(handle)

    def sync(self) -> None:
        """Bring what was written to the disk, or to each of them."""
        disks = Counter(self._at(number).disk for number in self.beside)
        whole: set[int] = set()
        for disk, many in disks.items():
            if many > FEW:
                waiting = [number for number in self.beside if self._at(number).disk == disk]
                try:
                    if sync_disk(self._at(waiting[0]).handle):
                        whole.add(disk)
                except OSError as error:
                    for number in waiting:
                        self._fail(number, error)
        single = [number for number in self.beside if self._at(number).disk not in whole]
        together(lambda number: self.each(self._sync, [number]), single)

    def name(self, number: int) -> None:
        target, data, sha256, arrived = self._files[number]
        above, _, name = target.rpartition("/")
        folder = self._at(number).handle
        if arrived.computer:
            with suppress(FileNotFoundError):
                os.stat(name, dir_fd=folder, follow_symlinks=False)
                self.results[number] = keep(Path(target), len(data), sha256, arrived.computer)
        os.replace(self.beside[number], name, src_dir_fd=folder, dst_dir_fd=folder)
        del self.beside[number]
        self._named.setdefault(above or "/", []).append(number)

    def sync_folders(self) -> None:
        together(self._sync_folder, list(self._named))

    def _sync_folder(self, above: str) -> None:
        try:
            sync_folder(self._folders[above].handle)
        except OSError as error:
            for number in self._named[above]:
                self._fail(number, error)

    def _sync(self, number: int) -> None:
        handle = os.open(self.beside[number], os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._at(number).handle)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _at(self, number: int) -> _Site:
        return self._folder(self._files[number].target.rpartition("/")[0] or "/")

    def _folder(self, above: str) -> _Site:
        if (known := self._folders.get(above)) is None:
            handle = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            known = self._folders[above] = _Site(handle, os.fstat(handle).st_dev)
        return known

    def _fail(self, number: int, error: OSError) -> None:
        self.results[number] = explanation(error, self._files[number].target, HERE)
        self._drop(number)

    def _drop(self, number: int) -> None:
        if (beside := self.beside.pop(number, None)) is not None:
            with suppress(OSError):
                os.unlink(beside, dir_fd=self._at(number).handle)
