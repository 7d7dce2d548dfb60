"""The folder of a share on the disk: how its paths are walked, and our own folder in it.

With files/share.py, the only file that opens anything inside a share. Everything here blocks (disk) and raises OSError
as open(2) does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import threading
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.files.disk import sync_folder
from commonhold.files.entry import FIRST_SECOND, LAST_SECOND, Entry, Placed, etag_for
from commonhold.names import HIDDEN, LONGEST_COMPONENT, SharePath, spelled
from commonhold.trees import erase_in

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO must not make us wait
NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
NO_FOLDER = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # what says that there is none of that name
WORKSHOP = "tmp"  # in HIDDEN: uploads under way, and folders being removed
LONGEST_NUMBER = len(" (01234567)")  # bytes that `numbered` adds to a name at most
LONGEST_ENDING = 32  # bytes of a name after its last dot that are kept when it is numbered


class Ground:
    """Opens what is in the folder of a share, and our own folder."""

    def __init__(self, name: str, root: Path) -> None:
        self._name = name
        self._root = root

    @contextmanager
    def folder(self, path: SharePath, creating: bool = False) -> Iterator[int]:
        """The open folder at `path`; raises OSError as open(2) does. Creating, its absence is a Conflict."""
        folder = self._open()
        try:
            for part in path.parts:
                inner = open_folder(folder, part)
                os.close(folder)
                folder = inner
        except OSError as error:
            os.close(folder)
            if creating and error.errno in NO_FOLDER:
                raise Conflict(
                    f"There is no folder “{path}” in {self._name} to put it in.", "make the folder first"
                ) from error
            raise
        try:
            yield folder
        finally:
            os.close(folder)

    def _open(self) -> int:
        try:
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(
                f"The folder of the share {self._name} is not there at the moment.",
                "its owner can bring it back, or unshare it",
            ) from None

    def parent(self, path: SharePath, creating: bool = False) -> AbstractContextManager[int]:
        """The open folder that holds `path`; of the share itself: its own."""
        return self.folder(path.parent, creating)

    def there(self, path: SharePath) -> os.stat_result | None:
        """What has that name at the moment, whatever it is; None when nothing has, or nobody can look."""
        try:
            with self.parent(path) as folder:
                found = look(folder, path.name)
                return found[1] if found else None
        except (OSError, NotFound):
            return None

    def whereabouts(self, path: SharePath) -> tuple[str, ...]:
        """Where on this computer `path` lies, to compare it with what lies in another share."""
        return (*self._root.parts, *map(spelled, path.parts))

    @contextmanager
    def dropping(self, path: SharePath, made: list[Placed]) -> Iterator[tuple[int, SharePath]]:
        """The open folder at `path` and where it really is, for whoever must not learn what is there: it always works.

        Missing folders are `made`. What stands in the way (a file, a link, another disk, a folder that
        nobody may write into) is stepped around: `name (2)` takes the place of `name`.
        """
        folder = self._open()
        try:
            device = os.fstat(folder).st_dev
            at = SharePath()
            for part in path.parts:
                steps = ((name, _step(folder, name, device)) for name in numbered(part))
                name, inner, new = next((name, *step) for name, step in steps if step is not None)
                os.close(folder)
                folder, at = inner, at / name
                if new:
                    made.append(Placed(str(at), 0, str(os.fstat(folder).st_ino)))
            yield folder, at
        finally:
            os.close(folder)

    @contextmanager
    def workshop(self, make: bool = True) -> Iterator[int]:
        """The open folder for temporary files, on the same disk as the share's files."""
        with self.own(WORKSHOP, make=make) as inner:
            yield inner

    @contextmanager
    def own(self, *names: str, make: bool = True) -> Iterator[int]:
        """An open folder of our own, in the hidden one; each on the way is opened without following a link."""
        with self.folder(SharePath()) as folder, ExitStack() as opened:
            inner = folder
            for name in (HIDDEN, *names):
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=inner)
                inner = os.open(name, FOLDER, dir_fd=inner)
                opened.callback(os.close, inner)
            yield inner

    def new_file(self) -> tuple[str, int]:
        """A new temporary file, and its handle. It is locked for as long as it is open: nobody tidies it away."""
        with self.workshop() as workshop:
            while True:
                name = secrets.token_hex(12)
                handle = os.open(name, NEW_FILE, 0o666, dir_fd=workshop)
                with suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(handle).st_nlink:
                        return name, handle
                os.close(handle)  # another process tidied up between our two calls

    def unfinished_file(self, name: str, size: int) -> int:
        """The temporary file of that name, cut to that size, open and locked. Raises Conflict when it is in use."""
        with self.workshop() as workshop:
            handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=workshop)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(handle, min(size, os.fstat(handle).st_size))
            except BaseException as error:
                os.close(handle)
                if isinstance(error, BlockingIOError):
                    raise Conflict("It is being uploaded by another connection.", "wait for that to end") from error
                raise
            return handle

    @contextmanager
    def room(self) -> Iterator[int]:
        """A new folder in the workshop, open, for files that are nobody's yet; what is left in it goes at the end.

        It is locked meanwhile, as `new_file` is.
        """
        with self.workshop() as workshop:
            while True:
                name = secrets.token_hex(12)
                os.mkdir(name, 0o700, dir_fd=workshop)
                with suppress(FileNotFoundError):
                    handle = os.open(name, FOLDER, dir_fd=workshop)
                    with suppress(BlockingIOError, FileNotFoundError):
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.stat(name, dir_fd=workshop, follow_symlinks=False)
                        break
                    os.close(handle)  # another process tidied up between our calls
            try:
                yield handle
            finally:
                os.close(handle)
                erase_in(workshop, name)

    def drop_file(self, name: str) -> None:
        with self.workshop(make=False) as workshop, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=workshop)

    def move_away(self, folder: int, name: str) -> str:
        moved = secrets.token_hex(12)
        with self.workshop() as workshop:
            os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=workshop)
        return moved

    def clear_away(self, keep: Collection[str] = ()) -> None:
        with self.workshop(make=False) as workshop:
            for name in os.listdir(workshop):  # noqa: PTH208 (a handle, not a path)
                if name in keep:
                    continue
                with suppress(OSError):
                    handle = os.open(name, FILE, dir_fd=workshop)
                    try:
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        if stat.S_ISDIR(os.fstat(handle).st_mode):
                            erase_in(workshop, name)
                        else:
                            os.unlink(name, dir_fd=workshop)
                    finally:
                        os.close(handle)


def _forms(name: str) -> tuple[str, ...]:
    """The name as given, then its composed and decomposed forms: macOS writes NFD, everybody else NFC."""
    if name.isascii():
        return (name,)
    others = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return tuple(dict.fromkeys((name, *(each for each in others if len(each.encode()) <= LONGEST_COMPONENT))))


def look(folder: int, name: str) -> tuple[str, os.stat_result] | None:
    """The stored form of `name` and its status, whatever it is; None when there is none."""
    for form in _forms(name):
        try:
            return form, os.stat(form, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
    return None


def require(folder: int, name: str) -> tuple[str, os.stat_result]:
    """As `_look`, for files and folders only; raises FileNotFoundError."""
    found = look(folder, name)
    if not found or not (stat.S_ISREG(found[1].st_mode) or stat.S_ISDIR(found[1].st_mode)):
        raise FileNotFoundError(errno.ENOENT, "no file or folder")
    return found


def open_folder(folder: int, name: str) -> int:
    *others, last = _forms(name)
    for form in others:
        with suppress(FileNotFoundError):
            return os.open(form, FOLDER, dir_fd=folder)
    return os.open(last, FOLDER, dir_fd=folder)


def _step(folder: int, name: str, device: int) -> tuple[int, bool] | None:
    """The open folder of that name, made if there is nothing, and whether it was; None when nobody may write there."""
    new = False
    if look(folder, name) is None:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=folder)
            new = True
            sync_folder(folder)
    try:
        inner = open_folder(folder, name)
    except (NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None
    if os.fstat(inner).st_dev == device and os.access(".", os.W_OK | os.X_OK, dir_fd=inner):
        return inner, new
    os.close(inner)
    return None


def numbered(name: str) -> Iterator[str]:
    """`a.txt`, `a (2).txt`, … `a (9).txt`, then with chance for a number: few tries, however full a folder is."""
    yield name
    as_path = PurePosixPath(name)
    stem, ending = as_path.stem, as_path.suffix
    if len(ending.encode()) > LONGEST_ENDING:
        stem, ending = name, ""
    for number in range(2, 10):
        yield _fitting(stem, f" ({number}){ending}")
    while True:
        yield _fitting(stem, f" ({secrets.token_hex(4)}){ending}")


def _fitting(stem: str, rest: str) -> str:
    return stem.encode()[: LONGEST_COMPONENT - len(rest.encode())].decode(errors="ignore") + rest


def entry_of(path: str, status: os.stat_result) -> Entry:
    folder = stat.S_ISDIR(status.st_mode)
    return Entry(
        path,
        "folder" if folder else "file",
        0 if folder else status.st_size,
        _moment(status.st_mtime_ns),
        etag_for(status),
    )


def _moment(ns: int) -> datetime:
    """Cut off, as dates in listings are, and not rounded; what no calendar holds counts as its first or last second."""
    seconds = min(max(ns // 10**9, FIRST_SECOND), LAST_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ns // 1000 % 10**6)


class Seen(NamedTuple):
    """Some of what lies in a folder, by name."""

    files: dict[str, os.stat_result]
    folders: dict[str, os.stat_result]


def seen(items: Sequence[os.DirEntry[str]]) -> Seen:
    """Those of them that could be opened through a share, each looked at once."""
    names = "/".join([item.name for item in items])
    plain = names.isascii() and names.isprintable() and "\\" not in names and "/." not in f"/{names}"
    found = Seen({}, {})
    for item in items:
        if not plain and not speakable(item.name):
            continue
        try:
            status = item.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.files[item.name] = status
        elif stat.S_ISDIR(status.st_mode):
            found.folders[item.name] = status
    return found


def speakable(name: str) -> bool:
    """Whether a SharePath could name it: no undecodable bytes, control characters, backslashes, nor our own folder."""
    if name.isascii() and name.isprintable() and "\\" not in name and not name.startswith("."):
        return True
    try:
        SharePath((name,))
    except WrongUsage:
        return False
    return True


# Between looking at what a name holds and giving it to another file nobody else may do the same. A fixed set of
# locks, picked by folder and name, holds for every share of the process, also when one lies inside another.
_locks = tuple(threading.Lock() for _ in range(64))


def name_lock(folder: int, name: str) -> threading.Lock:
    status = os.fstat(folder)
    return _locks[hash((status.st_dev, status.st_ino, unicodedata.normalize("NFC", name))) % len(_locks)]


@contextmanager
def name_locks(*places: tuple[int, str]) -> Iterator[None]:
    """`name_lock` for several names: always taken in the same order, and one that two of them share once."""
    with ExitStack() as held:
        for lock in sorted({name_lock(*place) for place in places}, key=id):
            held.enter_context(lock)
        yield


def copy_status(source: int, copy: int) -> None:
    """The mode, and when it was changed; a folder stays one that we can open."""
    status = os.fstat(source)
    mine = stat.S_IRWXU if stat.S_ISDIR(status.st_mode) else 0
    os.fchmod(copy, stat.S_IMODE(status.st_mode) & 0o777 | mine)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
