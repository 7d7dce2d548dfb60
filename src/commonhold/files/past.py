"""What is told of a share's past: versions, what was taken back, and how long they are kept. *Pure.*"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class Version(msgspec.Struct, frozen=True):
    """What a file or folder was until it was overwritten or deleted through the network."""

    version: str  # its id, for `restore`
    path: str  # where it lay, in its share
    kind: Literal["file", "folder"]
    size: int  # in bytes; of a folder with all that is in it
    modified: datetime
    until: datetime  # when it went
    why: str  # "overwritten", "deleted", …
    person: str  # who did it
    computer: str  # from where


class Undone(msgspec.Struct, frozen=True):
    """One change, and whether it was taken back."""

    share: str
    path: str
    was: str  # what had been done: "created", "overwritten", "deleted", "moved", …
    when: datetime
    person: str
    undone: bool = True
    reason: str = ""  # why it was not
    computer: str = ""  # where that share is


class HistoryPolicy(msgspec.Struct, frozen=True):
    """How long a share keeps what is overwritten and deleted: so many days, and so many bytes at most."""

    share: str
    days: int
    bytes: int
    kept: int = 0  # bytes that are kept now
    versions: int = 0  # and versions
