"""GETs of small files that are like one before on their connection: answered in the same breath, if they are at hand.

As files/served/looking.py answers them, in the same order: who asks, whether they may, then the file, found and read
anew for each. Between the question and the answer nothing else runs, so that no right can end meanwhile. Only what its
etag and its name say of a file is kept, for as long as these are the same.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

from commonhold.authority.authority import Permit, Subject, Verb
from commonhold.authority.gate import STILL
from commonhold.errors import CommonholdError
from commonhold.files import webdav
from commonhold.files.athand import AtHand
from commonhold.files.served.access import Access
from commonhold.files.served.download import AT_HAND, Downloads, whole
from commonhold.files.share import Share
from commonhold.transport import STAMP, Stamp, answer_alike

REMEMBERED = 2048  # heads, of some 500 bytes
LONGEST_PATH = 256  # characters of a path whose head is remembered

Identity: TypeAlias = tuple[int, int, int, int, int]  # all that an etag is made of, and the disk


class AtOnce:
    def __init__(self, access: Access, downloads: Downloads) -> None:
        self._access, self._downloads = access, downloads
        self._heads: OrderedDict[tuple[str, str], tuple[Identity, str, bytes]] = OrderedDict()

    def offer(self, request: web.Request, answer: web.StreamResponse) -> None:
        """What is asked like this on its connection from now on is answered here, if this was a whole small file."""
        if answer.status == 200 and isinstance(answer, web.Response):
            stamp = request.app.get(STAMP, _unstamped)
            answer_alike(request, partial(self._answer, request[STILL], stamp))

    def _answer(self, still: Callable[[], Subject | None], stamp: Stamp, target: str) -> bytes | None:
        """Head and body; None when anything is in the way, of which the usual way tells more."""
        try:
            name, path = webdav.target(target)
            if not name or (subject := still()) is None:
                return None
            share, given = self._access.permit_for(subject, Verb.READ, name, path)
            if (read := share.hand.read(given, AT_HAND)) is None:
                return None
        except (CommonholdError, OSError):
            return None
        etag, head = self._head(share, given, read)
        digest = webdav.digest_header(self._downloads.digest(share, etag, read))
        now = _lines({"Repr-Digest": digest, "Date": rfc822_formatted_time(), **stamp(subject.computer)})
        return b"".join((head, now, b"\r\n", read.data))

    def _head(self, share: Share, given: Permit, read: AtHand) -> tuple[str, bytes]:
        """The etag, and what stands in the answer before whatever is of the moment."""
        key, identity = (share.door.id, str(given.path)), _identity(read.status)
        kept = self._heads.get(key)
        if kept is not None and kept[0] == identity:
            return kept[1:]
        etag, headers = whole(given.path, read.status)
        head = b"HTTP/1.1 200 OK\r\n" + _lines(headers | {"Server": "commonhold"})
        if len(key[1]) <= LONGEST_PATH:
            self._heads[key] = identity, etag, head
            if len(self._heads) > REMEMBERED:
                self._heads.popitem(last=False)
        return etag, head


def _unstamped(_: object) -> dict[str, str]:
    return {}


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _lines(headers: dict[str, str]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()
