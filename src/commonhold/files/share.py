"""One offered folder. Only this file and those that ARCHITECTURE.md names beside it open anything inside a share.

Every path is walked from the share's folder component by component with O_NOFOLLOW, so that neither
`..` nor a symbolic link leads out, not even one swapped in during the request. openat2(2) would do
it in one call (files/athand.py), but needs ctypes and answers EAGAIN when a rename races with it; the walk costs 2.7 to
11.5 µs. The folder itself is opened anew for each request: an open handle would keep the owner from
unmounting a disk. Only folders and regular files exist here; links, pipes, devices and sockets don't.

Methods block (disk): call them in a thread; `hand` alone never does. Each takes a Permit, and works on its path.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.files import strays
from commonhold.files.athand import Hand
from commonhold.files.catalogue import Catalogue
from commonhold.files.clearance import Clearance
from commonhold.files.copying import Copying
from commonhold.files.describing import Describing, alive
from commonhold.files.disk import explained, sync_folder
from commonhold.files.entry import NONE, Conditions, Entry, Placed
from commonhold.files.gathered import Gathered
from commonhold.files.ground import (
    FILE,
    LONGEST_NUMBER,
    Ground,
    Seen,
    entry_of,
    look,
    name_lock,
    require,
    seen,
)
from commonhold.files.handing import Handing, NoFile
from commonhold.files.incoming import Resumed, Upload
from commonhold.files.locks import How, Locks
from commonhold.files.locksmith import Locksmith
from commonhold.files.moving import Brought, End, Wish, move
from commonhold.files.placing import Made, Placing
from commonhold.files.properties import Properties
from commonhold.files.pruning import Pruning
from commonhold.files.recovering import recover
from commonhold.files.retiring import Retiring
from commonhold.files.returning import Returning
from commonhold.files.unfinished import Beginnings
from commonhold.files.versions import Versions
from commonhold.names import LONGEST_PATH, SharePath

TOGETHER = 64  # entries of a folder that are looked at in one go


class Taken(Conflict):
    """A folder can't be made: something of that name exists."""


class Share:
    """A folder offered under a name. Raises NotFound, Refused, Conflict, Changed, NoSpace, WrongUsage or Damaged."""

    def __init__(self, door: Door, root: Path, catalogue: Catalogue, locks: Locks | None = None) -> None:
        """Removes what uploads of a process that died have left. What is kept beside its files is in `catalogue`.

        `locks` are those of the computer; a share that is alone there reads them itself.
        """
        self.door = door
        self.catalogue = catalogue
        self.root = root
        self._ground = Ground(door.name, root)
        self.hand = Hand(door, root)
        self.locks = Locks(catalogue) if locks is None else locks
        self.clearance = Clearance(door, root, self.locks, self._glance)
        self.locksmith = Locksmith(door, root, self.locks, self.clearance, self._glance)
        self.versions = Versions(catalogue, root) if door.kind == "share" else None  # a job's folder keeps none
        self._retiring = Retiring(self._ground, self.versions)
        self.pruning = Pruning(self._ground, self._retiring, self.versions) if self.versions is not None else None
        self.returning = None
        if self.versions is not None and self.pruning is not None:
            what = self._ground, self.clearance, self._retiring, self.versions, self.pruning
            self.returning = Returning(door, *what)
        self._properties = Properties(catalogue, door.id, self._lives)
        self.describing = Describing(door, self._ground, self.clearance, self._properties)
        self._placing = Placing(door, self._ground, self.clearance, self._retiring, self._properties)
        with suppress(OSError, NotFound):
            if self.versions is not None:
                recover(self._ground, self._retiring, self.versions)
            self._ground.clear_away(Beginnings(catalogue).files(door.id))

    @property
    def missing(self) -> bool:
        """Whether the folder is gone, for instance because its disk was taken away."""
        return not self.root.is_dir()

    def links(self) -> list[str]:
        """Where some symbolic links lie: for its owner, whom nobody has to permit anything."""
        return strays.links(self._ground)

    def stat(self, permit: Permit) -> Entry:
        """The file or folder at the permit's path."""
        return entry_of(str(permit.path), self.status(permit))

    def status(self, permit: Permit) -> os.stat_result:
        """What the disk says of the file or folder at the permit's path."""
        permit.require(Verb.LIST, self.door.id)
        path = permit.path
        with self._explained(path), self._ground.parent(path) as folder:
            return os.fstat(folder) if not path.parts else require(folder, path.name)[1]

    def list(self, permit: Permit) -> Iterator[Seen]:
        """What lies in the folder at the permit's path, in no order; nothing that could not be opened through a share.

        The folder is opened before this returns; the entries are read as the iterator goes, some at a time.
        """
        permit.require(Verb.LIST, self.door.id)
        found = self._seen(permit.path)
        next(found)  # the folder itself, now open
        return found

    def _seen(self, path: SharePath) -> Iterator[Seen]:
        """Nothing, and then what lies in it; its handle stays open, since entries are looked up through it."""
        with self._explained(path), self._ground.folder(path) as folder:
            yield Seen({}, {})
            with os.scandir(folder) as found:
                while items := list(islice(found, TOGETHER)):
                    yield seen(items)

    def free(self, permit: Permit) -> int:
        """The bytes that the disk has room for, where the permit's folder lies."""
        permit.require(Verb.LIST, self.door.id)
        with self._explained(permit.path), self._ground.parent(permit.path) as folder:
            return _free(folder)

    def read(self, permit: Permit) -> tuple[BinaryIO, Entry]:
        """The file at the permit's path, open and unbuffered, and what it is. The caller closes it."""
        permit.require(Verb.READ, self.door.id)
        path = permit.path
        with self._explained(path), self._ground.parent(path) as folder:
            if not path.parts:
                raise NoFile(f"“{self.door.name}” is a folder.", "name a file in it")
            name, status = require(folder, path.name)
            if stat.S_ISDIR(status.st_mode):
                raise NoFile(f"“{path}” is a folder.", "name a file in it")
            handle = os.open(name, FILE, dir_fd=folder)
            try:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):  # swapped since we looked
                    raise FileNotFoundError(errno.ENOENT, "not a file")
                return os.fdopen(handle, "rb", buffering=0), entry_of(str(path), status)
            except BaseException:
                os.close(handle)
                raise

    def give(self) -> Handing:
        """Begin to read many small files together."""
        return Handing(self.door, self._ground)

    def write(self, permit: Permit, size: int | None = None, *, unseen: bool = False) -> Upload:
        """Begin to write the file at the permit's path, of so many bytes if that is known.

        A permit to add makes new files only. Raises NoSpace at once when `size` is more than is free.
        `unseen`: nothing is told of what is there, so the share is a drop-box: a name that is taken gets a
        number, folders on the way are made, and the answer is that of an empty folder.
        """
        permit.require(Verb.ADD, self.door.id)
        self._creatable(permit.path, unseen)
        around = SharePath() if unseen else permit.path.parent
        with self._explained(permit.path):
            with self._ground.folder(around, creating=True) as folder:
                if size is not None and size > _free(folder) and size > _free(folder) + self._spare():
                    raise OSError(errno.ENOSPC, "no room")
            return Upload(self._ground, self._placing, permit, self._make_room, unseen=unseen)

    def _spare(self) -> int:
        return self.pruning.spare() if self.pruning else 0

    def _make_room(self, size: int) -> bool:
        """On a full disk, for bytes that have come: an announcement alone makes nobody forget anything."""
        return self.pruning is not None and self.pruning.make_room(size)

    def resume(
        self, permit: Permit, name: str, size: int, total: int, note: Callable[[int], None], *, unseen: bool
    ) -> Resumed:
        """As `write`, of a file of which `size` of `total` bytes have come before, under that name in the workshop."""
        permit.require(Verb.ADD, self.door.id)
        self._creatable(permit.path, unseen)
        around = SharePath() if unseen else permit.path.parent
        with self._explained(permit.path):
            with self._ground.folder(around, creating=True) as folder:
                if total - size > _free(folder) + self._spare():
                    raise OSError(errno.ENOSPC, "no room")
            return Resumed(self._ground, self._placing, permit, name, size, note, self._make_room, unseen=unseen)

    def forget_upload(self, name: str) -> None:
        """What had come of an unfinished upload goes."""
        self._ground.drop_file(name)

    def gather(self, make: Callable[[SharePath], None]) -> Gathered:
        """Begin to write many small files together. `make` as there."""
        return Gathered(self._ground, self._placing, self.door, partial(self._creatable, unseen=False), make)

    def mkdir(self, permit: Permit, conditions: Conditions = NONE, *, unseen: bool = False) -> Made:
        """Make the folder at the permit's path, and tell what was made; raises Taken when its name is.

        `unseen`: as in `write`; a folder that is there already counts as made.
        """
        permit.require(Verb.ADD, self.door.id)
        self._creatable(permit.path, unseen)
        path = permit.path
        if unseen:
            self.clearance.unseen(conditions)
            made: Made = []
            with self._explained(path), self._ground.dropping(path, made):
                return made
        with self._explained(path), self._ground.parent(path, creating=True) as folder:
            try:
                if look(folder, path.name):
                    raise FileExistsError(errno.EEXIST, "in another form of its name")
                with self.clearance.changing(permit, conditions, None, (path, How.COMES)) as cleared:
                    self._placing.make_folder(cleared, folder, permit)
            except FileExistsError as error:
                raise Taken(f"There is a “{path}” in {self.door.name} already.", "choose another name") from error
            sync_folder(folder)
            return [Placed(str(path), 0, str(os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_ino))]

    def weigh(self, path: SharePath) -> Placed | None:
        """What lies there, for whoever keeps count of it: without a permit, since it is opened for and told to nobody.

        Raises NotFound when the folder of the share is not there, and what the disk answers.
        """
        with self._explained(path):
            try:
                with self._ground.parent(path) as folder:
                    status = require(folder, path.name)[1]
            except OSError as error:
                if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                    return None
                raise
            return Placed(str(path), 0 if stat.S_ISDIR(status.st_mode) else status.st_size, str(status.st_ino))

    def _glance(self, path: SharePath) -> Entry | None:
        """What lies there, for conditions that speak of it: of what cannot be opened, nothing."""
        with suppress(OSError, NotFound), self._ground.parent(path) as folder:
            status = os.fstat(folder) if not path.parts else require(folder, path.name)[1]
            return entry_of(str(path), status)
        return None

    def delete(self, permit: Permit, conditions: Conditions = NONE) -> Entry:
        """Remove the file, or the folder with all that is in it, at the permit's path. Returns what was removed.

        The name vanishes in one step, also that of a folder; what had it is kept as a version.
        """
        permit.require(Verb.WRITE, self.door.id)
        path = permit.path
        if not path.parts:
            raise Refused(
                f"“{self.door.name}” itself can't be deleted through the network.", "its owner can unshare it"
            )
        with self._explained(path), self._ground.parent(path) as folder:
            with name_lock(folder, path.name):
                name, status = require(folder, path.name)
                entry = entry_of(str(path), status)
                with self.clearance.changing(permit, conditions, entry, (path, How.GOES)) as cleared:
                    self._placing.take_away(cleared, folder, (name, status), permit)
            sync_folder(folder)
            return entry

    def copy(self, permit: Permit, to: Share, at: Permit, wish: Wish, *, complete: bool = False) -> Copying:
        """Begin to copy what lies at the permit's path to `at`, in this share or another; as Copying."""
        permit.require(Verb.READ, self.door.id)
        return Copying(self._end(permit), to._target(at, wish), wish, complete=complete)

    def move(self, permit: Permit, to: Share, at: Permit, wish: Wish) -> Brought:
        """Give what lies at the permit's path the path of `at`, in this share or another; as `moving.move`."""
        permit.require(Verb.WRITE, self.door.id)
        return move(self._end(permit), to._target(at, wish), wish)

    def _lives(self, path: str, identity: str) -> bool:
        """Whether that very file is there, or may be restored."""
        kept = {deed.path for deed in self.versions.find("kept")} if self.versions is not None else set()
        above = ("/".join(path.split("/")[:length]) for length in range(1, path.count("/") + 2))
        return alive(self._ground, path, identity) or not kept.isdisjoint(above)

    def forget(self) -> None:
        """It is offered no more: what was kept beside its files is of no use."""
        self._properties.forget()

    def _end(self, permit: Permit) -> End:
        return End(permit, self._ground, self._placing, self.clearance, self._properties)

    def _target(self, permit: Permit, wish: Wish) -> End:
        permit.require(Verb.ADD, self.door.id)
        if permit.path.parts:  # else refused as a target
            self._creatable(permit.path, wish.unseen)
        return self._end(permit)

    def _explained(self, path: SharePath) -> AbstractContextManager[None]:
        return explained(path if path.parts else self.door.name, self.door.name)

    def _creatable(self, path: SharePath, unseen: bool) -> None:
        if not path.parts:
            raise Conflict(f"“{self.door.name}” is the share itself.", "name a file or folder in it")
        path.require_portable()
        if unseen and len(str(path).encode()) + LONGEST_NUMBER * len(path.parts) > LONGEST_PATH:
            # Else it would fit or not by what is there already.
            raise WrongUsage("The path is too long: each name in it may get a number.", "choose shorter names")


def unchanged(file: BinaryIO, entry: Entry) -> bool:
    """Whether the open file still holds what `read` said: somebody at its own computer may write into it meanwhile.

    That it was replaced, deleted or given another name shows in its ctime, and changes nothing of what it holds.
    """
    now = entry_of("", os.fstat(file.fileno()))
    return (now.size, now.modified) == (entry.size, entry.modified)


def _free(folder: int) -> int:
    room = os.fstatvfs(folder)
    return room.f_bavail * room.f_frsize
