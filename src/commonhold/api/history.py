"""What files were before, and going back. Asked of the computer that shares them, beside its WebDAV:

GET    /history/SHARE/PATH   what is kept, as Versions (to read)
POST   /history/SHARE/PATH   {version?, at?, to?}: bring it back (to write)
PATCH  /history/SHARE        {days?, bytes?}: the HistoryPolicy, said anew or "default" (the owner); else told
DELETE /history/SHARE/PATH   erase what is kept there and below (the owner)
POST   /undo/SHARE/PATH      {person?, since?, dry_run}: take back, as Undones (to write; of others the owner)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar

from msgspec.structs import replace

from commonhold.api.files import Files
from commonhold.errors import CommonholdError, Refused, WrongUsage
from commonhold.files import webdav
from commonhold.files.past import HistoryPolicy, Undone, Version
from commonhold.names import RemotePath, folded
from commonhold.wire import convert

T = TypeVar("T")
Default: TypeAlias = Literal["default"]
ROOT = "/history/"


class History(Files):
    """`COMPUTER:SHARE/PATH` says of what."""

    def history(self, where: str) -> list[Version]:
        """What was overwritten or deleted there, and below, newest first; under former names, too."""
        return self._history("GET", where, answer=list[Version])

    def restore(
        self, where: str, at: datetime | None = None, version: str | None = None, to: str | None = None
    ) -> Version:
        """Bring back what was there at that time, or that version, or the newest; what is there now is kept in turn.

        `to` is another path of the same share to bring it back to. Raises NotFound, Conflict.
        """
        if at is not None and version is not None:
            raise WrongUsage("A time and a version are two ways to say which.", "give one of them")
        inside = None if to is None else _inside(where, to)
        return self._history("POST", where, {"version": version, "at": at, "to": inside}, answer=Version)

    def undo(
        self, person: str | None = None, since: datetime | None = None, where: str = "", dry_run: bool = False
    ) -> list[Undone]:
        """Take back what a person (you, unless told) did through the network since then, newest first.

        Without `since` it is the last thing done. `where` narrows it to a computer, a share or a folder; else all
        computers are asked that answer. What somebody has changed again since is left, and told.
        """
        places = self._places(where)
        if since is None:
            last = max(self._undo_each(places, person, None, True), key=lambda each: each.when, default=None)
            if last is None:
                return []
            since = last.when
        return self._undo_each(places, person, since, dry_run)

    def history_policy(
        self, where: str, days: int | Default | None = None, size: int | Default | None = None
    ) -> HistoryPolicy:
        """How long a share keeps its history, in days, and in how many bytes at most; said anew where one is given.

        "default" is 30 days, and a tenth of the disk.
        """
        body = None if days is None and size is None else {"days": days, "bytes": size}
        return self._history("PATCH", where, body, answer=HistoryPolicy)

    def forget(self, where: str) -> HistoryPolicy:
        """Erase for good what was overwritten or deleted there, and below: the owner's right."""
        return self._history("DELETE", where, answer=HistoryPolicy)

    def _places(self, where: str) -> Sequence[str]:
        if where and RemotePath.parse(where).share:
            return [where]
        computers = [where.removesuffix(":")] if where else [m.computer for m in self.members()]
        found = []
        for computer in computers:
            try:
                found += [f"{computer}:{entry.path}" for entry in self.ls(f"{computer}:")]
            except CommonholdError:  # asleep, or a client, or closed to us: of those nothing can be undone
                if where:
                    raise
        return found

    def _undo_each(
        self, places: Sequence[str], person: str | None, since: datetime | None, dry_run: bool
    ) -> list[Undone]:
        """Of several shares those that refuse are passed by, unless all do: there was nothing of ours to take back."""
        changes, refused = [], []
        for place in places:
            try:
                changes += self._undo(place, person, since, dry_run)
            except Refused as refusal:
                refused.append(refusal)
        if refused and len(refused) == len(places):
            raise refused[0]
        return changes

    def _undo(self, where: str, person: str | None, since: datetime | None, dry_run: bool) -> list[Undone]:
        body = {"person": person, "since": since, "dry_run": dry_run}
        changes = self._history("POST", where, body, root="/undo/", answer=list[Undone])
        return [replace(each, computer=RemotePath.parse(where).computer) for each in changes]

    def _history(self, method: str, where: str, body: object = None, root: str = ROOT, *, answer: type[T]) -> T:
        return convert(self._loop.run(self._ask_history(method, where, body, root)), answer)

    async def _ask_history(self, method: str, where: str, body: object, root: str) -> Any:
        target = RemotePath.parse(where)
        if not target.share:
            raise WrongUsage("A history is that of a share, or of something in it.", "write COMPUTER:SHARE/PATH")
        address = webdav.href(target.share, str(target.path), root=root)
        return await self._caller.ask(await self._peer(target.computer), method, address, body)


def _inside(where: str, to: str) -> str:
    """A path in the share of `where`, given as such or in full. Raises WrongUsage for one of another share."""
    if ":" not in to.partition("/")[0]:
        return to
    there, goal = RemotePath.parse(where), RemotePath.parse(to)
    if [*map(folded, (there.computer, there.share))] != [*map(folded, (goal.computer, goal.share))]:
        raise WrongUsage(
            f"What comes back stays in its share, and “{to}” is not in {there.computer}:{there.share}.",
            "restore it there, and copy it with: commonhold cp",
        )
    return str(goal.path)
