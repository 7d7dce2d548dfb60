"""The connections of both doors: what is no HTTP gets one plain answer, and strangers do not stay."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD

from commonhold.errors import WrongUsage
from commonhold.transport.alike import END_OF_HEAD, LONGEST_ALIKE, Again, Alike
from commonhold.transport.answers import as_problem, prepare
from commonhold.wire import to_json

KEEPALIVE = 75.0  # seconds that an idle connection stays; longer than the asking side keeps its own
GRACE = 1.0  # seconds that running answers get when the node stops
STRANGERS = 64  # connections of nobody we know at a time: enough for all who join, too few to use a node up
STRANGERS_STAY = 60.0  # seconds; joining takes one or two
LOOK_EVERY = 1.0
MEANINGLESS = to_json(WrongUsage("That is no request that is understood here.").problem())

log = logging.getLogger("commonhold.transport")


class Connection(web.RequestHandler):
    """One connection, and whether somebody we know is at its other end."""

    __slots__ = ("_alike", "_between", "asked", "known", "since", "vouched")

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.known, self.since = False, time.monotonic()
        self.vouched = 0.0  # until when (time.monotonic()), for whoever has shown a secret and no certificate
        self.asked = b""  # the request that is answered now, as it came: where it came alone, and has no body
        self._between = True  # nothing of a next request has come
        self._alike: Alike | None = None

    def data_received(self, data: bytes) -> None:
        """What is like a request before is answered at once; all else goes aiohttp's way."""
        alone = self._idle() and self._between
        if self._alike is not None and alone:
            if self.transport is not None and (answer := self._alike.answer(data)) is not None:
                self._next_keepalive_close_time = self._loop.time() + KEEPALIVE
                self.transport.write(answer)
                return
            self._alike = None
        before = self._request_count
        super().data_received(data)
        one = self._request_count == before + 1 and bool(self._messages) and self._messages[-1][1] is EMPTY_PAYLOAD
        self._between = one and not self._upgraded and data.find(END_OF_HEAD) == len(data) - len(END_OF_HEAD)
        self.asked = data if alone and self._between and len(data) <= LONGEST_ALIKE else b""

    def _idle(self) -> bool:
        """Nothing is answered or sent, nor about to be."""
        if self._messages or self._paused or self._close or self._force_close:
            return False
        return not self._request_count or (self._waiter is not None and not self._waiter.done())

    def from_now_on(self, alike: Alike) -> None:
        self._alike = alike

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """For requests that cannot be parsed, or that aiohttp stumbles over before `problems` has a look.

        aiohttp's own answer names its version and repeats what was sent, and each leaves a traceback
        in the log, so that any stranger could wash away all that it held. UnicodeError: it repeats an
        `Expect` that is no text, and cannot.
        """
        if status == 400 or isinstance(exc, UnicodeError):
            log.debug("%s sent what is no request: %s", request.remote, message)
        else:
            self.log_exception("a request of %s failed", request.remote, exc_info=exc)
        answer = web.Response(
            status=400, body=MEANINGLESS, content_type="application/problem+json", headers={"Server": "commonhold"}
        )
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """An `Expect` is looked at before any middleware is, and refused with aiohttp's own text, which repeats it."""
        known = as_problem(resp) if isinstance(resp, web.HTTPException) else resp
        return await super().finish_response(request, known, start_time)


class _Connections(web.Server):
    over = False

    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Whoever was still shaking hands when the door closed is not served by what is behind it no more."""
        super().connection_made(handler, transport)
        if self.over:
            transport.abort()


class Runner(web.AppRunner):
    """How both doors serve: handlers end with their connection, bodies stay as they were sent."""

    def __init__(self, app: web.Application) -> None:
        prepare(app)
        super().__init__(
            app,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            handler_cancellation=True,
            auto_decompress=False,  # no bomb unfolds here
            shutdown_timeout=GRACE,
        )

    async def _make_server(self) -> Any:
        server = await super()._make_server()
        server.__class__ = _Connections  # aiohttp has no other way to make connections of a class of one's own
        return server

    async def cleanup(self) -> None:
        if isinstance(self.server, _Connections):
            self.server.over = True
        await super().cleanup()

    def connections(self) -> list[Any]:
        return self.server.connections if self.server is not None else []

    def look_again(self) -> None:
        """Somebody known is so no more: each is looked at anew."""
        for each in self.connections():
            each.known = False

    async def break_strangers(self, recognised: Callable[[asyncio.BaseTransport], bool]) -> None:
        """For ever: break connections of nobody we know that stay long, or are too many, the oldest first.

        Each takes one of the handles that a process may have, and aiohttp waits for a request for ever.
        """
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for each in self.connections():
                each.known = each.known or (each.transport is not None and recognised(each.transport))
            now = time.monotonic()
            unknown = (each for each in self.connections() if not each.known and each.vouched <= now)
            strangers = sorted(unknown, key=lambda each: each.since)
            for place, each in enumerate(strangers, 1):
                wanted = len(strangers) - place < STRANGERS and now - each.since < STRANGERS_STAY
                if not wanted and each.transport is not None:
                    each.transport.abort()


def vouch(request: web.Request, seconds: float = math.inf) -> None:
    """Whoever asks is known, though by no certificate: for so long the connection is no stranger's."""
    if isinstance(request.protocol, Connection):
        request.protocol.vouched = time.monotonic() + seconds


def answer_alike(request: web.Request, again: Again) -> None:
    """Whatever is asked on this connection, for a minute, like this request but for its target: `again` answers it."""
    if isinstance(request.protocol, Connection) and (alike := Alike.of(request, request.protocol.asked, again)):
        request.protocol.from_now_on(alike)
