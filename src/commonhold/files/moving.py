"""MOVE within one disk: a rename, also from one share into another, and what it needs to be sure of.

Both ends are walked by handles, as everything in a share; the name at the target changes in one step, whatever had it.
Everything here blocks (disk).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from commonhold.authority.authority import Permit, Verb
from commonhold.errors import CommonholdError, Refused
from commonhold.files.clearance import Clearance
from commonhold.files.disk import explained, sync_folder
from commonhold.files.entry import NONE, Conditions, Entry, Placed
from commonhold.files.ground import Ground, entry_of, name_locks, require
from commonhold.files.locks import How
from commonhold.files.placing import Arrival, Made, Placing
from commonhold.files.properties import Properties
from commonhold.names import SharePath


class OtherDisk(CommonholdError):
    """A rename can't bring it there: it must be copied, then deleted."""


class End(NamedTuple):
    """Where a copy or move begins, or ends: a permit, and what opens its path."""

    permit: Permit
    ground: Ground
    placing: Placing
    clearance: Clearance
    properties: Properties

    @property
    def path(self) -> SharePath:
        return self.permit.path

    @property
    def door(self) -> str:
        return self.permit.door.id


class Wish(NamedTuple):
    """How to copy or move.

    `conditions` are those of the request. Not `whole`: of a folder only itself. `unseen`: as in `Share.write`, of the
    target.
    """

    conditions: Conditions = NONE
    overwrite: bool = True
    whole: bool = True
    unseen: bool = False

    @property
    def at_target(self) -> Conditions:
        """What it demands there by itself: to hold the locks. All else is judged where it begins."""
        return Conditions(tokens=self.conditions.tokens)


class Brought(NamedTuple):
    """What was copied or moved, and whether its name is new.

    `placed`: where it really lies, then what was copied in it; `made`: the folders on the way; both for the ledger.
    `failed` says of each thing in a copied folder that could not be read why it is not in the copy.
    """

    entry: Entry
    created: bool
    placed: list[Placed]
    made: Made
    failed: list[tuple[SharePath, CommonholdError]]


def check(source: End, target: End) -> None:
    """Raise Refused where it would end in itself, or in place of what it lies in (RFC 4918, 9.8.5)."""
    if not target.path.parts:
        raise Refused(
            f"“{target.permit.door.name}” itself can't be replaced through the network.", "name a place in it"
        )
    here, there = source.ground.whereabouts(source.path), target.ground.whereabouts(target.path)
    if here == there:
        raise Refused(f"“{source.path}” is there already.", "choose another name")
    if there[: len(here)] == here:
        raise Refused(f"“{source.path}” can't be put into itself.", "choose another place")
    if here[: len(there)] == there:
        raise Refused(f"“{source.path}” can't take the place of the folder it lies in.", "choose another place")


def move(source: End, target: End, wish: Wish) -> Brought:
    """Give what lies at the source the target's path; on the disk when this returns.

    Raises OtherDisk when only a copy can bring it there, Changed when it may not `overwrite` or a condition fails,
    Conflict without a folder to put it in, and what the disk answers.
    """
    path, to = source.path, target.path
    if not path.parts:
        raise Refused(f"“{source.permit.door.name}” itself can't be moved through the network.", "its owner can do so")
    check(source, target)
    with explained(path, source.permit.door.name), source.ground.parent(path) as folder:
        if wish.unseen:
            return _drop(source, folder, target, wish)
        with target.ground.parent(to, creating=True) as into:
            with (
                name_locks((folder, path.name), (into, to.name)),
                _leaving(source, folder, target, wish) as (name, status),
            ):
                how = _arrival(source, target, wish)
                source.properties.moving(str(path), target.properties, str(to))
                created = target.placing.move_in(folder, name, into, target.permit, wish.at_target, how)
            sync_folder(into)
            sync_folder(folder)
            source.properties.moved(str(path))
            return Brought(entry_of(str(to), status), created, [_placed(to, status)], [], [])


def _drop(source: End, folder: int, target: End, wish: Wish) -> Brought:
    made: Made = []
    with name_locks((folder, source.path.name)), _leaving(source, folder, target, wish) as (name, status):
        at = target.placing.drop_in(folder, name, target.permit, _arrival(source, target, wish), made)
    sync_folder(folder)
    source.properties.moving(str(source.path), target.properties, str(at))
    source.properties.moved(str(source.path))
    return Brought(entry_of(str(target.path), status), True, [_placed(at, status)], made, [])


def _arrival(source: End, target: End, wish: Wish) -> Arrival:
    """Within a share its history goes along; to another one it goes alone, and may be taken back."""
    if source.door == target.door:
        return Arrival(wish.overwrite, temporary=False, moved_from=source.path)
    return Arrival(wish.overwrite, temporary=False, origin=source.placing.origin(source.path))


@contextmanager
def _leaving(source: End, folder: int, target: End, wish: Wish) -> Iterator[tuple[str, os.stat_result]]:
    """Inside, what is at the source may go: all is as demanded, and whoever asks may still do so."""
    path = source.path
    name, status = require(folder, path.name)
    what = source.permit, wish.conditions, entry_of(str(path), status), (path, How.GOES)
    with source.clearance.changing(*what, also=target.clearance) as cleared:
        source.permit.require(Verb.WRITE, source.door)
        cleared.require(path, How.GOES)
        with _renaming():
            yield name, status


@contextmanager
def _renaming() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise OtherDisk("It lies on another disk.") from error
        raise


def _placed(at: SharePath, status: os.stat_result) -> Placed:
    return Placed(str(at), 0 if stat.S_ISDIR(status.st_mode) else status.st_size, str(status.st_ino))
