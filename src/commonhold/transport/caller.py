"""The asking side: requests to other computers, each over a connection pinned to that computer's key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
from msgspec import structs
from yarl import URL

from commonhold.errors import CommonholdError, Refused, Unreachable
from commonhold.identity.certificate import SERVER_NAME, Certificate
from commonhold.identity.keys import Key
from commonhold.names import Address, Fingerprint
from commonhold.transport.answers import PROBLEM, problem_in, problem_of_handshake, read_json
from commonhold.transport.dial import DialFailed, Line, nobody
from commonhold.transport.tls import calling_context, knocking_context
from commonhold.wire import to_json

ROSTER_HEADER = "Commonhold-Roster"  # the digest of the answering computer's roster
LONGEST_DIGEST = 128
CONNECTIONS = 16  # to one computer for requests; WebSockets are not counted, since they stay
LARGEST_MESSAGE = 64 * 2**20  # bytes of one WebSocket message
FOREVER = aiohttp.ClientTimeout(total=None)  # a large file takes what it takes; `notice_the_dead` ends dead ones


class Peer(msgspec.Struct, frozen=True):
    """Another computer as the asking side needs it: what to call it, how to know it, where to look."""

    name: str
    fingerprint: Fingerprint
    certificate: Certificate
    addresses: tuple[Address, ...]
    seen: datetime | None = None  # when it last answered


class Outgoing:
    """A body from an asynchronous iterable, made safe to cut.

    A generator that never awaits would keep the event loop from ever hearing that the connection
    is gone, and spin for ever. And an error of the source (a local disk, say) must not look like
    one of the network: it is kept here.
    """

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source
        self.trouble: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._source:
                yield chunk
                await asyncio.sleep(0)
        except Exception as error:
            self.trouble = error
            raise


def sendable(data: Any) -> Any:
    """What aiohttp may be given as a body."""
    return Outgoing(data) if isinstance(data, AsyncIterable) else data


class Caller:
    """Asks other computers as this one. One pool of kept connections for each.

    `on_digest(peer, digest)` hears the roster's digest that came with an answer; the first of the
    peer's addresses is then the one that answered.
    """

    def __init__(
        self,
        key: Key,
        certificate: Certificate,
        connect_timeout: float = 4.0,
        on_digest: Callable[[Peer, str], None] | None = None,
    ) -> None:
        self.on_digest = on_digest
        self._key, self._certificate = key, certificate
        self._connect_timeout = connect_timeout
        self._pools: dict[tuple[Certificate, bool], _Pool] = {}
        self._closed = False

    @asynccontextmanager
    async def request(
        self,
        peer: Peer,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: Any = None,
        ok: Collection[int] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request; its body is read inside the `async with`.

        `path` is percent-encoded already. Statuses other than 2xx and `ok` are raised as the error
        that the other computer reported. Raises Unreachable when it does not answer (within
        5 s) or breaks off, Refused when somebody else answers at its address.
        """
        body = sendable(data)
        pool = self._pool(peer, sockets=False)
        with _translated(peer.name, pool.session, body):
            async with exchange(
                pool.session,
                method,
                _url(path),
                headers=headers,
                params=params,
                body=body,
                ok=ok,
                hear=lambda answer: self._heed(pool.met(peer), answer),
            ) as answer:
                yield answer

    async def ask(self, peer: Peer, method: str, path: str, body: object = None) -> Any:
        """JSON in, JSON out (None for an empty answer). Raises what `request` raises, and Damaged."""
        data = None if body is None else to_json(body)
        async with self.request(peer, method, path, data=data) as answer:
            return await read_json(answer)

    @asynccontextmanager
    async def socket(
        self, peer: Peer, path: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to that computer. Raises what `request` raises."""
        session = self._pool(peer, sockets=True).session
        with _translated(peer.name, session):
            async with session.ws_connect(
                _url(path), headers=headers, max_msg_size=LARGEST_MESSAGE, timeout=aiohttp.ClientWSTimeout(ws_close=2.0)
            ) as socket:
                yield socket

    async def cut(self, computers: Collection[Fingerprint]) -> None:
        """Break all that this computer still asks those: requests under way raise Unreachable."""
        for place in [place for place in self._pools if place[0].fingerprint in computers]:
            await self._pools.pop(place).session.close()

    async def close(self) -> None:
        """Close all kept connections; later requests raise Unreachable."""
        self._closed = True
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.session.close()

    def _pool(self, peer: Peer, *, sockets: bool) -> _Pool:
        if self._closed:
            raise Unreachable("This computer's node is stopping.")
        pool = self._pools.get((peer.certificate, sockets))
        if pool is None:
            pool = _Pool(self._key, self._certificate, peer, self._connect_timeout, 0 if sockets else CONNECTIONS)
            self._pools[peer.certificate, sockets] = pool
        pool.look_for(peer)
        return pool

    def _heed(self, peer: Peer, answer: aiohttp.ClientResponse) -> None:
        digest = answer.headers.get(ROSTER_HEADER, "")
        if self.on_digest is not None and 0 < len(digest) <= LONGEST_DIGEST:
            self.on_digest(peer, digest)


class _Pool:
    """The kept connections to one computer."""

    def __init__(self, key: Key, certificate: Certificate, peer: Peer, timeout: float, limit: int) -> None:
        self._peer = peer
        self._line = Line(
            lambda: calling_context(key, certificate, peer.certificate),
            self._check,
            self._explain,
            timeout=timeout,
            limit=limit,
        )
        self.session = session_over(self._line)

    def met(self, peer: Peer) -> Peer:
        """That peer, with the address where it answered before the others."""
        answered = self._line.answered
        if answered is None or peer.addresses[:1] == (answered,):
            return peer
        others = tuple(address for address in peer.addresses if address != answered)
        return structs.replace(peer, addresses=(answered, *others))

    def look_for(self, peer: Peer) -> None:
        """Use that peer's newest addresses and name."""
        self._peer, self._line.addresses = peer, peer.addresses

    def _check(self, shown: Certificate) -> None:
        if shown.fingerprint != self._peer.fingerprint:
            raise Refused("Another computer's certificate was shown.")

    def _explain(self, failed: DialFailed) -> CommonholdError:
        peer = self._peer
        if address := failed.impostor():
            return Refused(
                f"Somebody else answers at {address}: that computer does not hold the key of {peer.name}.",
                f"ask the owner of {peer.name} where it is now",
            )
        never = "it has never been seen from here"
        seen = f"it was last seen {peer.seen.astimezone():%Y-%m-%d %H:%M}" if peer.seen else never
        return nobody(peer.name, peer.addresses, seen)


class Knock:
    """A newcomer's talk with an inviter: nothing verified, but always the same key; no certificate, unless `showing`.

    What the key is worth, the code decides later; here it only may not change on the way.
    """

    def __init__(
        self, address: Address, connect_timeout: float = 4.0, showing: tuple[Key, Certificate] | None = None
    ) -> None:
        self._address = address
        self._shown = b""
        self._line = Line(
            lambda: knocking_context(showing), self._check, self._explain, timeout=connect_timeout, limit=CONNECTIONS
        )
        self._line.addresses = (address,)
        self._session = session_over(self._line)

    @property
    def server_spki(self) -> bytes:
        """The public key (SPKI, DER) that the server showed; empty until `meet` or `ask`."""
        return self._shown

    async def meet(self) -> bytes:
        """Connect once, to learn the server's key. Raises Unreachable, Refused."""
        if not self._shown:
            try:
                transport, _ = await self._line.dial()
            except DialFailed as failed:
                raise self._explain(failed) from failed
            transport.abort()
        return self._shown

    def showing(self, key: Key, certificate: Certificate) -> Knock:
        """The same, with the own certificate: who is no member gets no further than to the handshake then."""
        knock = Knock(self._address, showing=(key, certificate))
        knock._shown = self._shown
        return knock

    async def ask(self, path: str, body: object) -> Any:
        """POST JSON, get JSON. Raises the error that the inviter reported, Unreachable, Refused."""
        with _translated(str(self._address), self._session):
            async with exchange(self._session, "POST", _url(path), body=to_json(body)) as answer:
                return await read_json(answer)

    async def close(self) -> None:
        await self._session.close()

    def _check(self, shown: Certificate) -> None:
        if self._shown and shown.spki != self._shown:
            raise Refused("The key changed.")
        self._shown = shown.spki

    def _explain(self, failed: DialFailed) -> CommonholdError:
        if failed.impostor():
            return Refused(
                f"Another computer than before answers at {self._address}."
                if self._shown
                else f"What answers at {self._address} is not Commonhold.",
                "ask for a new code and for the address that goes with it",
            )
        return Unreachable(f"Nobody answers at {self._address}.", "see that both computers are on one network")


def session_over(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """A session without cookies, proxies, redirects or unpacking: bytes arrive as they were sent."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=FOREVER,
        auto_decompress=False,
        headers={"Accept": f"{PROBLEM}, */*", "Accept-Encoding": "identity", "User-Agent": "commonhold"},
    )


def _url(path: str) -> URL:
    return URL(f"https://{SERVER_NAME}{path}", encoded=True)


@asynccontextmanager
async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    url: URL,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    body: Any = None,
    ok: Collection[int] = (),
    hear: Callable[[aiohttp.ClientResponse], None] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """One request; `hear` sees every answer, statuses other than 2xx and `ok` are raised as the problem inside."""
    async with session.request(method, url, headers=headers, params=params, data=body, allow_redirects=False) as answer:
        if hear is not None:
            hear(answer)
        if answer.status // 100 != 2 and answer.status not in ok:
            trouble = await problem_in(answer)
            if isinstance(body, Outgoing):
                answer.close()  # the upload may be half on its way: this connection is no use
            raise trouble
        yield answer


@contextmanager
def _translated(name: str, session: aiohttp.ClientSession, body: object = None) -> Iterator[None]:
    """aiohttp's errors in our words. Errors of the caller's own (its disk is full, say) pass as they are."""
    try:
        yield
    except aiohttp.WSServerHandshakeError as error:
        raise problem_of_handshake(error.headers, error.status) from error
    except aiohttp.ClientError as error:
        if isinstance(body, Outgoing) and body.trouble is not None:
            raise body.trouble from None
        raise _broke(name) from error
    except RuntimeError as error:  # what aiohttp calls reading after this side closed the connection
        if not session.closed:
            raise
        raise _broke(name) from error


def _broke(name: str) -> Unreachable:
    return Unreachable(f"The connection to {name} broke.", "try again, and ask its owner if it happens each time")
