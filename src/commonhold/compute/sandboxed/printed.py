"""What a task prints: its head and its tail are kept, however much it is."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from commonhold.compute.job import KEPT_OUTPUT
from commonhold.compute.said import HALF, shortened, window

LARGEST = 64 * 2**20  # bytes that may lie on the disk, until somebody looks the next time


class Printout:
    """A file that a command writes to. A pipe would have to be read while it runs; this is only shortened sometimes.

    It is written at its end (O_APPEND), wherever that is by then.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it is closed as this is
        descriptor = self._file.fileno()
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
        self._head = self._tail = b""
        self._cut = 0  # bytes that are not in the file any more
        self._lock = threading.Lock()

    def __enter__(self) -> Printout:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def shorten(self) -> None:
        """When it has become large. What is printed in this very moment may be lost from the middle."""
        with self._lock:
            if self._file.closed or os.fstat(self._file.fileno()).st_size <= LARGEST:
                return
            self._take()
            os.ftruncate(self._file.fileno(), 0)

    def _take(self) -> None:
        """What is in the file now comes to what is kept."""
        descriptor, size = self._file.fileno(), os.fstat(self._file.fileno()).st_size
        if not self._cut:
            self._head = os.pread(descriptor, HALF, 0)
        fresh = os.pread(descriptor, HALF, max(0, size - HALF))
        self._tail = (self._tail + fresh)[-HALF:]
        self._cut += size

    def since(self, known: int, most: int) -> tuple[int, bytes]:
        """Where what is new begins, for whom so much of it is known, and at most so many bytes of that.

        Not for one of which the text was taken.
        """
        with self._lock:
            if self._file.closed:
                return known, b""
            descriptor = self._file.fileno()
            at, count = window(known, self._cut + os.fstat(descriptor).st_size, most)
            at = max(at, self._cut)
            return at, os.pread(descriptor, max(0, count), at - self._cut)

    def text(self) -> str:
        """All of it, or its head and its tail."""
        with self._lock:
            descriptor, size = self._file.fileno(), os.fstat(self._file.fileno()).st_size
            if not self._cut and size <= KEPT_OUTPUT:
                return os.pread(descriptor, KEPT_OUTPUT, 0).decode(errors="replace")
            self._take()
            left_out = self._cut - len(self._head) - len(self._tail)
            return shortened(self._head, left_out, self._tail)
