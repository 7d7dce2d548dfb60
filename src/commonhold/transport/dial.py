"""Reaching one computer at any of its addresses, and being sure that it is that computer."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import HIGH_LEVEL_SCHEMA_SET
from aiohttp.tracing import Trace

from commonhold.errors import CommonholdError, Refused, Unreachable
from commonhold.identity.certificate import SERVER_NAME, Certificate
from commonhold.names import Address
from commonhold.transport.addresses import notice_the_dead
from commonhold.transport.tls import shown_certificate

STAGGER = 0.25  # seconds before the next address is tried beside the first (RFC 8305, 8: 250 ms)
KEPT = 60.0  # seconds that an idle connection is kept; the door keeps it for 75

Dialled: TypeAlias = tuple[asyncio.Transport, ResponseHandler]


class DialFailed(Exception):
    """No address led to the computer: what happened at each."""

    def __init__(self, failures: Sequence[tuple[Address, BaseException]]) -> None:
        super().__init__(*(f"{address}: {error!r}" for address, error in failures))
        self.failures = tuple(failures)

    def impostor(self) -> Address | None:
        """Where somebody answered who does not hold the expected key."""
        broken_off = (ssl.SSLEOFError, ssl.SSLZeroReturnError)  # says nothing about who it was
        for address, error in self.failures:
            if isinstance(error, ssl.SSLError | Refused) and not isinstance(error, broken_off):
                return address
        return None


class Line(aiohttp.BaseConnector):
    """A pool of connections to one computer, whatever the URL says.

    aiohttp's own TCPConnector tries addresses one by one, each with a timeout of its own, and counts
    waiting for a free place of the pool as connecting; here the whole handshake races, so that a dead
    address costs a quarter of a second and all of them together `timeout` seconds.
    """

    allowed_protocol_schema_set = HIGH_LEVEL_SCHEMA_SET

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        check: Callable[[Certificate], None],
        explain: Callable[[DialFailed], CommonholdError],
        *,
        timeout: float,
        limit: int,
    ) -> None:
        """`context` runs in a thread, once; `check` raises Refused for a certificate that is not the expected one.

        `explain` words the failure; `timeout` is in seconds; `limit` is the number of connections (0: any).
        """
        super().__init__(keepalive_timeout=KEPT, limit=limit)
        self.addresses: tuple[Address, ...] = ()
        self.answered: Address | None = None  # where the newest connection was made
        self._make_context, self._check, self._explain = context, check, explain
        self._context: ssl.SSLContext | None = None
        self._timeout = timeout

    async def dial(self) -> Dialled:
        """A new connection, from whichever address completes the handshake first. Raises DialFailed."""
        failures: list[tuple[Address, BaseException]] = []
        try:
            async with asyncio.timeout(self._timeout):
                if self._context is None:
                    self._context = await asyncio.to_thread(self._make_context)
                context = self._context
                attempts = [self._attempt(address, context) for address in self.addresses]
                return await _race(attempts, lambda n, error: failures.append((self.addresses[n], error)))
        except TimeoutError as error:
            silent = [address for address in self.addresses if address not in dict(failures)]
            raise DialFailed([*failures, *((address, error) for address in silent)]) from error
        except _AllFailed:
            raise DialFailed(failures) from None

    def _attempt(self, address: Address, context: ssl.SSLContext) -> Callable[[], Awaitable[Dialled]]:
        async def attempt() -> Dialled:
            transport, protocol = await asyncio.get_running_loop().create_connection(
                self._factory, *address, ssl=context, server_hostname=SERVER_NAME
            )
            try:
                certificate = shown_certificate(transport.get_extra_info("ssl_object"))
                if certificate is None:
                    raise Refused("The computer at the other end showed no certificate.")
                self._check(certificate)
                notice_the_dead(transport.get_extra_info("socket"))
            except BaseException:
                transport.abort()
                raise
            self.answered = address
            return transport, protocol

        return attempt

    async def _create_connection(
        self, _request: aiohttp.ClientRequest, _traces: list[Trace], _timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        try:
            _, protocol = await self.dial()
        except DialFailed as failed:
            raise self._explain(failed) from failed
        return protocol


class _AllFailed(Exception):
    pass


async def _race(
    attempts: Sequence[Callable[[], Awaitable[Dialled]]], on_failure: Callable[[int, BaseException], None]
) -> Dialled:
    """The first to succeed, each started when the one before failed or STAGGER seconds passed (RFC 8305)."""
    waiting = deque(enumerate(attempts))
    running: dict[asyncio.Future[Dialled], int] = {}
    try:
        while waiting or running:
            if waiting:
                number, attempt = waiting.popleft()
                running[asyncio.ensure_future(attempt())] = number
            ended, _ = await asyncio.wait(
                running, timeout=STAGGER if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for future in sorted(ended, key=running.__getitem__):
                number = running.pop(future)
                if (error := future.exception()) is None:
                    for loser in ended & running.keys():
                        _hang_up(loser)
                    return future.result()
                on_failure(number, error)
        raise _AllFailed
    finally:
        for future in running:
            future.cancel()
            future.add_done_callback(_hang_up)


def _hang_up(future: asyncio.Future[Dialled]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result()[0].abort()


def nobody(name: str, addresses: Sequence[Address], seen: str) -> Unreachable:
    """The sentence for a computer that does not answer anywhere."""
    if not addresses:
        return Unreachable(f"No address of {name} is known here; {seen}.", "see that it is switched on and connected")
    where = ", ".join(map(str, addresses[:3])) + (" and elsewhere" if len(addresses) > 3 else "")
    return Unreachable(f"{name} does not answer at {where}; {seen}.", "see that it is switched on and connected")
