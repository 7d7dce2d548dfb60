"""What is no HTTP gets one plain answer, at both doors: aiohttp's own names its version, repeats what was

sent, and logs a traceback for each, with which any stranger could wash away a node's whole log.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from commonhold.errors import WrongUsage
from commonhold.wire import to_json

log = logging.getLogger("commonhold.transport")
MEANINGLESS = to_json(WrongUsage("That is no request that is understood here.").problem())


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """For requests that cannot be parsed, and for what nobody foresaw (`problems` has caught most of that)."""
        if status != 400:
            return super().handle_error(request, status, exc, message)
        log.debug("%s sent what is no request: %s", request.remote, message)
        answer = web.Response(
            status=400,
            body=MEANINGLESS,
            content_type="application/problem+json",
            headers={"Server": "commonhold"},
        )
        answer.force_close()
        return answer


class _Connections(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class PlainRunner(web.AppRunner):
    """aiohttp has no hook for this answer: so its connections are made of another class."""

    async def _make_server(self) -> Any:
        server = await super()._make_server()
        server.__class__ = _Connections
        return server
