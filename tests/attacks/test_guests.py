"""What runs in a sandbox against the node that holds it, and computers of a session against one another."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import types
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from commonhold.authority.authority import Standing, Subject
from commonhold.compute.channel import Channel
from commonhold.compute.hub import seating
from commonhold.compute.hub.seats import Seat
from commonhold.compute.hub.session import Session
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import Needs
from commonhold.compute.relay import Switch, Switchboard
from commonhold.errors import Damaged, NotFound, Refused
from commonhold.names import Fingerprint

from ..conftest import town, until

HUB, OTHER = Fingerprint("a" * 64), Fingerprint("b" * 64)
ENDLESS = "import os\nfor _ in range(1500):\n os.mkdir('d'); os.chdir('d')\nos.chmod('.', 0)"


@asynccontextmanager
async def nowhere(target):
    raise NotFound(f"nobody is {target}")
    yield


@pytest.fixture
async def guest():
    """The guest's end of the socket over which it hands its streams to the node."""
    switch = Switch(nowhere, frozenset)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    switch.attach("p1", near)
    with near, far:
        yield far
        await switch.close()


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_handles_that_are_no_streams_are_closed(guest):
    with ExitStack() as opened:
        file = os.open(os.devnull, os.O_RDONLY)
        opened.callback(os.close, file)
        reading, writing = os.pipe()
        opened.callback(os.close, reading)
        opened.callback(os.close, writing)
        network = opened.enter_context(socket.socket())
        datagram = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        gc.collect()  # handles that earlier tests left to the collector may not go meanwhile
        before = handles()
        for _ in range(50):
            socket.send_fds(guest, [b"p0"], [file, reading, network.fileno(), datagram.fileno()])
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert handles() == before


def test_a_guest_that_never_stops_sending_holds_nobody_up(monkeypatch):
    """It has always sent the next message before the last one was read."""
    taken = []
    monkeypatch.setattr(socket, "recv_fds", lambda *_: taken.append(1) or (b"x", [], 0, None))
    Switch(nowhere, frozenset)._incoming("p1", None)  # type: ignore[arg-type]
    assert 1 <= len(taken) < 1000


async def test_a_million_lines_that_mean_nothing_give_way_to_all_else():
    reader = asyncio.StreamReader(limit=2**24)
    near, far = socket.socketpair()
    with far:
        _, writer = await asyncio.open_unix_connection(sock=near)

        async def handler(what, words):
            raise AssertionError(what)

        channel = Channel(reader, writer, handler)
        reader.feed_data(b"{}\n" * 1000)
        serving = asyncio.create_task(channel.serve())
        for _ in range(10):
            await asyncio.sleep(0)
        assert reader._buffer, "all lines were read without a break"
        reader.feed_eof()
        await serving


def test_folders_without_end_do_not_keep_the_lenders_node_from_starting(tmp_path):
    with town(tmp_path) as make:
        tower = make("tower", "ann")
        tower.create("casa")
        tower.net.run(["python3", "-c", ENDLESS])
        lent = tower.home.folder / "lent"
        assert list(lent.iterdir())
        tower.kill()
        tower.up()
        until(lambda: not list(lent.iterdir()), "what the guest left is gone")


def test_no_hub_puts_a_process_into_the_session_of_another():
    lending = object.__new__(Lending)
    lending._switchboard = Switchboard()
    own = lending._switchboard.switches["1" * 32] = Switch(nowhere, lambda: frozenset({HUB}), is_hub=True)
    theirs = lending._switchboard.switches["2" * 32] = Switch(nowhere, lambda: frozenset({HUB}))
    assert own is not theirs
    for number, hub in (("1" * 32, HUB), ("1" * 32, OTHER), ("2" * 32, OTHER)):
        with pytest.raises(Refused):
            lending._switch(number, hub)
    assert lending._switch("2" * 32, HUB) is theirs


@pytest.mark.parametrize("answer", [None, 7, [], {}, {"cores": "many", "sandbox": 1}, {"cores": 2}, "yes"])
def test_a_lender_that_answers_nonsense_is_told_of(answer):
    with pytest.raises(Damaged):
        seating._accepted(answer)


def test_a_computer_that_refused_takes_no_part(tmp_path):
    """It was asked for the session, knows its number, and could else speak with the scheduler."""
    persons = types.SimpleNamespace(person_of=lambda computer: None)
    board = Switchboard()
    here, now = ("tower", Fingerprint("3" * 64)), datetime.now(UTC)
    parts = here, persons, board, None, None, now, 15.0, None, Needs()
    session = Session(Subject(standing=Standing.MEMBER), tmp_path, *parts)  # type: ignore[arg-type]
    yes, no = Seat("p1", "laptop", HUB, None), Seat("p2", "desk", OTHER, None)
    yes.accepted = seating._accepted(msgspec.to_builtins({"cores": 1, "sandbox": "bubblewrap"}))
    no.refusal = "desk refused: no."
    session.seats._seats = {"p1": yes, "p2": no}
    board.switches[session.id] = session.switch
    assert board.get(session.id, HUB)
    with pytest.raises(Refused):
        board.get(session.id, OTHER)
