"""What a copy of a folder leaves out. *Pure.*

What systems strew into folders for themselves is left out unless told otherwise; more by `--ignore`, and by
the lines of a file `.commonholdignore` in the folder that is copied.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable

from commonhold.files.used.globs import fits
from commonhold.names import folded

# macOS's Finder; macOS on other disks; Windows' Explorer; open documents of Office; transfers of ours that broke.
USUAL = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", "~$*", "*.commonhold-part")
FILE = ".commonholdignore"
LONGEST_FILE = 64 * 1024  # bytes


class Ignoring:
    """A pattern without a slash fits a name at any depth; with one, a path below the folder that is copied (`**` too);

    one that ends with a slash fits folders only. Letters' case makes no difference.
    """

    def __init__(self, patterns: Iterable[str] = USUAL) -> None:
        self._names: dict[bool, re.Pattern[str]] = {}
        self._paths: list[tuple[tuple[str, ...], bool]] = []
        names: list[tuple[str, bool]] = []
        for pattern in map(folded, patterns):
            rest, folders_only = pattern.rstrip("/"), pattern.endswith("/")
            if "/" in rest:
                self._paths.append((tuple(rest.strip("/").split("/")), folders_only))
            elif rest:
                names.append((rest, folders_only))
        for folder in (True, False):
            fitting = [fnmatch.translate(name) for name, folders_only in names if folder or not folders_only]
            self._names[folder] = re.compile("|".join(fitting) or r"(?!)")

    def __call__(self, path: str, folder: bool) -> bool:
        """Whether what lies there (relative to the folder that is copied, with slashes) is left out.

        >>> Ignoring(["*.o", "/build/", "docs/**/*.tmp"])("src/a.O", False)
        True
        """
        path = folded(path)
        if self._names[folder].match(path.rpartition("/")[2]):
            return True
        parts = tuple(path.split("/"))
        return any(fits(parts, pattern) for pattern, folders_only in self._paths if folder or not folders_only)


def lines_of(text: bytes) -> list[str]:
    """The patterns in a file of them: one on a line; `#` begins a remark."""
    lines = (line.strip() for line in text.decode("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
