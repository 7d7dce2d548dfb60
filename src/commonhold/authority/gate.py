"""The gate before every door of the listener: whoever passes it is a member, has an account, or is joining.

The certificate that TLS verified becomes a Subject at `request[SUBJECT]`. The authority is asked at
every request, so a removal takes effect at the next one, on open connections too; and each request is
watched while it is answered, so that it is cut when the right to it ends. A certificate goes before a
password: a removed computer does not come back with one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from commonhold.authority.authority import Standing, Subject, Verb
from commonhold.authority.entrance import Entrance, for_people, not_admitted, shows_password_box, signing_in
from commonhold.authority.watch import NETWORK, Watch, turned_away
from commonhold.errors import NotAdmitted
from commonhold.names import Fingerprint
from commonhold.transport import KEEPALIVE, caller_of, vouch
from commonhold.wire import to_json

SUBJECT = web.RequestKey("commonhold.subject", Subject)
# Who asks, should the same be asked again on this connection: to be called each time. None: ask at the gate.
STILL: web.RequestKey[partial[Subject | None]] = web.RequestKey("commonhold.still")
PASS_HEADER = "Commonhold-Pass"  # noqa: S105 - the name of a header
OPEN_TO_STRANGERS = "/join/"
SMALL_BODY = 64 * 1024  # bytes of a refused request that are read
PATIENCE = 2.0  # seconds for them to come

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def gate(watch: Watch, entrance: Entrance | None = None) -> Any:
    """The middleware. Strangers are not admitted, except on their way to join; Refused is raised for removed computers.

    With an `entrance` (a server's), people with a password are let in at the routes that are meant for them.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = watch.authority()
        shown = caller_of(request)
        subject = asked.who(shown, request.headers.get(PASS_HEADER))
        if subject.standing is Standing.REMOVED:
            decision = asked.decide(subject, Verb.LIST, NETWORK)
            asked.note(subject, Verb.LIST, NETWORK, decision)
            raise turned_away(decision)
        if subject.standing is Standing.STRANGER and not (_joining(request) or (entrance and signing_in(request))):
            person = await entrance.admit(request) if entrance and for_people(request) else None
            if person is None:
                return await _turned_away(request, entrance)
            subject = person
            vouch(request)
        request[SUBJECT] = subject
        request[STILL] = partial(_still, watch, subject, shown)
        if subject.standing is Standing.STRANGER:
            return await handler(request)
        with watch.begin(subject, f"{request.method} {request.path}", lambda _: _break(request)):
            try:
                return await handler(request)
            finally:
                if subject.login is not None:  # it may end before they ask again, if they do
                    vouch(request, KEEPALIVE)

    return guarded


def _still(watch: Watch, before: Subject, shown: Fingerprint | None) -> Subject | None:
    """Of a person who came with a password the authority is asked (`holds`) whether it still lets them in."""
    now = watch.authority().who(shown)
    if before.login is None:
        return now if now.standing is Standing.MEMBER else None
    return before if now.standing is Standing.STRANGER else None


def _break(request: web.Request) -> None:
    """End the connection, and with it the handler. Half an answer may be out: nothing else tells the other side."""
    if request.transport is not None:
        request.transport.abort()


def _joining(request: web.Request) -> bool:
    """By the route that was found, not by the path's text, which the router might read differently."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(OPEN_TO_STRANGERS)


async def _turned_away(request: web.Request, entrance: Entrance | None) -> web.Response:
    if entrance is None:
        error = NotAdmitted("This door opens to computers of its network only.", "join it first: commonhold join CODE")
        if request.method != "OPTIONS":
            raise error
    else:
        error = not_admitted()
    headers = {}
    if request.method == "OPTIONS":
        # Finder asks for the options before it shows who it is, and gives up unless even the 401 says DAV.
        headers["DAV"] = "1, 2"
    if entrance is not None and shows_password_box(request):
        headers["WWW-Authenticate"] = entrance.challenge
        await _read_out(request)
    body = to_json(error.problem())
    return web.Response(status=error.status, body=body, content_type="application/problem+json", headers=headers)


async def _read_out(request: web.Request) -> None:
    """Windows understands a refusal only when its small body was read. Whoever waits for `100` sends none."""
    if (request.content_length or SMALL_BODY + 1) > SMALL_BODY or "Expect" in request.headers:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await request.content.read()
