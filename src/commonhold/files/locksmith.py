"""LOCK and UNLOCK at one share: who may have a lock on what, renew it, and take it away.

Everything here blocks (disk).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.errors import Changed, Conflict, Locked, Refused, WrongUsage
from commonhold.files.clearance import Clearance, holder_of
from commonhold.files.entry import Conditions, Entry
from commonhold.files.locks import Lock, Locks
from commonhold.files.lockwords import LockWish
from commonhold.names import SharePath


class NoLock(Conflict):
    """No lock of that token is there (RFC 4918, 9.11.1: lock-token-matches-request-uri)."""


class InTheWay(Locked):
    """Another lock is in the way of a new one (RFC 4918, 16: no-conflicting-lock)."""


class Locksmith:
    """Makes locks for files and folders of that door, whose folder on the disk is `folder`.

    `look(path)` tells what is there, to nobody but those who may know.
    """

    def __init__(
        self, door: Door, folder: Path, locks: Locks, clearance: Clearance, look: Callable[[SharePath], Entry | None]
    ) -> None:
        self._door, self._folder = door, str(folder)
        self._locks, self._clearance = locks, clearance
        self.look, self.root = look, clearance.root

    @contextmanager
    def making(self, permit: Permit, wish: LockWish, conditions: Conditions) -> Iterator[Lock]:
        """The lock that is wished at the permit's path: in force inside, on the disk after it; nothing when it raises.

        Raises Changed, InTheWay, Refused (under a pass), NoSpace (too many).
        """
        permit.require(Verb.WRITE, self._door.id)
        self._clearance.require(permit, conditions, self.look(permit.path))
        subject = permit.subject
        if not (holder := holder_of(subject)):
            raise Refused("Under the pass of a job nothing is locked.")
        name = f"{subject} at {subject.computer_name}" if subject.computer_name and subject.person else str(subject)
        until = self._locks.now() + timedelta(seconds=wish.seconds)
        what = self._door.id, self._folder, str(permit.path), wish.deep, wish.shared
        lock = Lock(f"urn:uuid:{uuid.uuid4()}", *what, holder, name, wish.owner, until)
        if against := self._locks.hold(lock):
            error = self._clearance.locked(against[-1])
            raise InTheWay(error.sentence, error.hint, **error.more)
        try:
            self._clearance.require(permit, conditions, self.look(permit.path))  # nobody changes it any more
            yield lock
            self._locks.keep(lock)
        except BaseException:
            self._locks.release(lock)
            raise

    def renew(self, permit: Permit, conditions: Conditions, seconds: int) -> Lock:
        """The lock that the conditions show goes on from now. Raises WrongUsage unless one is shown, Changed."""
        permit.require(Verb.WRITE, self._door.id)
        if not conditions.tokens:
            raise WrongUsage("Which lock is to be renewed is not said.", "If: (<urn:uuid:…>)")
        self._clearance.require(permit, conditions, self.look(permit.path))
        until = self._locks.now() + timedelta(seconds=seconds)
        holder, here = holder_of(permit.subject), self._clearance.over(permit.path)
        mine = next((lock for lock in here if lock.token in conditions.tokens and lock.holder == holder), None)
        renewed = self._locks.renew(mine.token, until) if mine else None
        if renewed is not None:
            return renewed
        raise Changed("There is no such lock, or no more.", "lock it anew")

    def release(self, permit: Permit, token: str, any_ones: bool) -> Lock:
        """Take that lock away from the permit's path. `any_ones`: the asker governs the share, and may end any lock.

        Raises NoLock, Refused.
        """
        permit.require(Verb.LIST, self._door.id)
        lock = next((lock for lock in self._clearance.over(permit.path) if lock.token == token), None)
        if lock is None:
            raise NoLock(f"There is no such lock on “{permit.path}”, or no more.")
        if not any_ones and lock.holder != holder_of(permit.subject):
            raise Refused(f"That lock is {lock.name}'s.", "whoever holds it, or the owner of the share, can release it")
        self._locks.release(lock)
        return lock

    def on(self, path: str) -> list[Lock]:
        """The locks that hold for what is there, for whoever may list it."""
        return self._clearance.over(SharePath.parse(path))
