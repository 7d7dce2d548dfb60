"""The folders that this computer offers, under which names; and the folders of jobs, while they run."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shlex
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from commonhold.authority.authority import Door
from commonhold.errors import CommonholdError, Conflict, NotFound, WrongUsage
from commonhold.files.catalogue import Catalogue
from commonhold.files.entry import Placed
from commonhold.files.locks import Locks
from commonhold.files.share import Share
from commonhold.names import HIDDEN, JOB_SHARE, PersonId, ShareName, SharePath

PRUNE_EVERY = 5.0  # seconds between looks whether something is due
TABLE = """CREATE TABLE IF NOT EXISTS shares (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, folder TEXT NOT NULL
) STRICT"""


class Shares:
    """All shares of this computer, kept in `connection`; its doors belong to `owner`.

    Names are compared without regard to case, in NFC. A share whose folder vanished stays listed
    (`Share.missing`), since a disk may come back.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        owner: PersonId,
        home: Path,
        catalogue: Catalogue,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`home` is where Commonhold keeps its own state: never offered, nor is a folder that contains it.

        `now` says when locks end.
        """
        self.catalogue = catalogue
        self.locks = Locks(catalogue, now)
        self.owner = owner
        self.on_withdrawn: list[Callable[[str], None]] = []  # called with the id of a door that is no more
        self.on_round: list[Callable[[], None]] = []  # called now and then, in a thread, to clear away what is over
        self._connection = connection
        self._home = home.resolve()
        self._jobs: dict[str, Share] = {}
        self._offered: dict[str, Share] = {}
        connection.execute(TABLE)
        for identity, name, folder in connection.execute("SELECT id, name, folder FROM shares ORDER BY folded"):
            door = Door("share", identity, name, owner)
            self._offered[name.casefold()] = Share(door, Path(folder), catalogue, self.locks)

    def offer(self, folder: Path, name: ShareName | None = None) -> Share:
        """Offer a folder, by default under its own name. A share of the same name in later years is another door.

        Raises NotFound, WrongUsage (no folder, or one that must not be seen), Conflict (name or folder is offered).
        Shares may lie inside one another: whoever may see the outer folder sees all that is in it.
        """
        folder = self._suitable(folder)
        chosen = ShareName(folder.name) if name is None else name
        for other in self._offered.values():
            if other.root == folder:
                raise Conflict(
                    f"{folder} is shared already, as {other.door.name}.",
                    f"let others use it with: commonhold allow WHO read {shlex.quote(other.door.name)}",
                )
        if chosen.casefold() in self._offered:
            raise Conflict(f"There is a share {chosen} already.", "choose another name with --name")
        share = Share(Door("share", secrets.token_hex(16), chosen, self.owner), folder, self.catalogue, self.locks)
        row = (share.door.id, str(chosen), chosen.casefold(), str(folder))
        self._connection.execute("INSERT INTO shares (id, name, folded, folder) VALUES (?, ?, ?, ?)", row)
        self._offered[chosen.casefold()] = share
        return share

    def withdraw(self, name: str) -> Share:
        """Offer it no longer; the files stay. Returns what it was, so that its rules can go too. Raises NotFound."""
        share = self._offered.get(name.casefold())
        if share is None:
            raise NotFound(f"There is no share {name}.", "see the shares with: commonhold status")
        self._connection.execute("DELETE FROM shares WHERE id = ?", (share.door.id,))
        del self._offered[name.casefold()]
        self._gone(share)
        return share

    def find(self, name: str) -> Share | None:
        """The share or job folder of that name (in NFC, as `webdav.target` gives it)."""
        return self._jobs.get(name) or self._offered.get(name.casefold())

    def weigh(self, door_id: str, path: str) -> Placed | None:
        """What lies at that path of that door; None when nothing does, or no such door is there. As `Share.weigh`."""
        here = itertools.chain(self._offered.copy().values(), self._jobs.copy().values())  # asked from threads, too
        share = next((each for each in here if each.door.id == door_id), None)
        return share.weigh(SharePath.parse(path)) if share is not None else None

    def door(self, name: str) -> Door:
        """The door to ask at before anything is looked for; of one that does not exist no rule speaks (it has no id).

        It is called as it was typed: the share's own spelling in a refusal would tell that there is one.
        """
        share = self.find(name)
        if share is not None:
            return replace(share.door, name=name)
        return Door("job" if JOB_SHARE.fullmatch(name) else "share", "", name, self.owner)

    def all(self) -> list[Share]:
        """The shares by name, without the folders of jobs."""
        return [self._offered[folded] for folded in sorted(self._offered)]

    async def keep_pruned(self) -> None:
        """Let go what is too old or too much, as long as the node runs; no versions of a disk that is away."""
        while True:
            for sweep in self.on_round:
                with suppress(CommonholdError, OSError, sqlite3.Error):
                    await asyncio.to_thread(sweep)
            for share in self.all():
                with suppress(CommonholdError, OSError, sqlite3.Error):
                    if share.pruning and share.pruning.due():
                        await asyncio.to_thread(share.pruning.prune)
            await asyncio.sleep(PRUNE_EVERY)

    def add_job(self, name: str, folder: Path, door: Door) -> Share:
        """Open the folder of a job under its name (`.job-N`) until `drop_job` or the end of the process."""
        if not JOB_SHARE.fullmatch(name) or door.kind != "job":
            raise WrongUsage(f"{name} is no name for the folder of a job.")
        self._jobs[name] = Share(door, folder, self.catalogue, self.locks)
        return self._jobs[name]

    def drop_job(self, name: str) -> None:
        if (share := self._jobs.pop(name, None)) is not None:
            self._gone(share)

    def _gone(self, share: Share) -> None:
        share.forget()
        self.locks.forget(lambda lock: lock.share == share.door.id)
        for callback in self.on_withdrawn:
            callback(share.door.id)

    def _suitable(self, folder: Path) -> Path:
        try:
            folder = folder.expanduser().resolve(strict=True)
            str(folder).encode()
        except FileNotFoundError:
            raise NotFound(f"There is no folder {folder} on this computer.", "make it first") from None
        except (OSError, RuntimeError, UnicodeEncodeError) as error:
            raise WrongUsage(f"{folder!r} can't be shared: {error}.", "name a folder") from error
        if not folder.is_dir():
            raise WrongUsage(f"{folder} is no folder.", "name the folder that the file lies in")
        if folder.is_relative_to(self._home) or self._home.is_relative_to(folder):
            raise WrongUsage(
                f"{folder} can't be shared: Commonhold keeps its own keys and state in {self._home}.",
                "share a folder beside it",
            )
        if any(part.casefold() == HIDDEN for part in folder.parts):
            raise WrongUsage(f"{folder} belongs to Commonhold itself.", "share another folder")
        return folder
