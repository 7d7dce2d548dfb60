"""Where a comparison is played: a town of this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from commonhold.errors import NoSpace
from commonhold.lab.comparing import Comparison
from commonhold.lab.people import BLOCK
from commonhold.lab.resident import Resident
from commonhold.lab.town import Caps, Town, Way
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.script import STORED
from commonhold.plan.trials.trial import Arrangement, Served


class InTown:
    """A town, with the files in it that people will look for."""

    def __init__(self, wanted: Comparison, arrangement: Arrangement, tell: Callable[[str], object]) -> None:
        said = wanted.circumstances
        caps = Caps(said.link, said.power, said.strength)
        way: Way = "loopback" if said.caps == "loopback" else "namespaces"
        self._town = Town(said.computers, caps, arrangement, tell=tell, lend=wanted.computes, owners=True, way=way)
        self._files = wanted.files()
        self._serving = 1 if arrangement.shape is Shape.CLIENT_SERVER else said.computers
        self.warnings = self._town.warnings

    def __enter__(self) -> Self:
        require_space(self._serving * sum(self._files.values()))
        self._town.__enter__()
        try:
            for each in self._town.computers[: self._serving]:
                fill(each.files, self._files)
        except BaseException:
            self._town.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._town.__exit__(kind, error, at)

    @property
    def desks(self) -> Sequence[Resident]:
        return self._town.computers[1:]

    @property
    def places(self) -> list[str]:
        return [f"{each.name}:{each.share}/" for each in self._town.computers]

    def watch(self) -> Callable[[], list[Served]]:
        return self._town.watch()


def fill(folder: Path, files: Mapping[str, int]) -> None:
    """Write them there, and make the folder for what people store."""
    (folder / STORED).mkdir(parents=True)
    for path, size in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        with (folder / path).open("wb") as file:
            for _ in range(size // len(BLOCK)):
                file.write(BLOCK)
            file.write(BLOCK[: size % len(BLOCK)])


def require_space(needed: int) -> None:
    """Raises NoSpace unless twice as much is free where temporary files go."""
    folder = tempfile.gettempdir()
    if (free := shutil.disk_usage(folder).free) < 2 * needed:
        sentence = f"The files need {2 * needed // 1_000_000} MB, and {folder} has {free // 1_000_000} MB free."
        raise NoSpace(sentence, "fewer --computers, or TMPDIR somewhere else")
