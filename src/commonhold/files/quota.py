"""Quotas: what each person has stored at this computer's doors, and how much that may be.

A ledger of share id + path → person, size. What an upload leaves is charged to whoever sent it (of
a job's output: to whoever submitted the job) until it is deleted or overwritten, through the network
or by the owner on the disk. The disk is right and the ledger follows: an entry counts while the very
file that was stored (its inode) lies at its path. Files that were there before belong to nobody, and
the owner of the doors has no quota. A folder counts as one file without bytes.

Three things keep several uploads at once, and a death at any line, from exceeding a limit:
- announced bytes are reserved before one is read, and those of an upload without a length as they come;
- before a file gets its name it is written down as being stored; whoever starts after a crash looks
  whether it got there (a `kill -9` counts nothing twice and forgets nothing; only a file that a
  drop-box numbered in that very moment, and after a power cut the last few, count for nobody);
- what seems full is counted anew on the disk before somebody is refused.

SQLite with a connection of its own (NORMAL: 11 µs a commit instead of 144, and the loop never waits
for it). Reserving is arithmetic in memory and done on the event loop; everything else blocks.
"""

from __future__ import annotations

import json
import logging
import shlex
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

import msgspec

from commonhold.errors import CommonholdError, NoSpace
from commonhold.files.entry import Placed
from commonhold.names import PersonId, spelled
from commonhold.transaction import transaction

TABLES = """
CREATE TABLE IF NOT EXISTS quota (person TEXT PRIMARY KEY, bytes INTEGER, files INTEGER) STRICT;
CREATE TABLE IF NOT EXISTS stored (
    share TEXT NOT NULL, path TEXT NOT NULL, person TEXT NOT NULL, size INTEGER NOT NULL, inode TEXT NOT NULL,
    PRIMARY KEY (share, path)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stored_by ON stored (person);
CREATE TABLE IF NOT EXISTS storing (
    number INTEGER PRIMARY KEY, share TEXT NOT NULL, path TEXT NOT NULL, person TEXT NOT NULL, inode TEXT NOT NULL)
    STRICT;
CREATE TABLE IF NOT EXISTS moving (
    number INTEGER PRIMARY KEY, share TEXT NOT NULL, path TEXT NOT NULL, to_share TEXT NOT NULL, to_path TEXT NOT NULL)
    STRICT;
"""


# Which rows: those whose share and path are among the pairs.
AMONG = "(share, path) IN (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"

_log = logging.getLogger(__name__)


class Limit(NamedTuple):
    """How much a person may store; None is no limit."""

    bytes: int | None = None
    files: int | None = None


class Stored(NamedTuple):
    """How much it is: `files` are files and folders."""

    bytes: int = 0
    files: int = 0


NOTHING, UNLIMITED = Stored(), Limit()
LIMITED = (("bytes", "bytes"), ("files", "files and folders"))  # and as a sentence calls it


class Payer(msgspec.Struct, frozen=True):
    """Whom an upload is charged to; nobody, when it is the owner's of these doors."""

    person: PersonId | None
    name: str


class QuotaLedger:
    """`look(share id, path)` tells what lies there: None when nothing does, or no such share is offered;

    raises CommonholdError when it cannot be told now (a disk was taken out). `keeper()` says who sets limits.
    """

    def __init__(self, file: Path, look: Callable[[str, str], Placed | None], keeper: Callable[[], str]) -> None:
        self._db = sqlite3.connect(file, isolation_level=None, timeout=5, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(TABLES)
        self._look, self.keeper = look, keeper
        self._writing = threading.Lock()  # the connection, and looking where what is written down lies
        self._counting = threading.Lock()  # the figures below; held for moments only, the loop takes it too
        rows = self._db.execute("SELECT person, bytes, files FROM quota")
        self._limits = {PersonId(person): Limit(octets, files) for person, octets, files in rows}
        self._held: dict[PersonId, Stored] = {}
        self._used: dict[PersonId, Stored] = {}
        self._sum()
        self._take_up()

    def close(self) -> None:
        with self._writing:
            self._db.close()

    # -- limits

    def limit(self, person: PersonId) -> Limit:
        return self._limits.get(person, Limit())

    def set_limit(self, person: PersonId, limit: Limit) -> None:
        """On the disk when this returns. What is stored already stays, also when it is more."""
        with self._writing:
            _keep_limit(self._db, person, limit)
        with self._counting:
            self._limits[person] = limit

    def used(self, person: PersonId) -> Stored:
        return self._used.get(person, Stored())

    def persons(self) -> set[PersonId]:
        """Everybody who has a limit or has stored something."""
        with self._counting:
            limited = {person for person, limit in self._limits.items() if limit != Limit()}
            return limited | {person for person, used in self._used.items() if used != Stored()}

    # -- storing

    def begin(
        self, payer: Payer, share: str, path: str, size: int | None, files: int = 1, *, unseen: bool = False
    ) -> Storing:
        """Reserve room for `size` bytes (None: not known yet) at that path. Raises NoSpace; blocks for nothing.

        `files` is more than one where folders are made on the way. `unseen`: in a drop-box nothing is replaced.
        """
        storing = Storing(self, payer, share, spelled(path), files, unseen)
        self.hold(storing, Stored(size or 0, files))
        return storing

    def begin_anew(
        self, payer: Payer, share: str, path: str, size: int | None, files: int = 1, *,
        unseen: bool = False, counted: bool = False,
    ) -> Storing:  # fmt: skip
        """As `begin`, after counting on the disk, unless that was `counted` just now: what is replaced makes room."""
        storing = Storing(self, payer, share, spelled(path), files, unseen)
        if payer.person is not None and not counted:
            self._follow("person = ?", payer.person)
        with self._writing:
            storing.freed = _own(storing, _charged(self._db, [storing]))
        self.hold(storing, storing.net(size or 0))
        return storing

    def hold(self, storing: Storing, wanted: Stored, *, released: bool = False) -> None:
        """Hold that much for this upload instead of what was held for it. Raises NoSpace, and changes nothing.

        `released`, by whoever hung up: what is getting its name meanwhile is counted first.
        """
        person = storing.payer.person
        if person is None or wanted == storing.held == NOTHING:
            return
        with self._counting:
            if released and storing.naming:
                return
            held, used, limit = self._held.get(person, NOTHING), self.used(person), self.limit(person)
            others = Stored(held.bytes - storing.held.bytes, held.files - storing.held.files)
            busy = Stored(used.bytes + others.bytes, used.files + others.files)
            for which, unit in LIMITED if limit != UNLIMITED else ():
                most, now, more = (getattr(each, which) for each in (limit, busy, wanted))
                if most is not None and more > 0 and now + more > most:
                    state = f"{now:,} of the {most:,} {unit}"
                    raise _full(storing, self.keeper(), state, more if which == "bytes" else 0)
            self._held[person] = Stored(others.bytes + wanted.bytes, others.files + wanted.files)
            storing.held = wanted

    def note(self, storing: Storing, size: int, inode: str) -> None:
        """A file of that size is about to get its name. Raises NoSpace when it does not fit after all."""
        (trouble,) = self.note_all([(storing, size, inode)])
        if trouble:
            raise trouble

    def note_all(self, files: Iterable[tuple[Storing, int, str]]) -> list[NoSpace | None]:
        """As `note`, in one commit; what to say of each that does not fit, and None of the others."""
        files = list(files)
        try:
            with self._writing, self._together():
                there = _charged(self._db, [storing for storing, _, _ in files])
                troubles = [storing.fit(size, there) for storing, size, _ in files]
                _note(self._db, [(each, inode) for each, _, inode in files if each.naming and _counts(each, there)])
                return troubles
        except BaseException:
            for storing, _, _ in files:
                storing.over()
            raise

    def settle(self, storing: Storing, placed: Iterable[Placed]) -> None:
        """It lies there: charge it, and let go what lay there before. Nothing placed: it came to nothing."""
        self.settle_all([(storing, placed)])

    def settle_all(
        self, files: Collection[tuple[Storing, Iterable[Placed]]], look: Callable[[Placed], Placed | None] | None = None
    ) -> None:
        """As `settle`, in one commit. Where that can't be written, the notes stay, and the next start looks what

        came of them. `look`: a shorter way to what lies there now.
        """

        def lies_there(it: Placed, share: str) -> bool:
            there = look(it) if look else self._look(share, it.path)
            return there is not None and there.inode == it.inode  # else it is of somebody else, who charges it

        try:
            with _done_anyhow(), self._writing, self._together():
                lying = ((each, it) for each, placed in files for it in placed if lies_there(it, each.share))
                self._charge([(each.share, it, each.payer.person) for each, it in lying])
                _forget(self._db, [each for each, _ in files])
        finally:
            for each, _ in files:
                each.over()

    def _charge(self, files: Collection[tuple[str, Placed, PersonId | None]]) -> None:
        """Each lies there: charge it, and let go what lay there before."""
        self._strike([(share, spelled(placed.path)) for share, placed, _ in files])
        rows = [(share, spelled(it.path), who, it.size, it.inode) for share, it, who in files if who is not None]
        _insert(self._db, "stored (share, path, person, size, inode)", rows)
        for _, _, person, size, _ in rows:
            self._count(person, size, 1)

    # -- what moves

    @contextmanager
    def moving(self, share: str, path: str, to_share: str, to_path: str) -> Iterator[list[Placed]]:
        """Inside, what lies there gets that other path; nobody counts meanwhile. Its payers go along.

        What is put into the list lies there at the end: first what moved, then, where it could only be copied, each
        file that was in it.
        """
        placed: list[Placed] = []
        row = (share, spelled(path), to_share, spelled(to_path))
        with self._writing:
            sql = "INSERT INTO moving (share, path, to_share, to_path) VALUES (?, ?, ?, ?)"
            number = self._db.execute(sql, row).lastrowid
            try:
                yield placed
            finally:
                with _done_anyhow(), self._together():
                    self._move(share, row[1], to_share, [each._replace(path=spelled(each.path)) for each in placed])
                    self._db.execute("DELETE FROM moving WHERE number = ?", (number,))

    def _move(self, share: str, path: str, to_share: str, placed: list[Placed]) -> None:
        if not placed:
            return
        to = placed[0].path
        below = "share = ? AND (path = ? OR path >= ? AND path < ?)"
        there = self._db.execute(f"SELECT share, path FROM stored WHERE {below}", (to_share, *_below(to)))  # noqa: S608
        self._strike(there.fetchall())
        _repath(self._db, share, path, to_share, placed)

    # -- what is gone

    def release(self, share: str, path: str) -> None:
        """What lay at that path and below was deleted. What can't be struck now counts until all is counted anew."""
        with _done_anyhow():
            self._follow("share = ? AND (path = ? OR path >= ? AND path < ?)", share, *_below(spelled(path)))

    def forget(self, share: str) -> None:
        """That share is offered no longer: what lies in it is its owner's alone."""
        with self._writing, self._together():
            self._strike(self._db.execute("SELECT share, path FROM stored WHERE share = ?", (share,)).fetchall())

    def recount(self) -> None:
        """Let every entry follow the disk."""
        self._follow("1")

    def _follow(self, which: str, *values: str) -> None:
        """Let these entries follow the disk. The lock is given back after each: looking may take its time."""
        with self._writing:
            sql = f"SELECT share, path, person, size, inode FROM stored WHERE {which}"  # noqa: S608 - written here
            rows = self._db.execute(sql, values).fetchall()
        for share, path, person, size, inode in rows:
            with self._writing, suppress(CommonholdError):
                there = self._look(share, path)
                if there is not None and (there.inode, there.size) == (inode, size):
                    continue
                with self._together():
                    self._strike([(share, path)], inode)
                    if there is not None and there.inode == inode:
                        self._db.execute("INSERT INTO stored VALUES (?, ?, ?, ?, ?)", (share, path, person, *there[1:]))
                        self._count(person, there.size, 1)

    def _strike(self, places: Iterable[tuple[str, str]], inode: str | None = None) -> None:
        sql = f"DELETE FROM stored WHERE {AMONG} AND inode = coalesce(?, inode) RETURNING person, size"  # noqa: S608
        for person, size in self._db.execute(sql, (_json(list(places)), inode)).fetchall():
            self._count(PersonId(person), -size, -1)

    def _count(self, person: PersonId, size: int, files: int) -> None:
        with self._counting:
            used = self.used(person)
            self._used[person] = Stored(used.bytes + size, used.files + files)

    def _sum(self) -> None:
        rows = self._db.execute("SELECT person, sum(size), count(*) FROM stored GROUP BY person").fetchall()
        with self._counting:
            self._used = {PersonId(person): Stored(octets, files) for person, octets, files in rows}

    def _take_up(self) -> None:
        """After a death: what had got its name when it came is charged, what had not is not there."""
        rows = self._db.execute("SELECT share, path, person, inode FROM storing").fetchall()
        with self._together():
            for share, path, person, inode in rows:
                with suppress(CommonholdError):
                    there = self._look(share, path)
                    if there is not None and inode in {there.inode, ""}:
                        self._charge([(share, there, PersonId(person) if person else None)])
            self._db.execute("DELETE FROM storing")
            for share, path, to_share, there in _moved(self._db, self._look):
                self._move(share, path, to_share, [there])
            self._db.execute("DELETE FROM moving")

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            with transaction(self._db):
                yield
        except BaseException:
            self._sum()
            raise


class Storing:
    """One upload on its way, and the room that is held for it; a context manager that gives it back."""

    def __init__(self, ledger: QuotaLedger, payer: Payer, share: str, path: str, files: int, unseen: bool) -> None:
        self.payer, self.share, self.path, self.files, self.unseen = payer, share, path, files, unseen
        self.held = self.freed = Stored()
        self.number = 0  # of its note, and those of what is `within` follow
        self.naming = False  # from its note until it is settled
        self.within: Sequence[Placed] = ()
        self._ledger = ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()

    def release(self) -> None:
        self._ledger.hold(self, Stored(), released=True)

    def fit(self, size: int, there: Charged) -> NoSpace | None:
        """It is about to get its name, where that is charged already; what to say if there is no room for it."""
        self.freed, self.naming = _own(self, there), True
        try:
            self._ledger.hold(self, self.net(size))
        except NoSpace as error:
            self.over()
            return error
        return None

    def over(self) -> None:
        """It has its name, or gets none."""
        self.number, self.naming = 0, False
        self._ledger.hold(self, NOTHING)

    def net(self, size: int) -> Stored:
        """What it takes beyond what it replaces."""
        return Stored(max(0, size - self.freed.bytes), self.files - self.freed.files)

    def grow(self, size: int) -> None:
        """So many bytes have come. Raises NoSpace."""
        if (wanted := self.net(size)).bytes > self.held.bytes:
            self._ledger.hold(self, wanted)

    @contextmanager
    def placing(self, size: int, inode: str = "", within: Sequence[Placed] = ()) -> Iterator[list[Placed]]:
        """Inside, the file gets its name; what is put into the list lies there at the end, and is charged.

        `within`: what a folder comes with, its paths as they are in it. Raises NoSpace before anything is done.
        """
        placed: list[Placed] = []
        self.within = within if self.payer.person is not None else ()
        self._ledger.note(self, size, inode)
        try:
            yield placed
        finally:
            self._ledger.settle(self, placed)


def _below(path: str) -> tuple[str, str, str]:
    """It, and the bounds of what lies below it: a slash comes right before a zero."""
    return path, f"{path}/", f"{path}0"


def _repath(db: sqlite3.Connection, share: str, path: str, to_share: str, placed: list[Placed]) -> None:
    """The entries of what lies there and below get the paths, and where they are told the inodes, that it has now."""
    db.execute(
        "UPDATE stored SET share = ?, path = ? || substr(path, ?)"
        " WHERE share = ? AND (path = ? OR path >= ? AND path < ?)",
        (to_share, placed[0].path, len(path) + 1, share, *_below(path)),
    )
    db.executemany(
        "UPDATE stored SET inode = ? WHERE share = ? AND path = ?",
        [(each.inode, to_share, each.path) for each in placed],
    )


def _full(storing: Storing, keeper: str, state: str, more: int) -> NoSpace:
    name = storing.payer.name
    needs = f" ({more:,} bytes)" if more else ""
    return NoSpace(
        f"{name} has stored {state} that {keeper} allows; “{storing.path}”{needs} does not fit in.",
        f"delete something, or ask {keeper}, who can type: commonhold quota {shlex.quote(name)} --bytes SIZE --files N",
    )


def _keep_limit(db: sqlite3.Connection, person: PersonId, limit: Limit) -> None:
    db.execute("PRAGMA synchronous=FULL")
    try:
        if limit == Limit():
            db.execute("DELETE FROM quota WHERE person = ?", (person,))
        else:
            db.execute("INSERT OR REPLACE INTO quota VALUES (?, ?, ?)", (person, *limit))
    finally:
        db.execute("PRAGMA synchronous=NORMAL")


def _json(rows: Sequence[object]) -> str:
    """Many rows as one value: each statement gives way to whatever else runs, and one is enough for all of them."""
    return json.dumps(rows)


def _insert(db: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> int:
    """In their order; the number of the last."""
    if not rows:
        return 0
    columns = ", ".join(f"json_extract(value, '$[{number}]')" for number in range(len(rows[0])))
    cursor = db.execute(f"INSERT INTO {table} SELECT {columns} FROM json_each(?)", (_json(rows),))  # noqa: S608
    return cursor.lastrowid or 0


def _note(db: sqlite3.Connection, files: Sequence[tuple[Storing, str]]) -> None:
    """These are about to be stored, with those inodes."""
    rows: list[tuple[str, str, str, str]] = []
    for storing, inode in files:
        share, path, person = storing.share, storing.path, storing.payer.person or ""
        rows.append((share, path, person, inode))
        rows += [(share, f"{path}/{spelled(each.path)}", person, each.inode) for each in storing.within]
    number = _insert(db, "storing (share, path, person, inode)", rows) - len(rows) + 1
    for storing, _ in files:
        storing.number, number = number, number + 1 + len(storing.within)


def _forget(db: sqlite3.Connection, all_of: Sequence[Storing]) -> None:
    """The notes of these."""
    spans = ((each.number, 1 + len(each.within)) for each in all_of if each.number)
    numbers = [number for first, count in spans for number in range(first, first + count)]
    db.execute("DELETE FROM storing WHERE number IN (SELECT value FROM json_each(?))", (_json(numbers),))


Charged: TypeAlias = dict[tuple[str, str], tuple[str, int]]  # share, path -> who is charged for it, and how many bytes


def _charged(db: sqlite3.Connection, all_of: Sequence[Storing]) -> Charged:
    """What lies where these are to be stored."""
    sql = f"SELECT share, path, person, size FROM stored WHERE {AMONG}"  # noqa: S608 - written here
    rows = db.execute(sql, (_json([(each.share, each.path) for each in all_of]),)).fetchall()
    return {(share, path): (person, size) for share, path, person, size in rows}


def _counts(storing: Storing, there: Charged) -> bool:
    """Whether somebody is charged for it, or for what it replaces."""
    return storing.payer.person is not None or (storing.share, storing.path) in there


def _own(storing: Storing, there: Charged) -> Stored:
    """What this payer has at that path already, and is about to replace."""
    person, size = there.get((storing.share, storing.path), ("", 0))
    return Stored(size, 1) if person == storing.payer.person and not storing.unseen else NOTHING


def _moved(db: sqlite3.Connection, look: Callable[[str, str], Placed | None]) -> Iterator[tuple[str, str, str, Placed]]:
    """Moves that a death came upon, when what was moved had got there: from where, and what lies there now."""
    for share, path, to_share, to_path in db.execute("SELECT share, path, to_share, to_path FROM moving").fetchall():
        with suppress(CommonholdError):
            there = look(to_share, to_path)
            if there is not None and look(share, path) is None:
                yield share, path, to_share, there._replace(path=to_path)


@contextmanager
def _done_anyhow() -> Iterator[None]:
    """What the ledger is told of has happened: a full disk of its own does not make a failure of it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        _log.warning("What was stored or deleted could not be written down: %s", error)
