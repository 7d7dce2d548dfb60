"""Which file of which computer a local file is a copy of: kept with the file itself, as an extended attribute.

So it goes along when the person renames the file, and tells later whether the file was changed here since. Where a
disk keeps no attributes nothing is known, and a file that would be replaced is kept.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec
from msgspec import structs

ATTRIBUTE = "user.commonhold.origin"


class Origin(msgspec.Struct, frozen=True):
    """The file there, and how the copy was left here; `computer` is a fingerprint, `modified` in nanoseconds."""

    computer: str
    share: str
    path: str
    etag: str
    size: int = 0
    modified: int = 0

    @classmethod
    def of(cls, file: Path | str | int) -> Self | None:
        """What is known of a file; None when nothing is."""
        try:
            return msgspec.json.decode(os.getxattr(file, ATTRIBUTE), type=cls)
        except (OSError, AttributeError, msgspec.MsgspecError, UnicodeDecodeError):
            return None  # no such attribute, none on this disk or system, or somebody else's

    def note(self, file: int, status: os.stat_result) -> None:
        """Keep it with the open file, which was so when it was the same as there; if its disk keeps such things."""
        with suppress(OSError, AttributeError):
            left = structs.replace(self, size=status.st_size, modified=status.st_mtime_ns)
            os.setxattr(file, ATTRIBUTE, msgspec.json.encode(left))

    def untouched(self, status: os.stat_result) -> bool:
        """Whether nobody has changed the copy since."""
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified)

    def names(self, computer: str, share: str, path: str) -> bool:
        """Whether it is a copy of that file."""
        return (self.computer, self.share.casefold(), self.path) == (computer, share.casefold(), path)
