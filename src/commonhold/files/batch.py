"""Many small files in one stream of bytes, as the batch door takes them and gives them. *Pure.*

    stream = MAGIC, then frames, then four zero bytes
    frame  = the length of its head (4 bytes, big-endian), the head (JSON), and as many bytes as the head's `size` says

Each frame carries its own digest, so that one that was damaged fails alone. Whatever is no such stream raises
WrongUsage: what came before it holds. docs/webdav.md says it for those who write a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Generic, TypeVar

import msgspec

from commonhold.errors import WrongUsage
from commonhold.files.entry import ANYTHING, Conditions
from commonhold.files.webdav import EARLIEST

MAGIC = b"CHfiles1"  # the digit is the version
FILES = "application/vnd.commonhold.files"  # the media type of such a stream
ASKED = "application/vnd.commonhold.asked+json"  # of a question for one
LARGEST = 256 * 1024  # bytes of a file in it; a larger one goes by itself
LONGEST_HEAD = 32 * 1024  # bytes: a path of 4,096 may be written as six times as many in JSON
MOST_ASKED = 1_000  # files in one question
LONGEST_QUESTION = 2**20  # bytes
END = bytes(4)

Size = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]  # SHA-256; base64 in JSON
# When a file was changed last, in nanoseconds since 1970: from 1901 to 2262.
Moment = Annotated[int, msgspec.Meta(ge=EARLIEST * 10**9, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=LONGEST_HEAD)]


class Sent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The head of a file that is to be stored. `path` is relative to the address that the stream is sent to.

    It replaces the file of that `etag` only; with `new` it replaces none; with neither it replaces whatever is there.
    """

    path: Text
    size: Size
    sha256: Digest
    modified: Moment | None = None
    etag: Text = ""
    new: bool = False

    def conditions(self, request: Conditions) -> Conditions:
        """With what the `If` header of the request says for all its files."""
        match, none_match = frozenset({self.etag}) if self.etag else None, ANYTHING if self.new else None
        return Conditions(match, none_match, lists=request.lists, tokens=request.tokens)


class Answered(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer: what became of the file of that number (they count from 0).

    `status` is that of a PUT: with 201 and 204 the file is on the disk under its name; else `failed` is the problem
    (RFC 9457), and nothing was changed.
    """

    number: int
    status: int
    etag: str = ""
    failed: dict[str, Any] | None = None


class Asked(msgspec.Struct, frozen=True):
    """A question for files: their paths, relative to the address that is asked."""

    paths: Annotated[list[Text], msgspec.Meta(max_length=MOST_ASKED)]


class Given(msgspec.Struct, frozen=True, omit_defaults=True):
    """The head of a file that was asked for. `status` is that of a GET: all but 200 come with `failed` and no bytes."""

    number: Annotated[int, msgspec.Meta(ge=0, lt=MOST_ASKED)]
    size: Size = 0
    sha256: Digest | None = None
    modified: Moment | None = None
    etag: Text = ""
    status: int = 200
    failed: dict[str, Any] | None = None


Head = TypeVar("Head", Sent, Given)


def moment(modified: int) -> int | None:
    """A time of change, in nanoseconds since 1970, if a head can say it."""
    return modified if EARLIEST * 10**9 <= modified < 2**63 else None


def begin(head: Sent | Given) -> bytes:
    """What stands in a frame before the bytes of the file."""
    text = msgspec.json.encode(head)
    return len(text).to_bytes(4, "big") + text


def pack(head: Sent | Given, data: bytes = b"") -> bytes:
    """One frame; `data` has as many bytes as the head says."""
    return begin(head) + data


class Unpacking(Generic[Head]):
    """Frames out of a stream that comes in pieces. It holds one unfinished frame at most."""

    def __init__(self, kind: type[Head]) -> None:
        self._decoder: msgspec.json.Decoder[Head] = msgspec.json.Decoder(kind)
        self._rest = bytearray()
        self._begun = self.ended = False

    def feed(self, piece: bytes) -> Iterator[tuple[Head, bytes]]:
        """The frames that are whole now. Raises WrongUsage at the first byte that belongs to no frame."""
        self._rest += piece
        at = self._skip_magic()
        try:
            with memoryview(self._rest) as came:
                while self._begun and not self.ended and len(came) >= (first := at + 4):
                    first += int.from_bytes(came[at:first], "big")
                    if first == at + 4:
                        self.ended, at = True, first
                        break
                    head = self._head(came, at + 4, first)
                    if head is None or len(came) < first + head.size:
                        break
                    at = first + head.size
                    yield head, bytes(came[first:at])
        finally:
            del self._rest[:at]
        if self.ended and self._rest:
            raise WrongUsage("There is more after the end of the files.")

    def finish(self) -> None:
        """The stream is over. Raises WrongUsage when it broke off."""
        if not self.ended:
            raise WrongUsage("The files broke off before their end.", "send again those that were not answered")

    def _skip_magic(self) -> int:
        if self._begun:
            return 0
        if not MAGIC.startswith(self._rest[: len(MAGIC)]):
            raise WrongUsage("That is no stream of files, or one of another version.")
        self._begun = len(self._rest) >= len(MAGIC)
        return len(MAGIC) if self._begun else 0

    def _head(self, came: memoryview, at: int, end: int) -> Head | None:
        """The head between those places; None when it is not whole."""
        if end - at > LONGEST_HEAD:
            raise WrongUsage(f"The head of a file is longer than {LONGEST_HEAD} bytes.")
        if len(came) < end:
            return None
        try:
            return self._decoder.decode(came[at:end])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WrongUsage(f"The head of a file can't be read: {error}.") from error
