"""Whether the code on the disk is still what this node runs: what it starts anew would else speak other words than it.

An upgrade replaces files below a node that runs. Its workers are new processes, which load what is there then.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import commonhold

Stamp = frozenset[tuple[str, int, int]]  # of each file its path, its size and its time in nanoseconds


class Edition:
    """Of the parts of a package that workers load, as they were when this was made. Each look costs a millisecond."""

    def __init__(self, package: Path = Path(commonhold.__file__).parent) -> None:
        self._package = package
        self._begun = _stamp(package)

    def replaced(self) -> bool:
        return _stamp(self._package) != self._begun

    def trouble(self, computer: str) -> str:
        """A sentence, when it was replaced."""
        return f"Commonhold was upgraded on {computer} since its node started." if self.replaced() else ""


def cure(computer: str) -> str:
    return f"commonhold down && commonhold up, typed on {computer}"


def _stamp(package: Path) -> Stamp:
    found = set()
    for file in (*package.glob("*.py"), *package.glob("compute/**/*.py")):
        with suppress(FileNotFoundError):  # it is being replaced
            status = file.stat()
            found.add((str(file.relative_to(package)), status.st_size, status.st_mtime_ns))
    return frozenset(found)
