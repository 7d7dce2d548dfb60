"""Requests' documents: read up to their bound, and of each computer one large one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from commonhold.transport import document, json_answer, problems
from commonhold.transport.documents import LARGEST


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def count(request: web.Request) -> web.Response:
        return json_answer(len(await document(request, list[int], 4 * LARGEST)))

    app = web.Application(middlewares=[problems])
    app.add_routes([web.post("/count", count)])
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


def numbers(size: int) -> bytes:
    return b"[" + b",".join([b"7"] * (size // 2)) + b"]"


async def test_a_document_is_parsed_and_a_hostile_one_is_refused(server: TestServer):
    async with ClientSession() as session:
        async with session.post(server.make_url("/count"), data=b"[1, 2, 3]") as answer:
            assert await answer.json() == 3
        for wrong in (b"", b"{", b'["x"]', b"\xff"):
            async with session.post(server.make_url("/count"), data=wrong) as answer:
                assert answer.status == 400


async def test_what_is_larger_than_its_bound_is_not_read(server: TestServer):
    async with ClientSession() as session, session.post(server.make_url("/count"), data=numbers(5 * LARGEST)) as answer:
        assert answer.status == 400
        assert "too large" in (await answer.json(content_type=None))["title"]


async def test_one_large_document_of_a_computer_is_read_at_a_time(server: TestServer):
    body = numbers(2 * LARGEST)
    half_sent, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield body[: LARGEST + 70_000]
        half_sent.set()
        await go_on.wait()
        yield body[LARGEST + 70_000 :]

    async with ClientSession() as session:

        async def send(data: object) -> int:
            async with session.post(server.make_url("/count"), data=data) as answer:
                return answer.status

        first = asyncio.create_task(send(slowly()))
        await half_sent.wait()
        statuses = set()
        async with asyncio.timeout(20):
            while 409 not in statuses:  # until the server has read that far
                statuses.add(await send(body))
        assert await send(b"[1]") == 200
        go_on.set()
        assert await first == 200
        assert await send(body) == 200
