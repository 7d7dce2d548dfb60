"""What a listing says about a file or folder, and the conditions that a request may put on it. *Pure.*"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

import msgspec

from commonhold.errors import Changed
from commonhold.files.ifheader import Claims

Kind = Literal["file", "folder", "share", "computer"]
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799  # since 1970: those of the years 1 and 9999


class Entry(msgspec.Struct, frozen=True):
    """One line of a listing: a file or folder of a share, a share of a computer, or a computer.

    `path` is relative to the share (of a share: its name), with slashes; `size` is in bytes, 0 unless it is
    a file; `etag` is a strong validator (RFC 9110, 8.8.1) without its quotes, and changes with every change.
    Of shares and computers `modified` may be unknown, and `etag` is empty.
    """

    path: str
    kind: Kind
    size: int
    modified: datetime | None
    etag: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class DiskStatus(Protocol):
    """What a disk says of a file or folder: as os.stat_result."""

    @property
    def st_ino(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_mtime_ns(self) -> int: ...
    @property
    def st_ctime_ns(self) -> int: ...


def etag_for(status: DiskStatus) -> str:
    """The inode and both times are in it: a file written twice in one tick of the clock is a new inode."""
    identity = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


class Placed(NamedTuple):
    """A file or folder as it lies in a share, for whoever keeps count of it; the size of a folder is 0."""

    path: str
    size: int
    inode: str


ANYTHING = frozenset({"*"})


class Conditions(msgspec.Struct, frozen=True):
    """`If-Match`, `If-Unmodified-Since`, `If-None-Match` and `If` of a request that changes something.

    A set holds etags without quotes, or is ANYTHING for `*`; None means that the header was not sent. `tokens` are
    those of locks that it shows. What `lists` say of locks and other files is judged in files/clearance.py.
    """

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None
    unmodified_since: datetime | None = None
    lists: tuple[Claims, ...] = ()
    tokens: frozenset[str] = frozenset()

    def require(self, current: Entry | None) -> None:
        """Raise Changed unless `current` (None: nothing is there) is as the request demands (RFC 9110, 13.2.2)."""
        if self.if_match is not None:
            if current is None:
                raise Changed("It is not there any more; nothing was done.", "look again, then repeat")
            if self.if_match != ANYTHING and current.etag not in self.if_match:
                raise Changed("It was changed meanwhile by somebody else; nothing was done.", "look again, then repeat")
        elif current and later(current.modified, self.unmodified_since):
            raise Changed("It was changed meanwhile by somebody else; nothing was done.", "look again, then repeat")
        if self.if_none_match is not None and current is not None:
            if self.if_none_match == ANYTHING:
                raise Changed(f"There is a “{current.name}” already; nothing was done.", "choose another name")
            if current.etag in self.if_none_match:
                raise Changed("It is still what it was; nothing was done.")


def later(modified: datetime | None, than: datetime | None) -> bool:
    """Whether both are known and the first is later, in whole seconds: HTTP's dates have no more."""
    return modified is not None and than is not None and modified.replace(microsecond=0) > than


NONE = Conditions()
NEW = Conditions(if_none_match=ANYTHING)
