"""Computers with real keys, real doors on 127.0.0.x and real TLS between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import uvloop
from aiohttp import web

from commonhold.errors import Refused
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Listener, Peer, answer_lines, caller_of, problems

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def pytest_asyncio_loop_factories(config, item):
    """Both loops: uvloop is what runs, asyncio's own what remains where there is no uvloop."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@dataclass
class Computer:
    """One computer of a test: a key, a door with some paths, and the asking side."""

    name: str
    host: str
    key: Key = field(default_factory=Key.generate)
    ended: list[str] = field(default_factory=list)  # how its handlers ended

    def __post_init__(self) -> None:
        self.certificate: Certificate = self_signed(self.key, NOON)
        self.caller = Caller(self.key, self.certificate)
        self.listener = Listener(self.app(), self.key, self.certificate)
        self.downloading = asyncio.Event()

    async def open(self, trusted: list[Computer]) -> None:
        self.listener.trust([self.certificate, *(other.certificate for other in trusted)])
        await self.listener.start([Address(self.host, 0)])

    async def close(self) -> None:
        await self.caller.close()
        await self.listener.close()

    @property
    def peer(self) -> Peer:
        return Peer(self.name, self.key.fingerprint, self.certificate, self.listener.addresses)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[problems], client_max_size=2**20)
        app.add_routes(
            [
                web.get("/who", self._who),
                web.post("/echo", self._echo),
                web.get("/refused", self._refused),
                web.get("/broken", self._broken),
                web.get("/late", self._late),
                web.get("/lines", self._lines),
                web.get("/text", self._text),
                web.get("/forever", self._forever),
                web.post("/silent", self._silent),
                web.put("/sink", self._sink),
                web.put("/refused", self._refused),
                web.get("/socket", self._socket),
                web.get("/no-socket", self._refused),
            ]
        )
        return app

    async def _who(self, request: web.Request) -> web.Response:
        return web.json_response(caller_of(request), headers={"Commonhold-Roster": "abc123"})

    async def _echo(self, request: web.Request) -> web.Response:
        return web.json_response(await request.json())

    async def _refused(self, request: web.Request) -> web.Response:
        raise Refused("You may not read photos.", "ask anna", rule="none", reason="été")

    async def _broken(self, request: web.Request) -> web.Response:
        raise LookupError("secret details")

    async def _text(self, request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async def _late(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000000"})
        await answer.prepare(request)
        await answer.write(b"x" * 1000)
        raise Refused("Too late for a sentence.")

    async def _lines(self, request: web.Request) -> web.StreamResponse:
        async def items() -> AsyncIterator[object]:
            for number in range(3):
                yield {"number": number}
            if "fail" in request.query:
                raise Refused("The pass is over.")

        return await answer_lines(request, items())

    async def _forever(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 65_536)
                self.downloading.set()
                await asyncio.sleep(0.001)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise

    async def _silent(self, request: web.Request) -> web.Response:
        self.downloading.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.ended.append("CancelledError")
            raise
        return web.Response()

    async def _sink(self, request: web.Request) -> web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            self.downloading.set()
        return web.json_response(size)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data[::-1])
        return socket


@pytest.fixture
async def computer() -> AsyncIterator[Callable[..., Computer]]:
    """Makes computers; all are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(name: str, host: str = "127.0.0.1", **more: Key) -> Computer:
            made = Computer(name, host, **more)
            stack.push_async_callback(made.close)
            return made

        yield make
