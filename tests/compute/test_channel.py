"""A node and a sandboxed process speak; either may be hostile or gone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from commonhold.compute.channel import LONGEST_LINE, Channel, Handler
from commonhold.errors import CommonholdError, NotFound, Unreachable


async def answers(what: str, words: dict[str, Any]) -> Any:
    if what == "echo":
        return words
    if what == "missing":
        raise NotFound("There is no such thing.", "look elsewhere")
    if what == "broken":
        raise AttributeError(what)
    if what == "forever":
        await asyncio.sleep(600)
    raise KeyError(what)


async def end_of(pair: socket.socket, handler: Handler = answers) -> Channel:
    reader, writer = await asyncio.open_unix_connection(sock=pair, limit=LONGEST_LINE)
    return Channel(reader, writer, handler)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, Channel]]:
    both = tuple([await end_of(each) for each in socket.socketpair()])
    serving = [asyncio.create_task(each.serve()) for each in both]
    yield both  # type: ignore[misc]
    for each in both:
        each.close()
    await asyncio.gather(*serving)


async def test_both_ends_ask_and_answer_at_once(ends: tuple[Channel, Channel]):
    asked = [end.ask("echo", number=number) for number in range(200) for end in ends]
    assert [each["number"] for each in await asyncio.gather(*asked)] == [n for n in range(200) for _ in ends]


async def test_a_refusal_arrives_as_the_error_it_was(ends: tuple[Channel, Channel]):
    with pytest.raises(NotFound, match="no such thing") as caught:
        await ends[0].ask("missing")
    assert caught.value.hint == "look elsewhere"
    with pytest.raises(CommonholdError):
        await ends[0].ask("unheard of")


async def test_whatever_is_wrong_there_who_asks_is_answered(ends: tuple[Channel, Channel]):
    with pytest.raises(CommonholdError, match="could not be done"):
        await ends[0].ask("broken")


async def test_asks_end_when_the_other_end_does(ends: tuple[Channel, Channel]):
    asking = asyncio.create_task(ends[0].ask("forever"))
    await ends[0].ask("echo")
    ends[1].close()
    with pytest.raises(Unreachable):
        await asking
    with pytest.raises(Unreachable):
        await ends[0].ask("echo")
    ends[0].tell("nothing")  # and nobody minds


@pytest.mark.parametrize("noise", [b"not json\n", b"[1]\n", b'{"id": "x"}\n', b"x" * (LONGEST_LINE + 1) + b"\n"])
async def test_noise_ends_the_channel_and_nothing_else(noise: bytes):
    near, far = socket.socketpair()
    channel = await end_of(near)
    serving = asyncio.create_task(channel.serve())
    _, writer = await asyncio.open_unix_connection(sock=far)
    writer.write(noise)
    async with asyncio.timeout(20):
        await serving
    writer.close()
