"""What one computer does by itself: a fixed computation, its disk, and how an owner's small task fares.

Each is bounded in bytes and in time, and leaves nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from commonhold.errors import CommonholdError

LEAST = 3  # readings, however little time there is: fewer have no spread
MOST = 25
SLOW = 20.0  # seconds more that LEAST readings may take
BLOCK = 2**20
FILE = 16 * BLOCK  # of one reading of the disk
SMALL = 4096  # bytes of a small file
PREFIX = "measuring-"


class DiskReadings(NamedTuple):
    """Bytes a second stored until they are on the disk, and read from there; seconds of each small file until it is."""

    stored: list[float]
    read: list[float]
    synced: list[float]


def compute() -> float:
    """Processor seconds of a fixed computation: digests, compression, and Python itself; a tenth of a second or so.

    It reads nothing.
    """
    began = time.thread_time()
    text = b"the same work at every computer " * 2**13
    for _ in range(8):
        hashlib.sha256(text).digest()
    zlib.compress(text, 6)
    total = 0
    for number in range(300_000):
        total += number % 7
    return time.thread_time() - began


def processor(seconds: float) -> list[float]:
    """Readings of `compute` here."""
    return [compute() for _ in readings(seconds)]


def disk(folder: Path, seconds: float) -> DiskReadings:
    """Of the disk that `folder` lies on. Raises OSError."""
    stored, read, synced = [], [], []
    noise = os.urandom(BLOCK)
    with scratch(folder) as here:
        for number in readings(seconds * 0.7, 5):
            file = here / str(number)
            stored.append(FILE / _stored(file, noise))
            read.append(FILE / _read(file))
            file.unlink()
        handle = os.open(here, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for number in readings(seconds * 0.3):
                began = time.perf_counter()
                _store(here / f"small-{number}", noise[:SMALL], 1)
                os.fsync(handle)
                synced.append(time.perf_counter() - began)
        finally:
            os.close(handle)
    return DiskReadings(stored, read, synced)


def owner(folder: Path, seconds: float) -> list[float]:
    """Seconds that an owner's small task takes, in a process of its own, as an owner's program would be.

    Raises CommonholdError when it fails.
    """
    words = [sys.executable, "-m", "commonhold.lab.probes", str(seconds), str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise CommonholdError(f"An owner's small task failed: {done.stderr.strip().splitlines()[-1:]}.")
    return [float(each) for each in json.loads(done.stdout)]


def readings(seconds: float, most: int = MOST) -> Iterator[int]:
    """So many turns as fit into the time, `most` at most; LEAST of them, unless one takes very long."""
    began = time.monotonic()
    for number in range(most):
        bound = seconds if number >= LEAST else seconds + SLOW
        if number and time.monotonic() - began > bound:
            return
        yield number


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in that one, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True) as here:
        yield Path(here)


def _small_task(file: Path) -> float:
    """Some computing, and a small file that is saved: elapsed seconds, since that is what an owner feels."""
    began = time.perf_counter()
    text = b"an owner's own work " * 2**12
    for _ in range(20):
        hashlib.sha256(text).digest()
    zlib.compress(text, 6)
    _store(file, text[:SMALL], 1)
    return time.perf_counter() - began


def _stored(file: Path, noise: bytes) -> float:
    began = time.perf_counter()
    _store(file, noise, FILE // BLOCK)
    return time.perf_counter() - began


def _store(file: Path, block: bytes, count: int) -> None:
    with file.open("wb") as opened:
        for _ in range(count):
            opened.write(block)
        opened.flush()
        os.fsync(opened.fileno())


def _read(file: Path) -> float:
    """Elapsed; from the disk where the system forgets on request what it had in memory."""
    with file.open("rb", buffering=0) as opened:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = time.perf_counter()
        while opened.read(BLOCK):
            pass
        return time.perf_counter() - began


def _tell(seconds: str, folder: str = "") -> None:
    """Readings of an owner's small task in that folder; without one, of the fixed computation."""
    if folder:
        with scratch(Path(folder)) as here:
            times = [_small_task(here / "note") for _ in readings(float(seconds), 200)]
    else:
        times = processor(float(seconds))
    sys.stdout.write(json.dumps(times))


if __name__ == "__main__":
    _tell(*sys.argv[1:])
