"""WebDAV, class 1, over the shares of this computer: what other computers and programs ask of its files.

Each request asks the authority before it looks whether anything exists, so that whoever may not
know learns nothing: the refusal for a share, a file or a folder that is not there is the same, and
to whoever may add but not list a share is a drop-box, where every name seems to be free. Errors
are raised as CommonholdError; a middleware (transport.problems) makes the answers.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from commonhold.authority.authority import Authority, Subject
from commonhold.errors import Locked, WrongUsage
from commonhold.files import webdav
from commonhold.files.disk import DiskError
from commonhold.files.fetchwords import FETCH
from commonhold.files.quota import Payer, QuotaLedger
from commonhold.files.served.access import Access
from commonhold.files.served.batching import Batching
from commonhold.files.served.bringing import Bringing
from commonhold.files.served.changing import Changing
from commonhold.files.served.fetching import Fetching, Neighbours
from commonhold.files.served.locking import Locking, locked
from commonhold.files.served.looking import Looking
from commonhold.files.served.problem import problem
from commonhold.files.served.proppatching import Proppatching
from commonhold.files.served.remembering import Remembering
from commonhold.files.served.upload import Uploads
from commonhold.files.shares import Shares
from commonhold.names import SharePath

LIST_METHODS = "OPTIONS, PROPFIND"  # of the list of shares


def routes(
    shares: Shares,
    authority: Callable[[], Authority],
    on_event: Callable[..., None],
    ledger: QuotaLedger,
    payer: Callable[[Subject], Payer],
    neighbours: Neighbours,
) -> list[web.RouteDef]:
    """The doors `/dav/`, `/history/` and `/undo/`, and what `/` says of them; the arguments are those of Access, and

    where files are fetched from.
    """
    access = Access(shares, authority, on_event, ledger, payer)
    door = _Door(access, neighbours)
    return [
        *Remembering(access).routes(),
        web.route("OPTIONS", "/", door.top),
        web.route("PROPFIND", "/", door.top),
        web.route("*", "/dav", door.answer, expect_handler=_expect),
        web.route("*", "/dav/{path:.*}", door.answer, expect_handler=_expect),
    ]


async def _expect(request: web.Request) -> None:
    """`100 Continue` is said when the upload was found to be allowed and to fit, not before."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPExpectationFailed


class _Door:
    """Which method is answered by whom."""

    def __init__(self, access: Access, neighbours: Neighbours) -> None:
        locking = Locking(access)
        self._looking = looking = Looking(access, locking)
        uploads = Uploads(access.threads, access.ledger)
        changing, bringing = Changing(access, uploads), Bringing(access)
        self._access = access
        self._batching, self._fetching = Batching(access), Fetching(access, uploads, neighbours)
        self._methods = {
            "OPTIONS": self._options,
            "PROPFIND": looking.propfind,
            "PROPPATCH": Proppatching(access).proppatch,
            "GET": looking.get,
            "HEAD": looking.get,
            "PUT": changing.put,
            "MKCOL": changing.mkcol,
            "DELETE": changing.delete,
            "COPY": bringing.copy,
            "MOVE": bringing.move,
            "LOCK": locking.lock,
            "UNLOCK": locking.unlock,
            "POST": self._post,
        }
        self._allow = ", ".join(self._methods)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        method = self._methods.get(request.method)
        if method is None:
            return problem(WrongUsage(f"{request.method} is not understood here."), 405, Allow=self._allow)
        name, path = webdav.target(request.raw_path)
        if not name and request.method not in {"OPTIONS", "PROPFIND"}:
            return problem(WrongUsage("That is the list of shares, no file."), 405, Allow=LIST_METHODS)
        try:
            return await method(request, name, path)
        except Locked as error:
            return locked(request, error)
        except DiskError as error:
            self._access.record("disk error", request, door=name, path=str(path), reason=error.sentence)
            raise

    async def _post(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        post = self._fetching.post if request.content_type == FETCH else self._batching.post
        return await post(request, name, path)

    async def top(self, request: web.Request) -> web.StreamResponse:
        """`/`: Windows takes no share for one of WebDAV before the root of its computer says that it is."""
        if request.method == "OPTIONS":
            return await self._options(request, "", SharePath())
        return await self._looking.top(request)

    async def _options(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        allowed = await self._looking.methods(request, name, path) if name else LIST_METHODS
        headers = {"DAV": webdav.COMPLIANCE, "MS-Author-Via": "DAV", "Allow": allowed or self._allow}
        return web.Response(headers=headers)
