"""The dead properties of a share, changed and told with the rights, conditions and locks of every other change."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from commonhold.authority.authority import Door, Permit, Verb
from commonhold.files.clearance import Clearance
from commonhold.files.disk import explained
from commonhold.files.entry import Conditions
from commonhold.files.ground import FILE, Ground, entry_of, name_lock, require
from commonhold.files.identity import identity
from commonhold.files.locks import How
from commonhold.files.properties import Properties, Setting, Told
from commonhold.names import SharePath, spelled


class Describing:
    """Of one share."""

    def __init__(self, door: Door, ground: Ground, clearance: Clearance, properties: Properties) -> None:
        self._door, self._ground, self._clearance, self._properties = door, ground, clearance, properties

    def change(
        self, permit: Permit, changes: Sequence[Setting], conditions: Conditions, modified: datetime | None
    ) -> None:
        """All changes, or none; `modified` becomes the time of the file's last change. Raises NotFound, Changed,

        Locked, and NoSpace (as Properties.change).
        """
        permit.require(Verb.WRITE, self._door.id)
        path = permit.path
        where = explained(path if path.parts else self._door.name, self._door.name)
        with where, self._ground.parent(path) as folder, name_lock(folder, path.name or "."):
            name, status = require(folder, path.name) if path.parts else (".", os.fstat(folder))
            entry = entry_of(str(path), status)
            with self._clearance.changing(permit, conditions, entry, (path, How.CHANGES)) as cleared:
                cleared.require(path, How.CHANGES)
                what = str(path), identity(folder, name), changes
                self._properties.change(*what, lambda: _set_time(folder, name, modified))

    def told(self, permit: Permit) -> Told:
        """Those of the permit's file or folder."""
        permit.require(Verb.LIST, self._door.id)
        found: dict[str, Told] = {}
        top = permit.path.name
        if self._properties.some:
            kept = self._properties.inside(str(permit.path.parent) if top else "", [top])
            with suppress(OSError), self._ground.parent(permit.path) as above:
                self._pick(above, top or ".", kept.get(spelled(top), {}), found)
        return found.get(top or ".", {})

    def told_inside(self, permit: Permit, names: Sequence[str]) -> Mapping[str, Told]:
        """By name, those of what has these names in the permit's folder; only where there are any."""
        permit.require(Verb.LIST, self._door.id)
        found: dict[str, Told] = {}
        if self._properties.some and (kept := self._properties.inside(str(permit.path), names)):
            with suppress(OSError), self._ground.folder(permit.path) as folder:
                for name in names:
                    self._pick(folder, name, kept.get(spelled(name), {}), found)
        return found

    @staticmethod
    def _pick(folder: int, name: str, kept: Mapping[str, Told], into: dict[str, Told]) -> None:
        """Those of the very file that has the name now."""
        with suppress(OSError):
            if kept and (given := kept.get(identity(folder, name))):
                into[name] = given


def alive(ground: Ground, path: str, known: str) -> bool:
    """Whether that very file lies there."""
    at = SharePath.parse(path)
    with suppress(Exception), ground.parent(at) as folder:
        return identity(folder, require(folder, at.name)[0] if at.parts else ".") == known
    return False


def _set_time(folder: int, name: str, moment: datetime | None) -> None:
    if moment is not None:
        handle = os.open(name, FILE, dir_fd=folder)
        try:
            ns = int(moment.timestamp()) * 10**9
            os.utime(handle, ns=(ns, ns))
        finally:
            os.close(handle)
