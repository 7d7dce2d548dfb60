"""GET and HEAD: files of a share on their way out, with ranges, conditions and digests."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeAlias

import msgspec
from aiohttp import web

from commonhold.authority.authority import Permit
from commonhold.errors import Conflict
from commonhold.files import ranges, webdav
from commonhold.files.athand import AtHand
from commonhold.files.batch import LARGEST
from commonhold.files.entry import Entry
from commonhold.files.ground import entry_of
from commonhold.files.multistatus import content_type
from commonhold.files.ranges import Span
from commonhold.files.served.problem import problem
from commonhold.files.served.reading import Plan, Reading
from commonhold.files.share import Share, unchanged
from commonhold.names import SharePath

SMALL = LARGEST  # bytes up to which a file is read, hashed and answered in one go
AT_HAND = 64 * 1024  # bytes up to which it is answered at once, if no disk has to be waited for
QUICK = 4096  # bytes that are hashed sooner than their digest is found
REMEMBERED = 4096  # digests
# Seconds after which a change would show in a file's etag. Twice in one tick of the clock it may be written, and keep
# its times; and a program that maps it into its memory goes on writing unseen until the system brings that to the disk.
RESTED = 60.0
TRIES = 3  # to read a small file that somebody writes into meanwhile

Head: TypeAlias = dict[str, str]

_WANTS_SHA_256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*(?:[1-9]|10)\s*(?:,|$)", re.IGNORECASE)


class _Found(msgspec.Struct):
    """A file that is to be answered: a small one whole in `data`, a large one open; neither when 304 is the answer."""

    entry: Entry
    unchanged: bool = False  # since whoever asks has read it
    spans: list[Span] = []  # of a whole file none
    boundary: str = ""  # of several
    data: bytes | None = None
    sha256: bytes | None = None
    reader: Reading | None = None

    @property
    def plan(self) -> Plan:
        """The body: spans of the file, and what stands between them."""
        if self.boundary:
            return ranges.parts(self.spans, self.entry.size, content_type(self.entry.name), self.boundary)
        return [*self.spans] or [Span(0, self.entry.size)]

    def filled(self, data: bytes, sha256: bytes) -> Self:
        """With what a small file holds, of which the body may be parts."""
        parts = (each if isinstance(each, bytes) else data[slice(*each)] for each in self.plan)
        self.data = b"".join(parts) if self.spans else data
        self.sha256 = sha256
        return self


class Downloads:
    """Sends files; disks are waited for in `threads`. Remembers the digests of files that were read whole."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._digests: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()  # and until when, monotonic

    async def answer(self, request: web.Request, share: Share, permit: Permit) -> web.StreamResponse:
        """The file at the permit's path. Raises what `Share.read` raises, and Changed."""
        try:
            if found := self._at_hand(request, share, permit):
                return await _sent(request, found)
            return await self._looked_for(request, share, permit)
        except ranges.Unsatisfiable as error:
            return problem(error, error.status, **{"Content-Range": f"bytes */{error.more['size']}"})

    def _at_hand(self, request: web.Request, share: Share, permit: Permit) -> _Found | None:
        """A small file that was read lately, by whomever: a thread's turn costs more than all the rest."""
        if (read := share.hand.read(permit, AT_HAND)) is None:
            return None
        entry = entry_of(str(permit.path), read.status)
        found = _wanted(request.headers, entry, request.method == "HEAD")
        return found if found.unchanged else found.filled(read.data, self.digest(share, entry.etag, read))

    def digest(self, share: Share, etag: str, read: AtHand) -> bytes:
        """Of a small file."""
        if len(read.data) <= QUICK:
            return hashlib.sha256(read.data).digest()
        key = (share.door.id, etag)
        if (known := self._known(key)) is None:
            known = hashlib.sha256(read.data).digest()
            if _rests(read.status.st_ctime):
                self._remember(key, known, math.inf)
        return known

    def _known(self, key: tuple[str, str]) -> bytes | None:
        digest, until = self._digests.get(key, (None, 0.0))
        return digest if time.monotonic() < until else None

    def _remember(self, key: tuple[str, str], digest: bytes, until: float) -> None:
        self._digests[key] = digest, until
        while len(self._digests) > REMEMBERED:
            self._digests.popitem(last=False)

    async def _looked_for(self, request: web.Request, share: Share, permit: Permit) -> web.StreamResponse:
        looking = self._threads.submit(find, share, permit, request.headers, request.method == "HEAD")
        try:
            found = await asyncio.wrap_future(looking)
            key = (share.door.id, found.entry.etag)
            if found.reader:
                found.sha256 = self._known(key)
                wanted = _wants_digest(request) and not (found.spans or found.sha256)
                found.reader.hashing = wanted  # half of a core, at full speed
                if wanted and request.method == "HEAD":
                    await self._read(found, key)
            if request.method == "HEAD" or not found.reader:
                return await _sent(request, found)
            status, headers = _head(found)
            response = web.StreamResponse(status=status, headers=headers)
            await response.prepare(request)
            await self._read(found, key, response)
            await response.write_eof()
            return response
        finally:
            looking.add_done_callback(self._close)  # also when we were cancelled before it was done

    async def _read(self, found: _Found, key: tuple[str, str], response: web.StreamResponse | None = None) -> None:
        """Read to the end, and send it if there is a response."""
        reader = found.reader
        if reader is None:
            return
        async for piece in reader.pieces(self._threads):
            if response is not None:
                await response.write(piece)
            del piece  # its memory is used again
            await asyncio.sleep(0)  # else nobody else has a turn while this is read and taken as fast as it comes
        if reader.hashing and (digest := reader.sha256(found.entry)):
            found.sha256 = digest
            # Else only for whoever has just read it, and asks for the digest when all has come.
            self._remember(key, digest, math.inf if _rests(reader.changed) else time.monotonic() + RESTED)

    def _close(self, looking: Future[_Found]) -> None:
        if not looking.cancelled() and looking.exception() is None and (reader := looking.result().reader):
            self._threads.submit(reader.close)


def _rests(changed: float) -> bool:
    """Whether a file that was changed at that time would show each change from now on in its etag."""
    return time.time() - changed > RESTED


def whole(path: SharePath, status: os.stat_result) -> tuple[str, Head]:
    """The etag of a small file, and the answer's headers for all of it but its digest."""
    entry = entry_of(str(path), status)
    return entry.etag, _head(_Found(entry))[1]


def find(share: Share, permit: Permit, headers: Mapping[str, str], head: bool) -> _Found:
    """Open the file and see what the request wants of it; a small one is read at once."""
    for _ in range(TRIES):
        file, entry = share.read(permit)
        kept = False
        try:
            found = _wanted(headers, entry, head)
            if found.unchanged:
                return found
            if entry.size > SMALL:
                kept = True
                found.reader = Reading(file, found.plan)
                return found
            data = file.read(SMALL)
            if unchanged(file, entry):
                return found.filled(data, hashlib.sha256(data).digest())
        finally:
            if not kept:
                file.close()
    raise Conflict(f"“{permit.path}” is being written at its own computer at this moment.", "try again in a moment")


def _wanted(headers: Mapping[str, str], entry: Entry, head: bool) -> _Found:
    """What a request wants of a file. Raises Unsatisfiable, and Changed."""
    if webdav.not_modified(headers, entry):
        return _Found(entry, unchanged=True)
    spans = [] if head else ranges.wanted(headers, entry)
    return _Found(entry, spans=spans, boundary=secrets.token_hex(12) if len(spans) > 1 else "")


async def _sent(request: web.Request, found: _Found) -> web.StreamResponse:
    """The answer that has no body, or all of it: in one piece, so that it is encrypted and sent once."""
    status, headers = _head(found)
    if request.method == "HEAD":
        response = web.StreamResponse(status=status, headers=headers)
    else:
        response = web.Response(status=status, headers=headers, body=found.data)
    await response.prepare(request)
    await response.write_eof()
    return response


def _head(found: _Found) -> tuple[int, Head]:
    """The answer's status and headers. Pages and pictures of others never run as ours (CSP, nosniff)."""
    entry, spans = found.entry, found.spans
    headers = {
        "ETag": f'"{entry.etag}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    if entry.modified:
        headers["Last-Modified"] = webdav.http_date(entry.modified)
    if found.unchanged:
        return 304, headers
    headers["Content-Type"] = content_type(entry.name)
    if found.sha256:
        headers["Repr-Digest"] = webdav.digest_header(found.sha256)
    headers["Content-Length"] = str(ranges.length(found.plan))
    if len(spans) > 1:
        headers["Content-Type"] = f"multipart/byteranges; boundary={found.boundary}"
    elif spans:
        headers["Content-Range"] = ranges.header(spans[0], entry.size)
    return 206 if spans else 200, headers


def _wants_digest(request: web.Request) -> bool:
    return bool(_WANTS_SHA_256.search(request.headers.get("Want-Repr-Digest", "")))
