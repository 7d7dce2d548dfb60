"""Where a call raised what it raised, on another computer, for people to read here."""

from __future__ import annotations

import linecache
import re
from typing import Self

_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line (?P<line>\d+), in .*')


class RemoteTraceback(Exception):
    """The cause of what a call raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"

    @classmethod
    def of(cls, text: str) -> Self:
        """From a traceback as it was written there: of the person's own files only this computer has the lines."""
        lines = text.splitlines()
        shown = []
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            shown.append(line)
            frame = _FRAME.fullmatch(line)
            if frame and not after.startswith("    "):
                source = linecache.getline(frame["file"], int(frame["line"])).strip()
                shown += [f"    {source}"] if source else []
        return cls("\n".join(shown))
