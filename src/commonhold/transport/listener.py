"""The door: one HTTPS service on some addresses, which knows who asks before anything is served."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.names import Address, Fingerprint
from commonhold.transport.addresses import BACKLOG, bind
from commonhold.transport.connections import Runner
from commonhold.transport.public import PublicCertificate
from commonhold.transport.tls import fingerprint_shown, listening_context, public_context

DEBOUNCE = 0.05  # seconds: a merge of many facts rebuilds the context once


class Listener:
    """TLS 1.3 only; a member shows its certificate, a newcomer none, a stranger's fails the handshake.

    The anchors change by giving each handshake the newest context (SNI callback, called even
    when the client names no server). OpenSSL takes certificate and anchors from it, but not
    verify_mode, tickets and versions: those stand on the base context.
    """

    def __init__(self, app: web.Application, key: Key, certificate: Certificate) -> None:
        self.addresses: tuple[Address, ...] = ()
        self._key, self._certificate = key, certificate
        self._runner = Runner(app)
        self._newest: ssl.SSLContext | None = None
        self._public: tuple[PublicCertificate, ssl.SSLContext] | None = None
        self._wanted: frozenset[Certificate] = frozenset()
        self._removed: frozenset[Fingerprint] = frozenset()
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
        self._looking = asyncio.create_task(self._runner.break_strangers(self._recognised))

    def _swap(self, handshake: Any, name: str | None, _base: ssl.SSLContext) -> None:
        if self._public is not None and self._public[0].is_for(name):
            handshake.context = self._public[1]
        else:
            handshake.context = self._newest

    async def present(self, public: PublicCertificate | None) -> None:
        """From now on show this to whoever asks for one of its names; members ask for none of them."""
        context = await asyncio.to_thread(public_context, public.pem) if public is not None else None
        self._public = (public, context) if public is not None and context is not None else None

    def trust(self, certificates: Iterable[Certificate], removed: frozenset[Fingerprint] = frozenset()) -> None:
        """From now on these are the computers that may show a certificate: members, and removed ones too,

        whose requests are answered with the sentence that says so, and who get no more connections than
        strangers. Open connections stay. In force a moment later: `trusted()` waits for it.
        """
        if removed != self._removed:
            self._runner.look_again()
        self._wanted, self._removed = frozenset(certificates), removed
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

    def _recognised(self, transport: asyncio.BaseTransport) -> bool:
        shown = fingerprint_shown(transport.get_extra_info("ssl_object"))
        return shown is not None and shown not in self._removed

    async def close(self) -> None:
        """Stop serving; answers under way get a moment to end."""
        for task in (self._rebuilding, self._looking):
            if task is not None:
                task.cancel()
        await self._runner.cleanup()
