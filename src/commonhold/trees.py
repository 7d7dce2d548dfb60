"""Removing what others have left on the disk, whatever they made of it."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def erase(folder: Path) -> None:
    """Remove a folder with all that is in it; what the system does not let us remove stays, without an error."""
    with suppress(OSError):
        above = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            erase_in(above, folder.name)
        finally:
            os.close(above)


def weigh(folder: Path) -> tuple[int, int]:
    """Files in a folder and below, and their bytes. Follows no link; what cannot be looked at is not counted."""
    files = octets = 0
    folders = [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                with suppress(OSError):
                    octets += entry.stat(follow_symlinks=False).st_size
                    files += 1
    return files, octets


def erase_in(above: int, name: str) -> None:
    """`erase` for the folder `name` in the open folder `above`. Follows no link.

    shutil.rmtree was the other way; it goes down by calling itself, with a handle for each level, and a
    guest's thousand folders one in the other end it halfway with RecursionError. Here each folder is brought up
    to the top before what is in it is looked at: two handles, whatever the depth.
    """
    stuck: set[str] = set()
    with suppress(OSError), _opened(above, name) as top:
        while folders := [each for each in _without_files(top) if each not in stuck]:
            for folder in folders:
                try:
                    _empty(top, folder)
                except OSError:
                    stuck.add(folder)
    with suppress(OSError):
        os.rmdir(name, dir_fd=above)


def _empty(top: int, name: str) -> None:
    """Bring the folders in a folder of `top` up to `top`, then remove it. Raises OSError when it cannot go."""
    with _opened(top, name) as folder:
        for inner in _without_files(folder):
            openable(folder, inner)  # the system asks for the right to write into a folder that moves
            os.rename(inner, secrets.token_hex(12), src_dir_fd=folder, dst_dir_fd=top)
    os.rmdir(name, dir_fd=top)


def _without_files(folder: int) -> list[str]:
    """Remove all but the folders from a folder; the names of those."""
    folders = []
    for name in os.listdir(folder):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            folders.append(name)
        else:
            with suppress(OSError):
                os.unlink(name, dir_fd=folder)
    return folders


@contextmanager
def _opened(above: int, name: str) -> Iterator[int]:
    openable(above, name)
    folder = os.open(name, FOLDER, dir_fd=above)
    try:
        yield folder
    finally:
        os.close(folder)


def openable(above: int | None, name: str) -> None:
    """Give us all rights to a folder: a guest may take them away from its own; they are ours all the same.

    By its handle, where the system has such: under the name could be a link to something else by then.
    """
    if not hasattr(os, "O_PATH"):
        _allow(name, os.stat(name, dir_fd=above, follow_symlinks=False), above)
        return
    handle = os.open(name, os.O_PATH | FOLDER, dir_fd=above)
    try:
        _allow(f"/proc/self/fd/{handle}", os.fstat(handle))
    finally:
        os.close(handle)


def _allow(name: str, status: os.stat_result, above: int | None = None) -> None:
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, 0o700, dir_fd=above)
