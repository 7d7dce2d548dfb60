"""The record: what was done, one JSON object a line, each line carrying the SHA-256 of the one before.

    {"n":2,"time":"2026-11-22T09:00:00Z","prev":"5f1c…","event":"join","computer":"laptop"}

Whoever changes, drops or inserts a line breaks the chain there, and `lines.verify` names the line.
Cutting off the end, or writing the whole chain anew, cannot be seen by the chain alone; that takes
somebody else who knows its head (authority.witness). Which events there are: authority.events.

A part that is full is renamed and stays for ever; the chain and the numbers go on in the next. A
crash between renaming and the next line leaves no `audit.jsonl`, and the next start makes it.

Each line is handed to the system at once, in one write, so that killing the node loses none; it is
then flushed to the disk by a thread of its own, for all events alike. Waiting for the disk at every
line would hold up the event loop for milliseconds, and telling important events from others would
let the unimportant line before a founding be lost. A power cut may thus cost the lines of the last
moment; what they tell of (rules, roster) lies in SQLite, written through.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from commonhold.authority import events, lines
from commonhold.errors import Damaged

LONGEST_WORD = 5_000  # characters of one value: a whole path fits, and nobody fills the disk with a name
MOST_WORDS = 1_000  # of a list
PART_BYTES = 16 * 2**20  # of one part; a line has about 250

_log = logging.getLogger("commonhold.audit")


class Audit:
    """The record of one computer. `record` may be called on the event loop and from any thread."""

    def __init__(
        self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC), part_bytes: int = PART_BYTES
    ) -> None:
        """Open or begin the record at `path` (mode 0600).

        An unfinished last line, left by a power cut, is put aside into PATH.torn and the record says
        so; nothing that can be read is lost. Raises Damaged when the file cannot be opened or mended.
        """
        self._path = path
        self._now = now
        self._part_bytes = part_bytes
        self._lock = threading.Lock()
        self._lost = 0  # lines that the disk had no room for
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._flushing: Future[None] | None = None
        try:
            self._file = _open(path)
            torn = self._put_torn_line_aside()
        except OSError as error:
            raise Damaged(f"The record {path} cannot be opened: {error.strerror}.") from error
        self._number, self._head = self._end()
        if torn:
            self.record("record mended", bytes=torn, kept=f"{path.name}.torn")

    def record(self, event: str, **words: object) -> None:
        """Add a line. Raises TypeError for an event or words that authority.events does not know.

        A full disk stops nobody from closing a door: the line is lost, the log says so, and the
        next line that can be written tells how many are missing.
        """
        events.check(event, words)
        with self._lock:
            if self._lost and self._write("lines lost", {"lines": self._lost}):
                self._lost = 0
            if self._lost or not self._write(event, words):
                self._lost += 1

    @property
    def head(self) -> tuple[int, str]:
        """The number and the hash of the last line."""
        with self._lock:
            return self._number, self._head

    def newest(self) -> datetime | None:
        """When the last line was written, by the clock of then; None where that cannot be told."""
        with self._lock:
            last = _last_line(self._file)
        time = (lines.read(last) or {}).get("time")
        try:
            return datetime.fromisoformat(time) if isinstance(time, str) else None
        except ValueError:
            return None

    def sync(self) -> None:
        """Wait until all lines are on the disk. Blocks for milliseconds."""
        os.fsync(self._file)

    def close(self) -> None:
        self._flusher.shutdown()
        self.sync()
        os.close(self._file)

    def _write(self, event: str, words: dict[str, object]) -> bool:
        """One line; under the lock. Returns whether it was written."""
        self._begin_part_if_full()
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
        self._number, self._head = self._number + 1, lines.digest(line)
        self._flush_soon()
        return True

    def _begin_part_if_full(self) -> None:
        """Put the full part aside under the next number; where that fails, this one grows on."""
        if os.fstat(self._file).st_size < self._part_bytes:
            return
        full = None
        try:  # a process without a free handle cannot even look: no reason to lose a line, or to stop what it tells of
            full = lines.part(self._path, max(lines.part_numbers(self._path), default=0) + 1)
            os.fsync(self._file)  # the next part's first line must never outlive this one's last
            self._path.rename(full)
            fresh = _open(self._path)
        except OSError as error:
            _log.error("the record %s cannot be continued in a new part: %s", self._path, error)
            if full is not None and full.exists() and not self._path.exists():
                full.rename(self._path)
            return
        before, self._file = self._file, fresh
        self._flusher.submit(os.close, before)  # after the flush that may be under way

    def _end(self) -> tuple[int, str]:
        """The number and the hash of the last line, which a part before may hold."""
        if os.fstat(self._file).st_size:
            return _end_of(self._file)
        numbers = lines.part_numbers(self._path)
        if not numbers:
            return 0, lines.BEFORE_ALL
        before = os.open(lines.part(self._path, numbers[-1]), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _end_of(before)
        finally:
            os.close(before)

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


def _plain(value: object) -> object:
    """A value as the record keeps it: bounded, and in UTF-8 whatever a path held."""
    if isinstance(value, bool | int | float | datetime | None):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value[:MOST_WORDS]]
    text = str(value).encode(errors="replace").decode()
    return text if len(text) <= LONGEST_WORD else f"{text[:LONGEST_WORD]}…"


def _end_of(file: int) -> tuple[int, str]:
    """The number and the hash of the last line."""
    line = _last_line(file)
    number = (lines.read(line) or {}).get("n")
    return (number if isinstance(number, int) else _count(file)), lines.digest(line)


def _last_line(file: int) -> bytes:
    size = os.fstat(file).st_size
    if size == 0:
        return b""
    start = _last_newline(file, size - 1) + 1
    return os.pread(file, size - 1 - start, start)


def _last_newline(file: int, end: int) -> int:
    """Where the last line feed before `end` stands; -1 without one."""
    if end == 0:
        return -1
    with mmap.mmap(file, end, access=mmap.ACCESS_READ) as content:
        return content.rfind(b"\n")


def _count(file: int) -> int:
    """The number that the last line should bear, when it cannot be read: by how many lines there are here."""
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as content:
        first = (lines.read(content.readline().rstrip(b"\n")) or {}).get("n")
        content.seek(0)
        count = sum(1 for _ in iter(content.readline, b""))
    return count + (first - 1 if isinstance(first, int) else 0)
