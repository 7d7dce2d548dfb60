"""The locks of this computer (RFC 4918, 6 and 7): a table on the disk, and the same in memory, which is what is asked.

A lock is on a place of the disk, not on a name in a share: where shares lie inside one another, it holds in both.
Names are compared in NFC. What a lock forbids is asked at the very moment of every change (files/clearance.py).
"""

from __future__ import annotations

import sqlite3
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import msgspec

from commonhold.errors import Conflict, NoSpace
from commonhold.files.catalogue import Catalogue
from commonhold.names import SharePath

TABLES = """CREATE TABLE IF NOT EXISTS locks (
    token TEXT PRIMARY KEY, share TEXT NOT NULL, folder TEXT NOT NULL, path TEXT NOT NULL, deep INTEGER NOT NULL,
    shared INTEGER NOT NULL, holder TEXT NOT NULL, name TEXT NOT NULL, owner TEXT NOT NULL, until REAL NOT NULL
) STRICT"""
MOST = 1000  # locks that one person may hold at this computer
MOST_SHARED = 32  # that hold for one thing together: every listing tells them all, of each thing below
SWEPT = timedelta(minutes=1)  # how often those that are over are taken out
PATIENCE = 10.0  # seconds that a lock waits for changes that were under way before it

Place: TypeAlias = tuple[str, ...]  # from the root of the computer's disks; names in NFC


def place(folder: Path, path: SharePath) -> Place:
    """Where that path of the share of that folder lies."""
    return (*folder.parts, *(part if part.isascii() else unicodedata.normalize("NFC", part) for part in path.parts))


class Lock(msgspec.Struct, frozen=True):
    """One lock, as it was asked for at `path` of the share whose id is `share`."""

    token: str
    share: str
    folder: str  # of that share
    path: str
    deep: bool  # Depth: infinity
    shared: bool
    holder: str  # who may use the token: clearance.holder_of
    name: str  # as people read it: “bob at laptop”
    owner: str  # what the program said of itself: an owner element of XML, or nothing
    until: datetime

    @property
    def at(self) -> Place:
        return place(Path(self.folder), SharePath.parse(self.path))


class How(Enum):
    """What a change does to a place."""

    CHANGES = "changes"  # what is there gets another content or other properties
    COMES = "comes"  # a name is new in its folder
    GOES = "goes"  # the name and all below it vanishes from its folder


@dataclass(eq=False, slots=True)
class Change:
    """A change of these places by `holder`, who shows these tokens; under way between `begin` and `end`."""

    holder: str
    tokens: frozenset[str]
    places: tuple[tuple[Place, How], ...]


def concerns(at: Place, deep: bool, place: Place, how: How) -> bool:
    """Whether a lock there has to do with that change: what it forbids to whoever does not show it (RFC 4918, 7)."""
    return (
        place == at
        or (deep and place[: len(at)] == at)
        or (how is not How.CHANGES and place[:-1] == at)
        or (how is How.GOES and at[: len(place)] == place)
    )


@dataclass(slots=True)
class _Node:
    locks: list[Lock] = field(default_factory=list)
    inner: dict[str, _Node] = field(default_factory=dict)


class Locks:
    """All of this computer. `now` gives an aware datetime. For whatever thread asks. Raises sqlite3.Error."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.now = now
        self._catalogue = catalogue
        self._root = _Node()
        self._known: dict[str, tuple[Lock, Place]] = {}
        self._held: Counter[str] = Counter()
        self._swept = now()
        self._under_way: set[Change] = set()
        self._busy = threading.Condition()
        with catalogue.changing() as db:
            db.execute(TABLES)
            db.execute("DELETE FROM locks WHERE until <= ?", (now().timestamp(),))
        for row in catalogue.find("SELECT * FROM locks"):
            token, share, folder, path, deep, shared, holder, name, owner, until = row
            end = datetime.fromtimestamp(until, UTC)
            self._put(Lock(token, share, folder, path, bool(deep), bool(shared), holder, name, owner, end))

    # -- asking

    def find(self, token: str) -> Lock | None:
        with self._busy:
            lock, _ = self._known.get(token, (None, ()))
            return lock if lock and lock.until > self.now() else None

    @property
    def some(self) -> bool:
        """Whether there are any: most computers have none, and then nobody need ask."""
        return bool(self._known)

    def over(self, at: Place) -> list[Lock]:
        """The locks that hold for what is there: its own, and deep ones above."""
        if not self.some:
            return []
        with self._busy:
            return self._living(self._over(at))

    # -- changing what may be locked

    def begin(self, change: Change) -> Lock | None:
        """The lock that forbids the change; None: it has begun, and no lock that it concerns is granted until `end`."""
        with self._busy:
            if self._known and (lock := self._forbidding(change)):
                return lock
            self._under_way.add(change)
            return None

    def end(self, change: Change, *, done: bool) -> None:
        """Done, the locks of what is gone are gone with it."""
        gone: list[Lock] = []
        with self._busy:
            self._under_way.remove(change)
            if self._known:
                if done:
                    for at, how in change.places:
                        if how is How.GOES:
                            gone += [lock for _, lock in self._below(at)]
                    for lock in gone:
                        self._take(lock.token)
                self._busy.notify_all()
        if gone:
            with suppress(sqlite3.Error):  # on a full disk, too, something can be deleted: the rows end by themselves
                self._strike(gone)

    # -- locking

    def hold(self, lock: Lock) -> list[Lock]:
        """The locks in its way; none: it is in force from now on, and on the disk after `keep`.

        Raises NoSpace when its holder has too many, Conflict when what it is for is changed all the time.
        """
        at = lock.at
        with self._busy:
            if against := self._against(lock, at):
                return against
            if lock.shared and self._crowd(lock, at) >= MOST_SHARED:
                raise NoSpace(f"“{lock.path}” has {MOST_SHARED} shared locks already, as many as it may.", "wait")
            ended = self._sweep(lock.holder)
            if self._held[lock.holder] >= MOST:
                raise NoSpace(f"{lock.name} holds {MOST} locks already, as many as one may.", "release some first")
            self._put(lock)
            if not self._busy.wait_for(lambda: not self._crossed(lock, at), PATIENCE):
                self._take(lock.token)
                raise Conflict(f"“{lock.path}” is being changed by somebody else.", "try again")
        if ended:
            self._strike(ended)
        return []

    def keep(self, lock: Lock) -> None:
        """It is on the disk when this returns."""
        row = (*msgspec.structs.astuple(lock)[:-1], lock.until.timestamp())
        with self._catalogue.changing() as db:
            db.execute("INSERT INTO locks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def renew(self, token: str, until: datetime) -> Lock | None:
        """That lock with its new end, on the disk; None when it is over."""
        with self._busy:
            if (lock := self.find(token)) is None:
                return None
            self._take(token)
            renewed = msgspec.structs.replace(lock, until=until)
            self._put(renewed)
        with self._catalogue.changing() as db:
            db.execute("UPDATE locks SET until = ? WHERE token = ?", (until.timestamp(), token))
        return renewed

    def release(self, lock: Lock) -> None:
        """It is over, also on the disk."""
        self._drop([lock])

    def forget(self, which: Callable[[Lock], bool]) -> None:
        """Whoever held them is gone, or the share that they were for."""
        with self._busy:
            locks = [lock for lock, _ in self._known.values()]
        self._drop([lock for lock in locks if which(lock)])

    def _drop(self, locks: list[Lock]) -> None:
        if not locks:
            return
        with self._busy:
            for lock in locks:
                self._take(lock.token)
        self._strike(locks)

    def _strike(self, locks: Iterable[Lock]) -> None:
        with self._catalogue.changing() as db:
            db.executemany("DELETE FROM locks WHERE token = ?", [(lock.token,) for lock in locks])

    # -- the table in memory; called with _busy held

    def _put(self, lock: Lock) -> None:
        at, node = lock.at, self._root
        for part in at:
            node = node.inner.setdefault(part, _Node())
        node.locks.append(lock)
        self._known[lock.token] = lock, at
        self._held[lock.holder] += 1

    def _take(self, token: str) -> None:
        lock, at = self._known.pop(token, (None, ()))
        if lock is None:
            return
        self._held[lock.holder] -= 1
        way = [self._root]
        for part in at:
            way.append(way[-1].inner[part])
        way[-1].locks.remove(lock)
        for part in reversed(at):
            node = way.pop()
            if node.locks or node.inner:
                break
            del way[-1].inner[part]

    def _sweep(self, holder: str) -> list[Lock]:
        """Take out what is over: now and then, and before somebody is told that they have too many."""
        now = self.now()
        if now < self._swept + SWEPT and self._held[holder] < MOST:
            return []
        self._swept = now
        ended = [lock for lock, _ in self._known.values() if lock.until <= now]
        for lock in ended:
            self._take(lock.token)
        return ended

    def _living(self, locks: Iterable[Lock]) -> list[Lock]:
        found = list(locks)
        return [lock for lock in found if lock.until > now] if found and (now := self.now()) else []

    def _over(self, at: Place) -> list[Lock]:
        node, found = self._root, []
        for part in at:
            found += [lock for lock in node.locks if lock.deep]
            inner = node.inner.get(part)
            if inner is None:
                return found
            node = inner
        return found + node.locks

    def _below(self, at: Place) -> Iterator[tuple[list[Lock], Lock]]:
        """The locks there and below, each with all that hold for what it is on."""
        above = self._over(at[:-1]) if at else []
        node = self._root
        for part in at:
            if (inner := node.inner.get(part)) is None:
                return
            node = inner
        waiting = [(node, [lock for lock in above if lock.deep])]
        while waiting:
            node, deep = waiting.pop()
            for lock in node.locks:
                yield deep + node.locks, lock
            deep = deep + [lock for lock in node.locks if lock.deep]
            waiting += [(inner, deep) for inner in node.inner.values()]

    def _forbidding(self, change: Change) -> Lock | None:
        """Each place that the change concerns is free, or one of the locks that hold for it is shown.

        One, since there are several only where all are shared; but whoever shows what is over shows nothing.
        """
        for at, how in change.places:
            groups = [self._over(at)]
            if how is not How.CHANGES and at:
                groups.append(self._over(at[:-1]))
            if how is How.GOES:
                groups += [group for group, _ in self._below(at)]
            for group in groups:
                living = self._living(group)
                if living and not any(lock.holder == change.holder and lock.token in change.tokens for lock in living):
                    return living[-1]
        return None

    def _crowd(self, wished: Lock, at: Place) -> int:
        """How many locks hold for one thing already, of those that the new one would hold for."""
        groups = [self._over(at), *(group for group, _ in self._below(at) if wished.deep)]
        return max(len(self._living(group)) for group in groups)

    def _against(self, wished: Lock, at: Place) -> list[Lock]:
        """What is in the way of a new lock: the nearest last."""
        found = self._over(at) + ([lock for _, lock in self._below(at)] if wished.deep else [])
        found = list(dict.fromkeys(lock for lock in self._living(found) if not (wished.shared and lock.shared)))
        return sorted(found, key=lambda lock: len(lock.at))

    def _crossed(self, lock: Lock, at: Place) -> bool:
        """Whether a change is under way that the lock would have forbidden."""
        return any(concerns(at, lock.deep, there, how) for change in self._under_way for there, how in change.places)
