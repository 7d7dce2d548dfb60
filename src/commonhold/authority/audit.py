"""The record: what was done, one JSON object a line, each line carrying the SHA-256 of the one before.

    {"n":2,"time":"2026-11-22T09:00:00Z","prev":"5f1c…","event":"join","computer":"laptop"}

Whoever changes, drops or inserts a line breaks the chain there, and `verify` names the line. Cutting
off the end cannot be seen by the chain alone; that takes somebody else who knows its head.

Each line is handed to the system at once, in one write, so that killing the node loses none; it is
then flushed to the disk by a thread of its own, for all events alike. Waiting for the disk at every
line would hold up the event loop for milliseconds, and telling important events from others would
let the unimportant line before a founding be lost. A power cut may thus cost the lines of the last
moment; what they tell of (rules, roster) lies in SQLite, written through.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from commonhold.errors import Damaged

BEFORE_ALL = "0" * 64
LONGEST_WORD = 5_000  # characters of one value: a whole path fits, and nobody fills the disk with a name
SECRET = frozenset({"code", "password", "secret", "token", "recovery", "key", "pass_id"})
OWN = frozenset({"n", "time", "prev", "event"})

_log = logging.getLogger("commonhold.audit")


class Audit:
    """The record of one computer. `record` may be called on the event loop and from any thread."""

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or begin the record at `path` (mode 0600).

        An unfinished last line, left by a power cut, is put aside into PATH.torn and the record says
        so; nothing that can be read is lost. Raises Damaged when the file cannot be opened or mended.
        """
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._lost = 0  # lines that the disk had no room for
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._flushing: Future[None] | None = None
        try:
            self._file = _open(path)
            torn = self._put_torn_line_aside()
        except OSError as error:
            raise Damaged(f"The record {path} cannot be opened: {error.strerror}.") from error
        self._number, self._head = _end_of(self._file)
        if torn:
            self.record("record mended", bytes=torn, kept=f"{path.name}.torn")

    def record(self, event: str, **words: object) -> None:
        """Add a line. Raises TypeError for words that are secret or the record's own.

        A full disk stops nobody from closing a door: the line is lost, the log says so, and the
        next line that can be written tells how many are missing.
        """
        if wrong := (SECRET | OWN).intersection(words):
            raise TypeError(f"the record takes no {', '.join(sorted(wrong))}")
        with self._lock:
            if self._lost and self._write("lines lost", {"lines": self._lost}):
                self._lost = 0
            if self._lost or not self._write(event, words):
                self._lost += 1

    def sync(self) -> None:
        """Wait until all lines are on the disk. Blocks for milliseconds."""
        os.fsync(self._file)

    def close(self) -> None:
        self._flusher.shutdown()
        self.sync()
        os.close(self._file)

    def _write(self, event: str, words: dict[str, object]) -> bool:
        """One line; under the lock. Returns whether it was written."""
        time = self._now().astimezone(UTC)
        fields = {"n": self._number + 1, "time": time, "prev": self._head, "event": event}
        line = msgspec.json.encode(fields | {word: _plain(value) for word, value in words.items()})
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line + b"\n") != len(line) + 1:
                raise OSError("the disk took only a part of the line")
        except OSError as error:
            _log.error("the record %s does not take “%s”: %s", self._path, event, error)
            os.ftruncate(self._file, size)
            return False
        self._number, self._head = self._number + 1, _hash(line)
        self._flush_soon()
        return True

    def _flush_soon(self) -> None:
        """One flush serves all lines written before it begins."""
        if self._flushing is None or self._flushing.running() or self._flushing.done():
            self._flushing = self._flusher.submit(self._flush)

    def _flush(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            _log.error("the record %s does not reach the disk: %s", self._path, error)

    def _put_torn_line_aside(self) -> int:
        """Returns the size of the unfinished last line, in bytes."""
        size = os.fstat(self._file).st_size
        whole = _last_newline(self._file, size) + 1
        if whole == size:
            return 0
        with self._path.with_name(f"{self._path.name}.torn").open("ab") as aside:
            aside.write(os.pread(self._file, size - whole, whole) + b"\n")
            aside.flush()
            os.fsync(aside.fileno())
        os.ftruncate(self._file, whole)
        return size - whole


def _open(path: Path) -> int:
    """The file, open to add to; a new one is there after a power cut too."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return file


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that can be read, oldest first; none when nothing was recorded yet."""
    for line in _lines(path):
        entry = _read(line)
        if entry is not None:
            yield entry


def verify(path: Path) -> int | None:
    """The number of the first line (counted from 1) that is not what it was; None when the chain holds.

    A last line without its end is no sign of forgery: it is being written, or a power cut tore it.
    """
    head = BEFORE_ALL
    for number, line in enumerate(_lines(path), 1):
        entry = _read(line)
        if entry is None or entry.get("prev") != head or entry.get("n") != number:
            return number
        head = _hash(line)
    return None


def _lines(path: Path) -> Iterator[bytes]:
    """The finished lines, without their ends. Only a line feed ends one: JSON escapes it, but not U+2028."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except ValueError:  # msgspec's errors and bad UTF-8
        return None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _plain(value: object) -> object:
    """A value as the record keeps it: bounded, and in UTF-8 whatever a path held."""
    if isinstance(value, bool | int | float | datetime | None):
        return value
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= LONGEST_WORD else f"{text[:LONGEST_WORD]}…"


def _end_of(file: int) -> tuple[int, str]:
    """The number and the hash of the last line."""
    size = os.fstat(file).st_size
    if size == 0:
        return 0, BEFORE_ALL
    start = _last_newline(file, size - 1) + 1
    line = os.pread(file, size - 1 - start, start)
    number = (_read(line) or {}).get("n")
    return (number if isinstance(number, int) else _count(file, size)), _hash(line)


def _last_newline(file: int, end: int) -> int:
    """Where the last line feed before `end` stands; -1 without one."""
    if end == 0:
        return -1
    with mmap.mmap(file, end, access=mmap.ACCESS_READ) as content:
        return content.rfind(b"\n")


def _count(file: int, size: int) -> int:
    """How many lines there are; where the last one cannot be read, numbers go on from here."""
    with mmap.mmap(file, size, access=mmap.ACCESS_READ) as content:
        return sum(1 for _ in iter(content.readline, b""))
