"""PUT of a large file that goes on where it broke off. docs/webdav.md says it to those who write a client.

`Content-Range` on PUT (RFC 9110, 14.5) with a token that the sender chooses: whoever does not know it refuses it, so
that no part is ever taken for the whole; and the sender can make the token from what it sends, and need not remember.
The IETF's draft of resumable uploads has the server choose an address that the sender must keep.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

from aiohttp import web

from commonhold.authority.authority import Permit, Subject
from commonhold.authority.gate import SUBJECT
from commonhold.errors import CommonholdError, Conflict, Damaged, NoSpace, WrongUsage
from commonhold.files import webdav
from commonhold.files.entry import Entry
from commonhold.files.incoming import Resumed, Upload
from commonhold.files.quota import Payer, Storing
from commonhold.files.served.access import Access
from commonhold.files.served.problem import problem
from commonhold.files.served.upload import Uploads, body, store
from commonhold.files.share import Share
from commonhold.files.unfinished import Beginning, Beginnings
from commonhold.names import PersonId
from commonhold.transport import caller_of

TOKEN = "Upload-Token"  # noqa: S105 - the name of a header
OFFSET = "Upload-Offset"
PATIENCE = 10.0  # seconds that an earlier connection of the same upload gets to end
_TOKEN = re.compile(r"[0-9a-f]{32,64}")
_RANGE = re.compile(r"bytes (?:\*|([0-9]{1,18})-([0-9]{1,18}))/([0-9]{1,18})")


class _Underway:
    """A request that brings bytes; `leaving` when what it brought is still being put aside."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.over = asyncio.Event()
        self.leaving = False


class Resuming:
    def __init__(self, access: Access, uploads: Uploads) -> None:
        self._access, self._uploads = access, uploads
        self._unfinished = Beginnings(access.shares.catalogue)
        self._held: dict[str, Storing] = {}  # what those that wait take of their payer's quota
        self._active: dict[str, _Underway] = {}
        for begun in self._unfinished.all():
            self._hold(begun)
        access.shares.on_round.append(self._sweep)

    async def receive(
        self, request: web.Request, share: Share, permit: Permit, ask: Callable[[], object], *, unseen: bool
    ) -> tuple[Upload, Entry] | web.Response:
        """As `Uploads.receive`; or the answer to a question how far it had come, or to one who goes on elsewhere."""
        first, total = _range(request)
        begun = self._begun(request, share, permit, total)
        await self._end_earlier(begun.key)
        if first is None:
            known = await self._access.run(self._unfinished.find, begun.key)
            return web.Response(status=204, headers={OFFSET: str(_offset(known, total))})
        underway = self._active[begun.key] = _Underway(request)
        try:
            known = await self._access.run(self._unfinished.find, begun.key)
            if first != (had := _offset(known, total)) and first:
                error = Conflict(
                    f"{had} bytes of “{permit.path}” are here; go on from there.", "ask how many there are"
                )
                return problem(error, 409, **{OFFSET: str(had)})
            await self._access.run(self._make_way, begun)
            begun = begun._replace(size=first)
            storing = await self._room(request, permit, begun, unseen)
            try:
                return await self._go_on(request, share, permit, begun, storing, ask, underway, unseen)
            finally:
                if not underway.leaving:
                    storing.release()
        finally:
            if not underway.leaving:
                self._end(begun.key, underway)

    async def _go_on(
        self,
        request: web.Request,
        share: Share,
        permit: Permit,
        begun: Beginning,
        storing: Storing,
        ask: Callable[[], object],
        underway: _Underway,
        unseen: bool,
    ) -> tuple[Upload, Entry]:
        conditions = webdav.conditions(request.headers)
        sha256 = webdav.parse_digest(request.headers.get("Repr-Digest"))
        await self._access.run(self._unfinished.begin, begun)
        note = partial(self._unfinished.note, begun.key)
        opening = self._access.threads.submit(
            partial(share.resume, permit, begun.file, begun.size, begun.total, note, unseen=unseen)
        )
        whole = False
        try:
            upload = await asyncio.wrap_future(opening)
            upload.modified = webdav.parse_mtime(request.headers.get("X-OC-Mtime"))
            await self._uploads.fill(upload, body(request), request.content_length, storing)
            ask()
            whole = True
            entry = await self._access.run(store, upload, storing, conditions, sha256)
            await self._access.run(self._unfinished.drop, begun.key)
            return upload, entry
        except BaseException:
            loop = asyncio.get_running_loop()

            def leave(opening: Future[Resumed]) -> None:
                kept = False
                try:
                    kept = self._leave(begun, whole, opening, storing)
                finally:
                    if not kept:
                        storing.release()
                    loop.call_soon_threadsafe(self._end, begun.key, underway)

            underway.leaving = True
            opening.add_done_callback(lambda _: self._access.threads.submit(leave, opening))
            raise

    def _leave(self, begun: Beginning, whole: bool, opening: Future[Resumed], storing: Storing) -> bool:
        """It broke off: what has come stays, and its room is held. What was whole and refused, or is not what was

        noted, does not. Returns whether it stays; blocks.
        """
        if opening.cancelled():
            return False
        error = opening.exception()
        if error is None and not whole:
            with suppress(CommonholdError, OSError):
                if opening.result().leave() and (known := self._unfinished.find(begun.key)) is not None:
                    self._held[begun.key] = storing
                    with suppress(NoSpace):  # less than was held: no less, where the limit is another since
                        self._access.ledger.hold(storing, storing.net(known.size))
                    return True
        if error is None or isinstance(error, Damaged):
            self._unfinished.drop(begun.key)
        return False

    def _begun(self, request: web.Request, share: Share, permit: Permit, total: int) -> Beginning:
        """Bound to who sends it, from where, and to where it goes: another's token opens nothing."""
        token = request.headers.get(TOKEN, "")
        if not _TOKEN.fullmatch(token):
            raise WrongUsage(f"The {TOKEN} of an upload is 32 to 64 digits of hexadecimal.")
        subject: Subject = request[SUBJECT]
        sender = f"{subject.person or ''} {caller_of(request) or ''}"
        what = "\n".join((sender, share.door.id, str(permit.path), token))
        payer = self._access.payer(subject)
        key = hashlib.sha256(what.encode()).hexdigest()[:40]
        return Beginning(key, share.door.id, str(permit.path), sender, payer.person or "", payer.name, total, 0)

    async def _end_earlier(self, key: str) -> None:
        """The connection that broke may not have been missed here yet. Raises Conflict."""
        if (earlier := self._active.get(key)) is None:
            return
        if earlier.request.transport is not None:
            earlier.request.transport.abort()
        try:
            async with asyncio.timeout(PATIENCE):
                await earlier.over.wait()
        except TimeoutError:
            raise Conflict("It is being uploaded by another connection.", "wait for that to end") from None

    def _end(self, key: str, underway: _Underway) -> None:
        underway.over.set()
        if self._active.get(key) is underway:
            del self._active[key]

    async def _room(self, request: web.Request, permit: Permit, begun: Beginning, unseen: bool) -> Storing:
        if (held := self._held.pop(begun.key, None)) is not None:
            held.release()
        return await self._access.storing(request, permit, begun.total, unseen)

    def _hold(self, begun: Beginning) -> None:
        payer = Payer(PersonId(begun.payer) if begun.payer else None, begun.payer_name)
        with suppress(NoSpace):
            self._held[begun.key] = self._access.ledger.begin(payer, begun.share, begun.path, begun.size)

    def _make_way(self, begun: Beginning) -> None:
        """Those that are over go before another one stays."""
        self._sweep(begun.sender, begun.key)

    def _sweep(self, sender: str = "", sparing: str = "") -> None:
        """Those go that have stayed long enough, and of that sender those that are too many."""
        for old in self._unfinished.over(sender):
            if old.key == sparing or old.key in self._active:
                continue
            for share in self._access.shares.all():
                if share.door.id == old.share:
                    with suppress(CommonholdError, OSError):
                        share.forget_upload(old.file)
            self._unfinished.drop(old.key)
            if (held := self._held.pop(old.key, None)) is not None:
                held.release()


def _offset(known: Beginning | None, total: int) -> int:
    return known.size if known and known.total == total else 0


def _range(request: web.Request) -> tuple[int | None, int]:
    """Where the bytes of the request belong (None: it only asks), and how many there are in all. Raises WrongUsage."""
    match = _RANGE.fullmatch(request.headers.get("Content-Range", ""))
    if not match:
        raise WrongUsage("An upload that can go on says with Content-Range which bytes it brings, of how many.")
    total = int(match[3])
    if match[1] is None:
        return None, total
    first, end = int(match[1]), int(match[2]) + 1
    if end != total or first >= end or request.content_length != end - first:
        raise WrongUsage("The bytes of an upload go from where it broke off to the end of the file.")
    return first, total
