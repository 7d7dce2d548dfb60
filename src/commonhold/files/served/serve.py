"""WebDAV, class 1, over the shares of this computer: what other computers and programs ask of its files.

Each request asks the authority before it looks whether anything exists, so that whoever may not
know learns nothing: the refusal for a share, a file or a folder that is not there is the same, and
to whoever may add but not list a share is a drop-box, where every name seems to be free. Errors
are raised as CommonholdError; a middleware (transport.problems) makes the answers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from aiohttp import web

from commonhold.authority.authority import Authority, Permit, Subject, Verb, permit
from commonhold.authority.gate import SUBJECT
from commonhold.errors import Conflict, Damaged, NoSpace, NotFound, WrongUsage
from commonhold.files import multistatus, webdav
from commonhold.files.entry import Entry
from commonhold.files.quota import Payer, QuotaLedger, Storing
from commonhold.files.served.download import Downloads
from commonhold.files.served.problem import problem
from commonhold.files.served.upload import Uploads, announced
from commonhold.files.share import NoFile, Share, Taken
from commonhold.files.shares import Shares
from commonhold.names import SharePath

T = TypeVar("T")
THREADS = 8  # that wait for disks: with 16 there were no more small durable writes a second
BATCH = 500  # entries of a listing that are read, written and sent at a time
FOLDER_METHODS = "OPTIONS, PROPFIND, HEAD, DELETE"
METHODS = "OPTIONS, PROPFIND, GET, HEAD, PUT, MKCOL, DELETE"


def routes(
    shares: Shares,
    authority: Callable[[], Authority],
    on_event: Callable[..., None],
    ledger: QuotaLedger,
    payer: Callable[[Subject], Payer],
) -> list[web.RouteDef]:
    """The door `/dav/`. `on_event(event, **words)` hears of overwrites and deletes, on the event loop.

    What is stored is charged in the `ledger` to the `payer` for who stores it.
    """
    door = _Door(shares, authority, on_event, ledger, payer)
    return [
        web.route("*", "/dav", door.answer, expect_handler=_expect),
        web.route("*", "/dav/{path:.*}", door.answer, expect_handler=_expect),
    ]


async def _expect(request: web.Request) -> None:
    """`100 Continue` is said when the upload was found to be allowed and to fit, not before."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed


class _Door:
    def __init__(
        self,
        shares: Shares,
        authority: Callable[[], Authority],
        on_event: Callable[..., None],
        ledger: QuotaLedger,
        payer: Callable[[Subject], Payer],
    ) -> None:
        self._shares = shares
        self._ledger, self._payer = ledger, payer
        self._authority = authority
        self._on_event = on_event
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
        self._downloads = Downloads(self._threads)
        self._uploads = Uploads(self._threads)
        self._methods = {
            "OPTIONS": self._options,
            "PROPFIND": self._propfind,
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "MKCOL": self._mkcol,
            "DELETE": self._delete,
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        method = self._methods.get(request.method)
        if method is None:
            return problem(WrongUsage(f"{request.method} is not understood here."), 405, Allow=METHODS)
        name, path = webdav.target(request.raw_path)
        if not name and request.method not in {"OPTIONS", "PROPFIND"}:
            return problem(WrongUsage("That is the list of shares, no file."), 405, Allow="OPTIONS, PROPFIND")
        return await method(request, name, path)

    async def _options(self, _request: web.Request, _name: str, _path: SharePath) -> web.Response:
        return web.Response(headers={"DAV": "1", "MS-Author-Via": "DAV", "Allow": METHODS})

    # -- asking

    def _permit(self, request: web.Request, verb: Verb, name: str, path: SharePath) -> tuple[Share, Permit]:
        """Ask first, then look whether there is such a share. Raises Refused, NotFound."""
        share = self._shares.find(name)
        given = permit(self._authority(), request[SUBJECT], verb, self._shares.door(name), path)
        if share is None:
            raise NotFound(f"There is no share {name}.")
        return share, given

    def _may(self, request: web.Request, verb: Verb, name: str, path: SharePath) -> bool:
        return self._authority().decide(request[SUBJECT], verb, self._shares.door(name), path).allowed

    def _record(self, event: str, request: web.Request, **words: Any) -> None:
        subject: Subject = request[SUBJECT]
        self._on_event(event, **subject.words(), **words)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.wrap_future(self._threads.submit(work, *arguments))

    # -- looking

    async def _propfind(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        depth = webdav.depth(request.headers.get("Depth"))
        if depth is None:
            return web.Response(status=403, body=multistatus.FINITE_DEPTH, content_type="application/xml")
        if name:
            share, given = self._permit(request, Verb.LIST, name, path)
            question = multistatus.parse_question(await _small_body(request))
            first = await self._run(share.stat, given)
            inner = await self._run(share.list, given) if depth and first.kind == "folder" else iter(())
        else:
            question = multistatus.parse_question(await _small_body(request))
            first = Entry("", "share", 0, None, "")
            inner = iter(self._visible(request[SUBJECT]) if depth else ())
        entries = itertools.chain([(_address(name, first), first)], ((_address(name, entry), entry) for entry in inner))
        return await self._listing(request, question, entries)

    def _visible(self, subject: Subject) -> list[Entry]:
        """The shares in which somebody may list or add."""
        decide = self._authority().decide
        return [
            Entry(share.door.name, "share", 0, None, "")
            for share in self._shares.all()
            if decide(subject, Verb.LIST, share.door).allowed or decide(subject, Verb.ADD, share.door).allowed
        ]

    async def _listing(
        self, request: web.Request, question: multistatus.Question, entries: Iterator[tuple[str, Entry]]
    ) -> web.StreamResponse:
        """Short listings with their length, which Finder needs; long ones as they are read."""

        def batch() -> tuple[bytes, bool]:
            taken = list(itertools.islice(entries, BATCH))
            return multistatus.answers(question, taken), len(taken) == BATCH

        text, more = await self._run(batch)
        headers = {"Content-Type": 'application/xml; charset="utf-8"', "DAV": "1"}
        if not more:
            body = b"".join((multistatus.HEAD, text, multistatus.TAIL))
            return web.Response(status=207, headers=headers, body=body)
        response = web.StreamResponse(status=207, headers=headers)
        await response.prepare(request)
        await response.write(multistatus.HEAD + text)
        while more:
            text, more = await self._run(batch)
            await response.write(text)
        await response.write_eof(multistatus.TAIL)
        return response

    async def _get(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        share, given = self._permit(request, Verb.READ, name, path)
        try:
            return await self._downloads.answer(request, share, given)
        except NoFile as error:
            if request.method == "HEAD":  # Office asks so
                return web.Response()
            return problem(WrongUsage(error.sentence, error.hint), 405, Allow=FOLDER_METHODS)

    # -- changing

    async def _put(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        """To write if that is allowed, else to add: then nothing is replaced."""
        verb = Verb.WRITE if self._may(request, Verb.WRITE, name, path) else Verb.ADD
        share, given = self._permit(request, verb, name, path)
        unseen = verb is Verb.ADD and not self._may(request, Verb.LIST, name, path)  # whoever may write may list
        try:
            with await self._storing(request, given, announced(request), unseen) as storing:
                upload, entry = await self._uploads.receive(
                    request, share, given, storing, lambda: self._permit(request, verb, name, path), unseen=unseen
                )
        except Damaged as error:
            return problem(error, 400)
        if not upload.created:
            self._record("overwritten", request, door=share.door.name, path=str(path), size=entry.size)
        headers = {"ETag": f'"{entry.etag}"', "Repr-Digest": webdav.digest_header(upload.sha256)}
        return web.Response(status=201 if upload.created else 204, headers=headers)

    async def _storing(self, request: web.Request, given: Permit, size: int | None, unseen: bool) -> Storing:
        """Room for what is to be stored, before a byte of it is read; unseen, for each folder too. Raises NoSpace."""
        files = len(given.path.parts) if unseen else 1
        what = self._payer(request[SUBJECT]), given.door.id, str(given.path), size, files
        try:
            return self._ledger.begin(*what)
        except NoSpace:
            return await self._run(self._ledger.begin_anew, *what)

    async def _mkcol(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        share, given = self._permit(request, Verb.ADD, name, path)
        if request.can_read_body:
            raise WrongUsage("A folder is made without a body.")
        unseen = not self._may(request, Verb.LIST, name, path)
        try:
            with await self._storing(request, given, 0, unseen) as storing:
                await self._run(_mkdir, share, given, storing, unseen)
        except Taken as error:
            return problem(Conflict(error.sentence, error.hint), 405, Allow=FOLDER_METHODS)
        return web.Response(status=201)

    async def _delete(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        share, given = self._permit(request, Verb.WRITE, name, path)
        gone = await self._run(share.delete, given, webdav.conditions(request.headers))
        await self._run(self._ledger.release, share.door.id, str(path))
        self._record("deleted", request, door=share.door.name, path=str(path), kind=gone.kind, size=gone.size)
        return web.Response(status=204)


def _mkdir(share: Share, given: Permit, storing: Storing, unseen: bool) -> None:
    with storing.placing(0) as placed:
        placed.extend(share.mkdir(given, unseen=unseen))


def _address(name: str, entry: Entry) -> str:
    if entry.kind == "share":
        return webdav.href(entry.path, folder=True)
    return webdav.href(name, entry.path, folder=entry.kind == "folder")


async def _small_body(request: web.Request) -> bytes:
    """The question of a PROPFIND, and a little more when it is too long."""
    body = b""
    while len(body) <= multistatus.LONGEST_QUESTION and (piece := await request.content.readany()):
        body += piece
    return body
