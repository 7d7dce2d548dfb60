"""Dead properties: what programs keep with a file or folder, as XML that means nothing here (RFC 4918, 4).

Rows of the catalogue, by share, path and identity: they count while that very file lies there. So a file that its
owner deletes and makes anew has none of the old one's, and a version that is restored has its own again. Everything
blocks, and raises sqlite3.Error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from commonhold.errors import NoSpace
from commonhold.files.catalogue import Catalogue
from commonhold.names import spelled

TABLES = """CREATE TABLE IF NOT EXISTS properties (
    share TEXT NOT NULL, folder TEXT NOT NULL, file TEXT NOT NULL, identity TEXT NOT NULL, name TEXT NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY (share, folder, file, identity, name)) STRICT, WITHOUT ROWID"""
LONGEST = 64 * 1024  # bytes of one
MOST = 128  # of one file
MOST_BYTES = 32 * 2**20  # of one share, and a row counts ROW more
ROW = 200
CONTENT = "{urn:schemas-microsoft-com:}Win32LastModifiedTime"  # goes with the content that it speaks of

Told: TypeAlias = dict[str, str]  # name, as ElementTree writes it -> the element
_BELOW = "share = ? AND (folder = ? OR folder >= ? AND folder < ?)"


class Setting(NamedTuple):
    """Set this property to this element, or remove it (None)."""

    name: str
    value: str | None


class Carried(NamedTuple):
    """Something that was copied: where it lies below what was, and who it was and is."""

    path: str
    old: str
    new: str


class Properties:
    """Of one share. Paths are relative to it; `alive` tells of a path and identity whether it is or will be again."""

    def __init__(self, catalogue: Catalogue, share: str, alive: Callable[[str, str], bool]) -> None:
        self._catalogue, self._share, self._alive = catalogue, share, alive
        with catalogue.changing() as db:
            db.execute(TABLES)
        self._bytes = self._measured()

    @property
    def some(self) -> bool:
        """Whether there are any: most shares have none, and then nobody need ask."""
        return self._bytes > 0

    def inside(self, folder: str, files: Sequence[str]) -> dict[str, dict[str, Told]]:
        """Those of files in that folder: file, spelled -> identity -> properties."""
        found: dict[str, dict[str, Told]] = {}
        which = f"share = ? AND folder = ? AND file IN ({', '.join('?' * len(files))})"
        sql = f"SELECT file, identity, name, value FROM properties WHERE {which}"  # noqa: S608 - of marks
        values = self._share, spelled(folder), *map(spelled, files)
        for file, identity, name, value in self._catalogue.find(sql, *values):
            found.setdefault(file, {}).setdefault(identity, {})[name] = value.decode()
        return found

    def change(self, path: str, identity: str, changes: Iterable[Setting], also: Callable[[], None]) -> None:
        """All of it, in this order, and what `also` does; or nothing.

        Raises NoSpace: there is no room for `more["property"]`.
        """
        at = (self._share, *split(path), identity)
        which = "share = ? AND folder = ? AND file = ? AND identity = ?"
        added = {name: value.encode() for name, value in changes if value is not None}
        for name, data in added.items():
            if len(data) > LONGEST:
                raise _full(name)
        if added and not self._room(sum(map(len, added.values())) + ROW * len(added)):
            raise _full(next(iter(added)))
        with self._catalogue.changing() as db:
            for name, value in changes:
                db.execute(f"DELETE FROM properties WHERE {which} AND name = ?", (*at, name))  # noqa: S608
                if value is not None:
                    db.execute("INSERT INTO properties VALUES (?, ?, ?, ?, ?, ?)", (*at, name, value.encode()))
            (count,) = db.execute(f"SELECT count(*) FROM properties WHERE {which}", at).fetchone()  # noqa: S608
            if added and count > MOST:
                raise _full(next(iter(added)))
            also()
        self._bytes = self._measured()

    def replaced(self, path: str, old: str, new: str) -> None:
        """What lies there is about to get another content: the new file has the properties of the old.

        Where there is no room for both, the old one has none when it is restored.
        """
        if self.some:
            at = self._share, *split(path)
            if self._bytes + self._weight((*at, old)) > MOST_BYTES:
                which = "share = ? AND folder = ? AND file = ? AND identity = ?"
                with self._catalogue.changing() as db:
                    db.execute(f"DELETE FROM properties WHERE {which} AND name = ?", (*at, old, CONTENT))  # noqa: S608
                    db.execute(f"UPDATE OR REPLACE properties SET identity = ? WHERE {which}", (new, *at, old))  # noqa: S608
                return
            sql = (
                "INSERT OR REPLACE INTO properties SELECT share, folder, file, ?, name, value FROM properties"
                " WHERE share = ? AND folder = ? AND file = ? AND identity = ? AND name <> ?"
            )
            with self._catalogue.changing() as db:
                db.execute(sql, (new, self._share, *split(path), old, CONTENT))
            self._bytes = self._measured()

    def under(self, path: str) -> set[str]:
        """The paths, from there, of what has properties there and below."""
        path = spelled(path)
        sql = f"SELECT DISTINCT folder, file FROM properties WHERE {_BELOW}"  # noqa: S608
        rows = self._catalogue.find(sql, self._share, *_range(path)) if self.some else []
        found = {joined(folder, file)[len(path) :].removeprefix("/") for folder, file in rows}
        return found | {""} if self.some else found

    def copied(self, path: str, to: Properties, goal: str, carried: Iterable[Carried]) -> None:
        """What was copied has the properties of what it is a copy of; none of it, where there is no room for them."""
        rows = [
            (
                to._share,
                *split(joined(goal, each.path)),
                each.new,
                self._share,
                *split(joined(path, each.path)),
                each.old,
            )
            for each in carried
        ]
        if rows and to._room(sum(self._weight(row[4:]) for row in rows)):
            sql = (
                "INSERT OR REPLACE INTO properties SELECT ?, ?, ?, ?, name, value FROM properties"
                " WHERE share = ? AND folder = ? AND file = ? AND identity = ?"
            )
            with self._catalogue.changing() as db:
                db.executemany(sql, rows)
            to._bytes = to._measured()

    def moving(self, path: str, to: Properties, goal: str) -> None:
        """What lies there is about to lie at the goal: until `moved`, both know it."""
        path, goal = spelled(path), spelled(goal)
        if not self.some:
            return
        with self._catalogue.changing() as db:
            db.execute(
                "INSERT OR REPLACE INTO properties SELECT ?, ?, ?, identity, name, value FROM properties"
                " WHERE share = ? AND folder = ? AND file = ?",
                (to._share, *split(goal), self._share, *split(path)),
            )
            db.execute(
                "INSERT OR REPLACE INTO properties SELECT ?, ? || substr(folder, ?), file, identity, name, value"
                " FROM properties WHERE share = ? AND (folder = ? OR folder >= ? AND folder < ?)",
                (to._share, goal, len(path) + 1, self._share, *_range(path)),
            )
        to._bytes = to._measured()

    def moved(self, path: str) -> None:
        """It lies there no more."""
        if self.some:
            path = spelled(path)
            with self._catalogue.changing() as db:
                sql = "DELETE FROM properties WHERE share = ? AND folder = ? AND file = ?"
                db.execute(sql, (self._share, *split(path)))
                db.execute(f"DELETE FROM properties WHERE {_BELOW}", (self._share, *_range(path)))  # noqa: S608
            self._bytes = self._measured()

    def forget(self) -> None:
        """The share is offered no more."""
        with self._catalogue.changing() as db:
            db.execute("DELETE FROM properties WHERE share = ?", (self._share,))
        self._bytes = 0

    def _room(self, more: int) -> bool:
        """Whether so much fits; what is left of files that are no more goes first, when it does not."""
        if self._bytes + more <= MOST_BYTES:
            return True
        sql = "SELECT DISTINCT folder, file, identity FROM properties WHERE share = ?"
        rows = self._catalogue.find(sql, self._share)
        gone = [row for row in rows if not self._alive(joined(row[0], row[1]), row[2])]
        sql = "DELETE FROM properties WHERE share = ? AND folder = ? AND file = ? AND identity = ?"
        with self._catalogue.changing() as db:
            db.executemany(sql, [(self._share, *row) for row in gone])
        self._bytes = self._measured()
        return self._bytes + more <= MOST_BYTES

    def _weight(self, file: Sequence[str]) -> int:
        """What the properties of a file take: of that share, folder, name and identity."""
        which = "share = ? AND folder = ? AND file = ? AND identity = ?"
        sql = f"SELECT coalesce(sum(length(value)), 0), count(*) FROM properties WHERE {which}"  # noqa: S608
        (row,) = self._catalogue.find(sql, *file)
        return int(row[0] + ROW * row[1])

    def _measured(self) -> int:
        sql = "SELECT coalesce(sum(length(value)), 0), count(*) FROM properties WHERE share = ?"
        (row,) = self._catalogue.find(sql, self._share)
        return int(row[0] + ROW * row[1])


def _full(name: str) -> NoSpace:
    return NoSpace("There is no room for so many properties.", "remove some first", property=name)


def split(path: str) -> tuple[str, str]:
    """The folder that holds it, and its name there, as they are kept."""
    folder, _, file = spelled(path).rpartition("/")
    return folder, file


def joined(folder: str, file: str) -> str:
    return "/".join(filter(None, (folder, file)))


def _range(path: str) -> tuple[str, str, str]:
    """The folder itself and the bounds of those below it; of the share itself, all."""
    return (path, f"{path}/", f"{path}0") if path else ("", "", "\U0010ffff")
