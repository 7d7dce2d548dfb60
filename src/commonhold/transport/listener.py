"""The door: one HTTPS service on some addresses, which knows who asks before anything is served."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakSet

from aiohttp import web

from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.names import Address, Fingerprint
from commonhold.transport.addresses import BACKLOG, bind
from commonhold.transport.answers import prepare
from commonhold.transport.plain import PlainRunner
from commonhold.transport.tls import fingerprint_shown, listening_context

KEEPALIVE = 75.0  # seconds that an idle connection stays; longer than the asking side keeps its own
DEBOUNCE = 0.05  # seconds: a merge of many facts rebuilds the context once
GRACE = 1.0  # seconds that running answers get when the node stops
STRANGERS = 64  # connections without a certificate at a time: enough for all who join, too few to use a node up
STRANGERS_STAY = 60.0  # seconds; joining takes one or two
LOOK_EVERY = 1.0

_vouched: WeakSet[Any] = WeakSet()  # TLS connections without a certificate whose person has shown a password


def vouch(request: web.Request) -> None:
    """Whoever asks is known, though by no certificate: the connection is no stranger's any more."""
    _vouched.add(request.get_extra_info("ssl_object"))


def runner_of(app: web.Application) -> web.AppRunner:
    """How both doors serve: handlers end with their connection, bodies stay as they were sent."""
    prepare(app)
    return PlainRunner(
        app,
        handle_signals=False,
        access_log=None,
        keepalive_timeout=KEEPALIVE,
        handler_cancellation=True,
        auto_decompress=False,  # no bomb unfolds here
        shutdown_timeout=GRACE,
    )


class Listener:
    """TLS 1.3 only; a member shows its certificate, a newcomer none, a stranger's fails the handshake.

    The anchors change by giving each handshake the newest context (SNI callback, called even
    when the client names no server). OpenSSL takes certificate and anchors from it, but not
    verify_mode, tickets and versions: those stand on the base context.
    """

    def __init__(self, app: web.Application, key: Key, certificate: Certificate) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._key, self._certificate = key, certificate
        self._runner = runner_of(app)
        self._newest: ssl.SSLContext | None = None
        self._wanted: frozenset[Certificate] = frozenset()
        self._in_force: frozenset[Certificate] | None = None
        self._rebuilding: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self, addresses: Sequence[Address], *, next_free: bool = False) -> None:
        """Serve on all `addresses`; `next_free` takes the next port when one is in use.

        Raises Conflict (in use) and WrongUsage (no address of this computer); then nothing is bound.
        """
        await self.trusted()
        base = await asyncio.to_thread(listening_context, self._key, self._certificate)
        base.sni_callback = self._swap
        sockets = await asyncio.to_thread(bind, addresses, next_free=next_free)
        await self._runner.setup()
        for each in sockets:
            await web.SockSite(self._runner, each, ssl_context=base, backlog=BACKLOG).start()
        self.addresses = tuple(Address(*each.getsockname()[:2]) for each in sockets)
        self._looking = asyncio.create_task(self._look_for_strangers())

    def _swap(self, handshake: Any, _name: str | None, _base: ssl.SSLContext) -> None:
        handshake.context = self._newest

    def trust(self, certificates: Iterable[Certificate]) -> None:
        """From now on these are the computers that may show a certificate: members, and removed ones too,

        whose requests are answered with the sentence that says so. Open connections stay. In force a
        moment later: `trusted()` waits for it.
        """
        self._wanted = frozenset(certificates)
        if self._rebuilding is None or self._rebuilding.done():
            self._rebuilding = asyncio.get_running_loop().create_task(self._rebuild())

    async def trusted(self) -> None:
        """Wait until what was last given to `trust` is in force."""
        while self._in_force != self._wanted:
            if self._rebuilding is None or self._rebuilding.done():
                self._rebuilding = asyncio.create_task(self._rebuild())
            await asyncio.shield(self._rebuilding)

    async def _rebuild(self) -> None:
        while self._in_force != self._wanted:
            if self._in_force is not None:
                await asyncio.sleep(DEBOUNCE)
            wanted = self._wanted
            self._newest = await asyncio.to_thread(listening_context, self._key, self._certificate, wanted)
            self._in_force = wanted

    async def _look_for_strangers(self) -> None:
        """Break connections of nobody we know that stay long, or are too many, the oldest first.

        Each takes one of the handles that a process may have, and aiohttp waits for a request for ever.
        """
        since: dict[Any, float] = {}  # by connection; a member's has no time
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = time.monotonic()
            connections = self._runner.server.connections if self._runner.server else ()
            since = {each: since[each] if each in since else _since(each, now) for each in connections}
            strangers = sorted((each for each in since if _is_stranger(each, since[each])), key=since.__getitem__)
            for place, each in enumerate(strangers, 1):
                wanted = len(strangers) - place < STRANGERS and now - since[each] < STRANGERS_STAY
                if not wanted and each.transport is not None:
                    each.transport.abort()

    def cut(self, fingerprint: Fingerprint) -> None:
        """Abort that computer's connections: its downloads end and their handlers are cancelled."""
        server = self._runner.server
        for connection in server.connections if server else ():
            transport = connection.transport
            if transport is not None and fingerprint_shown(transport.get_extra_info("ssl_object")) == fingerprint:
                transport.abort()

    async def close(self) -> None:
        """Stop serving; answers under way get a moment to end."""
        for task in (self._rebuilding, self._looking):
            if task is not None:
                task.cancel()
        await self._runner.cleanup()


def _since(connection: Any, now: float) -> float:
    transport = connection.transport
    known = transport is not None and fingerprint_shown(transport.get_extra_info("ssl_object")) is not None
    return math.inf if known else now


def _is_stranger(connection: Any, since: float) -> bool:
    return since < math.inf and (connection.transport is None or _tls_of(connection) not in _vouched)


def _tls_of(connection: Any) -> Any:
    return connection.transport.get_extra_info("ssl_object")
