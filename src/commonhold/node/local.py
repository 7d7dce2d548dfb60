"""What the gateway answers to the commands, the API and the page of this computer's own person.

Loopback only. A web page cannot get in: the Host must be the gateway's own (DNS rebinding), an
Origin must be none or its own, and so must what the browser says of where a request comes from
(Fetch Metadata: pictures and scripts have no Origin), and the secret that lies in the home must be
shown; other users of the machine cannot read it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from commonhold.answers import KnownComputer, Place, Removal, SharedFolder, Status
from commonhold.authority.authority import Subject
from commonhold.authority.gate import SUBJECT
from commonhold.errors import NotAdmitted, Refused
from commonhold.transport import document, json_answer, vouch

SITES = frozenset({"none", "same-origin"})  # what a browser says of what its person typed, or the gateway's own page

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OfferWish(msgspec.Struct, frozen=True):
    folder: str
    name: str | None = None
    to: str | None = None
    verb: str | None = None


class OwnNode(Protocol):
    """What a node does for its own person."""

    def status(self) -> Status: ...
    async def members(self) -> list[KnownComputer]: ...
    async def place(self, computer: str) -> Place: ...
    async def remove(self, member: str) -> Removal: ...
    async def offer(self, wish: OfferWish) -> SharedFolder: ...
    async def withdraw(self, name: str) -> SharedFolder: ...


def guard(secret: str, own_hosts: Callable[[], frozenset[str]], owner: Callable[[], Subject]) -> Any:
    """The middleware before everything that the gateway serves."""
    expected = f"Bearer {secret}".encode()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = own_hosts()
        origin = request.headers.get("Origin")
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in SITES
        if foreign or request.host not in hosts or (origin is not None and origin.removeprefix("http://") not in hosts):
            raise Refused("The gateway answers only programs of this computer that ask for it by its own address.")
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(errors="replace"), expected):
            raise NotAdmitted("The gateway answers only to the secret in its home.", "use the commonhold command")
        vouch(request)
        request[SUBJECT] = owner()
        return await handler(request)

    return guarded


def routes(node: OwnNode) -> list[web.RouteDef]:
    """The routes under /api/."""

    async def status(_: web.Request) -> web.Response:
        return json_answer(node.status())

    async def members(_: web.Request) -> web.Response:
        return json_answer(await node.members())

    async def place(request: web.Request) -> web.Response:
        return json_answer(await node.place(request.match_info["computer"]))

    async def remove(request: web.Request) -> web.Response:
        return json_answer(await node.remove(request.match_info["member"]))

    async def offer(request: web.Request) -> web.Response:
        return json_answer(await node.offer(await document(request, OfferWish)))

    async def withdraw(request: web.Request) -> web.Response:
        return json_answer(await node.withdraw(request.match_info["name"]))

    return [
        web.get("/api/status", status),
        web.get("/api/members", members),
        web.delete("/api/members/{member}", remove),
        web.get("/api/places/{computer}", place),
        web.post("/api/shares", offer),
        web.delete("/api/shares/{name}", withdraw),
    ]
