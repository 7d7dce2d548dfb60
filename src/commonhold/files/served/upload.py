"""PUT: bytes that arrive, into a share."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

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

SMALL = 256 * 1024  # bytes up to which a file is taken into memory and written in one go: one change of thread
CHUNK = 2**20  # bytes gathered before a thread writes them; the next are gathered meanwhile


class Uploads:
    """Receives files; disks are waited for in `threads`."""

    def __init__(self, threads: ThreadPoolExecutor, ledger: QuotaLedger) -> None:
        self._threads = threads
        self._convoys = Convoys(threads, ledger)

    async def receive(
        self,
        request: web.Request,
        share: Share,
        permit: Permit,
        storing: Storing,
        ask: Callable[[], object],
        *,
        unseen: bool,
    ) -> tuple[Upload | Bundled, Entry]:
        """The body of the request as the file at the permit's path: all of it and durable, or nothing.

        `ask` asks again whether that is allowed, when all bytes are there: a slow upload may outlast a right.
        `unseen`: as in `Share.write`. Raises what `ask`, that and `Upload.commit` raise; whatever ends it leaves
        nothing behind.
        """
        if "Content-Range" in request.headers or request.headers.get("Content-Encoding", "identity") != "identity":
            raise WrongUsage("An upload is a whole file as it is, neither a part nor compressed.")
        conditions = webdav.conditions(request.headers)
        sha256 = webdav.parse_digest(request.headers.get("Repr-Digest"))
        modified = webdav.parse_mtime(request.headers.get("X-OC-Mtime"))
        if request.content_length is not None and request.content_length <= SMALL:
            await go_on(request)
            body = await _whole(request, request.content_length)
            ask()
            if not unseen:
                file = Bundled(permit, body, sha256 or b"", conditions, modified)
                await self._convoys.bring(share, file, storing)
                if file.entry and file.failed is None:
                    return file, file.entry
                if file.failed and not isinstance(file.failed, NoSpace):
                    raise file.failed
            return await asyncio.wrap_future(
                self._threads.submit(write_small, share, permit, body, modified, conditions, sha256, storing, unseen)
            )
        if permit.verb is Verb.WRITE:  # who may only add learns of a condition when no name is in the way
            await asyncio.wrap_future(self._threads.submit(share.clearance.foresee, permit, conditions))
        begun = self._threads.submit(functools.partial(share.write, permit, announced(request), unseen=unseen))
        try:
            upload = await asyncio.wrap_future(begun)
            upload.modified = modified
            await go_on(request)
            await self.fill(upload, request, storing)
            ask()
            return upload, await asyncio.wrap_future(self._threads.submit(store, upload, storing, conditions, sha256))
        except BaseException:
            begun.add_done_callback(self._drop)  # also when we were cancelled before it had begun
            raise

    async def fill(self, upload: Upload, request: web.Request, storing: Storing) -> None:
        """Gather the next bytes while a thread writes and hashes those before."""
        writing: Future[None] | None = None
        had = upload.size
        gathered: list[bytes] = []
        size = written = had
        async for piece in request.content.iter_any():
            gathered.append(piece)
            size += len(piece)
            storing.grow(size)  # of an upload without a length nobody knows before
            if size - written >= CHUNK:
                if writing:
                    await asyncio.wrap_future(writing)
                writing = self._threads.submit(_append, upload, gathered)
                gathered, written = [], size
        if writing:
            await asyncio.wrap_future(writing)
        await asyncio.wrap_future(self._threads.submit(_append, upload, gathered))
        if request.content_length not in {None, upload.size - had}:
            raise WrongUsage("The upload broke off; nothing was changed.", "send it again")

    def _drop(self, begun: Future[Upload]) -> None:
        if not begun.cancelled() and begun.exception() is None:
            self._threads.submit(begun.result().abort)


def _append(upload: Upload, pieces: list[bytes]) -> None:
    upload.write(b"".join(pieces))


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


async def go_on(request: web.Request) -> None:
    """Say `100 Continue` to whoever waits for it."""
    if "Expect" in request.headers:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0


async def _whole(request: web.Request, size: int) -> bytes:
    try:
        return await request.content.readexactly(size) if size else b""
    except asyncio.IncompleteReadError as error:
        raise WrongUsage("The upload broke off; nothing was changed.", "send it again") from error


def announced(request: web.Request) -> int | None:
    """How long the upload says that it is; macOS's Finder says so in a header of its own."""
    if request.content_length is not None:
        return request.content_length
    expected = request.headers.get("X-Expected-Entity-Length", "")
    return int(expected) if expected.isascii() and expected.isdigit() and len(expected) < 20 else None
