"""Two versions of one file: both stay, and the one of this computer gets a name that says so."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath

from commonhold.files.used.origin import Origin
from commonhold.names import LONGEST_COMPONENT

LONGEST_ENDING = 32  # bytes after the last dot that are kept
NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def names(name: str, computer: str, moment: datetime) -> Iterator[str]:
    """`a (conflict of laptop, 2026-11-24 19.30).txt`, then the same with numbers; each fits every disk.

    >>> next(names("a.txt", "laptop", datetime(2026, 11, 24, 19, 30)))
    'a (conflict of laptop, 2026-11-24 19.30).txt'
    """
    stem, ending = PurePosixPath(name).stem, PurePosixPath(name).suffix
    if len(ending.encode()) > LONGEST_ENDING:
        stem, ending = name, ""
    what, number = f"conflict of {computer}, {moment:%Y-%m-%d %H.%M}", 1
    while True:
        rest = f" ({what}{f', {number}' if number > 1 else ''}){ending}"
        yield stem.encode()[: LONGEST_COMPONENT - len(rest.encode())].decode(errors="ignore") + rest
        number += 1


def keep(target: Path, size: int, sha256: bytes, computer: str) -> Path | None:
    """Give the local file that will be replaced a second name, if it is of worth: where it is kept, or None.

    It is of no worth when it is an untouched copy of what the other computer had, the same as what comes (of that
    `size` and `sha256`), or empty. Raises OSError.
    """
    try:
        status = target.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return None
    known = Origin.of(target)
    if (known and known.untouched(status)) or (status.st_size == size and sha256_of(target) == sha256):
        return None
    for name in names(target.name, computer, datetime.now().astimezone()):
        beside = target.with_name(name)
        try:
            os.link(target, beside)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if beside.exists():
                continue
            target.rename(beside)
        return beside
    return None


def sha256_of(file: Path) -> bytes:
    """Raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
