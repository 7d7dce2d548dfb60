"""Streams between participants, without Dask: only what the switch itself promises."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commonhold.compute import relay
from commonhold.compute.relay import Switch, Switchboard, Wire
from commonhold.errors import NotFound, Refused
from commonhold.names import Fingerprint

HUB = Fingerprint("a" * 64)


@asynccontextmanager
async def nowhere(target: str) -> AsyncIterator[Wire]:
    raise NotFound(f"There is no {target}.")
    yield  # type: ignore[unreachable]


@pytest.fixture
async def switch() -> AsyncIterator[Switch]:
    made = Switch(nowhere, lambda: frozenset({HUB}))
    yield made
    await made.close()


def process(switch: Switch, name: str) -> socket.socket:
    """The inside end of a participant's datagram socket."""
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    outside.setblocking(False)
    inside.settimeout(5)
    switch.attach(name, outside)
    return inside


def stream(source: socket.socket, target: str) -> socket.socket:
    near, far = socket.socketpair()
    socket.send_fds(source, [target.encode()], [far.fileno()])
    far.close()
    near.settimeout(5)
    return near


def taken(inside: socket.socket) -> socket.socket:
    _, [descriptor], _, _ = socket.recv_fds(inside, 64, 1)
    return socket.socket(fileno=descriptor)


async def test_two_processes_of_one_computer_are_joined_directly(switch: Switch):
    one, two = process(switch, "p0"), process(switch, "p1")
    near = stream(one, "p1")
    far = await asyncio.to_thread(taken, two)
    near.sendall(b"hello")
    assert far.recv(5) == b"hello"


async def test_a_stream_to_nobody_ends(switch: Switch):
    near = stream(process(switch, "p0"), "p9")
    assert await asyncio.to_thread(near.recv, 1) == b""


async def test_what_is_no_stream_is_not_carried(switch: Switch):
    one, two = process(switch, "p0"), process(switch, "p1")
    with socket.socket(socket.AF_INET) as internet:
        socket.send_fds(one, [b"p1"], [internet.fileno()])
    near = stream(one, "p1")
    far = await asyncio.to_thread(taken, two)  # the first one that arrives is the good one
    near.sendall(b"x")
    assert far.recv(1) == b"x"


async def test_a_flood_of_streams_uses_up_no_descriptors(switch: Switch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relay, "MOST_STREAMS", 4)
    one = process(switch, "p0")
    process(switch, "p1")  # which takes none of them
    before = len(list(Path("/proc/self/fd").iterdir()))
    flood = [await asyncio.to_thread(stream, one, "p1") for _ in range(64)]
    await asyncio.sleep(0.1)
    assert len(list(Path("/proc/self/fd").iterdir())) - before - len(flood) <= 4
    for each in flood:
        each.close()


async def test_only_computers_of_the_session_are_carried_for(switch: Switch):
    board = Switchboard()
    board.switches["s"] = switch
    assert board.get("s", HUB) is switch
    for stranger in (None, Fingerprint("b" * 64)):
        with pytest.raises(Refused):
            board.get("s", stranger)
    with pytest.raises(NotFound):
        board.get("other", HUB)


async def test_a_guest_names_processes_and_nothing_else(switch: Switch):
    """What it names becomes part of an address that its node asks for."""
    one = process(switch, "p1")
    for target in ("../../jobs", "p2/../p3", "p0?x", "c1", "p1.1.1", ""):
        assert await asyncio.to_thread(stream(one, target).recv, 1) == b""


async def test_workers_speak_with_one_another_only_where_the_hub_says_so():
    for mesh in (False, True):
        hub = Switch(nowhere, lambda: frozenset({HUB}), is_hub=True, mesh=mesh)
        one, two = process(hub, "p1.0"), process(hub, "p1.1")
        near = stream(one, "p1.1")
        if mesh:
            far = await asyncio.to_thread(taken, two)
            far.sendall(b"x")
        assert await asyncio.to_thread(near.recv, 1) == (b"x" if mesh else b"")
        await hub.close()


async def test_all_processes_of_a_participant_are_detached_together(switch: Switch):
    for name in ("p1.0", "p1.1", "p12.0"):
        process(switch, name)
    switch.detach("p1")
    assert list(switch._here) == ["p12.0"]
