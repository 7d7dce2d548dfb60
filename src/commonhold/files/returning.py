"""Going back: what is kept of a share's names is told, gets its name again, or is erased for good.

What comes back is renamed out of `.commonhold/versions`; what has the name then is kept in its turn. Everything here
blocks, and raises what a share raises.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from commonhold.authority.authority import Door, Permit, Subject, Verb
from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.files.clearance import Clearance
from commonhold.files.disk import explained, sync_folder
from commonhold.files.entry import Conditions, Entry, Placed
from commonhold.files.ground import Ground, entry_of, look, name_lock
from commonhold.files.locks import How
from commonhold.files.past import Version
from commonhold.files.pruning import Pruning
from commonhold.files.renaming import rename_new
from commonhold.files.retiring import Found, Retiring
from commonhold.files.versions import Deed, Versions, mark
from commonhold.names import SharePath

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
TICK = 50_000_000  # nanoseconds: a disk's clock may be so far behind ours
MOST = 1000  # versions that one answer tells of, the newest


@dataclass
class Foresight:
    """What has been taken back already, or would have been: what is at which path then, and what is kept besides."""

    there: dict[str, str] = field(default_factory=dict)  # path -> `mark`
    kept: set[str] = field(default_factory=set)
    moves: list[tuple[str, str]] = field(default_factory=list)  # (to where it goes back, where it is)
    left: set[str] = field(default_factory=set)  # where something was that goes back to another share

    def now(self, path: str) -> str:
        """Where that lies at the moment."""
        for old, at in reversed(self.moves):
            if path == old or path.startswith(f"{old}/"):
                path = at + path[len(old) :]
        return path

    def goes_back(self, row: Deed, at: str, there: str) -> None:
        """What was moved, and is `there`."""
        self.there[at] = ""
        if row.origin:
            self.left.add(at)
        else:
            self.there[row.path] = there
            self.moves.append((row.path, at))

    def comes_into(self, folder: str) -> bool:
        return any(there and path.startswith(f"{folder}/") for path, there in self.there.items())


class Returning:
    """Of one share that keeps what had a name."""

    def __init__(
        self, door: Door, ground: Ground, clearance: Clearance, retiring: Retiring, versions: Versions, pruning: Pruning
    ) -> None:
        self._door, self._ground, self._clearance = door, ground, clearance
        self._retiring, self.versions, self._pruning = retiring, versions, pruning

    # -- what there was

    def history(self, permit: Permit) -> list[Version]:
        """What was overwritten or deleted at the permit's path and below, newest first; under former names, too."""
        permit.require(Verb.READ, self._door.id)
        return [told(row) for row in self._kept(permit.path)]

    def choose(self, permit: Permit, version: str | None, at: datetime | None) -> tuple[Deed, SharePath]:
        """A version of what is at the permit's path, and where it is to come back to. Raises NotFound.

        That of this id; or what was there at that time; or else the newest.
        """
        permit.require(Verb.WRITE, self._door.id)
        rows = self._kept(permit.path)
        below = {row.id for row in rows if row.path not in self._names(permit.path)}
        if version is not None:
            row = next((each for each in rows if each.id == version), None)
        else:
            own = [each for each in rows if each.id not in below]
            if at is not None:
                own = [each for each in own if each.when > at][-1:]  # the first that went after that time
            row = own[0] if own else None
        if row is None:
            raise NotFound(
                f"Nothing is kept of “{str(permit.path) or self._door.name}” that could come back.",
                "see what is kept with: commonhold history COMPUTER:SHARE/PATH",
            )
        return row, SharePath.parse(row.path) if row.id in below else permit.path

    def _kept(self, path: SharePath) -> list[Deed]:
        rows: dict[str, Deed] = {}
        for name, until in self._names(path).items():
            which, values = _at_and_below(name)
            found = self.versions.find(f"kept AND settled AND number < ? AND ({which})", until, *values)
            rows |= {row.id: row for row in found}
        return sorted(rows.values(), reverse=True)[:MOST]

    def _names(self, path: SharePath) -> dict[str, int]:
        """What the path was called before, each with the number of the move that ended that; itself without end."""
        names, waiting = {str(path): 2**62}, [(str(path), 2**62)]
        while waiting:
            name, until = waiting.pop()
            parts = name.split("/")
            for length in range(1, len(parts) + 1):
                above = "/".join(parts[:length])
                which = "why = 'moved' AND origin = '' AND moved_to = ? AND number < ?"
                for row in self.versions.find(which, above, until):
                    former = "/".join((row.path, *parts[length:]))
                    if former not in names:
                        names[former] = row.number
                        waiting.append((former, row.number))
        return names

    def weigh(self, row: Deed, path: SharePath) -> list[Placed]:
        """What will lie at that path and below when it is back, for whoever keeps count of it."""
        with self._retiring.store() as store:
            try:
                top = os.stat(row.id, dir_fd=store, follow_symlinks=False)
            except FileNotFoundError:
                return []
            placed = [_placed(str(path), top)]
            if stat.S_ISDIR(top.st_mode):
                for at, folders, files, handle in os.fwalk(row.id, dir_fd=store, follow_symlinks=False):
                    below = "/".join(filter(None, (str(path), at[len(row.id) + 1 :])))
                    for name in (*folders, *files):
                        with suppress(OSError):
                            status = os.stat(name, dir_fd=handle, follow_symlinks=False)
                            placed.append(_placed(f"{below}/{name}", status))
            return placed

    def weigh_back(self, row: Deed, path: SharePath) -> list[Placed]:
        """As `weigh`, when that deed is undone."""
        source = self._source(row) if row.why != "created" else None
        return self.weigh(source, path) if source else []

    # -- going back

    def restore(self, permit: Permit, row: Deed, conditions: Conditions) -> Entry:
        """That version is what has the name at the permit's path, and on the disk; what had it is kept in turn.

        Raises Conflict when there is no folder for it, Changed, Locked, and NotFound when the version is gone.
        """
        permit.require(Verb.WRITE, self._door.id)
        path = permit.path
        if not path.parts:
            raise Conflict(f"“{self._door.name}” is the share itself.", "name a file or folder in it")
        with (
            explained(path, self._door.name),
            self._retiring.store() as store,
            self._ground.parent(path, creating=True) as folder,
            name_lock(folder, path.name),
        ):
            if look(store, row.id) is None:
                raise NotFound(f"That version of “{path}” is not kept any more.", "look again with: commonhold history")
            before = look(folder, path.name)
            current = entry_of(str(path), before[1]) if before else None
            replaces = current is not None and (bool(row.folder) or current.kind == "folder")
            hows = (How.GOES, How.COMES) if replaces else (How.CHANGES,) if before else (How.COMES,)
            with self._clearance.changing(permit, conditions, current, *((path, how) for how in hows)) as cleared:
                for how in hows:
                    cleared.require(path, how)
                permit.require(Verb.WRITE, self._door.id)
                name = self._name(store, row, folder, before, permit)
            sync_folder(folder)
            sync_folder(store)
            return entry_of(str(path), os.stat(name, dir_fd=folder, follow_symlinks=False))

    def _name(self, store: int, row: Deed, folder: int, before: Found | None, permit: Permit) -> str:
        self.versions.open_again(row.id)
        if before is None:
            rename_new(store, row.id, folder, permit.path.name)
            status = os.stat(permit.path.name, dir_fd=folder, follow_symlinks=False)
            self._retiring.made(permit.path, status, permit.subject)
        else:
            if not (stat.S_ISREG(before[1].st_mode) or stat.S_ISDIR(before[1].st_mode)):
                raise Conflict(f"“{permit.path}” is taken by something that is not shared.", "restore it elsewhere")
            self._retiring.replace(store, row.id, folder, before, permit, temporary=False)
        self.versions.taken(row.id)
        return before[0] if before else permit.path.name

    # -- undoing

    def deeds(self, person: str, since: datetime | None, path: SharePath, own: Subject | None) -> list[Deed]:
        """What was done since then at that path and below and is not undone yet, newest first.

        By `own`, or by whoever had that name; without a time only the last.
        """
        which, values = _at_and_below(str(path))
        who, by = "name = ? COLLATE NOCASE", person
        if own is not None:
            who, by = ("person = ?", str(own.person)) if own.person else ("computer = ?", own.computer_name)
        start = (since - BEGINNING) // timedelta(microseconds=1) * 1000 if since else 0
        start = min(max(start, 0), 2**63 - 1)
        rows = self.versions.find(f"({which}) AND {who} AND at >= ? AND NOT undone AND settled", *values, by, start)
        rows.reverse()
        return rows if since else rows[:1]

    def trouble(self, row: Deed, foreseen: Foresight) -> str:
        """Why this can't be taken back, when what is foreseen has been; empty when it can, and then that is, too."""
        at = row.moved_to or row.path
        there = self._mark(at, foreseen)
        if there != row.after and (there or not self._moved_back(row, foreseen)):
            return "something else is there since"
        if row.why == "moved":
            if not row.origin and self._mark(row.path, foreseen):
                return "something else is where it was"
            foreseen.goes_back(row, at, there)
            return ""
        if row.why == "created" and row.folder and self._came_in(row, foreseen):
            return "something is in it"
        if row.why != "created" and row.was not in foreseen.kept and self._source(row) is None:
            return "what was there is not kept any more"
        foreseen.kept.add(there)
        foreseen.there[row.path] = "" if row.why == "created" else row.was
        return ""

    def _mark(self, path: str, foreseen: Foresight) -> str:
        there = foreseen.there.get(path)
        return mark(self._ground.there(SharePath.parse(foreseen.now(path)))) if there is None else there

    def _moved_back(self, row: Deed, foreseen: Foresight) -> bool:
        """Whether what took the place of this has been moved back to where it came from, and left the name free."""
        if row.path in foreseen.left or any(at == row.path for _, at in foreseen.moves):
            return True
        gone = "undone AND number > ? AND (moved_to = ? OR path = ? AND origin <> '')"
        return bool(self.versions.find(gone, row.number, row.path, row.path))

    def _source(self, row: Deed) -> Deed | None:
        """The version that holds what went then: it may have come back since, and gone again."""
        if row.kept:
            return row
        alike = self.versions.find(
            "kept AND settled AND inode = ? AND (folder OR modified = ?)", row.inode, row.modified
        )
        return next((each for each in reversed(alike) if each.was == row.was), None)

    def undo(self, permit: Permit, row: Deed) -> tuple[str, Entry | None]:
        """Take it back, or say why not; and what has the name then. Raises Changed, Locked."""
        permit.require(Verb.WRITE, self._door.id)
        if reason := self.trouble(row, Foresight()):
            return reason, None
        there, source = self._ground.there(permit.path), self._source(row)
        etag = frozenset({entry_of("", there).etag}) if there else None
        conditions = Conditions(if_match=etag, if_none_match=None if there else frozenset({"*"}))
        with self.versions.undoing():
            back = self.restore(permit, source, conditions) if row.why != "created" and source else None
            if back is None:
                self._take_away(permit, conditions)
        self.versions.undone(row.id)
        return "", back

    def _take_away(self, permit: Permit, conditions: Conditions) -> None:
        path = permit.path
        with explained(path, self._door.name), self._ground.parent(path) as folder:
            with name_lock(folder, path.name):
                found = look(folder, path.name)
                entry = entry_of(str(path), found[1]) if found else None
                with self._clearance.changing(permit, conditions, entry, (path, How.GOES)) as cleared:
                    cleared.require(path, How.GOES)
                    if found:
                        self._retiring.retire(folder, found, permit)
            sync_folder(folder)

    def _came_in(self, row: Deed, foreseen: Foresight) -> bool:
        """Whether something came into the folder or changed after it had its name: what came as a whole goes so."""
        with self._holder(row, foreseen) as (handle, name):
            return foreseen.comes_into(row.path) or _newer_inside(handle, name, row, foreseen)

    @contextmanager
    def _holder(self, row: Deed, foreseen: Foresight) -> Iterator[tuple[int, str]]:
        """The open folder that the folder of this row lies in, and under which name: it may only be foreseen there."""
        if foreseen.there.get(row.path) and (source := self.versions.find("kept AND inode = ?", row.inode)):
            with self._retiring.store() as store:
                yield store, source[-1].id
        else:
            with self._ground.parent(path := SharePath.parse(foreseen.now(row.path))) as folder:
                found = look(folder, path.name)
                yield folder, found[0] if found else path.name

    # -- for good

    def figures(self) -> tuple[int, int, int]:
        """-> (how many bytes may be kept, how many are, of how many versions)."""
        return self._pruning.figures()

    def erase(self, path: SharePath) -> int:
        """Nothing is kept any more of what was there and below; how many versions that were. For the owner."""
        rows = self._kept(path)
        count = 0
        while rows:
            self._pruning.erase({row.id for row in rows})
            count += len(rows)
            rows = self._kept(path)
        return count


def told(row: Deed) -> Version:
    modified = datetime.fromtimestamp(row.modified / 10**9, row.when.tzinfo)
    kind: Literal["file", "folder"] = "folder" if row.folder else "file"
    return Version(row.id, row.path, kind, row.size or 0, modified, row.when, row.why, row.name, row.computer)


def of(returning: Returning | None, name: str) -> Returning:
    """That of a share; the folder of a job keeps nothing. Raises WrongUsage."""
    if returning is None:
        raise WrongUsage(f"{name} is the folder of a job, and keeps no history.")
    return returning


def require_person(subject: Subject) -> None:
    """Under a pass a job acts, and nobody who could want something back. Raises Refused."""
    if subject.pass_id is not None:
        raise Refused("A job takes nothing back.", "its person can, with: commonhold undo")


def _at_and_below(path: str) -> tuple[str, tuple[str, ...]]:
    """As an SQL condition with its values."""
    if not path:
        return "1", ()
    return "path = ? OR (path > ? AND path < ?)", (path, f"{path}/", f"{path}0")


def _newer_inside(handle: int, name: str, row: Deed, foreseen: Foresight) -> bool:
    """Whether anything in the folder `name` changed after that deed, but for what is foreseen to be gone."""
    for at, folders, files, inside in os.fwalk(name, dir_fd=handle, follow_symlinks=False):
        above = f"{row.path}{at[len(name) :]}"
        gone = {each for each in (*folders, *files) if foreseen.there.get(f"{above}/{each}") == ""}
        folders[:] = [each for each in folders if each not in gone]
        for each in {*folders, *files} - gone:
            try:
                changed = os.stat(each, dir_fd=inside, follow_symlinks=False).st_ctime_ns
            except OSError:  # it goes at this moment
                return True
            if changed > row.at - TICK:
                return True
    return False


def _placed(path: str, status: os.stat_result) -> Placed:
    return Placed(path, 0 if stat.S_ISDIR(status.st_mode) else status.st_size, str(status.st_ino))
