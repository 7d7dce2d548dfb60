"""Bytes that arrive, into a share: from whoever asks, by PUT, or from wherever else a door is told to get them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Self

from aiohttp import web

from commonhold.authority.authority import Permit, Verb
from commonhold.errors import NoSpace, WrongUsage
from commonhold.files import webdav
from commonhold.files.entry import Conditions, Entry, Placed
from commonhold.files.gathered import Bundled
from commonhold.files.incoming import Upload
from commonhold.files.quota import QuotaLedger, Storing
from commonhold.files.served.convoy import Convoys
from commonhold.files.share import Share
from commonhold.files.straight import BLOCK

SMALL = 256 * 1024  # bytes up to which a file is taken into memory and written in one go: one change of thread
CHUNK = 2**20  # bytes gathered before a thread writes them; the next are gathered meanwhile


class Coming(NamedTuple):
    """A file on its way here, whoever brings it: its bytes as they come, and what is said of it.

    `whole` is asked when all bytes are there: it raises what then forbids to keep them, since a slow upload may outlast
    a right, and tells the SHA-256 that they must have, if that is known.
    """

    pieces: AsyncIterator[bytes]
    size: int | None  # how many bytes there must be, if that is known
    announced: int | None  # how many are said to come
    conditions: Conditions
    modified: int | None  # the time of change that it is to have, in nanoseconds since 1970
    whole: Callable[[], Awaitable[bytes | None]]

    @classmethod
    def by_request(cls, request: web.Request, ask: Callable[[], object]) -> Self:
        """The body of a PUT; `ask` raises what forbids it. Raises WrongUsage.

        It was asked just now: where all bytes are there already, it need not be asked again.
        """
        if "Content-Range" in request.headers or request.headers.get("Content-Encoding", "identity") != "identity":
            raise WrongUsage("An upload is a whole file as it is, neither a part nor compressed.")
        sha256 = webdav.parse_digest(request.headers.get("Repr-Digest"))

        slow = not request.content.is_eof()

        async def whole() -> bytes | None:
            if slow:
                ask()
            return sha256

        conditions = webdav.conditions(request.headers)
        modified = webdav.parse_mtime(request.headers.get("X-OC-Mtime"))
        return cls(body(request), request.content_length, announced(request), conditions, modified, whole)


class Uploads:
    """Receives files; disks are waited for in `threads`."""

    def __init__(self, threads: ThreadPoolExecutor, ledger: QuotaLedger) -> None:
        self._threads = threads
        self._convoys = Convoys(threads, ledger)

    async def receive(
        self, coming: Coming, share: Share, permit: Permit, storing: Storing, *, unseen: bool
    ) -> tuple[Upload | Bundled, Entry]:
        """What comes as the file at the permit's path: all of it and durable, or nothing.

        `unseen`: as in `Share.write`. Raises what `coming.whole`, that and `Upload.commit` raise; whatever ends it
        leaves nothing behind.
        """
        conditions, modified = coming.conditions, coming.modified
        if coming.size is not None and coming.size <= SMALL:
            data = await _all_of(coming.pieces, coming.size)
            sha256 = await coming.whole()
            if not unseen:
                file = Bundled(permit, data, sha256 or b"", conditions, modified)
                await self._convoys.bring(share, file, storing)
                if file.entry and file.failed is None:
                    return file, file.entry
                if file.failed and not isinstance(file.failed, NoSpace):
                    raise file.failed
            return await asyncio.wrap_future(
                self._threads.submit(write_small, share, permit, data, modified, conditions, sha256, storing, unseen)
            )
        if permit.verb is Verb.WRITE:  # who may only add learns of a condition when no name is in the way
            await asyncio.wrap_future(self._threads.submit(share.clearance.foresee, permit, conditions))
        begun = self._threads.submit(functools.partial(share.write, permit, coming.announced, unseen=unseen))
        try:
            upload = await asyncio.wrap_future(begun)
            upload.modified = modified
            await self.fill(upload, coming.pieces, coming.size, storing)
            sha256 = await coming.whole()
            return upload, await asyncio.wrap_future(self._threads.submit(store, upload, storing, conditions, sha256))
        except BaseException:
            begun.add_done_callback(self._drop)  # also when we were cancelled before it had begun
            raise

    async def fill(self, upload: Upload, pieces: AsyncIterator[bytes], expected: int | None, storing: Storing) -> None:
        """Gather the next bytes while a thread writes and hashes those before. Raises WrongUsage when there are not

        as many as `expected`.
        """
        writing: Future[None] | None = None
        had = upload.size
        gathered: list[bytes | memoryview] = []
        rest: list[bytes | memoryview]
        size = written = had
        async for piece in pieces:
            gathered.append(piece)
            size += len(piece)
            storing.grow(size)  # of an upload without a length nobody knows before
            if size - written >= CHUNK:
                if writing:
                    await asyncio.wrap_future(writing)
                over = size % BLOCK
                rest = [memoryview(piece)[-over:]] if 0 < over < len(piece) else []
                if rest:
                    gathered[-1] = memoryview(piece)[:-over]
                writing = self._threads.submit(upload.write, *gathered)
                gathered, written = rest, size - len(rest[0]) if rest else size
        if writing:
            await asyncio.wrap_future(writing)
        await asyncio.wrap_future(self._threads.submit(upload.write, *gathered))
        if expected not in {None, upload.size - had}:
            raise _broke_off()

    def _drop(self, begun: Future[Upload]) -> None:
        if not begun.cancelled() and begun.exception() is None:
            self._threads.submit(begun.result().abort)


def write_small(
    share: Share,
    permit: Permit,
    body: bytes,
    modified: int | None,
    conditions: Conditions,
    sha256: bytes | None,
    storing: Storing,
    unseen: bool,
) -> tuple[Upload, Entry]:
    upload = share.write(permit, len(body), unseen=unseen)
    upload.modified = modified
    upload.write(body)
    return upload, store(upload, storing, conditions, sha256)


def store(upload: Upload, storing: Storing, conditions: Conditions, sha256: bytes | None) -> Entry:
    """Commit it: charged before and after, so that a death in between leaves the file and who stored it together."""
    try:
        with storing.placing(upload.size, upload.inode) as placed:
            entry = upload.commit(conditions, sha256)
            placed.extend(upload.made or [Placed(entry.path, upload.size, upload.inode)])
            return entry
    except BaseException:
        upload.abort()
        raise


async def body(request: web.Request) -> AsyncIterator[bytes]:
    """The bytes of a request. Whoever waits to be told to send them is told."""
    await go_on(request)
    async for piece in request.content.iter_any():
        yield piece


async def go_on(request: web.Request) -> None:
    """Say `100 Continue` to whoever waits for it."""
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _all_of(pieces: AsyncIterator[bytes], size: int) -> bytes:
    data = b"".join([piece async for piece in pieces])
    if len(data) != size:
        raise _broke_off()
    return data


def _broke_off() -> WrongUsage:
    return WrongUsage("The upload broke off; nothing was changed.", "send it again")


def announced(request: web.Request) -> int | None:
    """How long the upload says that it is; macOS's Finder says so in a header of its own."""
    if request.content_length is not None:
        return request.content_length
    expected = request.headers.get("X-Expected-Entity-Length", "")
    return int(expected) if expected.isascii() and expected.isdigit() and len(expected) < 20 else None
