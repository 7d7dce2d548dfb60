"""LOCK and UNLOCK (RFC 4918, 9.10 and 9.11), and what an answer says of locks.

Both need the right to list, so that to whoever may only drop things nothing tells of locks.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from commonhold.authority.authority import Permit, Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.errors import Changed, Locked, WrongUsage
from commonhold.files import lockwords, webdav
from commonhold.files.clearance import holder_of
from commonhold.files.entry import ANYTHING, Conditions
from commonhold.files.locks import Lock
from commonhold.files.locksmith import InTheWay, NoLock
from commonhold.files.lockwords import LockWish
from commonhold.files.quota import Storing
from commonhold.files.served.access import Access
from commonhold.files.served.upload import store
from commonhold.files.share import Share
from commonhold.names import SharePath

PROBLEM = "application/problem+json"  # what our own programs would rather read than XML


class Locking:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def lock(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        """Lock what is there; where nothing is, an empty file is made and locked. Without a body: renew."""
        depth = webdav.depth(request.headers.get("Depth"))
        seconds = lockwords.parse_timeout(request.headers.get("Timeout"))
        share, given = self._access.permit(request, Verb.WRITE, name, path)
        conditions = webdav.conditions(request.headers)
        body = await _small_body(request)
        if not body.strip():
            lock = await self._access.run(share.locksmith.renew, given, conditions, seconds)
            return self._answer(request, share, lock, 200)
        if depth == 1:
            raise WrongUsage("A lock has Depth 0 or infinity.")
        wish = lockwords.parse_wish(body, deep=depth is None, seconds=seconds)
        lock, created = await self._locked(request, share, given, wish, conditions)
        answer = self._answer(request, share, lock, 201 if created else 200)
        answer.headers["Lock-Token"] = f"<{lock.token}>"
        return answer

    async def _locked(
        self, request: web.Request, share: Share, given: Permit, wish: LockWish, conditions: Conditions
    ) -> tuple[Lock, bool]:
        if await self._access.run(share.locksmith.look, given.path) is None:
            try:
                with await self._access.storing(request, given, 0, unseen=False) as storing:
                    return await self._access.run(_lock_new, share, given, wish, conditions, storing), True
            except Changed:  # somebody has made it meanwhile; or else a condition fails again
                pass
        return await self._access.run(_lock, share, given, wish, conditions), False

    def _answer(self, request: web.Request, share: Share, lock: Lock, status: int) -> web.Response:
        found = self.discovery(request, share)([lock])
        body = lockwords.answer(found)
        return web.Response(status=status, body=body, content_type="application/xml", charset="utf-8")

    async def unlock(self, request: web.Request, name: str, path: SharePath) -> web.Response:
        token = lockwords.parse_token(request.headers.get("Lock-Token"))
        share, given = self._access.permit(request, Verb.LIST, name, path)
        governs = self._access.may(request, Verb.GOVERN, name, path)
        try:
            lock = await self._access.run(share.locksmith.release, given, token, governs)
        except NoLock as error:
            if _reads_problems(request):
                raise
            body = lockwords.error("lock-token-matches-request-uri")
            return web.Response(status=error.status, body=body, content_type="application/xml", charset="utf-8")
        if lock.holder != holder_of(request[SUBJECT]):
            what = {"door": share.door.name, "path": lock.path, "of": lock.name}
            self._access.record("lock broken", request, **what)
        return web.Response(status=204)

    def told(self, request: web.Request, share: Share) -> Callable[[str], str]:
        """The property lockdiscovery of a path of the share."""
        discovery, on = self.discovery(request, share), share.locksmith.on
        none = discovery([])
        return lambda path: discovery(on(path)) if share.locks.some else none

    def discovery(self, request: web.Request, share: Share) -> Callable[[list[Lock]], str]:
        """Whose token somebody sees: their own locks', so that their programs go on after a break; its owner all."""
        subject: Subject = request[SUBJECT]
        mine, name = holder_of(subject), share.door.name

        def shown(lock: Lock) -> bool:
            return lock.holder == mine or self._access.may(request, Verb.GOVERN, name, SharePath())

        def root(lock: Lock) -> str:
            return webdav.href(name, str(share.locksmith.root(lock)))

        return lambda locks: lockwords.discovery(locks, share.locks.now(), shown, root)


def locked(request: web.Request, error: Locked) -> web.Response:
    """The answer to whom a lock is in the way of: 423, or 207 when it is on something in what they asked for."""
    if _reads_problems(request):
        raise error
    name, path = str(error.more["share"]), str(error.more["path"])
    address, asked = webdav.href(name, path), request.raw_path.partition("?")[0]
    condition = "no-conflicting-lock" if isinstance(error, InTheWay) else "lock-token-submitted"
    if address.startswith(asked.removesuffix("/") + "/") and len(address) > len(asked):
        body, status = lockwords.member_error(condition, asked, address), 207
    else:
        body, status = lockwords.error(condition, address), error.status
    return web.Response(status=status, body=body, content_type="application/xml", charset="utf-8")


def _reads_problems(request: web.Request) -> bool:
    return PROBLEM in request.headers.get("Accept", "")


def _lock(share: Share, given: Permit, wish: LockWish, conditions: Conditions) -> Lock:
    with share.locksmith.making(given, wish, conditions) as lock:
        return lock


def _lock_new(share: Share, given: Permit, wish: LockWish, conditions: Conditions, storing: Storing) -> Lock:
    """As if it were locked first and put then, so that nobody comes in between."""
    with share.locksmith.making(given, wish, conditions) as lock:
        upload = share.write(given, 0)
        store(upload, storing, Conditions(if_none_match=ANYTHING, tokens=conditions.tokens | {lock.token}), None)
        return lock


async def _small_body(request: web.Request) -> bytes:
    """What a LOCK says, and a little more when it is too long."""
    body = b""
    while len(body) <= lockwords.LONGEST_WISH and (piece := await request.content.readany()):
        body += piece
    return body
