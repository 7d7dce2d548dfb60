from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from commonhold.errors import Conflict, Unreachable, WrongUsage
from commonhold.identity.certificate import self_signed
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Listener
from commonhold.transport.tls import calling_context, knocking_context


async def get(address: Address, context: ssl.SSLContext, path: str = "/who") -> str:
    """One request in bytes, for clients that ours would never be."""
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname="commonhold")
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return (await reader.read()).decode()
    finally:
        writer.transport.abort()


async def test_a_newcomer_without_a_certificate_reaches_the_application_as_nobody(computer):
    tower = computer("tower")
    await tower.open(trusted=[])
    answer = await get(tower.listener.addresses[0], knocking_context())
    assert answer.startswith("HTTP/1.1 200")
    assert answer.endswith("null")
    assert "Server: commonhold\r\n" in answer


async def test_a_strangers_certificate_fails_the_handshake(computer):
    tower, stranger = computer("tower"), computer("stranger")
    await tower.open(trusted=[])
    with pytest.raises(Unreachable):
        await stranger.caller.ask(tower.peer, "GET", "/who")


async def test_tls_1_2_is_refused(computer):
    tower = computer("tower")
    await tower.open(trusted=[])
    context = knocking_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await get(tower.listener.addresses[0], context)


async def test_a_member_keeps_its_identity_on_a_client_that_names_no_server(computer):
    tower, laptop = computer("tower"), computer("laptop")
    await tower.open(trusted=[laptop])
    context = calling_context(laptop.key, laptop.certificate, tower.certificate)
    reader, writer = await asyncio.open_connection(*tower.listener.addresses[0], ssl=context, server_hostname="")
    writer.write(b"GET /who HTTP/1.0\r\n\r\n")
    assert laptop.key.fingerprint in (await reader.read()).decode()
    writer.transport.abort()


@pytest.mark.parametrize("year", [1970, 2300])
async def test_a_certificate_of_another_time_is_good_since_identities_have_no_dates(computer, year):
    tower, laptop = computer("tower"), computer("laptop")
    then = datetime(year, 6, 1, tzinfo=UTC)
    for each in (tower, laptop):
        each.certificate = self_signed(each.key, then)
        each.caller = Caller(each.key, each.certificate)
    tower.listener = Listener(tower.app(), tower.key, tower.certificate)
    await tower.open(trusted=[laptop])
    assert await laptop.caller.ask(tower.peer, "GET", "/who") == laptop.key.fingerprint


async def test_no_session_is_resumed(computer):
    """A resumed session would walk around a removal."""
    tower, laptop = computer("tower"), computer("laptop")
    await tower.open(trusted=[laptop])
    context = calling_context(laptop.key, laptop.certificate, tower.certificate)

    def twice() -> tuple[bool, bool | None]:
        with socket.create_connection(tower.listener.addresses[0]) as plain, context.wrap_socket(plain) as first:
            first.sendall(b"GET /who HTTP/1.0\r\n\r\n")
            while first.recv(4096):
                pass
            session = first.session
        has_ticket = session is not None and session.has_ticket
        with (
            socket.create_connection(tower.listener.addresses[0]) as plain,
            context.wrap_socket(plain, session=session) as second,
        ):
            return has_ticket, second.session_reused

    assert await asyncio.to_thread(twice) == (False, False)


async def test_a_new_member_is_known_without_a_restart_and_others_stay_connected(computer):
    tower, laptop, desk = computer("tower"), computer("laptop"), computer("desk")
    await tower.open(trusted=[laptop])
    async with laptop.caller.request(tower.peer, "GET", "/forever") as download:
        await download.content.readexactly(1000)
        tower.listener.trust([laptop.certificate, desk.certificate])
        await tower.listener.trusted()
        assert await desk.caller.ask(tower.peer, "GET", "/who") == desk.key.fingerprint
        await download.content.readexactly(1_000_000)


async def test_five_hundred_members_swap_in_while_a_download_goes_on(computer):
    tower, laptop, desk = computer("tower"), computer("laptop"), computer("desk")
    await tower.open(trusted=[laptop])
    many = [self_signed(Key.generate(), datetime.now(UTC)) for _ in range(500)]
    async with laptop.caller.request(tower.peer, "GET", "/forever") as download:
        await download.content.readexactly(1000)
        tower.listener.trust([laptop.certificate, desk.certificate, *many])
        swapped = asyncio.create_task(tower.listener.trusted())
        meanwhile = 0
        while not swapped.done():
            await download.content.readexactly(1000)
            meanwhile += 1
            await asyncio.sleep(0)
        assert meanwhile > 10, "it went on while the anchors were read"
        assert await desk.caller.ask(tower.peer, "GET", "/who") == desk.key.fingerprint
        await download.content.readexactly(1_000_000)


async def test_many_changes_at_once_end_with_the_last(computer):
    tower, laptop, desk = computer("tower"), computer("laptop"), computer("desk")
    await tower.open(trusted=[])
    for certificates in ([laptop.certificate], [], [laptop.certificate, desk.certificate], [desk.certificate]):
        tower.listener.trust(certificates)
    await tower.listener.trusted()
    assert await desk.caller.ask(tower.peer, "GET", "/who") == desk.key.fingerprint
    with pytest.raises(Unreachable):
        await laptop.caller.ask(tower.peer, "GET", "/who")


async def test_a_port_in_use_is_named(computer):
    tower, other = computer("tower", "127.0.0.2"), computer("other", "127.0.0.2")
    await tower.open(trusted=[])
    taken = tower.listener.addresses[0]
    with pytest.raises(Conflict, match=f"{taken} is in use by another program") as caught:
        await other.listener.start([Address("127.0.0.3", 0), taken])
    assert caught.value.hint == "name another with --listen HOST:PORT"
    assert other.listener.addresses == ()


async def test_the_next_free_port_is_taken_on_all_addresses_together_when_that_is_allowed(computer):
    tower, other = computer("tower", "127.0.0.2"), computer("other")
    await tower.open(trusted=[])
    port = tower.listener.addresses[0].port
    await other.listener.start([Address("127.0.0.3", port), Address("127.0.0.2", port)], next_free=True)
    hosts, ports = zip(*other.listener.addresses, strict=True)
    assert hosts == ("127.0.0.3", "127.0.0.2")
    assert len(set(ports)) == 1
    assert ports[0] > port


async def test_an_address_of_another_computer_cannot_be_listened_on(computer):
    with pytest.raises(WrongUsage, match="no address of this computer"):
        await computer("tower").listener.start([Address("203.0.113.1", 0)])


async def test_whoever_still_shakes_hands_when_the_door_closes_is_served_no_more(computer):
    tower = computer("tower")
    await tower.open(trusted=[])
    with socket.create_connection(tower.listener.addresses[0]) as plain:
        await asyncio.sleep(0.1)  # it is accepted
        await tower.listener.close()

        def ask() -> bytes:
            plain.settimeout(10)
            with knocking_context().wrap_socket(plain, server_hostname="commonhold") as wrapped:
                wrapped.sendall(b"GET /who HTTP/1.1\r\nHost: tower\r\n\r\n")
                return wrapped.recv(100)

        with suppress(OSError):  # not even its handshake
            assert await asyncio.to_thread(ask) == b""


async def test_closing_ends_answers_under_way(computer):
    tower, laptop = computer("tower"), computer("laptop")
    await tower.open(trusted=[laptop])
    asking = asyncio.create_task(laptop.caller.ask(tower.peer, "POST", "/silent"))
    await tower.downloading.wait()
    await tower.listener.close()
    with pytest.raises(Unreachable):
        await asking


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 no request\r\n\r\n",
        b"GET /who HTTP/9.9\r\n\r\n",
        b"GET /who HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /who HTTP/1.1\r\nno colon\r\n\r\n",
        b"PUT /sink HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_what_is_no_request_is_answered_without_a_version_and_kept_out_of_the_log(computer, sent, caplog):
    tower = computer("tower")
    await tower.open(trusted=[])
    reader, writer = await asyncio.open_connection(
        *tower.listener.addresses[0], ssl=knocking_context(), server_hostname="commonhold"
    )
    writer.write(sent)
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.transport.abort()
    assert head.split()[1] == "400"
    assert "Content-Type: application/problem+json" in head
    assert "Server: commonhold\r\n" in head
    assert body == '{"type":"WrongUsage","title":"That is no request that is understood here.","hint":""}'
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/who", 405)])
async def test_addresses_and_methods_that_there_are_not_are_problems_like_others(computer, method, path, status):
    tower, laptop = computer("tower"), computer("laptop")
    await tower.open(trusted=[laptop])
    async with laptop.caller.request(tower.peer, method, path, ok=range(100, 600)) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
        assert answer.headers["Server"] == "commonhold"
        assert ("Allow" in answer.headers) == (status == 405)
        assert "aiohttp" not in await answer.text()


async def test_an_expectation_that_nobody_can_meet_is_a_problem_without_a_version(computer):
    tower = computer("tower")
    await tower.open(trusted=[])
    reader, writer = await asyncio.open_connection(
        *tower.listener.addresses[0], ssl=knocking_context(), server_hostname="commonhold"
    )
    writer.write(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: a-pony\r\n\r\n")
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.transport.abort()
    assert head.split()[1] == "417"
    assert "Content-Type: application/problem+json\r\n" in head
    assert "Server: commonhold" in head.split("\r\n")
    assert body == '{"type":"WrongUsage","title":"What this request expects is not done here.","hint":""}'
