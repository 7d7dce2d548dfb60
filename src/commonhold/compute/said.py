"""What a running task says, piece by piece, and what of it was heard already. Pure.

A lender's node is asked again and again for what is new of the tasks that run there, and of each stream only what
follows the place that the asker knows. Who says more than is asked for is not waited for: the middle is left out,
as it is of the text that is kept when the task has ended.
"""

from __future__ import annotations

import codecs
import re
from typing import Literal, get_args

import msgspec

from commonhold.compute.job import KEPT_OUTPUT, Job, Task
from commonhold.errors import WrongUsage

Stream = Literal["output", "error"]
STREAMS: tuple[Stream, ...] = get_args(Stream)
HALF = KEPT_OUTPUT // 2
MOST_SAID = 262_144  # bytes of all pieces in one answer
LEAST_PIECE = 1_024  # of one of them, however many there are
MOST_PIECES = 4_096
TAIL = 64  # characters by which two texts are told to be one
CUT = re.compile(r"\n… (\d{1,18}) bytes left out …\n")

Place = tuple[int, int, int]  # in what one run of a task says: which run, and how many bytes of output and of errors


class Listening(msgspec.Struct, frozen=True):
    """POST /sessions/S/P/jobs/J/said: what is new of the tasks that run there?"""

    heard: dict[str, Place] = {}  # by the task's key; what is not here is new from its beginning
    task: int = 0  # that one only; 0: all

    def means(self, job: int, parts: tuple[int, int, int]) -> bool:
        """Whether it asks for the task with a key of these parts, when it is about that job."""
        return parts[0] == job and self.task in {0, parts[1]}


class Piece(msgspec.Struct, frozen=True):
    """What one stream of one task has said from byte `at` up to byte `to`."""

    key: str
    run: int
    stream: Stream
    at: int
    to: int
    text: str


class Said(msgspec.Struct, frozen=True):
    """What a task said, as people follow it."""

    job: int
    task: int
    input: str
    computer: str
    stream: Stream
    text: str
    left_out: int = 0  # bytes before it that nobody is told


class FollowLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of GET /jobs/J/said: what a task said, a task that ended or waits again, or how the job ended."""

    said: Said | None = None
    task: Task | None = None  # without its text, which was told before
    job: Job | None = None  # the last line


def within_bounds(answer: object) -> list[Piece]:
    """What a stranger said of tasks, if it is no more than is asked for. Raises ValidationError or WrongUsage."""
    pieces = msgspec.convert(answer, list[Piece])
    most = MOST_SAID + LEAST_PIECE * len(pieces)
    if len(pieces) > MOST_PIECES or sum(len(piece.text) for piece in pieces) > most:
        raise WrongUsage("More was said of tasks than was asked for.")
    return pieces


def shortened(head: bytes, left_out: int, tail: bytes) -> str:
    """A text without its middle."""
    return f"{head.decode(errors='replace')}\n… {left_out} bytes left out …\n{tail.decode(errors='replace')}"


def decoded(data: bytes) -> tuple[str, int]:
    """As text, and how many bytes that is: a character whose end is still to come is left for the next time.

    >>> decoded("né".encode()[:2])
    ('n', 1)
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data)
    return text, len(data) - len(decoder.getstate()[0])


def window(known: int, size: int, most: int) -> tuple[int, int]:
    """From where to read of what has `size` bytes, of which `known` are heard, and how many.

    Who is far behind hears the end: half of what is kept of an ended task.
    """
    most = min(most, HALF)
    return (size - most, most) if size - known > KEPT_OUTPUT else (known, min(size - known, most))


def cut_out(key: str, run: int, stream: Stream, at: int, data: bytes, jumped: bool) -> Piece | None:
    """What was read there, as a piece; `jumped`: it begins anywhere, and so with its first whole line."""
    begin = data.find(b"\n") + 1 if jumped else 0
    text, length = decoded(data[begin:])
    return Piece(key, run, stream, at + begin, at + begin + length, text) if length else None


class Ear:
    """How much of one stream of one run was heard."""

    def __init__(self) -> None:
        self.place = 0  # in bytes
        self._length = 0  # in characters, as long as nothing was left out
        self._gap = False
        self._tail = ""

    def take(self, piece: Piece) -> tuple[str, int]:
        """What is new of a piece, and how many bytes before it are left out. What was heard already is nothing."""
        if piece.at < self.place or piece.to <= piece.at:
            return "", 0
        left_out, self.place = piece.at - self.place, piece.to
        self._gap = self._gap or left_out > 0
        self._length += len(piece.text)
        self._tail = (self._tail + piece.text)[-TAIL:]
        return piece.text, left_out

    def rest(self, kept: str) -> tuple[str, int]:
        """The same for what is kept of a task that has ended: its whole text, or its head and its tail."""
        if not self.place:
            return kept, 0
        cut = _cut(kept)
        start, end = self._length - len(self._tail), self._length
        if not self._gap and end <= (cut.start() if cut else len(kept)) and kept[start:end] == self._tail:
            return kept[end:], 0
        if cut is None:
            return kept, 0  # another run's
        begins = HALF + int(cut[1])
        tail = kept[cut.end() :].encode()
        return tail[max(self.place - begins, 0) :].decode(errors="ignore"), max(begins - self.place, 0)


def _cut(kept: str) -> re.Match[str] | None:
    """Where the middle was left out, if it was; a task may speak of such a thing itself."""
    for found in CUT.finditer(kept):
        if min(len(kept[: found.start()].encode()), len(kept[found.end() :].encode())) >= HALF:
            return found
    return None
