"""What a copy counts and tells: how far it is, and at the end what became of everything."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from commonhold.errors import CommonholdError


class Progress(msgspec.Struct, frozen=True):
    """How far a copy is. The totals grow as folders are read."""

    done_files: int
    total_files: int
    done_bytes: int
    total_bytes: int
    current: str  # the file that moved last


class Report(msgspec.Struct, frozen=True):
    """What a copy did: files and bytes that arrived, and what failed as (path, sentence).

    `same`: files that were the same already. `kept`: (path, where it is now) of files of this computer that stay beside
    another version. `removed`: files and folders taken away at the target. `to_copy`, `to_delete`: what a
    dry run would do; then nothing was done. `folders`: those that were moved as a whole, by a new name.
    `links`, `devices`: paths of links, and of devices, pipes and sockets, which are never copied.
    `straight`: of `files`, those that went straight from one other computer to another, and not through this one.
    """

    files: int
    bytes: int
    failed: list[tuple[str, str]]
    same: int = 0
    kept: list[tuple[str, str]] = []
    removed: int = 0
    to_copy: list[str] = []
    to_delete: list[str] = []
    folders: int = 0
    links: list[str] = []
    devices: list[str] = []
    straight: int = 0


class Counts:
    """Counts for one command, and tells `tell`.

    `alone`: one thing was named, and its own failure is raised; `strict`: so is any, since that is a file.
    """

    def __init__(self, tell: Callable[[Progress], None] | None = None) -> None:
        self._tell = tell
        self.done_files = self.total_files = self.done_bytes = self.total_bytes = self.whole_bytes = 0
        self.same = self.removed = self.folders = self.straight = 0
        self.failed: list[tuple[str, str]] = []
        self.errors: dict[type[CommonholdError], CommonholdError] = {}  # the first of each kind
        self.kept: list[tuple[str, str]] = []
        self.to_copy: list[str] = []
        self.to_delete: list[str] = []
        self.links: list[str] = []
        self.devices: list[str] = []
        self.alone = self.strict = False

    def expect(self, files: int, size: int) -> None:
        self.total_files += files
        self.total_bytes += size
        self._say("")

    def moved(self, path: str) -> Callable[[int], None]:
        """What hears of the bytes of one file."""

        def move(count: int) -> None:
            self.done_bytes += count
            if count:
                self._say(path)

        return move

    def arrived(self, path: str, size: int) -> None:
        self.done_files += 1
        self.whole_bytes += size
        self._say(path)

    def found_same(self, size: int) -> None:
        """A file that was expected, and need not be copied."""
        self.same += 1
        self.total_files -= 1
        self.total_bytes -= size
        self._say("")

    def fail(self, path: str, error: CommonholdError) -> None:
        if self.strict:
            raise error
        self.failed.append((path, error.sentence))
        self.errors.setdefault(type(error), error)

    def leave_out(self, path: str, *, link: bool) -> None:
        """What is never copied."""
        (self.links if link else self.devices).append(path)

    def keep(self, path: str, kept: object) -> None:
        self.kept.append((path, str(kept)))

    def report(self) -> Report:
        return Report(
            self.done_files,
            self.whole_bytes,
            sorted(self.failed),
            self.same,
            sorted(self.kept),
            self.removed,
            sorted(self.to_copy),
            sorted(self.to_delete),
            self.folders,
            sorted(self.links),
            sorted(self.devices),
            self.straight,
        )

    def _say(self, current: str) -> None:
        if self._tell:
            self._tell(Progress(self.done_files, self.total_files, self.done_bytes, self.total_bytes, current))
