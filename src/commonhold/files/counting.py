"""How many files lie in the shares of this computer, and how many bytes; those of a share within another once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from commonhold.authority.authority import Permit
from commonhold.errors import CommonholdError
from commonhold.files.share import Share
from commonhold.names import SharePath

MOST = 1_000_000  # files that are counted
TOGETHER = 200  # folders that are looked into before permits are asked for anew


class Ahead(NamedTuple):
    """A folder that is still to be looked into, and the ids of the shares around it."""

    share: Share
    path: SharePath
    within: frozenset[str]


class Counting:
    """Goes through all that could be opened through these shares: `ahead` says what comes next, `look` looks there.

    `files` and `bytes` are by the ids of all shares in which they lie; `troubles` are sentences about what could not
    be counted.
    """

    def __init__(self, shares: Sequence[Share]) -> None:
        self.files: Counter[frozenset[str]] = Counter()
        self.bytes: Counter[frozenset[str]] = Counter()
        self.troubles = [f"The folder of {each.door.name} is not there." for each in shares if each.missing]
        present = [share for share in shares if not share.missing]
        self._roots = {str(share.root): share.door.id for share in present}
        self._met: set[str] = set()
        self._shares = sorted(present, key=lambda each: len(each.root.parts), reverse=True)  # the outermost last
        self._ahead: list[Ahead] = []

    def ahead(self) -> list[Ahead]:
        """Some folders to look into next; none when all is counted."""
        while not self._ahead and self._shares:
            # A share within another was met on the way, unless it is another disk's.
            if (share := self._shares.pop()).door.id not in self._met:
                self._ahead.append(Ahead(share, SharePath(), frozenset()))
        taken, self._ahead = self._ahead[-TOGETHER:], self._ahead[:-TOGETHER]
        return taken

    def look(self, folders: Sequence[tuple[Ahead, Permit]]) -> None:
        """Blocks (disk)."""
        for folder, permit in folders:
            try:
                self._look(folder, permit)
            except CommonholdError as error:
                self.troubles.append(error.sentence)
        if self.files.total() >= MOST and (self._ahead or self._shares):
            self.troubles.append(f"There are more than {MOST:,} files here: some are not counted.")
            self._ahead, self._shares = [], []

    def _look(self, folder: Ahead, permit: Permit) -> None:
        share, path, within = folder
        here = self._roots.get(str(share.root.joinpath(*path.parts)))
        within |= {here} if here else set()
        for seen in share.list(permit):
            self.files[within] += len(seen.files)
            self.bytes[within] += sum(status.st_size for status in seen.files.values())
            self._ahead += [Ahead(share, path / name, within) for name in seen.folders]
        self._met |= {here} if here else set()
