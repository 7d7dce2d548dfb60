"""PUT, MKCOL and DELETE."""

from __future__ import annotations

from aiohttp import web

from commonhold.authority.authority import Permit, Verb
from commonhold.errors import Conflict, Damaged, WrongUsage
from commonhold.files import webdav
from commonhold.files.entry import Conditions
from commonhold.files.gathered import Bundled
from commonhold.files.incoming import Upload
from commonhold.files.quota import Storing
from commonhold.files.served.access import Access
from commonhold.files.served.looking import FOLDER_METHODS
from commonhold.files.served.problem import problem
from commonhold.files.served.resuming import TOKEN, Resuming
from commonhold.files.served.upload import Coming, Uploads
from commonhold.files.share import Share, Taken
from commonhold.names import SharePath


class Changing:
    def __init__(self, access: Access, uploads: Uploads) -> None:
        self._access, self._uploads = access, uploads
        self._resuming = Resuming(access, uploads)

    async def put(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        """To write if that is allowed, else to add: then nothing is replaced."""
        share, given, unseen = self._access.permit_to_store(request, name, path)

        def ask() -> None:
            self._access.permit(request, given.verb, name, path)

        upload: Upload | Bundled
        try:
            if TOKEN in request.headers:
                found = await self._resuming.receive(request, share, given, ask, unseen=unseen)
                if isinstance(found, web.Response):
                    return found
                upload, entry = found
            else:
                coming = Coming.by_request(request, ask)
                with await self._access.storing(request, given, coming.announced, unseen) as storing:
                    upload, entry = await self._uploads.receive(coming, share, given, storing, unseen=unseen)
        except Damaged as error:
            return problem(error, 400)
        if not upload.created:
            self._access.record("overwritten", request, door=share.door.name, path=str(path), size=entry.size)
        headers = {"ETag": f'"{entry.etag}"', "Repr-Digest": webdav.digest_header(upload.sha256)}
        if upload.modified is not None:
            headers["X-OC-Mtime"] = "accepted"
        return web.Response(status=201 if upload.created else 204, headers=headers)

    async def mkcol(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        share, given = self._access.permit(request, Verb.ADD, name, path)
        if request.can_read_body:
            return problem(WrongUsage("A folder is made without a body."), 415)
        conditions = webdav.conditions(request.headers)
        unseen = not self._access.may(request, Verb.LIST, name, path)
        try:
            with await self._access.storing(request, given, 0, unseen) as storing:
                await self._access.run(make_folder, share, given, conditions, storing, unseen)
        except Taken as error:
            return problem(Conflict(error.sentence, error.hint), 405, Allow=FOLDER_METHODS)
        return web.Response(status=201)

    async def delete(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        share, given = self._access.permit(request, Verb.WRITE, name, path)
        gone = await self._access.run(share.delete, given, webdav.conditions(request.headers))
        await self._access.run(self._access.ledger.release, share.door.id, str(path))
        self._access.record("deleted", request, door=share.door.name, path=str(path), kind=gone.kind, size=gone.size)
        return web.Response(status=204)


def make_folder(share: Share, given: Permit, conditions: Conditions, storing: Storing, unseen: bool) -> None:
    with storing.placing(0) as placed:
        placed.extend(share.mkdir(given, conditions, unseen=unseen))
