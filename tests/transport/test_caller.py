from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec
import pytest

from commonhold.errors import CommonholdError, Damaged, Refused, Unreachable
from commonhold.transport import Address, Caller, Knock, Peer, json_lines


@pytest.fixture
async def silent() -> AsyncIterator[Address]:
    """An address that takes connections and never says a word."""

    async def ignore(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    yield Address(*server.sockets[0].getsockname())
    server.close()


@pytest.fixture
def dead() -> Address:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.9", 0))
        return Address(*taken.getsockname())


@pytest.fixture
async def friends(computer):
    tower, laptop = computer("tower", "127.0.0.2"), computer("laptop")
    await tower.open(trusted=[laptop])
    return tower, laptop


def at(peer: Peer, *addresses: Address) -> Peer:
    return msgspec.structs.replace(peer, addresses=addresses)


async def test_one_computer_asks_another_and_both_know_who_it_is(friends):
    tower, laptop = friends
    assert await laptop.caller.ask(tower.peer, "GET", "/who") == laptop.key.fingerprint
    assert await laptop.caller.ask(tower.peer, "POST", "/echo", {"a": 1}) == {"a": 1}


async def test_the_digest_of_the_roster_is_heard_with_every_answer(friends):
    tower, laptop = friends
    heard = []
    laptop.caller.on_digest = lambda peer, digest: heard.append((peer.name, digest))
    await laptop.caller.ask(tower.peer, "GET", "/who")
    await laptop.caller.ask(tower.peer, "POST", "/echo", 1)
    assert heard == [("tower", "abc123")]  # the second answer carried none


async def test_a_refusal_reads_as_it_was_said_at_the_door(friends):
    tower, laptop = friends
    with pytest.raises(Refused) as caught:
        await laptop.caller.ask(tower.peer, "GET", "/refused")
    assert (caught.value.sentence, caught.value.hint) == ("You may not read photos.", "ask anna")
    assert caught.value.more == {"rule": "none", "reason": "été"}


async def test_an_awaited_status_is_no_error(friends):
    tower, laptop = friends
    async with laptop.caller.request(tower.peer, "GET", "/refused", ok=(403,)) as answer:
        assert answer.status == 403


async def test_an_error_nobody_foresaw_says_nothing_of_its_insides(friends, caplog):
    tower, laptop = friends
    with pytest.raises(CommonholdError) as caught:
        await laptop.caller.ask(tower.peer, "GET", "/broken")
    assert caught.value.sentence == "The other computer met an error of its own."
    assert "secret details" in caplog.text


async def test_an_error_in_the_middle_of_an_answer_never_looks_like_content(friends):
    tower, laptop = friends
    with pytest.raises(Unreachable, match="The connection to tower broke"):
        async with laptop.caller.request(tower.peer, "GET", "/late") as answer:
            await answer.read()


async def test_a_refused_upload_ends_with_the_sentence_and_not_with_the_file(friends):
    tower, laptop = friends

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    with pytest.raises(Refused, match="You may not read photos"):
        async with laptop.caller.request(tower.peer, "PUT", "/refused", data=endless()):
            pass
    assert await laptop.caller.ask(tower.peer, "GET", "/who") == laptop.key.fingerprint


async def test_an_error_of_the_local_disk_is_not_blamed_on_the_network(friends):
    tower, laptop = friends

    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        async with laptop.caller.request(tower.peer, "PUT", "/sink", data=failing()):
            pass
    with pytest.raises(OSError, match="full"):
        async with laptop.caller.request(tower.peer, "GET", "/who"):
            raise OSError(28, "full")


async def test_an_upload_arrives_whole(friends):
    tower, laptop = friends

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with laptop.caller.request(tower.peer, "PUT", "/sink", data=parts()) as answer:
        assert await answer.json() == 2_000_000


async def test_lines_come_one_by_one_and_may_end_with_an_error(friends):
    tower, laptop = friends
    async with laptop.caller.request(tower.peer, "GET", "/lines") as answer:
        assert [line["number"] async for line in json_lines(answer)] == [0, 1, 2]
    async with laptop.caller.request(tower.peer, "GET", "/lines", params={"fail": "1"}) as answer:
        lines = json_lines(answer)
        assert [(await anext(lines))["number"] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(Refused, match="The pass is over"):
            await anext(lines)


async def test_a_websocket_is_as_trusted_as_a_request(friends):
    tower, laptop = friends
    async with laptop.caller.socket(tower.peer, "/socket") as socket_:
        await socket_.send_bytes(b"abc")
        assert (await socket_.receive()).data == b"cba"
    with pytest.raises(Refused, match="You may not read photos"):
        async with laptop.caller.socket(tower.peer, "/no-socket"):
            pass


async def test_more_websockets_than_connections_for_requests_may_be_open(friends):
    tower, laptop = friends
    async with AsyncExitStack() as open_ones:
        for _ in range(20):
            await open_ones.enter_async_context(laptop.caller.socket(tower.peer, "/socket"))
        assert await laptop.caller.ask(tower.peer, "GET", "/who") == laptop.key.fingerprint


async def test_a_computer_that_is_off_is_unreachable_and_when_it_was_seen_is_said(friends, dead):
    tower, laptop = friends
    with pytest.raises(Unreachable, match=rf"^tower does not answer at {dead}; it has never been seen from here\.$"):
        await laptop.caller.ask(at(tower.peer, dead), "GET", "/who")
    seen = msgspec.structs.replace(at(tower.peer, dead), seen=datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
    with pytest.raises(Unreachable, match="it was last seen 2026-11-20"):
        await laptop.caller.ask(seen, "GET", "/who")
    with pytest.raises(Unreachable, match="No address of tower is known here"):
        await laptop.caller.ask(at(tower.peer), "GET", "/who")


async def test_a_silent_address_ends_after_the_time_for_connecting(friends, silent):
    tower, laptop = friends
    hasty = Caller(laptop.key, laptop.certificate, connect_timeout=0.2)
    with pytest.raises(Unreachable, match="does not answer"):
        await hasty.ask(at(tower.peer, *[silent] * 5), "GET", "/who")
    await hasty.close()


async def test_dead_and_silent_addresses_do_not_hide_the_one_that_answers(friends, silent, dead):
    tower, laptop = friends
    addresses = [dead, silent, *tower.listener.addresses]
    assert await laptop.caller.ask(at(tower.peer, *addresses), "GET", "/who") == laptop.key.fingerprint


async def test_new_addresses_are_used_at_once(friends, dead):
    tower, laptop = friends
    with pytest.raises(Unreachable):
        await laptop.caller.ask(at(tower.peer, dead), "GET", "/who")
    assert await laptop.caller.ask(tower.peer, "GET", "/who") == laptop.key.fingerprint


async def test_somebody_else_at_the_address_is_noticed(friends, computer):
    tower, laptop = friends
    mallory = computer("mallory", "127.0.0.3")
    await mallory.open(trusted=[laptop])
    with pytest.raises(Refused, match=r"Somebody else answers at .*: that computer does not hold the key of tower"):
        await laptop.caller.ask(at(tower.peer, *mallory.listener.addresses), "GET", "/who")
    both = (*mallory.listener.addresses, *tower.listener.addresses)
    assert await laptop.caller.ask(at(tower.peer, *both), "GET", "/who") == laptop.key.fingerprint


async def test_something_that_speaks_no_tls_is_not_taken_for_the_computer(friends):
    tower, laptop = friends

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    with pytest.raises(Refused, match="Somebody else answers"):
        await laptop.caller.ask(at(tower.peer, Address(*server.sockets[0].getsockname())), "GET", "/who")
    server.close()


async def test_a_door_that_closed_and_opened_again_is_found(friends, computer):
    tower, laptop = friends
    assert await laptop.caller.ask(tower.peer, "GET", "/who")
    (address,) = tower.listener.addresses
    await tower.listener.close()
    again = computer("tower", "127.0.0.2", key=tower.key)
    again.listener.trust([laptop.certificate])
    await again.listener.start([address])
    peer = Peer("tower", tower.key.fingerprint, again.certificate, (address,))
    assert await laptop.caller.ask(peer, "GET", "/who") == laptop.key.fingerprint


async def test_what_is_asked_of_a_removed_computer_can_be_cut_too(friends, computer):
    tower, laptop = friends
    nas = computer("nas", "127.0.0.3")
    await nas.open(trusted=[laptop])
    async with laptop.caller.request(nas.peer, "GET", "/forever") as other:
        with pytest.raises(Unreachable):  # noqa: PT012 - it breaks while read
            async with laptop.caller.request(tower.peer, "GET", "/forever") as download:
                await laptop.caller.cut({tower.key.fingerprint})
                while True:
                    await download.content.readany()
        await other.content.readexactly(1_000_000)


async def test_a_closed_caller_asks_no_more(friends):
    tower, laptop = friends
    await laptop.caller.close()
    with pytest.raises(Unreachable, match="stopping"):
        await laptop.caller.ask(tower.peer, "GET", "/who")


async def test_a_newcomer_learns_the_servers_key_and_is_nobody_there(friends):
    tower, _ = friends
    knock = Knock(tower.listener.addresses[0])
    assert await knock.meet() == tower.key.spki == knock.server_spki
    assert await knock.ask("/echo", {"code": 7}) == {"code": 7}
    await knock.close()


async def test_a_newcomer_notices_that_the_server_changed_on_the_way(friends, computer):
    tower, _ = friends
    (address,) = tower.listener.addresses
    knock = Knock(address)
    await knock.meet()
    await tower.listener.close()
    relay = computer("relay")
    await relay.listener.start([address])
    with pytest.raises(Refused, match="Another computer than before answers"):
        await knock.ask("/echo", {"code": 7})
    await knock.close()


async def test_a_newcomer_hears_that_nobody_is_there(dead):
    knock = Knock(dead)
    with pytest.raises(Unreachable, match=f"Nobody answers at {dead}"):
        await knock.meet()
    with pytest.raises(Unreachable, match=f"Nobody answers at {dead}"):
        await knock.ask("/echo", 1)
    await knock.close()


async def test_an_answer_that_is_not_json_is_damaged(friends):
    tower, laptop = friends
    with pytest.raises(Damaged, match="not JSON"):
        await laptop.caller.ask(tower.peer, "GET", "/text")
