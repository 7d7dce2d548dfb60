"""People without a computer at a real listener: real TLS, real Argon2, a real roster; tower is a server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl

import aiohttp
import pytest
from aiohttp import web

from commonhold.authority import gate as gates
from commonhold.authority.authority import Verb, permit
from commonhold.authority.entrance import COOKIE, credentials
from commonhold.authority.gate import STILL, SUBJECT, gate
from commonhold.authority.tries import FREE
from commonhold.authority.watch import Watch
from commonhold.errors import Refused, TooManyTries
from commonhold.transport import Address, Caller, Listener, Peer, problems
from commonhold.transport import connections as listening

from .suite import BOB, CAROL, GUS, PHOTOS, Casa, computer, fingerprint

GOOD = "harbour lamp otter"


class Office:
    """tower's listener; bob and the guest gus have accounts, carol has a computer only."""

    def __init__(self, shape="server"):
        self.casa = Casa(shape)
        self.served = asyncio.Event()
        self.still = None  # who asked `/dav/who` last, should the same be asked again
        entrance = self.casa.entrance if shape == "server" else None
        self.watch = Watch(lambda: self.casa.authority, lambda *_, **__: None)
        app = web.Application(middlewares=[problems, gate(self.watch, entrance)])
        app.add_routes(
            [
                web.route("*", "/dav/photos", self._photos),
                web.get("/dav/slow", self._slow),
                web.get("/dav/who", self._who),
                web.get("/session", self._who),
                web.delete("/session", self._who),
                *(web.get(path, self._who) for path in ("/roster", "/persons", "/rules", "/jobs", "/davs")),
            ]
        )
        self.listener = Listener(app, *computer("tower"))

    async def open(self):
        accounts = self.casa.accounts
        hashed = await accounts.hashed(GOOD, "bob")
        accounts.put(BOB, hashed, None)
        self.casa.signed_in(GUS)
        accounts.put(GUS, hashed, self.casa.now)  # over
        accounts.passwords.hashed = 0
        self.listener.trust(self.casa.roster.anchors)
        await self.listener.start([Address("127.0.0.1", 0)])

    async def close(self):
        self.watch.close()
        self.casa.accounts.close()
        await self.listener.close()

    async def ask(self, where, name="", password="", method="GET", **more):
        auth = aiohttp.encode_basic_auth(name, password, "utf-8") if name else None
        headers = {**({"Authorization": auth} if auth else {}), **more.pop("headers", {})}
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
            session.request(method, f"https://{self.listener.addresses[0]}{where}", headers=headers, **more) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.text()

    async def _who(self, request):
        subject, self.still = request[SUBJECT], request[STILL]
        return web.json_response({"who": subject.person_name, "computer": subject.computer, "guest": subject.guest})

    async def _photos(self, request):
        permit(self.casa.authority, request[SUBJECT], Verb.READ, PHOTOS)
        return web.json_response({"read": len(await request.read())})

    async def _slow(self, _):
        await self.served.wait()
        return web.Response(text="done")


@pytest.fixture
async def office():
    made = Office()
    await made.open()
    yield made
    await made.close()


async def test_basic_is_that_person_without_a_computer(office):
    status, _, text = await office.ask("/dav/who", "bob", GOOD)
    assert (status, text) == (200, '{"who": "bob", "computer": null, "guest": false}')
    assert (await office.ask("/dav/who", "OFFICE\\Bob", GOOD))[0] == 200, "as Windows sends it"


async def test_the_person_s_rules_decide(office):
    assert (await office.ask("/dav/photos", "bob", GOOD))[0] == 403
    office.casa.allow(BOB, Verb.READ, PHOTOS)
    assert (await office.ask("/dav/photos", "bob", GOOD))[0] == 200


@pytest.mark.parametrize("end", ["a new password", "a removal", "a deny"])
async def test_who_asked_is_asked_about_again_while_the_same_is_asked(office, end):
    """Whoever takes a request for one like it before has no more than the subject: the authority decides each time."""
    casa = office.casa
    casa.allow(BOB, Verb.READ, PHOTOS)
    await office.ask("/dav/who", "bob", GOOD)
    assert permit(casa.authority, office.still(), Verb.READ, PHOTOS).subject.person == BOB
    if end == "a new password":
        casa.accounts.put(BOB, await casa.accounts.hashed("another lamp otter", "bob"), None)
    elif end == "a removal":
        casa.remove_person(BOB)
    else:
        casa.deny(BOB, Verb.READ, PHOTOS)
    with pytest.raises(Refused):
        permit(casa.authority, office.still(), Verb.READ, PHOTOS)


async def test_whoever_does_not_get_in_hears_the_same_whatever_the_reason(office):
    heard = set()
    for name, password in (("", ""), ("bob", "wrong password"), ("nobody", GOOD), ("gus", GOOD), ("carol", GOOD)):
        status, headers, text = await office.ask("/dav/photos", name, password)
        heard.add((status, headers["WWW-Authenticate"], headers["Content-Type"], len(headers), text))
    assert len(heard) == 1
    assert next(iter(heard))[:2] == (401, 'Basic realm="casa", charset="UTF-8"')


@pytest.mark.parametrize(
    "header",
    ["Basic", "Basic !!!!", "Basic " + "=" * 40, "Bearer abc", "Basic /////w==", "Digest username=bob", "Basic Ym9i"],
)
async def test_what_is_no_password_costs_no_hash(office, header):
    assert (await office.ask("/dav/who", headers={"Authorization": header}))[0] == 401
    assert office.casa.accounts.passwords.hashed == 0


async def test_a_password_opens_only_the_routes_that_are_for_people(office):
    for where in ("/roster", "/persons", "/rules", "/jobs", "/davs", "/nowhere", "/"):
        assert (await office.ask(where, "bob", GOOD))[0] == 401, where
    assert office.casa.accounts.passwords.hashed == 0, "nor can it be tried there"


async def test_in_peer_to_peer_no_password_is_asked_for_and_none_opens_anything():
    peer = Office("peer")
    await peer.open()
    status, headers, text = await peer.ask("/dav/who", "bob", GOOD)
    await peer.close()
    assert (status, "WWW-Authenticate" in headers, "casa" in text) == (401, False, False)
    assert peer.casa.accounts.passwords.hashed == 0


async def test_a_removed_computer_does_not_come_back_with_a_password(office):
    caller = Caller(*computer("phone"))
    tower = Peer("tower", fingerprint("tower"), computer("tower")[1], office.listener.addresses)
    with pytest.raises(Refused, match="was removed from the network casa"):
        async with caller.request(tower, "GET", "/dav/who", headers=basic("bob", GOOD)):
            pass
    await caller.close()
    assert office.casa.accounts.passwords.hashed == 0


async def test_a_member_s_certificate_goes_before_a_password(office):
    caller = Caller(*computer("desk"))
    tower = Peer("tower", fingerprint("tower"), computer("tower")[1], office.listener.addresses)
    async with caller.request(tower, "GET", "/dav/who", headers=basic("bob", GOOD)) as answer:
        assert (await answer.json())["who"] == "carol"
    await caller.close()


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


async def test_finder_and_windows_hear_what_they_need_of_a_401(office):
    status, headers, _ = await office.ask("/dav/photos", method="OPTIONS")
    assert (status, headers["DAV"]) == (401, "1, 2")
    assert headers["WWW-Authenticate"].startswith("Basic ")
    status, _, text = await office.ask("/dav/photos", method="PROPFIND", data=b"x" * 60_000)
    assert (status, "account" in text) == (401, True)


async def test_a_body_that_never_comes_holds_a_refusal_up_for_a_moment_only(office):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(*office.listener.addresses[0], ssl=context)
    writer.write(b"PUT /dav/photos HTTP/1.1\r\nHost: tower\r\nContent-Length: 1000\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()


async def test_guesses_wait_longer_and_longer_and_a_right_one_opens_after_the_wait(office):
    statuses = [(await office.ask("/dav/who", "bob", f"wrong {number}"))[0] for number in range(FREE["account"])]
    assert set(statuses) == {401}
    status, headers, text = await office.ask("/dav/who", "bob", GOOD)
    assert (status, headers["Retry-After"], "TooManyTries" in text) == (429, "1", True), "even the right one waits"
    assert (await office.ask("/dav/who", "nobody", GOOD))[0] == 401, "others do not"
    office.casa.later(seconds=1)
    assert (await office.ask("/dav/who", "bob", GOOD))[0] == 200
    for number in range(10):  # from elsewhere
        with contextlib.suppress(TooManyTries):
            await office.casa.accounts.check("bob", f"wrong {number}", f"198.51.100.{number}")
    assert (await office.ask("/dav/who", "bob", GOOD))[0] == 200


async def test_names_of_nobody_wait_as_those_of_somebody(office):
    answers = {}
    for name in ("bob", "nobody"):
        answers[name] = [(await office.ask("/dav/who", name, f"wrong {number}"))[0] for number in range(8)]
    assert answers["bob"] == answers["nobody"] == [401] * 5 + [429] * 3


async def test_requests_with_a_password_cost_one_hash(office):
    for _ in range(30):
        assert (await office.ask("/dav/who", "bob", GOOD))[0] == 200
    assert office.casa.accounts.passwords.hashed == 1


async def test_a_flood_of_passwords_does_not_hold_members_up(office):
    tower = Peer("tower", fingerprint("tower"), computer("tower")[1], office.listener.addresses)
    caller = Caller(*computer("laptop"))
    async with caller.request(tower, "GET", "/dav/who"):
        pass
    flood = [asyncio.create_task(office.ask("/dav/who", f"name{n}", "some password")) for n in range(60)]
    answered = 0
    while not all(task.done() for task in flood):
        async with caller.request(tower, "GET", "/dav/who") as answer:
            answered += answer.status == 200
    await caller.close()
    statuses = [(await task)[0] for task in flood]
    assert answered > len(flood), "many of the member's requests while the strangers' were dealt with"
    assert statuses.count(401) <= FREE["address"], "nor did all of those cost a hash"
    assert set(statuses) == {401, 429}


async def test_a_connection_whose_person_is_known_is_not_cut_as_a_stranger_s(office, monkeypatch):
    monkeypatch.setattr(listening, "STRANGERS_STAY", 0.2)
    known = asyncio.create_task(office.ask("/dav/slow", "bob", GOOD))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    stranger, writer = await asyncio.open_connection(*office.listener.addresses[0], ssl=context)
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await stranger.read() == b"", "cut"
    writer.close()
    office.served.set()
    assert (await known)[::2] == (200, "done")


async def test_half_a_request_after_a_right_password_does_not_keep_a_connection_for_ever(office, monkeypatch):
    """A guest that is over would hold the server's handles as long as it liked."""
    monkeypatch.setattr(listening, "STRANGERS_STAY", 0.2)
    monkeypatch.setattr(gates, "KEEPALIVE", 0.2)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    guest, writer = await asyncio.open_connection(*office.listener.addresses[0], ssl=context)
    writer.write(
        f"GET /dav/who HTTP/1.1\r\nHost: x\r\nAuthorization: {basic('bob', GOOD)['Authorization']}\r\n\r\n".encode()
    )
    async with asyncio.timeout(20):
        assert b" 200 " in await guest.readline()
        writer.write(b"GET /dav/who HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            while await guest.read(65536):
                pass
    writer.close()


# -- sessions


def cookie(token, **more):
    return {"Cookie": f"{COOKIE}={token}", **more}


async def test_a_session_s_cookie_is_that_person(office):
    token, _ = office.casa.sessions.begin(office.casa.accounts.find(BOB))
    status, _, text = await office.ask("/session", headers=cookie(token))
    assert (status, '"who": "bob"' in text) == (200, True)
    assert (await office.ask("/dav/who", headers=cookie(token)))[0] == 200
    for wrong in ("", "x" * 43, token[:-1], token + "x"):
        assert (await office.ask("/session", headers=cookie(wrong)))[0] == 401
    assert office.casa.accounts.passwords.hashed == 0


async def test_a_page_of_another_site_changes_nothing_with_the_cookie(office):
    token, _ = office.casa.sessions.begin(office.casa.accounts.find(BOB))
    own = f"https://{office.listener.addresses[0]}"
    for origin in (None, "null", "https://evil.example", own.replace("https", "http"), f"{own}.evil.example"):
        headers = cookie(token, **({"Origin": origin} if origin else {}))
        assert (await office.ask("/session", method="DELETE", headers=headers))[0] == 403, origin
    assert (await office.ask("/session", method="DELETE", headers=cookie(token, Origin=own)))[0] == 200


async def test_a_session_ends_with_the_password_and_with_the_account(office):
    casa = office.casa
    token, _ = casa.sessions.begin(casa.accounts.find(BOB))
    casa.accounts.put(BOB, casa.accounts.find(BOB).hash, None)
    assert (await office.ask("/session", headers=cookie(token)))[0] == 401
    casa.accounts.put(CAROL, "unhashed", None)
    token, _ = casa.sessions.begin(casa.accounts.find(CAROL))
    assert (await office.ask("/session", headers=cookie(token)))[0] == 200
    casa.remove_person(CAROL)
    assert (await office.ask("/session", headers=cookie(token)))[0] == 401


async def test_at_the_session_s_route_no_box_for_a_password_pops_up(office):
    status, headers, _ = await office.ask("/session")
    assert (status, "WWW-Authenticate" in headers) == (401, False)


def test_credentials_are_read_as_rfc_7617_says():
    assert credentials(basic("bob", "a:b")["Authorization"]) == ("bob", "a:b")
    assert credentials(basic("zoë", "pässwörd")["Authorization"]) == ("zoë", "pässwörd")
    assert credentials("basic Ym9iOng=") == ("bob", "x")
    assert credentials("Basic " + base64.b64encode(b"bob:\xff").decode()) is None
