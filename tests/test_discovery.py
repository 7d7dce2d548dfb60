from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from commonhold.discovery import MOST_ADDRESSES, AddressBook, Discovery, find_inviter, understand
from commonhold.names import Address, Fingerprint

pytestmark = pytest.mark.alone  # other tests' nodes announce themselves too

TOWER, LAPTOP = Fingerprint("a1" * 32), Fingerprint("b2" * 32)
LOOPBACK = ["127.0.0.2"]
AT_TOWER = Address("127.0.0.2", 7440)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PROPERTIES = {b"id": TOWER.encode(), b"net": b"0123456789abcdef", b"invite": b"7,12"}


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def announce() -> AsyncIterator:
    """Starts announcements on loopback; all are taken back at the end."""
    async with AsyncExitStack() as stack:

        def start(fingerprint: Fingerprint, *addresses: Address) -> Discovery:
            discovery = Discovery(fingerprint, "0123456789abcdef" * 4, addresses, LOOPBACK)
            discovery.start()
            stack.push_async_callback(discovery.close)
            return discovery

        yield start


async def test_one_computer_finds_another(announce):
    announce(TOWER, AT_TOWER)
    laptop = announce(LAPTOP, Address("127.0.0.3", 7441))
    assert await laptop.find_computer(TOWER, 10) == [AT_TOWER]


async def test_who_is_not_there_is_not_found(announce):
    assert await announce(LAPTOP, AT_TOWER).find_computer(TOWER, 0.5) == []


async def test_a_newcomer_finds_the_open_invitation_and_no_closed_one(announce):
    tower = announce(TOWER, AT_TOWER)
    announce(LAPTOP, Address("127.0.0.3", 7441))
    await tower.set_invitations([7])
    assert await find_inviter(7, 10, LOOPBACK) == [AT_TOWER]
    await tower.set_invitations([])
    assert await find_inviter(7, 0.5, LOOPBACK) == []


async def test_an_invitation_that_opens_during_the_search_is_found(announce):
    tower = announce(TOWER, AT_TOWER)
    searching = asyncio.create_task(find_inviter(7, 10, LOOPBACK))
    await asyncio.sleep(0.2)
    await tower.set_invitations([7])
    assert await searching == [AT_TOWER]


async def test_two_invitations_of_one_number_are_both_found(announce):
    at_laptop = Address("127.0.0.3", 7441)
    tower, laptop = announce(TOWER, AT_TOWER), announce(LAPTOP, at_laptop)
    await tower.set_invitations([7])
    await laptop.set_invitations([7])
    assert set(await find_inviter(7, 10, LOOPBACK)) == {AT_TOWER, at_laptop}


async def test_who_listens_hears_of_those_who_come_and_of_no_other_network(announce):
    heard: asyncio.Queue[tuple[Fingerprint, tuple[Address, ...]]] = asyncio.Queue()
    tell = lambda who, where: heard.put_nowait((who, where))  # noqa: E731
    client = Discovery(LAPTOP, "0123456789abcdef" * 4, (), LOOPBACK, tell)
    stranger = Discovery(Fingerprint("5" * 64), "f" * 64, [Address("127.0.0.9", 7440)], LOOPBACK)
    client.start()
    stranger.start()
    try:
        announce(TOWER, AT_TOWER)
        assert await asyncio.wait_for(heard.get(), 20) == (TOWER, (AT_TOWER,))
    finally:
        await client.close()
        await stranger.close()
    while not heard.empty():
        assert heard.get_nowait()[0] == TOWER


async def test_a_network_without_multicast_is_logged_once_and_no_error(caplog):
    discovery = Discovery(TOWER, "00" * 32, [AT_TOWER], ["203.0.113.1"])
    discovery.start()
    await discovery.set_invitations([7])
    assert await discovery.find_computer(LAPTOP, 0.5) == []
    await discovery.close()
    assert len([record for record in caplog.records if "cannot be found by themselves" in record.message]) == 1
    assert await find_inviter(7, 0.5, ["203.0.113.1"]) == []


async def test_an_announcement_may_be_closed_before_it_was_made():
    discovery = Discovery(TOWER, "00" * 32, [AT_TOWER], LOOPBACK)
    discovery.start()
    await discovery.close()
    await Discovery(TOWER, "00" * 32, [AT_TOWER], LOOPBACK).close()


def test_a_sound_announcement_is_understood():
    heard = understand(PROPERTIES, ["192.168.1.5", "fd00::2"], 7440)
    assert heard.fingerprint == TOWER
    assert heard.invitations == {7, 12}
    assert heard.addresses == (Address("192.168.1.5", 7440), Address("fd00::2", 7440))


@pytest.mark.parametrize(
    "wrong",
    [
        {b"id": b"A1" * 32},
        {b"id": b"a1"},
        {b"id": None},
        {b"id": "é".encode()},
        {b"invite": b"7;rm"},
        {b"invite": b"-1"},
        {b"invite": b"99999"},
        {b"invite": b"1" * 5000},
        {b"invite": ",".join(map(str, range(50))).encode()},
    ],
)
def test_a_malformed_announcement_is_ignored(wrong):
    assert understand(PROPERTIES | wrong, ["192.168.1.5"], 7440) is None


def test_an_announcement_without_a_usable_address_is_ignored():
    assert understand(PROPERTIES, [], 7440) is None
    assert understand(PROPERTIES, ["192.168.1.5"], 0) is None
    assert understand(PROPERTIES, ["192.168.1.5"], None) is None
    assert understand(PROPERTIES, ["224.0.0.1", "0.0.0.0", "fe80::1"], 7440) is None  # noqa: S104 - heard, not bound


def test_no_announcement_brings_more_addresses_than_a_computer_may_have():
    assert len(understand(PROPERTIES, [f"10.0.0.{n}" for n in range(1, 200)], 7440).addresses) == MOST_ADDRESSES


@given(st.dictionaries(st.binary(max_size=8), st.none() | st.binary(max_size=80)), st.integers())
def test_whatever_is_announced_raises_nothing(properties, port):
    understand(PROPERTIES | properties, ["192.168.1.5"], port)
    understand(properties, ["192.168.1.5"], port)


@pytest.fixture
def book() -> AddressBook:
    return AddressBook(sqlite3.connect(":memory:", isolation_level=None))


def at(number: int) -> Address:
    return Address(f"10.0.0.{number}", 7440)


def test_addresses_are_remembered_with_the_newest_first(book):
    assert book.addresses(TOWER) == ()
    assert book.seen(TOWER) is None
    book.remember(TOWER, [at(1), at(2)], NOON)
    book.remember(TOWER, [at(3)], NOON + timedelta(hours=1))
    book.remember(LAPTOP, [at(4)])
    assert book.addresses(TOWER) == (at(3), at(1), at(2))
    assert book.seen(TOWER) == NOON + timedelta(hours=1)
    assert book.seen(LAPTOP) is None


def test_hearsay_neither_pushes_out_nor_makes_forget_where_a_computer_was_seen(book):
    book.remember(TOWER, [at(1)], NOON)
    for number in range(2, 40):
        book.remember(TOWER, [at(number)])
    book.remember(TOWER, [at(1)])
    assert book.addresses(TOWER)[0] == at(1)
    assert len(book.addresses(TOWER)) == MOST_ADDRESSES
    assert book.addresses(TOWER)[1] == at(39)
    assert book.seen(TOWER) == NOON


def test_an_older_sighting_changes_nothing(book):
    book.remember(TOWER, [at(1)], NOON)
    book.remember(TOWER, [at(1)], NOON - timedelta(days=1))
    assert book.seen(TOWER) == NOON


def test_the_book_outlives_its_opening(tmp_path):
    first = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    AddressBook(first).remember(TOWER, [at(1)], NOON)
    first.close()
    second = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    assert AddressBook(second).addresses(TOWER) == (at(1),)
    second.close()


def test_loading_discovery_loads_no_zeroconf():
    script = "import json, sys, commonhold.discovery; print(json.dumps('zeroconf' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout) is False
