"""PROPFIND, GET and HEAD."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from aiohttp import web

from commonhold.authority.authority import Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.errors import NotFound, WrongUsage
from commonhold.files import multistatus, webdav
from commonhold.files.entry import Entry
from commonhold.files.served.access import Access
from commonhold.files.served.download import Downloads
from commonhold.files.served.locking import Locking
from commonhold.files.served.problem import problem
from commonhold.files.share import NoFile
from commonhold.names import SharePath

BATCH = 500  # entries of a listing that are read, written and sent at a time
PIECE, ROOM = 20, 256 * 1024  # fewer when they have much to say: so many at a time, until it is so many bytes
# What may be asked of whatever is there; whether somebody may is another matter.
FILE_METHODS = "OPTIONS, PROPFIND, PROPPATCH, GET, HEAD, PUT, DELETE, COPY, MOVE, LOCK, UNLOCK"
FOLDER_METHODS = "OPTIONS, PROPFIND, PROPPATCH, HEAD, POST, DELETE, COPY, MOVE, LOCK, UNLOCK"
NEW_METHODS = "OPTIONS, PUT, MKCOL, LOCK"


Dead: TypeAlias = Callable[[Sequence[Entry]], Mapping[str, Mapping[str, str]]]  # the dead properties of entries


def _none(_: Sequence[Entry]) -> Mapping[str, Mapping[str, str]]:
    return {}


class Looking:
    def __init__(self, access: Access, locking: Locking) -> None:
        self._access, self._locking = access, locking
        self._downloads = Downloads(access.threads)

    async def top(self, request: web.Request) -> web.StreamResponse:
        """PROPFIND of `/`, where Windows begins, wherever it is going: there is `dav`, and no more to be learnt."""
        if (depth := webdav.depth(request.headers.get("Depth"))) is None:
            return web.Response(status=403, body=multistatus.FINITE_DEPTH, content_type="application/xml")
        question = multistatus.parse_question(await _small_body(request))
        entries = [("/", Entry("", "folder", 0, None, "")), (webdav.ROOT, Entry("dav", "folder", 0, None, ""))]
        return await self._listing(request, question, iter(entries[: depth + 1]), {})

    async def methods(self, request: web.Request, name: str, path: SharePath) -> str | None:
        """Those that what is there understands; None for whoever may not know what it is."""
        if not self._access.may(request, Verb.LIST, name, path):
            return None
        share, given = self._access.permit(request, Verb.LIST, name, path)
        try:
            entry = await self._access.run(share.stat, given)
        except NotFound:
            return NEW_METHODS
        return FILE_METHODS if entry.kind == "file" else FOLDER_METHODS

    async def propfind(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        depth = webdav.depth(request.headers.get("Depth"))
        if depth is None:
            return web.Response(status=403, body=multistatus.FINITE_DEPTH, content_type="application/xml")
        more: multistatus.Properties = {}
        dead: Dead = _none
        if name:
            share, given = self._access.permit(request, Verb.LIST, name, path)
            question = multistatus.parse_question(await _small_body(request))
            first = await self._access.run(share.stat, given)
            inner = await self._access.run(share.list, given) if depth and first.kind == "folder" else iter(())
            more = self._locking.properties(request, share)
            dead = partial(share.describing.told, given)
            if question.for_quota:
                more |= multistatus.quota(*self._access.room(request, await self._access.run(share.free, given)))
        else:
            question = multistatus.parse_question(await _small_body(request))
            first = Entry("", "share", 0, None, "")
            inner = iter(self._visible(request[SUBJECT]) if depth else ())
        entries = itertools.chain([(_address(name, first), first)], ((_address(name, entry), entry) for entry in inner))
        return await self._listing(request, question, entries, more, dead)

    def _visible(self, subject: Subject) -> list[Entry]:
        """The shares in which somebody may list or add."""
        decide = self._access.authority().decide
        return [
            Entry(share.door.name, "share", 0, None, "")
            for share in self._access.shares.all()
            if decide(subject, Verb.LIST, share.door).allowed or decide(subject, Verb.ADD, share.door).allowed
        ]

    async def _listing(
        self,
        request: web.Request,
        question: multistatus.Question,
        entries: Iterator[tuple[str, Entry]],
        more_properties: multistatus.Properties,
        dead: Dead = _none,
    ) -> web.StreamResponse:
        """Short listings with their length, which Finder needs; long ones as they are read."""

        def batch() -> tuple[bytes, bool]:
            text, count = bytearray(), 0
            while count < BATCH and len(text) < ROOM:
                taken = list(itertools.islice(entries, PIECE))
                given = dead([entry for _, entry in taken])
                text += multistatus.answers(question, taken, more_properties, given)
                if len(taken) < PIECE:
                    return bytes(text), False
                count += PIECE
            return bytes(text), True

        text, more = await self._access.run(batch)
        headers = {"Content-Type": 'application/xml; charset="utf-8"', "DAV": webdav.COMPLIANCE}
        if not more:
            body = b"".join((multistatus.HEAD, text, multistatus.TAIL))
            return web.Response(status=207, headers=headers, body=body)
        response = web.StreamResponse(status=207, headers=headers)
        await response.prepare(request)
        await response.write(multistatus.HEAD + text)
        while more:
            text, more = await self._access.run(batch)
            await response.write(text)
        await response.write_eof(multistatus.TAIL)
        return response

    async def get(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        share, given = self._access.permit(request, Verb.READ, name, path)
        try:
            return await self._downloads.answer(request, share, given)
        except NoFile as error:
            if request.method == "HEAD":  # Office asks so
                return web.Response()
            return problem(WrongUsage(error.sentence, error.hint), 405, Allow=FOLDER_METHODS)


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
