"""A last answer that was lost is given again, to the key that was admitted: for a day, after restarts too.

What is kept opens nothing: with it one can only prove, to the newcomer whose it is, that one is the inviter.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from commonhold.identity.join import Remembered
from commonhold.names import Fingerprint
from commonhold.wire import from_json, to_json

KEPT = timedelta(days=1)


class Mending:
    """What a guard remembers of those whom it admitted, in its state."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._connection, self._clock = connection, clock
        connection.execute(
            "CREATE TABLE IF NOT EXISTS last_answers (session BLOB PRIMARY KEY, fingerprint TEXT NOT NULL,"
            " remembered BLOB NOT NULL, until REAL NOT NULL) STRICT"  # Unix time
        )

    def keep(self, newcomer: Fingerprint, remembered: Remembered) -> None:
        """On the disk when this returns."""
        now = self._clock()
        self._connection.execute("DELETE FROM last_answers WHERE until <= ?", (now.timestamp(),))
        self._connection.execute(
            "INSERT OR REPLACE INTO last_answers VALUES (?, ?, ?, ?)",
            (remembered.session, newcomer, to_json(remembered), (now + KEPT).timestamp()),
        )

    def find(self, newcomer: Fingerprint, session: bytes) -> Remembered | None:
        """What was kept of that conversation, if it was with that computer."""
        row = self._connection.execute(
            "SELECT remembered FROM last_answers WHERE session = ? AND fingerprint = ? AND until > ?",
            (session, newcomer, self._clock().timestamp()),
        ).fetchone()
        return from_json(row[0], Remembered) if row else None
