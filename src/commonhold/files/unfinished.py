"""Uploads that broke off and can go on: what is known of each, beside its bytes in the share's workshop.

Kept for two days, and of one person at one computer no more than MOST; what they hold counts for the quota.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from commonhold.files.catalogue import Catalogue

TABLES = """CREATE TABLE IF NOT EXISTS unfinished (
    key TEXT PRIMARY KEY, share TEXT NOT NULL, path TEXT NOT NULL, sender TEXT NOT NULL, payer TEXT NOT NULL,
    payer_name TEXT NOT NULL, total INTEGER NOT NULL, size INTEGER NOT NULL, touched REAL NOT NULL
) STRICT"""
STAYS = 2 * 86_400.0  # seconds
MOST = 16
PREFIX = "unfinished-"  # of the names of their files


class Beginning(NamedTuple):
    """One of them; `size` of its `total` bytes are on the disk for certain. `sender` is who may go on with it."""

    key: str
    share: str
    path: str
    sender: str
    payer: str  # empty: nobody's quota
    payer_name: str
    total: int
    size: int

    @property
    def file(self) -> str:
        return PREFIX + self.key


class Beginnings:
    """Of all shares of this computer. Blocks."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        with catalogue.changing() as db:
            db.execute(TABLES)

    def find(self, key: str) -> Beginning | None:
        rows = self._catalogue.find("SELECT * FROM unfinished WHERE key = ?", key)
        return Beginning(*rows[0][:-1]) if rows else None

    def all(self) -> list[Beginning]:
        return [Beginning(*row[:-1]) for row in self._catalogue.find("SELECT * FROM unfinished")]

    def files(self, share: str) -> set[str]:
        """The names of those of a share."""
        rows = self._catalogue.find("SELECT key FROM unfinished WHERE share = ?", share)
        return {PREFIX + key for (key,) in rows}

    def begin(self, begun: Beginning) -> None:
        with self._catalogue.changing() as db:
            db.execute("INSERT OR REPLACE INTO unfinished VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*begun, time.time()))

    def note(self, key: str, size: int) -> None:
        """So much of it is on the disk."""
        with self._catalogue.changing() as db:
            db.execute("UPDATE unfinished SET size = ?, touched = ? WHERE key = ?", (size, time.time(), key))

    def drop(self, key: str) -> None:
        with self._catalogue.changing() as db:
            db.execute("DELETE FROM unfinished WHERE key = ?", (key,))

    def over(self, sender: str) -> list[Beginning]:
        """Those that have stayed long enough, and those of that sender that are too many before one more begins."""
        old = self._catalogue.find("SELECT * FROM unfinished WHERE touched < ?", time.time() - STAYS)
        many = self._catalogue.find(
            "SELECT * FROM unfinished WHERE sender = ? ORDER BY touched DESC LIMIT -1 OFFSET ?", sender, MOST - 1
        )
        return [Beginning(*row[:-1]) for row in {*old, *many}]
