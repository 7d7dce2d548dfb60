"""A node that sees a small disk in the place of a folder, in a mount namespace of its own: nobody else sees it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..conftest import Computer

WAYS = (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"])  # root's, and where users may do so
TMPFS = 'mount -t tmpfs -o size="$1" none "$2"'
EXT4 = 'truncate -s "$1" "$2.img" && mkfs.ext4 -q -m 0 "$2.img" && mount -o loop "$2.img" "$2"'


@functools.cache
def way(mounting: str, folder: Path) -> list[str] | None:
    """How this machine lets us mount; None when it does not."""
    for words in WAYS:
        tried = [*words, "sh", "-c", mounting, "sh", "1M", str(folder)]
        if shutil.which("unshare") and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return words
    return None


@dataclass
class SmallDisk:
    """What lies on it is seen at `folder`, while the node lives."""

    folder: Path

    def fill(self, leave: int = 0) -> None:
        """The owner's own file takes all the room that there is, but for so many bytes."""
        room = os.statvfs(self.folder)
        with (self.folder / "filling").open("wb") as file:
            left = room.f_bavail * room.f_frsize - leave
            while left > 0:
                try:
                    left -= os.write(file.fileno(), bytes(min(left, 2**16)))
                except OSError:
                    break

    def empty(self) -> None:
        (self.folder / "filling").unlink()


@contextmanager
def small_disk(computer: Computer, place: Path, mounting: str, size: str) -> Iterator[SmallDisk]:
    """A node for which `place` is a disk of that size, with what lies there now. It ends with the test."""
    words = way(mounting, place)
    if words is None:
        pytest.skip("this machine lets nobody mount a small disk, not even for themselves")
    computer.down()
    reading, writing = os.pipe()
    script = f'cp -a "$2/." "$2.kept" && {mounting} && cp -a "$2.kept/." "$2" && shift 2 && exec "$@"'
    node = ["-m", "commonhold", "--home", str(computer.home), "up", "--foreground", f"--ready-fd={writing}"]
    process = subprocess.Popen(
        [*words, "sh", "-c", script, "sh", size, str(place), sys.executable, *node],
        pass_fds=[writing],
        start_new_session=True,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as ready:
            assert ready.readline(), "the node did not start"
        yield SmallDisk(Path(f"/proc/{process.pid}/root{place}"))
    finally:
        process.kill()
        process.wait()
