"""One offered folder. With files/ground.py the only file of Commonhold that opens anything inside a share.

Every path is walked from the share's folder component by component with O_NOFOLLOW, so that neither
`..` nor a symbolic link leads out, not even one swapped in during the request. openat2(2) would do
it in one call, but needs ctypes and answers EAGAIN when a rename races with it; the walk costs 2.7 to
11.5 µs. The folder itself is opened anew for each request: an open handle would keep the owner from
unmounting a disk. Only folders and regular files exist here; links, pipes, devices and sockets don't.

Methods block (disk): call them in a thread. Each takes a Permit, and works on the permit's path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeAlias

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.errors import Conflict, Damaged, NotFound, Refused, WrongUsage
from commonhold.files.disk import explained, sync_folder
from commonhold.files.entry import NONE, Conditions, Entry, Placed
from commonhold.files.ground import FILE, LONGEST_NUMBER, Ground, look, numbered, require
from commonhold.names import LONGEST_PATH, SharePath
from commonhold.trees import erase_in

Made: TypeAlias = list[Placed]
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # FAT and some network disks have none


class Taken(Conflict):
    """A folder can't be made: something of that name exists."""


class NoFile(WrongUsage):
    """What was to be read is a folder."""


class Share:
    """A folder offered under a name. Raises NotFound, Refused, Conflict, Changed, NoSpace, WrongUsage or Damaged."""

    def __init__(self, door: Door, root: Path) -> None:
        """Removes what uploads of a process that died have left."""
        self.door = door
        self.root = root
        self._ground = Ground(door.name, root)
        with suppress(OSError, NotFound):
            self._ground.clear_away()

    @property
    def missing(self) -> bool:
        """Whether the folder is gone, for instance because its disk was taken away."""
        return not self.root.is_dir()

    def stat(self, permit: Permit) -> Entry:
        """The file or folder at the permit's path."""
        permit.require(Verb.LIST, self.door.id)
        path = permit.path
        with self._explained(path), self._ground.parent(path) as folder:
            status = os.fstat(folder) if not path.parts else require(folder, path.name)[1]
            return _entry(str(path), status)

    def list(self, permit: Permit) -> Iterator[Entry]:
        """What lies in the folder at the permit's path, in no order; nothing that could not be opened through a share.

        The folder is opened before this returns; the entries are read as the iterator goes.
        """
        permit.require(Verb.LIST, self.door.id)
        entries = self._entries(permit.path)
        next(entries)  # the folder itself, now open
        return entries

    def _entries(self, path: SharePath) -> Iterator[Entry]:
        """The folder itself, then what lies in it; its handle stays open, since entries are looked up through it."""
        prefix = f"{path}/" if path.parts else ""
        with self._explained(path), self._ground.folder(path) as folder:
            yield _entry(str(path), os.fstat(folder))
            with os.scandir(folder) as found:
                for item in found:
                    if not _speakable(item.name):
                        continue
                    try:
                        status = item.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
                        yield _entry(prefix + item.name, status)

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
                return os.fdopen(handle, "rb", buffering=0), _entry(str(path), status)
            except BaseException:
                os.close(handle)
                raise

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
                if size is not None:
                    _require_space(folder, size)
            return Upload(self, permit, *self._ground.new_file(), unseen=unseen)

    def mkdir(self, permit: Permit, *, unseen: bool = False) -> Made:
        """Make the folder at the permit's path, and tell what was made; raises Taken when its name is.

        `unseen`: as in `write`; a folder that is there already counts as made.
        """
        permit.require(Verb.ADD, self.door.id)
        self._creatable(permit.path, unseen)
        path = permit.path
        if unseen:
            made: Made = []
            with self._explained(path), self._ground.dropping(path, made):
                return made
        with self._explained(path), self._ground.parent(path, creating=True) as folder:
            try:
                if look(folder, path.name):
                    raise FileExistsError(errno.EEXIST, "in another form of its name")
                os.mkdir(path.name, dir_fd=folder)
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

    def delete(self, permit: Permit, conditions: Conditions = NONE) -> Entry:
        """Remove the file, or the folder with all that is in it, at the permit's path. Returns what was removed.

        The name vanishes in one step, also that of a folder: it is moved away first, then taken apart.
        """
        permit.require(Verb.WRITE, self.door.id)
        path = permit.path
        if not path.parts:
            raise Refused(
                f"“{self.door.name}” itself can't be deleted through the network.", "its owner can unshare it"
            )
        with self._explained(path), self._ground.parent(path) as folder:
            with _lock(folder, path.name):
                name, status = require(folder, path.name)
                entry = _entry(str(path), status)
                conditions.require(entry)
                moved = ""
                if entry.kind == "file":
                    os.unlink(name, dir_fd=folder)
                else:
                    moved = self._ground.move_away(folder, name)
            sync_folder(folder)
            if moved:
                with self._ground.workshop() as workshop:
                    erase_in(workshop, moved)  # its name is gone already
            return entry

    def _explained(self, path: SharePath) -> AbstractContextManager[None]:
        return explained(path if path.parts else self.door.name, self.door.name)

    def _creatable(self, path: SharePath, unseen: bool) -> None:
        if not path.parts:
            raise Conflict(f"“{self.door.name}” is the share itself.", "name a file or folder in it")
        path.require_portable()
        if unseen and len(str(path).encode()) + LONGEST_NUMBER * len(path.parts) > LONGEST_PATH:
            # Else it would fit or not by what is there already.
            raise WrongUsage("The path is too long: each name in it may get a number.", "choose shorter names")

    # -- putting an upload in its place

    def _place(self, temporary: str, handle: int, permit: Permit, conditions: Conditions) -> tuple[Entry, bool]:
        """Make the temporary file the file at the permit's path, durably. Returns it, and whether the name is new."""
        path = permit.path
        with self._ground.parent(path, creating=True) as folder, self._ground.workshop() as workshop:
            if before := look(folder, path.name):
                os.fchmod(handle, stat.S_IMODE(before[1].st_mode) & 0o777)
            os.fsync(handle)
            with _lock(folder, path.name):
                created = self._rename(workshop, temporary, folder, permit, conditions)
                entry = _entry(str(path), os.fstat(handle))
            sync_folder(folder)
            return entry, created

    def _drop(
        self, temporary: str, handle: int, permit: Permit, conditions: Conditions, made: Made
    ) -> tuple[Entry, bool]:
        """As `_place`, unseen: under the first name that is free, in folders `made` for it, whatever is there.

        Where it really lies is told with what was `made`, and not with the answer.
        """
        conditions.require(None)
        path = permit.path
        with self._ground.dropping(path.parent, made) as (folder, at), self._ground.workshop() as workshop:
            os.fsync(handle)
            names = numbered(path.name)
            while not self._named(workshop, temporary, folder, name := next(names)):
                pass
            sync_folder(folder)
            entry = _entry(str(path.parent / name), os.fstat(handle))
            made.append(Placed(str(at / name), entry.size, str(os.fstat(handle).st_ino)))
            return entry, True

    @staticmethod
    def _named(workshop: int, temporary: str, folder: int, name: str) -> bool:
        """Give the temporary file that name, unless it is taken.

        By link(2), which never replaces: programs on the owner's disk don't know our lock.
        """
        if look(folder, name):
            return False
        try:
            os.link(temporary, name, src_dir_fd=workshop, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.rename(temporary, name, src_dir_fd=workshop, dst_dir_fd=folder)
            return True
        os.unlink(temporary, dir_fd=workshop)
        return True

    def _rename(self, workshop: int, temporary: str, folder: int, permit: Permit, conditions: Conditions) -> bool:
        """Give the temporary file its name, if what has that name now is as demanded. True: nothing had it."""
        while True:
            before = look(folder, permit.path.name)
            self._require_replaceable(before, permit, conditions)
            permit.require(Verb.ADD, self.door.id)  # it may have ended while the bytes went to the disk
            if before:
                os.rename(temporary, before[0], src_dir_fd=workshop, dst_dir_fd=folder)
                return False
            if self._named(workshop, temporary, folder, permit.path.name):
                return True

    def _require_replaceable(
        self, before: tuple[str, os.stat_result] | None, permit: Permit, conditions: Conditions
    ) -> None:
        if before and permit.verb is not Verb.WRITE:  # before any condition: an etag is not for them to guess
            raise Conflict(
                f"There is a “{permit.path}” in {self.door.name} already, and {permit.subject} may only add.",
                "choose another name",
            )
        if before and stat.S_ISDIR(before[1].st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder")
        if before and not stat.S_ISREG(before[1].st_mode):
            raise Conflict(
                f"“{permit.path}” in {self.door.name} is taken by something that is not shared.", "choose another name"
            )
        conditions.require(_entry(str(permit.path), before[1]) if before else None)


class Upload:
    """A file on its way in, beside the others: nobody sees it before `commit`, and nothing stays of it after `abort`.

    Methods block; they may be called from any thread, one after the other or not.
    """

    def __init__(self, share: Share, permit: Permit, temporary: str, handle: int, *, unseen: bool) -> None:
        self.created = False  # after commit: whether nothing had that name before
        self.size = 0
        self.made: Made = []  # unseen: folders on the way, and the file itself
        self.inode = str(os.fstat(handle).st_ino)  # of the file, under whatever name
        self._share = share
        self._permit = permit
        self._temporary = temporary
        self._handle = handle
        self._unseen = unseen
        self._hash = hashlib.sha256()
        self._busy = threading.Lock()

    @property
    def sha256(self) -> bytes:
        """The digest of what was written so far."""
        return self._hash.digest()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. Raises NoSpace when the disk is full; the upload is then over."""
        with self._busy, self._ending_on_error():
            rest = memoryview(data)
            while rest:
                written = os.write(self._handle, rest)
                self._hash.update(rest[:written])
                rest = rest[written:]
                self.size += written

    def commit(self, conditions: Conditions = NONE, sha256: bytes | None = None) -> Entry:
        """Put the file in its place: when this returns, it is there and on the disk; when it raises, nothing changed.

        Raises Damaged when `sha256` is given and is not that of what was written, Changed when a condition
        fails, Conflict when the permit is to add only and something of that name exists.
        """
        with self._busy, self._ending_on_error():
            if sha256 is not None and sha256 != self._hash.digest():
                raise Damaged(f"“{self._permit.path}” arrived damaged; nothing was changed.", "send it again")
            what = self._temporary, self._handle, self._permit, conditions
            if self._unseen:
                entry, self.created = self._share._drop(*what, self.made)
            else:
                entry, self.created = self._share._place(*what)
            os.close(self._handle)
            self._handle = -1
            return entry

    def abort(self) -> None:
        """Leave nothing; after `commit` there is nothing to do."""
        with self._busy:
            self._end()

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        if self._handle < 0:
            raise Conflict(f"The upload of “{self._permit.path}” is over.", "send it again")
        try:
            with self._share._explained(self._permit.path):
                yield
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        if self._handle >= 0:
            with suppress(OSError, NotFound):  # the disk is gone: the next one who opens the share tidies up
                self._share._ground.drop_file(self._temporary)
            os.close(self._handle)
            self._handle = -1


def unchanged(file: BinaryIO, entry: Entry) -> bool:
    """Whether the open file still is what `read` said: somebody at its own computer may write into it meanwhile."""
    return _entry("", os.fstat(file.fileno())).etag == entry.etag


def _speakable(name: str) -> bool:
    """Whether a SharePath could name it: no undecodable bytes, control characters, backslashes, nor our own folder."""
    if name.isascii() and name.isprintable() and "\\" not in name and not name.startswith("."):
        return True
    try:
        SharePath((name,))
    except WrongUsage:
        return False
    return True


def _entry(path: str, status: os.stat_result) -> Entry:
    """The inode and both times are in the etag: a file written twice in one tick of the clock is a new inode."""
    identity = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    folder = stat.S_ISDIR(status.st_mode)
    return Entry(
        path,
        "folder" if folder else "file",
        0 if folder else status.st_size,
        datetime.fromtimestamp(status.st_mtime, UTC),
        hashlib.sha256(identity.encode()).hexdigest()[:24],
    )


def _require_space(folder: int, size: int) -> None:
    room = os.fstatvfs(folder)
    if size > room.f_bavail * room.f_frsize:
        raise OSError(errno.ENOSPC, "no room")


# Between looking at what a name holds and giving it to another file nobody else may do the same. A fixed set of
# locks, picked by folder and name, holds for every share of the process, also when one lies inside another.
_locks = tuple(threading.Lock() for _ in range(64))


def _lock(folder: int, name: str) -> threading.Lock:
    status = os.fstat(folder)
    return _locks[hash((status.st_dev, status.st_ino, unicodedata.normalize("NFC", name))) % len(_locks)]
