"""The gate on a real door: real TLS, real certificates, a real roster."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta

import aiohttp
import pytest
from aiohttp import web

from commonhold.authority.authority import Verb, permit
from commonhold.authority.closed import Closed
from commonhold.authority.gate import PASS_HEADER, SUBJECT, gate
from commonhold.authority.watch import Watch
from commonhold.errors import NotAdmitted, Refused, Unreachable
from commonhold.transport import Address, Caller, Knock, Listener, Peer, problems

from .suite import BOB, NOON, PHOTOS, Casa, computer, fingerprint, path


class Door:
    """tower's listener in the network casa, with three paths behind the gate."""

    def __init__(self) -> None:
        self.casa = Casa("peer")
        self.callers: list[Caller] = []
        self.watch = Watch(lambda: self.casa.authority, lambda event, **words: self.cut.append(words))
        self.cut: list[dict[str, object]] = []
        app = web.Application(middlewares=[problems, gate(self.watch)])
        app.add_routes(
            [
                web.get("/who", self._who),
                web.get("/dav/photos/{path:.*}", self._photos),
                web.post("/join/hello", self._who),
            ]
        )
        self.listener = Listener(app, *computer("tower"))

    async def open(self) -> None:
        self.listener.trust(self.casa.roster.anchors)
        await self.listener.start([Address("127.0.0.1", 0)])

    async def close(self) -> None:
        self.watch.close()
        for caller in self.callers:
            await caller.close()
        await self.listener.close()

    @property
    def address(self) -> Address:
        return self.listener.addresses[0]

    async def ask(self, name: str, where: str = "/who", **headers: str) -> dict[str, str]:
        caller = Caller(*computer(name))
        self.callers.append(caller)
        tower = Peer("tower", fingerprint("tower"), computer("tower")[1], self.listener.addresses)
        async with caller.request(tower, "GET", where, headers=headers) as answer:
            return await answer.json()

    async def _who(self, request: web.Request) -> web.Response:
        subject = request[SUBJECT]
        return web.json_response({"standing": subject.standing, "who": str(subject), "pass": subject.pass_id})

    async def _photos(self, request: web.Request) -> web.Response:
        asked = path(request.match_info["path"])
        opened = permit(self.casa.authority, request[SUBJECT], Verb.READ, PHOTOS, asked)
        return web.json_response({"path": str(opened.path)})


@pytest.fixture
async def door():
    made = Door()
    await made.open()
    yield made
    await made.close()


async def request(door: Door, method: str, where: str) -> aiohttp.ClientResponse:
    """A request over TLS without a certificate."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
        session.request(method, f"https://{door.address}{where}") as answer,
    ):
        await answer.read()
        return answer


async def raw(door: Door, target: str) -> str:
    """The status line that a request target gets which no library would send."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(*door.address, ssl=context)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: tower\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n")[0].decode()


async def test_a_member_is_known_by_its_certificate(door):
    assert await door.ask("laptop") == {"standing": "member", "who": "bob", "pass": None}


async def test_a_pass_is_carried_in_its_header(door):
    pass_id = door.casa.passes.issue(
        door.casa.who("tower"),
        fingerprint("desk"),
        "7",
        PHOTOS,
        Verb.READ,
        paths=frozenset({path("a.jpg")}),
        until=NOON + timedelta(hours=1),
    )
    opened = await door.ask("desk", "/dav/photos/a.jpg", **{PASS_HEADER: pass_id})
    assert opened == {"path": "a.jpg"}
    with pytest.raises(Refused, match="does not cover that"):
        await door.ask("desk", "/dav/photos/b.jpg", **{PASS_HEADER: pass_id})
    with pytest.raises(Refused, match="no rule lets carol read photos"):
        await door.ask("desk", "/dav/photos/a.jpg")
    with pytest.raises(Refused, match="given to another computer"):
        await door.ask("laptop", "/dav/photos/a.jpg", **{PASS_HEADER: pass_id})


async def test_a_removed_computer_hears_the_sentence(door):
    with pytest.raises(Refused) as refused:
        await door.ask("phone")
    assert refused.value.sentence == "dora's computer phone was removed from the network casa."
    assert not isinstance(refused.value, NotAdmitted)
    assert "join again" in refused.value.hint


async def test_a_removed_computer_does_not_join_under_its_certificate(door):
    with pytest.raises(Refused, match="was removed"):
        await door.ask("phone", "/join/hello")


async def test_a_removal_takes_effect_on_an_open_connection(door):
    door.casa.allow(BOB, Verb.READ, PHOTOS)
    caller = Caller(*computer("laptop"))
    tower = Peer("tower", fingerprint("tower"), computer("tower")[1], door.listener.addresses)
    assert await caller.ask(tower, "GET", "/dav/photos/a.jpg") == {"path": "a.jpg"}
    door.casa.remove("laptop")
    with pytest.raises(Refused, match="bob's computer laptop was removed from the network casa"):
        await caller.ask(tower, "GET", "/dav/photos/a.jpg")
    await caller.close()


async def test_a_stranger_s_certificate_does_not_get_as_far_as_the_gate(door):
    with pytest.raises(Unreachable):
        await door.ask("burglar")


async def test_a_newcomer_without_a_certificate_gets_through_to_join(door):
    knock = Knock(door.address)
    assert await knock.ask("/join/hello", {}) == {"standing": "stranger", "who": "a stranger", "pass": None}
    await knock.close()


async def test_without_a_certificate_all_else_is_refused_and_tells_nothing(door):
    for where in ("/who", "/dav/photos/a.jpg", "/nowhere", "/"):
        answer = await request(door, "GET", where)
        assert (answer.status, answer.content_type) == (401, "application/problem+json")
        assert "casa" not in await answer.text()


@pytest.mark.parametrize(
    "target",
    ["/join/../who", "/join/%2e%2e/who", "/join%2f..%2fwho", "//join/../who", "/join/hello/../../who", "/who?/join/"],
)
async def test_a_path_that_only_looks_like_joining_is_refused(door, target):
    assert await raw(door, target) == "HTTP/1.1 401 Unauthorized"


async def test_finder_hears_of_dav_even_before_it_says_who_it_is(door):
    answer = await request(door, "OPTIONS", "/dav/photos/")
    assert (answer.status, answer.headers["DAV"]) == (401, "1, 2")
    assert (await answer.json(content_type=None))["type"] == "NotAdmitted"


async def test_the_gate_asks_the_authority_of_the_moment(door):
    door.casa.authority = Closed.client(lambda: door.casa.roster, "desk")
    with pytest.raises(Refused, match="this computer is a client and shares nothing"):
        await door.ask("tower", "/dav/photos/a.jpg")
