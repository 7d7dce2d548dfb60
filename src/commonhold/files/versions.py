"""What was done to the names of a share, by whom, and what is kept of what had them: the rows, without the files.

One row for each change, in the catalogue. A row of something that is kept is on the disk before the change (FULL); that
something was made or moved is noted without waiting (NORMAL: after a power cut the last few are not known, and
`undo` leaves those). What is kept of a folder belongs to that folder and this computer's state: offered again,
it has its history again, and two nodes over one folder never touch what the other keeps. Everything here blocks.
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

from commonhold.authority.authority import Subject
from commonhold.files.catalogue import Catalogue
from commonhold.files.thinning import NOTED, Kept, doubted, parts

Why = Literal["overwritten", "deleted", "replaced", "created", "moved"]
TABLES = """
CREATE TABLE IF NOT EXISTS stores (
    folder TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, days INTEGER, bytes INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, store TEXT NOT NULL, path TEXT NOT NULL,
    moved_to TEXT NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL, person TEXT NOT NULL, name TEXT NOT NULL,
    computer TEXT NOT NULL, folder INTEGER NOT NULL, size INTEGER, modified INTEGER NOT NULL, inode TEXT NOT NULL,
    after TEXT NOT NULL, kept INTEGER NOT NULL, settled INTEGER NOT NULL, undone INTEGER NOT NULL,
    origin TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE IF NOT EXISTS clocks (store TEXT PRIMARY KEY, seen INTEGER NOT NULL, doubt INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS changes_of ON changes (store, path);
CREATE INDEX IF NOT EXISTS changes_moved ON changes (store, moved_to) WHERE moved_to <> '';
CREATE INDEX IF NOT EXISTS changes_kept ON changes (store) WHERE kept;
CREATE INDEX IF NOT EXISTS changes_open ON changes (store) WHERE NOT settled;
"""
INSERT = f"INSERT INTO changes VALUES (NULL{', ?' * 18})"  # noqa: S608 - question marks
WHO = "coalesce(nullif(person, ''), computer)"
BLOCK = 4096  # bytes that the smallest version takes
MADE_BEFORE = "DELETE FROM changes WHERE store = ? AND path = ? AND number < ? AND why = 'created' AND NOT kept"
SETTLE = "UPDATE changes SET size = ?, modified = ?, inode = ?, after = ?, settled = 1, origin = '' WHERE id = ?"
BESIDE = """INSERT INTO changes SELECT NULL, ?, store, path, moved_to, at, why, person, name, computer, ?, NULL, ?, ?,
    after, kept, settled, undone, '' FROM changes WHERE id = ?"""
COLUMNS = """number, id, path, moved_to, at, why, person, name, computer, folder, size, modified, inode, after, kept,
    origin"""


class Deed(NamedTuple):
    """One row. `size` is None of a folder that nobody has measured yet; `after` is `mark` of what has the name since;

    times are in nanoseconds since 1970. `kept`: what had the name is kept, as a version.
    """

    number: int
    id: str
    path: str
    moved_to: str  # of "moved": the new path
    at: int
    why: Why
    person: str  # id; empty of a computer without a person
    name: str
    computer: str
    folder: int
    size: int | None
    modified: int
    inode: str
    after: str
    kept: int
    origin: str  # of what was moved to `path`, from another share of this computer: that one's store/and its path there

    @property
    def when(self) -> datetime:
        return datetime.fromtimestamp(self.at // 10**9, UTC) + timedelta(microseconds=self.at % 10**9 // 1000)

    @property
    def was(self) -> str:
        """`mark` of what had the name."""
        return self.inode if self.folder else f"{self.inode}-{self.size}-{self.modified}"


class Policy(NamedTuple):
    """How long versions are kept, in days, and how many bytes of them at most; None: a tenth of the disk."""

    days: int = 30
    bytes: int | None = None


class Versions:
    """The rows of one folder."""

    def __init__(self, catalogue: Catalogue, folder: Path, now: Callable[[], int] = time.time_ns) -> None:
        self._catalogue, self.now = catalogue, now
        self.added = 0  # bytes kept since somebody looked
        self._mode = threading.local()
        with catalogue.changing() as db:
            for statement in filter(str.strip, TABLES.split(";")):
                db.execute(statement)
            if "origin" not in {row[1] for row in db.execute("PRAGMA table_info(changes)")}:
                db.execute("ALTER TABLE changes ADD COLUMN origin TEXT NOT NULL DEFAULT ''")
            where = str(folder)
            db.execute("INSERT OR IGNORE INTO stores VALUES (?, ?, NULL, NULL)", (where, secrets.token_hex(8)))
            ((self.store, days, most),) = db.execute("SELECT id, days, bytes FROM stores WHERE folder = ?", (where,))
        self.policy = Policy(Policy().days if days is None else days, most)

    def set_policy(self, policy: Policy) -> None:
        with self._catalogue.changing() as db:
            db.execute("UPDATE stores SET days = ?, bytes = ? WHERE id = ?", (*policy, self.store))
        self.policy = policy

    def age_counts(self) -> bool:
        """Look at the clock: whether it may be believed that something is old (thinning.doubted). Ask now and then."""
        now = self.now()
        found = self._catalogue.find("SELECT seen, doubt FROM clocks WHERE store = ?", self.store)
        doubt = doubted(found[0][0], found[0][1], now) if found else 0
        with self._catalogue.noting() as db:
            db.execute("INSERT OR REPLACE INTO clocks VALUES (?, ?, ?)", (self.store, now, doubt))
        return not doubt

    # -- writing down

    def begin(self, path: str, status: os.stat_result, why: Why, subject: Subject, origin: str = "") -> str:
        """What is at that path is about to be kept: the id of the version. On the disk when this returns.

        `origin`: as a Deed's, of what comes in its place, until that is settled.
        """
        row = self._row(path, "", status, why, subject, "", kept=True, origin=origin)
        with self._catalogue.changing() as db:
            db.execute(INSERT, row)
        return str(row[0])

    def begin_beside(self, version: str, status: os.stat_result) -> str:
        """Another thing had the name of that version when it was given away: as `begin`, of the same deed."""
        with self._catalogue.changing() as db:
            late = secrets.token_hex(8)
            what = (late, int(stat.S_ISDIR(status.st_mode)), status.st_mtime_ns, str(status.st_ino), version)
            db.execute(BESIDE, what)
        return late

    def settle(self, version: str, status: os.stat_result, after: os.stat_result | None) -> None:
        """It is kept, as that `status` says; and what has the name since, if anything has."""
        folder = stat.S_ISDIR(status.st_mode)
        self.added += status.st_size + BLOCK
        now = (None if folder else status.st_size, status.st_mtime_ns, str(status.st_ino), mark(after), version)
        with self._catalogue.noting() as db:
            db.execute(SETTLE, now)

    def note(
        self, path: str, status: os.stat_result, why: Why, subject: Subject, moved_to: str = "", origin: str = ""
    ) -> None:
        """Something was made, or moved; nothing is kept of that."""
        row = self._row(path, moved_to, status, why, subject, mark(status), kept=False, origin=origin)
        if (waiting := getattr(self._mode, "waiting", None)) is not None:
            waiting.append(row)
            return
        with self._catalogue.noting() as db:
            db.execute(INSERT, row)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread notes inside is written in one commit, at the end."""
        waiting: list[tuple[Any, ...]] = []
        self._mode.waiting = waiting
        try:
            yield
        finally:
            self._mode.waiting = None
            if waiting:
                with self._catalogue.noting() as db:
                    db.executemany(INSERT, waiting)

    def _row(
        self,
        path: str,
        moved_to: str,
        status: os.stat_result,
        why: Why,
        by: Subject,
        after: str,
        *,
        kept: bool,
        origin: str = "",
    ) -> tuple[Any, ...]:
        """What a change is written down as; its id comes first."""
        version, folder = secrets.token_hex(8), stat.S_ISDIR(status.st_mode)
        size = None if folder else status.st_size
        who = (by.person or "", by.person_name or by.computer_name, by.computer_name)
        what = (int(folder), size, status.st_mtime_ns, str(status.st_ino), after, int(kept), int(not kept))
        undone = int(getattr(self._mode, "undoing", False))
        return (version, self.store, path, moved_to, self.now(), why, *who, *what, undone, origin)

    def forget(self, versions: Iterable[str]) -> None:
        """Nothing is kept of these any more: their rows go, and that something was made there before.

        What was made can't be taken away without going back through all that came after.
        """
        last: dict[str, int] = {}
        with self._catalogue.changing() as db:
            for version in versions:
                sql = "DELETE FROM changes WHERE id = ? RETURNING path, number, settled"
                for path, number, settled in db.execute(sql, (version,)).fetchall():
                    last[path] = max(number if settled else 0, last.get(path, 0))
            db.executemany(MADE_BEFORE, [(self.store, *each) for each in last.items()])

    def forget_before(self, moment: int) -> None:
        """What was made, moved or brought back before that moment is no longer known."""
        with self._catalogue.noting() as db:
            db.execute("DELETE FROM changes WHERE store = ? AND at < ? AND NOT kept", (self.store, moment))

    def forget_many(self) -> None:
        """Of more than NOTED such changes those longest ago are no longer known, of whoever made most."""
        count = f"SELECT {WHO}, count(*) FROM changes WHERE store = ? AND NOT kept GROUP BY 1"  # noqa: S608
        theirs = dict(self._catalogue.find(count, self.store))
        first = f"SELECT number FROM changes WHERE store = ? AND NOT kept AND {WHO} = ? ORDER BY number LIMIT ?"  # noqa: S608
        for person, stay in parts(theirs, NOTED).items():
            if (many := theirs[person] - stay) > 0:
                with self._catalogue.noting() as db:
                    db.execute(f"DELETE FROM changes WHERE number IN ({first})", (self.store, person, many))  # noqa: S608

    def taken(self, version: str) -> None:
        """What was kept has a name again: the row stays, for whoever asks what happened."""
        with self._catalogue.changing() as db:
            db.execute("UPDATE changes SET kept = 0, settled = 1 WHERE id = ?", (version,))

    def open_again(self, version: str) -> None:
        """It is about to get a name again: after a crash it is looked at."""
        with self._catalogue.changing() as db:
            db.execute("UPDATE changes SET settled = 0 WHERE id = ?", (version,))

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """What this thread writes down meanwhile takes something back: `undo` does not take that back in turn."""
        self._mode.undoing = True
        try:
            yield
        finally:
            self._mode.undoing = False

    def undone(self, version: str) -> None:
        with self._catalogue.noting() as db:
            db.execute("UPDATE changes SET undone = 1 WHERE id = ?", (version,))

    def measured(self, version: str, size: int) -> None:
        with self._catalogue.noting() as db:
            db.execute("UPDATE changes SET size = ? WHERE id = ?", (size, version))

    # -- looking

    def kept(self) -> list[Kept]:
        """What is kept; folders that nobody has measured weigh nothing."""
        what = f"id, path, at, coalesce(size, 0), why = 'deleted', {WHO}"
        sql = f"SELECT {what} FROM changes WHERE store = ? AND kept AND settled ORDER BY number"  # noqa: S608
        return [Kept(*row) for row in self._catalogue.find(sql, self.store)]

    def kept_in_all(self, until: int = 2**63 - 1) -> tuple[int, int]:
        """-> (bytes, versions) that are kept of what went until that moment."""
        sql = "SELECT coalesce(sum(size), 0), count(*) FROM changes WHERE store = ? AND kept AND settled AND at <= ?"
        ((size, count),) = self._catalogue.find(sql, self.store, until)
        return size, count

    def folder(self, store: str) -> Path | None:
        """The folder whose versions are kept in the store of that name, by this node."""
        found = self._catalogue.find("SELECT folder FROM stores WHERE id = ?", store)
        return Path(found[0][0]) if found else None

    def unmeasured(self) -> list[str]:
        """The folders among it that nobody has measured."""
        sql = "SELECT id FROM changes WHERE store = ? AND kept AND settled AND size IS NULL"
        return [version for (version,) in self._catalogue.find(sql, self.store)]

    def find(self, which: str = "1", *values: Any, order: str = "number") -> list[Deed]:
        """The rows that an SQL condition picks, oldest first; it is written in the code, never by others."""
        sql = f"SELECT {COLUMNS} FROM changes WHERE store = ? AND ({which}) ORDER BY {order}"  # noqa: S608
        return [Deed(*row) for row in self._catalogue.find(sql, self.store, *values)]


def mark(status: os.stat_result | None) -> str:
    """What tells whether a name has another file or content since: empty for nothing, of a folder its inode."""
    if status is None:
        return ""
    if stat.S_ISDIR(status.st_mode):
        return str(status.st_ino)
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
