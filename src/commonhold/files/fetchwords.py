"""Files that one computer fetches straight from another for a third: what the three say to each other. *Pure.*

Who copies asks the source for a pass that lets the target read these files (`ReadingWish`), and the target to fetch
them (`FetchWish`); the target tells how far it is and what became of each (`Fetched`). docs/webdav.md says it for
those who write a client.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from commonhold.files.batch import Text
from commonhold.names import Fingerprint

FETCH = "application/vnd.commonhold.fetch+json"  # the media type of a FetchWish
READINGS = "/readings"  # where passes are asked for
MOST = 200  # files of one wish

Copy = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Token = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Etag = Annotated[str, msgspec.Meta(pattern=r"^[\x21\x23-\x7e]{0,128}\Z")]  # without quotes
Size = Annotated[int, msgspec.Meta(ge=0)]


class ReadingWish(msgspec.Struct, frozen=True):
    """POST /readings: that computer is to read these files in the name of who asks. The answer is a pass's token.

    `copy` is chosen by who asks: the pass is prolonged with PUT /readings/COPY, and ends with DELETE.
    """

    copy: Copy
    bearer: Fingerprint
    share: str
    paths: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=MOST)]


class FileWish(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that is to be fetched, if it is of that `etag` still; it replaces the one of the etag `before`, or none.

    Both paths are relative to their shares.
    """

    source: Text
    etag: Etag
    target: Text
    before: Etag = ""


class FetchWish(msgspec.Struct, frozen=True, omit_defaults=True):
    """POST to a share: fetch these from that share of that computer, under the pass of that token."""

    computer: Fingerprint
    share: str
    token: Token
    files: Annotated[tuple[FileWish, ...], msgspec.Meta(min_length=1, max_length=MOST)]
    limit: Annotated[int, msgspec.Meta(gt=0)] | None = None  # bytes a second, for all of them together


class Fetched(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer: how many bytes of the file of that number have come (they count from 0).

    With a `status` it is the last of that file: that of a PUT, and with 201 and 204 it is on the disk under its name;
    else `failed` is the problem (RFC 9457), and nothing was changed. `elsewhere`: it lies not with this computer
    but with the one that has the file, or with the way to it.
    """

    number: Annotated[int, msgspec.Meta(ge=0, lt=MOST)]
    bytes: Size = 0
    status: int = 0
    failed: dict[str, Any] | None = None
    elsewhere: bool = False
