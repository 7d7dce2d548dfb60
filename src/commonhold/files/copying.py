"""COPY: a file or a folder with all that is in it, made beside the others and given its name when it is whole.

Nobody sees half of a tree, and what is acknowledged is on the disk. Links, pipes, devices and our own folder are not
copied: through a share they don't exist. What can't be read is told, and is not in the copy. A tree's folders are
opened by their path from its top, one at a time: however deep it is, few handles are open.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import NamedTuple

from commonhold.authority.authority import Verb
from commonhold.errors import Changed, CommonholdError, Conflict, NoSpace
from commonhold.files.disk import explained, sync_disk, sync_folder
from commonhold.files.entry import Placed
from commonhold.files.ground import FILE, FOLDER, NEW_FILE, copy_status, entry_of, look, name_locks, require, speakable
from commonhold.files.identity import identity
from commonhold.files.moving import Brought, End, Wish, check
from commonhold.files.placing import Arrival, Made
from commonhold.files.properties import Carried
from commonhold.names import SharePath, spelled

FEW = 100  # files that are synced one by one: syncing the whole disk waits for what strangers wrote, too
SLICE = 64 * 2**20  # bytes after which we look whether the copy is still wanted
BUFFER = 2**20
TRIES = 3  # to copy a file that somebody writes into meanwhile
COPY = "copy"  # what it is called while nobody sees it
_CANNOT = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}

Parts = tuple[str, ...]


class _Inside(NamedTuple):
    """Something in a tree, by its path from the top."""

    parts: Parts
    status: os.stat_result


class Copying:
    """A copy on its way. First `fill`, then `commit`; `abort` ends it at any time, and leaves nothing.

    Methods block; they may be called from any thread.
    """

    def __init__(self, source: End, target: End, wish: Wish, *, complete: bool = False) -> None:
        """Looks what there is to copy; nothing is written yet. `complete`: whatever can't be copied ends it.

        Raises NotFound, Refused, Changed, Conflict, and NoSpace when the disk has no room for it.
        """
        self.size, self.files = 0, 0
        self._carried: list[Carried] = []
        self._described = source.properties.under(str(source.path))
        self.copied: list[Placed] = []  # by their paths from the top
        self._failed: list[tuple[SharePath, CommonholdError]] = []
        self._source, self._target, self._wish, self._complete = source, target, wish, complete
        self._opened = ExitStack()
        self._over = threading.Event()
        self._busy = threading.Lock()
        check(source, target)
        with self._explained():
            self._require_place()
            with self._top() as (folder, name, status):
                self.entry = entry_of(str(source.path), status)
                source.clearance.require(source.permit, wish.conditions, self.entry, also=target.clearance)
                self._measure(folder, name, status)
            with target.ground.folder(SharePath()) as root:
                room = os.fstatvfs(root)
            if self.size > room.f_bavail * room.f_frsize:
                raise OSError(errno.ENOSPC, "no room")

    def fill(self) -> None:
        """Bring the bytes to the disk, where nobody sees them. Raises what the disk answers."""
        with self._busy, self._ending_on_error(), self._top() as (folder, name, status):
            self._room = self._opened.enter_context(self._target.ground.room())
            self._each = self.files <= FEW or not sync_disk(self._room)
            if not stat.S_ISDIR(status.st_mode):
                self._copy_file(folder, name, self._room, COPY, ())
            else:
                os.mkdir(COPY, 0o700, dir_fd=self._room)
                with _opened(folder, (name,)) as top, _opened(self._room, (COPY,)) as copy:
                    self._copy_tree(top, copy)
            if not self._each:
                sync_disk(self._room)

    def commit(self) -> Brought:
        """Give the copy its name: there and on the disk when this returns; when it raises, nothing changed."""
        with self._busy, self._ending_on_error():
            self._source.permit.require(Verb.READ, self._source.door)
            path, placing = self._target.path, self._target.placing
            made: Made = []
            status = os.stat(COPY, dir_fd=self._room, follow_symlinks=False)
            if self._wish.unseen:
                at, created = placing.drop_in(self._room, COPY, self._target.permit, Arrival(), made), True
            else:
                at, created = path, self._give_name()
            self._source.properties.copied(str(self._source.path), self._target.properties, str(at), self._carried)
            self._opened.close()
            placed = [each._replace(path="/".join(filter(None, (str(at), each.path)))) for each in sorted(self.copied)]
            return Brought(entry_of(str(path), status), created, placed, made, self._failed)

    def _give_name(self) -> bool:
        path = self._target.path
        with self._target.ground.parent(path, creating=True) as folder:
            with name_locks((folder, path.name)):
                how = Arrival(self._wish.overwrite)
                created = self._target.placing.move_in(
                    self._room, COPY, folder, self._target.permit, self._wish.at_target, how
                )
            sync_folder(folder)
            return created

    def stop(self) -> None:
        """Let `fill` come to an end; does not wait for it."""
        self._over.set()

    def abort(self) -> None:
        """After `commit` there is nothing to do."""
        self.stop()
        with self._busy:
            self._opened.close()

    # -- what there is

    def _require_place(self) -> None:
        """A folder to put it in, and a name that is free or may be replaced."""
        if self._wish.unseen:
            return
        path = self._target.path
        with self._target.ground.parent(path, creating=True) as folder:
            if look(folder, path.name) and not self._wish.overwrite:
                raise Changed(f"There is a “{path}” already; nothing was done.", "choose another name")
            self._target.clearance.foresee(self._target.permit, self._wish.at_target)

    @contextmanager
    def _top(self) -> Iterator[tuple[int, str, os.stat_result]]:
        """An open folder, and the name in it and status of what is to be copied."""
        path = self._source.path
        with self._source.ground.parent(path) as folder:
            yield (folder, *(require(folder, path.name) if path.parts else (".", os.fstat(folder))))

    def _measure(self, folder: int, name: str, status: os.stat_result) -> None:
        self.files = 1
        if not stat.S_ISDIR(status.st_mode):
            self.size = status.st_size
            return
        with _opened(folder, (name,)) as top:
            for _, found in self._walk(top):
                self.files += len(found)
                self.size += sum(each.status.st_size for each in found if stat.S_ISREG(each.status.st_mode))
        self._failed.clear()  # they are met again

    def _walk(self, top: int) -> Iterator[tuple[Parts, list[_Inside]]]:
        """Every folder of the tree, each before those in it, with what is in it."""
        waiting: list[Parts] = [()]
        while waiting:
            parts = waiting.pop()
            with self._noting(parts), _opened(top, parts) as folder:
                found = self._inside(folder, parts) if self._wish.whole else []
                yield parts, found
                waiting += [each.parts for each in found if stat.S_ISDIR(each.status.st_mode)]

    def _inside(self, folder: int, parts: Parts) -> list[_Inside]:
        found = []
        with os.scandir(folder) as items:
            for item in items:
                with suppress(FileNotFoundError):
                    status = item.stat(follow_symlinks=False)
                    if speakable(item.name) and (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                        found.append(_Inside((*parts, item.name), status))
                    elif self._complete:
                        raise Conflict(
                            f"“{self._source.path}” holds links or other things that are not shared.",
                            "copy it, or let its owner move it",
                        )
        return found

    # -- copying

    def _copy_tree(self, top: int, copy: int) -> None:
        for parts, found in self._walk(top):
            with _opened(copy, parts) as into, _opened(top, parts) as folder:
                for each in found:
                    if stat.S_ISDIR(each.status.st_mode):
                        os.mkdir(each.parts[-1], 0o700, dir_fd=into)
                    else:
                        with self._noting(each.parts):
                            self._copy_file(folder, each.parts[-1], into, each.parts[-1], each.parts)
                copy_status(folder, into)
                self._note(parts, folder, into)
        for path, _ in self._failed:  # folders that could not be read are there, and empty
            *above, name = path.parts[len(self._source.path.parts) :]
            with suppress(OSError), _opened(copy, tuple(above)) as into:
                os.rmdir(name, dir_fd=into)

    def _copy_file(self, folder: int, name: str, into: int, wanted: str, parts: Parts) -> None:
        source = os.open(name, FILE, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):  # swapped since we looked
                raise FileNotFoundError(errno.ENOENT, "not a file")
            copy = os.open(wanted, NEW_FILE, 0o600, dir_fd=into)
            try:
                self._copy_whole(source, copy)
                copy_status(source, copy)
                self._note(parts, source, copy)
            except BaseException:
                os.unlink(wanted, dir_fd=into)
                raise
            finally:
                os.close(copy)
        finally:
            os.close(source)

    def _note(self, parts: Parts, source: int, copy: int) -> None:
        if self._described and spelled("/".join(parts)) in self._described:
            self._carried.append(Carried("/".join(parts), identity(source), identity(copy)))
        if self._each:
            os.fsync(copy)
        status = os.fstat(copy)
        size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
        self.copied.append(Placed("/".join(parts), size, str(status.st_ino)))

    def _copy_whole(self, source: int, copy: int) -> None:
        """As it was at one moment: what somebody writes into meanwhile is copied anew."""
        for _ in range(TRIES):
            before = entry_of("", os.fstat(source)).etag
            for handle in (source, copy):
                os.lseek(handle, 0, os.SEEK_SET)
            os.ftruncate(copy, 0)
            while _pour(source, copy):
                if self._over.is_set():
                    raise Conflict("The copy was not wanted any more; nothing was changed.")
            if entry_of("", os.fstat(source)).etag == before:
                return
        raise Conflict("It is being written at its own computer at this moment.", "try again in a moment")

    # -- what goes wrong

    @contextmanager
    def _noting(self, parts: Parts) -> Iterator[None]:
        """What can't be read is not in the copy. What is gone meanwhile was not there; a full disk ends all."""
        if not parts or self._complete:
            yield
            return
        path = SharePath((*self._source.path.parts, *parts))
        try:
            with suppress(FileNotFoundError, NotADirectoryError), explained(path, self._source.permit.door.name):
                yield
        except NoSpace:
            raise
        except CommonholdError as error:
            if self._over.is_set():
                raise
            self._failed.append((path, error))

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._source.path, self._source.permit.door.name)

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        try:
            if self._over.is_set():
                raise Conflict("The copy was not wanted any more; nothing was changed.")
            with self._explained():
                yield
        except BaseException:
            self._opened.close()
            raise


def _pour(source: int, copy: int) -> bool:
    """Some of the bytes; False at the end. Where the disk can, they are shared and not copied."""
    try:
        if poured := os.copy_file_range(source, copy, SLICE):
            return poured > 0
    except AttributeError:
        pass
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    rest = memoryview(os.read(source, BUFFER))  # also what copy_file_range takes for empty, and is not
    more = len(rest) > 0
    while rest:
        rest = rest[os.write(copy, rest) :]
    return more


@contextmanager
def _opened(top: int, parts: Parts) -> Iterator[int]:
    """The open folder there, walked to without following any link."""
    folder = os.dup(top)
    try:
        for part in parts:
            inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)
