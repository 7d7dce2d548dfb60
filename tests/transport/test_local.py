from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from commonhold.errors import Conflict, NodeNotRunning, NotFound, Refused
from commonhold.transport import Address, Gateway, LocalCaller, answer_lines, problems


def application() -> web.Application:
    async def secret(request: web.Request) -> web.Response:
        return web.json_response(request.headers["Authorization"])

    async def echo(request: web.Request) -> web.Response:
        return web.json_response(await request.json())

    async def missing(request: web.Request) -> web.Response:
        raise NotFound("There is no job 7.", "commonhold jobs")

    async def progress(request: web.Request) -> web.StreamResponse:
        async def items() -> AsyncIterator[object]:
            yield {"done": 1}
            yield {"done": 2}
            raise Refused("The owner took the processors back.")

        return await answer_lines(request, items())

    async def gone(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    app = web.Application(middlewares=[problems])
    app.add_routes(
        [
            web.get("/secret", secret),
            web.post("/echo", echo),
            web.get("/missing", missing),
            web.post("/progress", progress),
            web.get("/gone", gone),
        ]
    )
    return app


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway()
    await gateway.start(application())
    yield gateway
    await gateway.close()


@pytest.fixture
async def local(gateway) -> AsyncIterator[LocalCaller]:
    caller = LocalCaller(f"http://{gateway.address}", "s3cret")
    yield caller
    await caller.close()


async def test_the_gateway_answers_on_loopback_only(gateway):
    assert gateway.address.host == "127.0.0.1"
    assert gateway.address.port > 0
    with socket.socket() as elsewhere, pytest.raises(ConnectionRefusedError):
        elsewhere.connect(("127.0.0.2", gateway.address.port))


async def test_a_program_of_this_person_asks_its_node(local):
    assert await local.ask("GET", "/secret") == "Bearer s3cret"
    assert await local.ask("POST", "/echo", {"a": [1]}) == {"a": [1]}


async def test_an_error_of_the_node_arrives_as_itself(local):
    with pytest.raises(NotFound, match="There is no job 7") as caught:
        await local.ask("GET", "/missing")
    assert caught.value.hint == "commonhold jobs"


async def test_progress_arrives_line_by_line_and_its_error_too(local):
    lines = local.stream("POST", "/progress", {})
    assert [await anext(lines), await anext(lines)] == [{"done": 1}, {"done": 2}]
    with pytest.raises(Refused, match="took the processors back"):
        await anext(lines)


async def test_a_node_that_does_not_run_is_named_with_the_command_that_starts_it(gateway):
    url = f"http://{gateway.address}"
    await gateway.close()
    caller = LocalCaller(url, "s3cret", of="anna")
    with pytest.raises(NodeNotRunning, match=r"^The node of anna is not running\.$") as caught:
        await caller.ask("GET", "/secret")
    assert caught.value.hint == "commonhold up"
    await caller.close()


async def test_a_node_that_stops_while_it_is_asked_is_noticed(local):
    with pytest.raises(NodeNotRunning, match="stopped before it answered"):
        await local.ask("GET", "/gone")


async def test_a_gateway_on_a_taken_port_says_so(gateway):
    with pytest.raises(Conflict, match=f"{Address('127.0.0.1', gateway.address.port)} is in use"):
        await Gateway().start(application(), gateway.address.port)
