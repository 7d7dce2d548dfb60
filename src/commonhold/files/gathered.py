"""Many small files on their way into a share together: each is whole or not there, and few syncs make all of them last.

Their bytes go to the disk first, then each gets its name, then the folders are synced, each once: the order of a
single upload (files/incoming.py), done in steps. Everything here blocks.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Self

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.errors import CommonholdError, Conflict, Damaged
from commonhold.files.disk import FEW, begin, explained, explanation, sync_disk, sync_folder, together
from commonhold.files.entry import ANYTHING, Conditions, Entry, Placed
from commonhold.files.folders import Folders
from commonhold.files.ground import FILE, NEW_FILE, Ground, look, open_folder
from commonhold.files.nameless import Nameless, open_nameless
from commonhold.files.placing import Placing, keep_mode
from commonhold.names import SharePath


class Bundled:
    """One file of many: what it is to be, and then what became of it, `entry` or `failed`."""

    __slots__ = (
        "coming",
        "conditions",
        "created",
        "data",
        "entry",
        "failed",
        "inode",
        "modified",
        "permit",
        "sha256",
    )

    def __init__(
        self, permit: Permit, data: bytes, sha256: bytes, conditions: Conditions, modified: int | None = None
    ) -> None:
        """`sha256` is what its sender says of `data`; empty where nothing is said, until it is written."""
        self.permit, self.data, self.sha256, self.conditions = permit, data, sha256, conditions
        self.modified = modified  # nanoseconds since 1970
        self.entry: Entry | None = None
        self.failed: CommonholdError | None = None
        self.created = False  # whether nothing had that name before
        self.inode = ""
        self.coming: Nameless | None = None  # once it is written


class Gathered:
    """Files that come into a share together. `open_folders`, `write`, `hand_over`; at its end nothing else is left.

    `make(path)` makes a folder that is missing on the way to a file, or raises why not.
    """

    def __init__(
        self,
        ground: Ground,
        placing: Placing,
        door: Door,
        check: Callable[[SharePath], None],
        make: Callable[[SharePath], None],
    ) -> None:
        """`check(path)` raises what a share says of a name that no new file may have."""
        self._ground, self._placing, self._door = ground, placing, door
        self._check, self._make = check, make
        self._opened = ExitStack()
        self._workshop = self._room = -1

    def __enter__(self) -> Self:
        with explained(self._door.name, self._door.name):
            root = self._opened.enter_context(self._ground.folder(SharePath()))
        self._folders = Folders(root, self._inner)
        self._opened.callback(self._folders.close)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._opened.close()

    def open_folders(self, files: Sequence[Bundled]) -> None:
        """Find the folders that they go into, and make those that are missing."""
        for each in files:
            self._trying(self._look_in, each)

    def write(self, files: Sequence[Bundled]) -> None:
        """Bring the bytes of all to the disk. Those of which nothing can come have `failed` then."""
        with explained(self._door.name, self._door.name):  # a disk may have no place for one folder more
            self._workshop = self._opened.enter_context(self._ground.workshop())
            self._nameless = len(files) <= FEW  # else too many would be open
            if not self._nameless:
                self._make_room()
        for number, each in enumerate(files):
            self._trying(partial(self._write, str(number)), each)
        written = [each for each in files if each.failed is None]
        if len(written) > FEW:
            try:
                if sync_disk(self._workshop):
                    return
            except OSError as error:
                for each in written:
                    each.failed = explanation(error, each.permit.path, self._door.name)
                return
        for each in written:
            if each.coming and each.coming.handle >= 0:
                begin(each.coming.handle, 0, len(each.data))
        together(partial(self._trying, self._sync), written)

    def hand_over(self, files: Sequence[Bundled]) -> None:
        """Give each its name. Those that have not `failed` at the end are there, and on the disk."""
        changed: dict[tuple[str, ...], list[Bundled]] = {}
        with self._placing.noting():
            for each in files:
                if each.failed is None:
                    self._trying(self._name, each)
                    if each.failed is None:
                        changed.setdefault(each.permit.path.parts[:-1], []).append(each)
        for parts, inside in changed.items():
            try:
                sync_folder(self._folders.open(parts))
            except OSError as error:
                for each in inside:
                    each.failed = explanation(error, each.permit.path, self._door.name)

    def weigh(self, placed: Placed) -> Placed | None:
        """What lies there now, by the folder that is open already."""
        *above, name = placed.path.split("/")
        found = look(self._folders.open(tuple(above)), name)
        return Placed(placed.path, found[1].st_size, str(found[1].st_ino)) if found else None

    def _trying(self, step: Callable[[Bundled], None], file: Bundled) -> None:
        """What goes wrong with one file is the end of that one."""
        try:
            step(file)
        except OSError as error:
            file.failed = explanation(error, file.permit.path, self._door.name)
        except CommonholdError as error:
            file.failed = error

    def _look_in(self, file: Bundled) -> None:
        file.permit.require(Verb.ADD, self._door.id)
        self._check(file.permit.path)
        self._folders.open(file.permit.path.parts[:-1])

    def _write(self, name: str, file: Bundled) -> None:
        permit = file.permit
        digest = hashlib.sha256(file.data).digest()
        if file.sha256 and file.sha256 != digest:
            raise Damaged(f"“{permit.path}” arrived damaged; nothing was changed.", "send it again")
        file.sha256 = digest
        folder = self._folders.open(permit.path.parts[:-1])
        handle, coming = self._new(name)
        try:
            rest = memoryview(file.data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            if file.conditions.if_none_match != ANYTHING:  # else it replaces nothing
                keep_mode(folder, permit.path.name, handle)
            if file.modified is not None:
                os.utime(handle, ns=(file.modified, file.modified))
            file.inode = str(os.fstat(handle).st_ino)
            file.coming = coming
        finally:
            if coming.name:
                os.close(handle)

    def _new(self, name: str) -> tuple[int, Nameless]:
        """A new file, open: without a name where the disk has such a thing."""
        if self._nameless and (handle := open_nameless(self._workshop)) is not None:
            self._opened.callback(os.close, handle)
            return handle, Nameless(self._workshop, "", handle)
        self._nameless = False
        if self._room < 0:
            self._make_room()
        return os.open(name, NEW_FILE, 0o666, dir_fd=self._room), Nameless(self._room, name)

    def _make_room(self) -> None:
        self._room = self._opened.enter_context(self._ground.room())

    def _sync(self, file: Bundled) -> None:
        assert file.coming is not None  # noqa: S101 - it is written
        if not file.coming.name:
            os.fsync(file.coming.handle)
            return
        handle = os.open(file.coming.name, FILE, dir_fd=self._room)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _name(self, file: Bundled) -> None:
        permit = file.permit
        assert file.coming is not None  # noqa: S101 - it is written
        what = file.coming, self._folders.open(permit.path.parts[:-1]), permit, file.conditions
        file.entry, file.created = self._placing.hand_over(*what)

    def _inner(self, folder: int, parts: tuple[str, ...]) -> int:
        try:
            return open_folder(folder, parts[-1])
        except FileNotFoundError:
            self._make(SharePath(parts))
            return open_folder(folder, parts[-1])
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            where = f"There is no folder “{SharePath(parts)}” in {self._door.name} to put it in."
            raise Conflict(where, "make the folder first") from error
