"""Files in and out of a guest's folder, where everything may have been put there to mislead.

Nothing here follows a link or waits for a pipe: folders are opened one below the other
(O_NOFOLLOW), and what is no regular file is left where it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from commonhold.errors import CommonholdError, WrongUsage
from commonhold.names import SharePath

MOST_FILES = 10_000  # that one task may leave
DEEPEST = 32
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def inside(room: Path, *names: str) -> Iterator[int]:
    """A descriptor of the folder `room/NAMES`. Raises CommonholdError when one of them is no folder."""
    opened = [os.open(room, FOLDER)]
    try:
        for name in names:
            opened.append(os.open(name, FOLDER, dir_fd=opened[-1]))
        yield opened[-1]
    except OSError as error:
        raise CommonholdError(f"The task's folder cannot be used: {error.strerror}.") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def put(file: Path, folder: int, name: str) -> None:
    """Move a file that we fetched into the guest's folder; whatever has that name gives way."""
    os.replace(file, name, dst_dir_fd=folder)


def left(folder: int, without: frozenset[str]) -> list[SharePath]:
    """The regular files below `folder`, but those of the names `without` at its top.

    Raises WrongUsage when there are too many; names that no share could hold are refused too.
    """
    found: list[SharePath] = []
    _collect(folder, (), without, found)
    return sorted(found, key=str)


def _collect(folder: int, above: tuple[str, ...], without: frozenset[str], found: list[SharePath]) -> None:
    if len(above) > DEEPEST:
        raise WrongUsage("The task left folders too deep to store.")
    for name in os.listdir(folder):
        if not above and name in without:
            continue
        with suppress(FileNotFoundError):
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISREG(mode):
                found.append(SharePath((*above, name)))
            elif stat.S_ISDIR(mode):
                inner = os.open(name, FOLDER, dir_fd=folder)
                try:
                    _collect(inner, (*above, name), without, found)
                finally:
                    os.close(inner)
        if len(found) > MOST_FILES:
            raise WrongUsage(f"The task left more than {MOST_FILES} files.", "let it pack them into one archive")


def take(folder: int, path: SharePath) -> BinaryIO:
    """Open one of them for reading. Raises CommonholdError when it is not, or no longer, a regular file."""
    opened = [os.dup(folder)]
    try:
        for name in path.parent.parts:
            opened.append(os.open(name, FOLDER, dir_fd=opened[-1]))
        file = os.fdopen(os.open(path.name, FILE, dir_fd=opened[-1]), "rb")
    except OSError as error:
        raise CommonholdError(f"“{path}” cannot be stored: {error.strerror}.") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise CommonholdError(f"“{path}” cannot be stored: it is no file.")
    return file
