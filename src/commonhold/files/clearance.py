"""Whether a change may be made now: the conditions of its request hold, and no lock forbids it.

Nothing in a share gets or loses a name or another content without a `Cleared`, which only this file makes, at the
moment of the change: a method that forgot to ask has nothing to change with. While it lasts no lock is granted on
what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from commonhold.authority.authority import Door, Permit, Subject
from commonhold.errors import Changed, Locked, Refused, WrongUsage
from commonhold.files import webdav
from commonhold.files.entry import Conditions, Entry
from commonhold.files.ifheader import holds
from commonhold.files.locks import Change, How, Lock, Locks, Place, place
from commonhold.names import ShareName, SharePath

_SEAL = object()


@final
class Cleared:
    """Proof that these paths may be changed in these ways, as long as it lasts."""

    __slots__ = ("_paths", "over")

    def __init__(self, seal: object, *paths: tuple[SharePath, How]) -> None:
        """Without paths: any new name, whatever is locked."""
        if seal is not _SEAL:
            raise TypeError("only a clearance clears")
        self._paths = paths
        self.over = False

    def require(self, path: SharePath, how: How) -> None:
        """Raise Refused unless it is for this."""
        if self.over or not ((path, how) in self._paths or (not self._paths and how is How.COMES)):
            raise Refused(f"“{path}” was not cleared for a change.")


class Clearance:
    """Of one share. `look(path)` tells what is there; it raises nothing."""

    def __init__(self, door: Door, folder: Path, locks: Locks, look: Callable[[SharePath], Entry | None]) -> None:
        self._door, self._folder = door, folder
        self._locks, self._look = locks, look

    @contextmanager
    def changing(
        self,
        permit: Permit,
        conditions: Conditions,
        current: Entry | None,
        *paths: tuple[SharePath, How],
        also: Clearance | None = None,
    ) -> Iterator[Cleared]:
        """Inside, these paths may be changed in these ways. What goes takes its locks with it, when nothing is raised.

        `current` is what is at the permit's path; conditions may speak of what is in the share of `also`, too. Raises
        Changed when a condition fails, Locked.
        """
        self.require(permit, conditions, current, also)
        change = self._begin(permit, conditions, paths)
        cleared, done = Cleared(_SEAL, *paths), False
        try:
            yield cleared
            done = True
        finally:
            cleared.over = True
            self._locks.end(change, done=done)

    def foresee(self, permit: Permit, conditions: Conditions) -> None:
        """Raise what a write at the permit's path would raise now, before its bytes come."""
        self.require(permit, conditions, self._look(permit.path))
        self._locks.end(self._begin(permit, conditions, ((permit.path, How.CHANGES),)), done=False)

    def _begin(self, permit: Permit, conditions: Conditions, paths: tuple[tuple[SharePath, How], ...]) -> Change:
        places: tuple[tuple[Place, How], ...] = tuple((place(self._folder, path), how) for path, how in paths)
        change = Change(holder_of(permit.subject), conditions.tokens, places)
        if (lock := self._locks.begin(change)) is not None:
            raise self.locked(lock)
        return change

    def unseen(self, conditions: Conditions) -> Cleared:
        """For whoever must not learn what is there, and so not what is locked: a new name, as in an empty folder."""
        conditions.require(None)
        if conditions.lists and not holds(conditions.lists, lambda _: None, lambda _, __: False):
            raise _failed()
        return Cleared(_SEAL)

    def require(
        self, permit: Permit, conditions: Conditions, current: Entry | None, also: Clearance | None = None
    ) -> None:
        """Raise Changed unless the conditions hold of `current`, which is at the permit's path; as `changing`."""
        conditions.require(current)
        if not conditions.lists:
            return
        asking = holder_of(permit.subject)

        def found(about: str | None) -> tuple[Clearance, SharePath | None]:
            if about is None:
                return self, permit.path
            path = self._path(about)
            return (also, also._path(about)) if path is None and also else (self, path)

        def etag_of(about: str | None) -> str | None:
            where, path = found(about)
            here = where is self and path == permit.path
            there = current if here else where._look(path) if path else None
            return there.etag if there else None

        def locked(about: str | None, token: str) -> bool:
            (where, path), lock = found(about), self._locks.find(token)
            return path is not None and lock is not None and lock.holder == asking and lock in where.over(path)

        if not holds(conditions.lists, etag_of, locked):
            raise _failed()

    def over(self, path: SharePath) -> list[Lock]:
        """The locks that hold for what is at that path."""
        return self._locks.over(place(self._folder, path))

    def root(self, lock: Lock) -> SharePath:
        """Where the lock was made, as this share calls it; the share itself where that is above it."""
        if lock.share == self._door.id:
            return SharePath.parse(lock.path)
        here = place(self._folder, SharePath())
        return SharePath(lock.at[len(here) :]) if lock.at[: len(here)] == here else SharePath()

    def locked(self, lock: Lock) -> Locked:
        """What somebody hears whom this lock is in the way of."""
        path = self.root(lock)
        return Locked(
            f"“{path if path.parts else self._door.name}” in {self._door.name} is locked by {lock.name}"
            f" until {lock.until:%Y-%m-%d %H:%M} UTC; nothing was done.",
            "close it in the program that holds it, or wait until then",
            share=self._door.name,
            path=str(path),
        )

    def _path(self, about: str) -> SharePath | None:
        """What an address in the If header names, if it is in this share: whoever asks here knows of nothing else."""
        try:
            name, path = webdav.target(_local(about))
            return path if ShareName(name).casefold() == self._door.name.casefold() else None
        except WrongUsage:
            return None


def holder_of(subject: Subject) -> str:
    """Whose locks somebody holds: those of their person, at whichever computer. Under a pass nobody has any."""
    if subject.pass_id:
        return ""
    return holder(subject.person) if subject.person else f"computer {subject.computer}"


def holder(person: str) -> str:
    return f"person {person}"


def _local(address: str) -> str:
    """The path of an address, of whichever host: it was reached under several names, perhaps."""
    if address.startswith("/"):
        return address
    _, _, rest = address.partition("://")
    return "/" + rest.partition("/")[2]


def _failed() -> Changed:
    return Changed("It is not, or not locked, as the request demands; nothing was done.", "look again, then repeat")
