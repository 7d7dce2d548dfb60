"""What time it is, for everything that ends: never earlier than this computer has known it to be.

A clock that is set back would bring ended rules, guests and codes back to life, whoever set it (root, or
somebody who answers in a time server's name). So time goes on from the newest that was seen, and the
newest is kept as the date of an empty file, which costs microseconds where a row in SQLite would cost a
flush a minute. Whoever set the clock ahead by mistake, and right again, deletes that file.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

NOTED = 60.0  # seconds: how exactly the disk knows
LAST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def steady() -> float:
    """Seconds that no setting of the clock moves and a sleeping laptop does not stop, where the system has such."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Timepiece:
    """The time of one computer, in UTC. `file` is its memory."""

    def __init__(self, file: Path, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady) -> None:
        self._file, self._wall, self._steady = file, wall, steady
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        self._noted = file.stat().st_mtime
        self._newest, self._at = self._noted, steady()
        self._busy = threading.Lock()  # two threads at once would count the time since the last look twice

    def now(self) -> datetime:
        with self._busy:
            at = self._steady()
            self._newest, self._at = min(max(self._wall(), self._newest + at - self._at), LAST), at
        if self._newest - self._noted > NOTED:
            self.note()
        return datetime.fromtimestamp(self._newest, UTC)

    @property
    def behind(self) -> float:
        """Seconds by which the system's clock is behind."""
        return max(0.0, self.now().timestamp() - self._wall())

    def note(self) -> None:
        """Remember, for the next start; where somebody removed the file, not."""
        self._noted = self._newest
        with suppress(FileNotFoundError):
            os.utime(self._file, (self._newest, self._newest))

    async def keep(self) -> None:
        """Until cancelled: nobody may ask for hours."""
        while True:
            self.now()
            await asyncio.sleep(NOTED)
