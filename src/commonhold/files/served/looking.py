"""PROPFIND, GET and HEAD."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator, Mapping

from aiohttp import web

from commonhold.authority.authority import Permit, Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.errors import NotFound, WrongUsage
from commonhold.files import listing, multistatus, webdav
from commonhold.files.handing import NoFile
from commonhold.files.listing import Lines, Thing, Told
from commonhold.files.multistatus import Question
from commonhold.files.served.access import Access
from commonhold.files.served.atonce import AtOnce
from commonhold.files.served.download import Downloads
from commonhold.files.served.locking import Locking
from commonhold.files.served.problem import problem
from commonhold.files.share import Share
from commonhold.names import SharePath

ROOM = 256 * 1024  # bytes of a listing that are put together, and sent, at a time
# What may be asked of whatever is there; whether somebody may is another matter.
FILE_METHODS = "OPTIONS, PROPFIND, PROPPATCH, GET, HEAD, PUT, DELETE, COPY, MOVE, LOCK, UNLOCK"
FOLDER_METHODS = "OPTIONS, PROPFIND, PROPPATCH, HEAD, POST, DELETE, COPY, MOVE, LOCK, UNLOCK"
NEW_METHODS = "OPTIONS, PUT, MKCOL, LOCK"


class Looking:
    def __init__(self, access: Access, locking: Locking) -> None:
        self._access, self._locking = access, locking
        self._downloads = Downloads(access.threads)
        self._at_once = AtOnce(access, self._downloads)

    async def top(self, request: web.Request) -> web.StreamResponse:
        """PROPFIND of `/`, where Windows begins, wherever it is going: there is `dav`, and no more to be learnt."""
        if (depth := webdav.depth(request.headers.get("Depth"))) is None:
            return _endless()
        form = listing.form(multistatus.parse_question(await _small_body(request)), "share")
        lines = Lines(["/", webdav.ROOT][: depth + 1], ["", "dav"][: depth + 1])
        return await self._answer(request, iter([form.fill(lines)]))

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
            return _endless()
        if not name:
            question = multistatus.parse_question(await _small_body(request))
            names = ["", *(self._visible(request[SUBJECT]) if depth else ())]
            lines = Lines([webdav.href(each, folder=True) for each in names], names)
            return await self._answer(request, iter([listing.form(question, "share").fill(lines)]))
        share, given = self._access.permit(request, Verb.LIST, name, path)
        question = multistatus.parse_question(await _small_body(request))
        room = 0, 0
        if question.for_quota:
            room = self._access.room(request, await self._access.run(share.free, given))
        lines = Lines([], [], locks=self._locking.told(request, share), room=room)
        return await self._answer(request, _texts(share, given, name, question, lines, deep=depth > 0))

    def _visible(self, subject: Subject) -> list[str]:
        """The names of the shares in which somebody may list or add."""
        decide = self._access.authority().decide
        return [
            share.door.name
            for share in self._access.shares.all()
            if decide(subject, Verb.LIST, share.door).allowed or decide(subject, Verb.ADD, share.door).allowed
        ]

    async def _answer(self, request: web.Request, texts: Iterator[str]) -> web.StreamResponse:
        """Short listings with their length, which Finder needs; long ones as they are read."""

        def piece() -> tuple[bytes, bool]:
            """What is to be sent next, and whether there is more."""
            taken, size = [], 0
            for text in texts:
                taken.append(text)
                size += len(text)
                if size >= ROOM:
                    return "".join(taken).encode(), True
            return "".join(taken).encode(), False

        data, more = await self._access.run(piece)
        headers = {"Content-Type": 'application/xml; charset="utf-8"', "DAV": webdav.COMPLIANCE}
        if not more:
            body = b"".join((multistatus.HEAD, data, multistatus.TAIL))
            return web.Response(status=207, headers=headers, body=body)
        response = web.StreamResponse(status=207, headers=headers)
        await response.prepare(request)
        data = multistatus.HEAD + data
        while more:  # while one piece is sent, the next is put together
            (following, more), _ = await asyncio.gather(self._access.run(piece), response.write(data))
            data = following
        await response.write(data)
        await response.write_eof(multistatus.TAIL)
        return response

    async def get(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        share, given = self._access.permit(request, Verb.READ, name, path)
        try:
            answer = await self._downloads.answer(request, share, given)
            self._at_once.offer(request, answer)
            return answer
        except NoFile as error:
            if request.method == "HEAD":  # Office asks so
                return web.Response()
            return problem(WrongUsage(error.sentence, error.hint), 405, Allow=FOLDER_METHODS)


def _endless() -> web.Response:
    return web.Response(status=403, body=multistatus.FINITE_DEPTH, content_type="application/xml")


def _texts(share: Share, given: Permit, name: str, question: Question, blank: Lines, *, deep: bool) -> Iterator[str]:
    """What is told of the permit's file or folder, then of what lies in it; reads the disk as it goes.

    `blank` has what is the same for all of them.
    """
    status, path = share.status(given), given.path
    describing, beyond = share.describing, listing.beyond(question)
    kind: Thing = "folder" if stat.S_ISDIR(status.st_mode) else "file"
    address = webdav.href(name, str(path), folder=kind == "folder")
    above = f"{path.parent}/" if len(path.parts) > 1 else ""
    dead: Mapping[str, Told] = {path.name: describing.told(given)} if beyond else {}
    own = blank._replace(addresses=[address], names=[path.name], statuses=[status], above=above, told=dead)
    yield listing.form(question, kind).fill(own)
    if not deep or kind == "file":
        return
    above = f"{path}/" if path.parts else ""
    for seen in share.list(given):
        for kind, things in ("file", seen.files), ("folder", seen.folders):
            names, statuses = [*things], [*things.values()]
            addresses = webdav.hrefs(name, str(path), names, folders=kind == "folder")
            dead = describing.told_inside(given, names) if beyond and names else {}
            lines = blank._replace(addresses=addresses, names=names, statuses=statuses, above=above, told=dead)
            yield listing.form(question, kind).fill(lines)


async def _small_body(request: web.Request) -> bytes:
    """The question of a PROPFIND, and a little more when it is too long."""
    body = b""
    while len(body) <= multistatus.LONGEST_QUESTION and (piece := await request.content.readany()):
        body += piece
    return body
