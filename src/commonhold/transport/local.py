"""The gateway: plain HTTP on this computer's loopback, for its own person's programs; and its asking side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from commonhold.errors import NodeNotRunning, Unreachable
from commonhold.names import Address
from commonhold.transport.addresses import bind
from commonhold.transport.answers import json_lines, problem_of_handshake, read_json
from commonhold.transport.caller import LARGEST_MESSAGE, Outgoing, exchange, sendable, session_over
from commonhold.transport.connections import Runner
from commonhold.wire import to_json

LOOPBACK = "127.0.0.1"
PATIENCE = 30.0  # seconds: a node that is well answers within milliseconds, a very busy one later


class Gateway:
    """Serves an application on a random port of 127.0.0.1, and nowhere else."""

    def __init__(self) -> None:
        self.address: Address | None = None
        self._runner: Runner | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Nothing while it serves nothing."""
        return f"http://{self.address}" if self.address else ""

    @property
    def hosts(self) -> frozenset[str]:
        """What programs of this computer call it."""
        return frozenset({str(self.address), f"localhost:{self.address.port}"}) if self.address else frozenset()

    async def start(self, app: web.Application, port: int = 0) -> Address:
        """Serve `app`; port 0 lets the system choose. Raises Conflict when the port is in use."""
        (listening,) = bind([Address(LOOPBACK, port)])
        self._runner = Runner(app)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        self._looking = asyncio.create_task(self._runner.break_strangers(lambda _: False))  # until `vouch`
        self.address = Address(*listening.getsockname())
        return self.address

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self.address = None


class LocalCaller:
    """Asks this computer's own node, at `url`, with the secret that lies in the home.

    `of` is how messages call the node's home.
    """

    def __init__(self, url: str, secret: str, of: str = "this computer") -> None:
        self._url, self._of = URL(url), of
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        data: Any = None,
        ok: Collection[int] = (),
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to one request; `path` is percent-encoded already.

        Statuses other than 2xx and `ok` are raised as the error that the node reported. Raises
        NodeNotRunning when nothing answers.
        """
        if self._session is None:
            self._session = session_over(aiohttp.TCPConnector(limit=0))
        body = sendable(data)
        url = URL(f"{self._url.origin()}{path}", encoded=True)
        together = {**self._headers, **(headers or {})}
        try:
            async with exchange(
                self._session, method, url, headers=together, params=params, body=body, ok=ok
            ) as answer:
                yield answer
        except aiohttp.ClientConnectorError as error:
            raise NodeNotRunning(f"The node of {self._of} is not running.", "commonhold up") from error
        except aiohttp.ClientError as error:
            if isinstance(body, Outgoing) and body.trouble is not None:
                raise body.trouble from None
            raise NodeNotRunning(f"The node of {self._of} stopped before it answered.", "commonhold up") from error

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """JSON in, JSON out (None for an empty answer). Raises Unreachable when the node hangs meanwhile.

        An answer may take long; a node that is well says meanwhile that it is there.
        """
        asking = asyncio.create_task(self._ask(method, path, body))
        try:
            while not (await asyncio.wait({asking}, timeout=PATIENCE))[0]:
                await self._require_alive()
            return asking.result()
        finally:
            asking.cancel()

    async def _ask(self, method: str, path: str, body: object) -> Any:
        async with self.request(method, path, data=None if body is None else to_json(body)) as answer:
            return await read_json(answer)

    async def _require_alive(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self.request("GET", "/", ok=range(100, 600)):
                pass
        except TimeoutError as error:
            hint = "commonhold down ends it, also when it hangs; then commonhold up"
            raise Unreachable(f"The node of {self._of} runs, and does not answer.", hint) from error

    async def stream(self, method: str, path: str, body: object = None) -> AsyncGenerator[Any, None]:
        """The JSON documents of a long answer, one a line, as they come; raises the error that ended them.

        Raises Unreachable for a node that hangs when it is asked.
        """
        await self._require_alive()
        async with self.request(method, path, data=None if body is None else to_json(body)) as answer:
            async for item in json_lines(answer):
                yield item

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to the node. Raises what `request` raises."""
        if self._session is None:
            self._session = session_over(aiohttp.TCPConnector(limit=0))
        try:
            async with self._session.ws_connect(
                f"{self._url.origin()}{path}", headers=self._headers, max_msg_size=LARGEST_MESSAGE
            ) as socket:
                yield socket
        except aiohttp.WSServerHandshakeError as error:
            raise problem_of_handshake(error.headers, error.status) from error
        except aiohttp.ClientError as error:
            raise NodeNotRunning(f"The node of {self._of} is not running.", "commonhold up") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
