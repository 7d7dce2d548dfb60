"""PROPPATCH (RFC 4918, 9.2): all of it, or nothing.

`executable` of Apache, which davfs2 sets, is kept like any other: who may write into a share makes no programs on its
owner's disk.
"""

from __future__ import annotations

from aiohttp import web

from commonhold.authority.authority import Verb
from commonhold.errors import NoSpace
from commonhold.files import propwords, webdav
from commonhold.files.listing import LIVE
from commonhold.files.properties import CONTENT
from commonhold.files.served.access import Access
from commonhold.names import SharePath


class Proppatching:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def proppatch(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        share, given = self._access.permit(request, Verb.WRITE, name, path)
        conditions = webdav.conditions(request.headers)
        changes = propwords.parse_patch(await _small_body(request))
        failed = {change.name: 403 for change in changes if change.name in LIVE}
        times = [change.value for change in changes if change.name == CONTENT and change.value]
        modified = webdav.parse_date(_text(times[-1])) if times else None
        if times and modified is None:
            failed[CONTENT] = 409
        if failed:
            await self._access.run(share.stat, given)  # what is not there is 404 all the same
        else:
            try:
                await self._access.run(share.describing.change, given, changes, conditions, modified)
            except NoSpace as error:
                failed = {str(error.more.get("property", changes[0].name)): error.status}
        body = propwords.answer(webdav.href(share.door.name, str(path)), changes, failed)
        return web.Response(status=207, body=body, content_type="application/xml", charset="utf-8")


def _text(element: str) -> str:
    """The text of an element without others in it."""
    return element.partition(">")[2].partition("<")[0]


async def _small_body(request: web.Request) -> bytes:
    """What a PROPPATCH says, and a little more when it is too long."""
    body = b""
    while len(body) <= propwords.LONGEST_PATCH and (piece := await request.content.readany()):
        body += piece
    return body
