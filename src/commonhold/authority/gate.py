"""The gate before every door of the listener: whoever passes it is a member, or joining.

The certificate that TLS verified becomes a Subject at `request[SUBJECT]`. The authority is asked at
every request, so a removal takes effect at the next one, on open connections too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from commonhold.authority.authority import Authority, Door, Standing, Subject, Verb
from commonhold.errors import NotAdmitted, Refused
from commonhold.transport import caller_of

SUBJECT = web.RequestKey("commonhold.subject", Subject)
PASS_HEADER = "Commonhold-Pass"  # noqa: S105 - the name of a header
OPEN_TO_STRANGERS = "/join/"
_NETWORK = Door(kind="network", id="", name="the network")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def gate(authority: Callable[[], Authority]) -> Any:
    """The middleware. Raises NotAdmitted for strangers, except on their way to join; Refused for removed computers."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = authority()
        subject = asked.who(caller_of(request), request.headers.get(PASS_HEADER))
        if subject.standing is Standing.REMOVED:
            decision = asked.decide(subject, Verb.LIST, _NETWORK)
            raise Refused(f"{decision.reason}.", decision.hint, reason=decision.reason)
        if subject.standing is Standing.STRANGER and not _joining(request):
            return _not_admitted(request)
        request[SUBJECT] = subject
        return await handler(request)

    return guarded


def _joining(request: web.Request) -> bool:
    """By the route that was found, not by the path's text, which the router might read differently."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical.startswith(OPEN_TO_STRANGERS)


def _not_admitted(request: web.Request) -> web.Response:
    error = NotAdmitted("This door opens to computers of its network only.", "join it first: commonhold join CODE")
    if request.method != "OPTIONS":
        raise error
    # Finder asks for the options before it shows who it is, and gives up unless even the 401 says DAV.
    return web.Response(
        status=error.status,
        body=msgspec.json.encode(error.problem()),
        content_type="application/problem+json",
        headers={"DAV": "1, 2"},
    )
