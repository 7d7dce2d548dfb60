"""How an upload gets its name in a share, and what happens to what had that name before.

Everything here blocks (disk), and raises OSError as open(2) does beside the errors it names.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import NamedTuple, TypeAlias

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.errors import Changed, Conflict
from commonhold.files.clearance import Clearance, Cleared
from commonhold.files.disk import sync_folder
from commonhold.files.entry import NONE, Conditions, Entry, Placed
from commonhold.files.ground import Ground, entry_of, look, name_lock, numbered
from commonhold.files.identity import identity
from commonhold.files.locks import How
from commonhold.files.nameless import Nameless
from commonhold.files.properties import Properties
from commonhold.files.renaming import rename_new
from commonhold.files.retiring import Retiring
from commonhold.names import SharePath

Made: TypeAlias = list[Placed]


class Arrival(NamedTuple):
    """How something gets a name: `temporary` when nobody misses it after a crash; `moved_from` in the same share.

    `origin` is a Deed's: it came from another share.
    """

    overwrite: bool = True
    temporary: bool = True
    moved_from: SharePath | None = None
    origin: str = ""


class Placing:
    """Gives names in the share of that door, and takes them away: with a `Cleared`, and in no other way.

    What had a name goes through `retiring`, which keeps it.
    """

    def __init__(
        self, door: Door, ground: Ground, clearance: Clearance, retiring: Retiring, properties: Properties
    ) -> None:
        self._properties = properties
        self._door, self._ground, self._clearance = door, ground, clearance
        self._retiring = retiring

    def place(self, temporary: str, handle: int, permit: Permit, conditions: Conditions) -> tuple[Entry, bool]:
        """Make the temporary file the file at the permit's path, durably. Returns it, and whether the name is new."""
        path = permit.path
        with self._ground.parent(path, creating=True) as folder, self._ground.workshop() as workshop:
            keep_mode(folder, path.name, handle)
            os.fsync(handle)
            placed = self.hand_over(Nameless(workshop, temporary), folder, permit, conditions)
            sync_folder(folder)
            return placed

    def hand_over(self, coming: Nameless, folder: int, permit: Permit, conditions: Conditions) -> tuple[Entry, bool]:
        """The moment in which a name in that open folder gets the file that is coming, if all is as demanded.

        As `place`, and nothing is synced: whoever places one file syncs it before and its folder after, whoever
        places many does so for all of them together.
        """
        with name_lock(folder, permit.path.name):
            name, created = self._rename(coming, folder, permit, conditions)
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if created:
                self._retiring.made(permit.path, status, permit.subject)
            return entry_of(str(permit.path), status), created

    def origin(self, path: SharePath) -> str:
        """That of what lies at that path, for another share that it is moved to; empty where nothing is kept."""
        return f"{self._retiring.versions.store}/{path}" if self._retiring.versions else ""

    def noting(self) -> AbstractContextManager[None]:
        """Inside, what is noted of many new names is written down together."""
        return self._retiring.versions.together() if self._retiring.versions else nullcontext()

    def drop(
        self, temporary: str, handle: int, permit: Permit, conditions: Conditions, made: Made
    ) -> tuple[Entry, bool]:
        """As `place`, unseen: under the first name that is free, in folders `made` for it, whatever is there.

        Where it really lies is told with what was `made`, and not with the answer.
        """
        cleared = self._clearance.unseen(conditions)
        path = permit.path
        with self._ground.dropping(path.parent, made) as (folder, at), self._ground.workshop() as workshop:
            os.fsync(handle)
            names = numbered(path.name)
            while not _named(cleared, Nameless(workshop, temporary), folder, path.parent / (name := next(names))):
                pass
            sync_folder(folder)
            self._retiring.made(at / name, os.fstat(handle), permit.subject)
            entry = entry_of(str(path.parent / name), os.fstat(handle))
            made.append(Placed(str(at / name), entry.size, str(os.fstat(handle).st_ino)))
            return entry, True

    def make_folder(self, cleared: Cleared, folder: int, permit: Permit) -> None:
        """The folder at the permit's path, in the open folder that is to hold it. Raises FileExistsError."""
        cleared.require(permit.path, How.COMES)
        os.mkdir(permit.path.name, dir_fd=folder)
        status = os.stat(permit.path.name, dir_fd=folder, follow_symlinks=False)
        self._retiring.made(permit.path, status, permit.subject)

    def take_away(self, cleared: Cleared, folder: int, found: tuple[str, os.stat_result], permit: Permit) -> str:
        """Let what is at the permit's path, in the open folder, lose its name; returns the version that it is now."""
        cleared.require(permit.path, How.GOES)
        return self._retiring.retire(folder, found, permit)

    def move_in(
        self, source: int, name: str, folder: int, permit: Permit, conditions: Conditions, how: Arrival
    ) -> bool:
        """Give what is called `name` in an open folder, file or folder, the permit's name in `folder`, in one step.

        Returns whether that is new. The caller holds the locks of both names, and syncs.
        """
        path = permit.path
        new = os.stat(name, dir_fd=source, follow_symlinks=False)
        while True:
            before = look(folder, path.name)
            if before and not how.overwrite:
                raise Changed(f"There is a “{path}” already; nothing was done.", "choose another name")
            self._require_ours(before, permit)
            change = _replacing(before[1], new) if before else How.COMES
            current = entry_of(str(path), before[1]) if before else None
            with self._clearance.changing(permit, conditions, current, (path, change)) as cleared:
                permit.require(Verb.ADD, self._door.id)
                cleared.require(path, change)
                if before:
                    origin = how.origin or (self.origin(how.moved_from) if how.moved_from else "")
                    self._retiring.replace(source, name, folder, before, permit, temporary=how.temporary, origin=origin)
                    if how.moved_from is not None or how.origin:
                        self._told(how, path, new, permit)
                    return False
                with suppress(FileExistsError):
                    rename_new(source, name, folder, path.name)
                    self._told(how, path, new, permit)
                    return True

    def drop_in(self, source: int, name: str, permit: Permit, how: Arrival, made: Made) -> SharePath:
        """As `move_in`, unseen: under the first name that is free, in folders `made` for it. Where it really lies."""
        cleared = self._clearance.unseen(NONE)
        new = os.stat(name, dir_fd=source, follow_symlinks=False)
        with self._ground.dropping(permit.path.parent, made) as (folder, at):
            permit.require(Verb.ADD, self._door.id)
            for wanted in numbered(permit.path.name):
                cleared.require(at / wanted, How.COMES)
                if look(folder, wanted) is None:
                    with suppress(FileExistsError):
                        rename_new(source, name, folder, wanted)
                        sync_folder(folder)
                        self._told(how, at / wanted, new, permit)
                        return at / wanted
        raise AssertionError("names do not end")

    def _told(self, how: Arrival, path: SharePath, status: os.stat_result, permit: Permit) -> None:
        if how.moved_from is not None:
            self._retiring.moved(how.moved_from, path, status, permit.subject)
        elif how.origin:
            self._retiring.brought(how.origin, path, status, permit.subject)
        else:
            self._retiring.made(path, status, permit.subject)

    def _rename(self, coming: Nameless, folder: int, permit: Permit, conditions: Conditions) -> tuple[str, bool]:
        """Give the file that is coming its name, if what has that name now is as demanded. True: nothing had it."""
        while True:
            before = look(folder, permit.path.name)
            self._require_replaceable(before, permit)
            current = entry_of(str(permit.path), before[1]) if before else None
            what = permit.path, How.CHANGES if before else How.COMES
            with self._clearance.changing(permit, conditions, current, what) as cleared:
                permit.require(Verb.ADD, self._door.id)  # it may have ended while the bytes went to the disk
                if before:
                    cleared.require(*what)
                    with coming.named() as temporary:
                        if self._properties.some:
                            old, new = identity(folder, before[0]), identity(coming.workshop, temporary)
                            self._properties.replaced(str(permit.path), old, new)
                        self._retiring.replace(coming.workshop, temporary, folder, before, permit)
                    return before[0], False
                if _named(cleared, coming, folder, permit.path):
                    return permit.path.name, True

    def _require_replaceable(self, before: tuple[str, os.stat_result] | None, permit: Permit) -> None:
        self._require_ours(before, permit)  # before any condition: an etag is not for all to guess
        if before and stat.S_ISDIR(before[1].st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder")

    def _require_ours(self, before: tuple[str, os.stat_result] | None, permit: Permit) -> None:
        """Nothing is there, or a file or folder that this permit may replace."""
        if before and permit.verb is not Verb.WRITE:
            raise Conflict(
                f"There is a “{permit.path}” in {self._door.name} already, and {permit.subject} may only add.",
                "choose another name",
            )
        if before and not (stat.S_ISREG(before[1].st_mode) or stat.S_ISDIR(before[1].st_mode)):
            raise Conflict(
                f"“{permit.path}” in {self._door.name} is taken by something that is not shared.", "choose another name"
            )


def _replacing(old: os.stat_result, new: os.stat_result) -> How:
    """A file that is replaced by a file keeps its lock; a folder goes, with all locks in it."""
    both_files = stat.S_ISREG(old.st_mode) and stat.S_ISREG(new.st_mode)
    return How.CHANGES if both_files else How.GOES


def _named(cleared: Cleared, coming: Nameless, folder: int, path: SharePath) -> bool:
    """Give the file that is coming the name of that path, in the open folder that is to hold it, unless it is taken."""
    cleared.require(path, How.COMES)
    name = path.name
    if not name.isascii() and look(folder, name):  # in another form
        return False
    try:
        coming.link(folder, name)
    except FileExistsError:
        return False
    return True


def keep_mode(folder: int, name: str, handle: int) -> None:
    """What replaces a file has its mode; before the data is synced, so that the mode is on the disk with it."""
    if before := look(folder, name):
        os.fchmod(handle, stat.S_IMODE(before[1].st_mode) & 0o777)
