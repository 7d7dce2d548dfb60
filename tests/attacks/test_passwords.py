"""Guessed, stolen and outlived passwords, at a real server: people without a computer of the network."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.authority import lines
from commonhold.authority.tries import FREE

from ..conftest import town, until
from ..people import COOKIE, Visitor, basic
from .reach import As, connected, context, enrol, get, said, status

GOOD = "harbour lamp otter"
SIGN_IN = "/session"
PLACES = itertools.count(1)
COOKIES: dict[str, str] = {}


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """ann's server, with a folder for members; mallory's desk is a client of it; bob has an account."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "plans").mkdir()
    (folder / "plans" / "plan.txt").write_text("first draft\n")
    with town(folder) as make:
        server, desk = make("tower", "ann"), make("desk", "mallory")
        server.create("office", "client-server")
        enrol(desk, server)
        server.net.share(folder / "plans", to="members", verb="read")
        server.net.add_person("bob", GOOD)
        yield server, desk


@pytest.fixture
def server(office):
    return office[0]


@pytest.fixture(autouse=True)
def _from_a_place_of_its_own(monkeypatch):
    """Each test comes from an address at which nobody guessed before."""
    monkeypatch.setattr(Visitor, "place", f"127.0.9.{next(PLACES)}")


@pytest.fixture
def person(server, request):
    """A person of this test alone, whose wrong passwords are nobody else's."""
    name = request.node.name.removeprefix("test_")[:30].strip("_")
    server.net.add_person(name, GOOD)
    return name


def by_basic(server, name, password):
    return Visitor(server, name, password).ask("GET", "/dav/plans/plan.txt")


def by_session(server, name, password):
    return Visitor(server).ask("POST", SIGN_IN, {"person": name, "password": password})


def by_own_password(server, name, password):
    """Somebody who found an open session tries to learn its password."""
    visitor = Visitor(server, name, GOOD)
    visitor.cookie = COOKIES[name]
    return visitor.ask("POST", "/account/password", {"old": password, "new": "x" + GOOD}, Origin=visitor.page)


@pytest.mark.parametrize("door", [by_basic, by_session, by_own_password], ids=["basic", "session", "own-password"])
def test_brute_force_is_slowed_down_at_every_door_alike(server, door, request):
    name = f"brute-{request.node.callspec.id}"
    server.net.add_person(name, GOOD)
    visitor = Visitor(server, name, GOOD)
    visitor.sign_in()
    COOKIES[name] = visitor.cookie
    began, guesses = time.monotonic(), 12
    heard = [door(server, name, f"guess {number}") for number in range(guesses)]
    seconds = time.monotonic() - began
    statuses = [each.status for each in heard]
    assert statuses[: FREE["here"]] == [401] * FREE["here"]
    assert set(statuses[FREE["here"] :]) <= {401, 429}
    extra = statuses[FREE["here"] :].count(401)
    assert 2**extra - 1 <= seconds + 1, "after the free ones each needs the wait that was told, and it doubles"
    assert all(int(each.headers["Retry-After"]) > 0 for each in heard if each.status == 429)


def test_the_doors_count_together(server, person):
    Visitor(server, person, GOOD).sign_in()
    statuses = []
    for number, door in enumerate([by_basic, by_session] * 4):
        statuses.append(door(server, person, f"wrong {number}").status)
    assert statuses[: FREE["here"]] == [401] * FREE["here"]
    assert 429 in statuses[FREE["here"] :], statuses


def test_forty_guesses_at_once_are_no_more_than_the_free_ones(server, person):
    with ThreadPoolExecutor(40) as many:
        statuses = list(many.map(lambda number: by_basic(server, person, f"at once {number}").status, range(40)))
    assert statuses.count(401) <= FREE["account"] + 1, "one more, where the first wait was over"
    assert set(statuses) == {401, 429}


def test_one_password_tried_at_many_names_is_slowed_down_by_its_address(server):
    statuses = [by_basic(server, f"name{number}", GOOD).status for number in range(FREE["address"] + 5)]
    assert statuses[: FREE["address"]] == [401] * FREE["address"]
    assert 429 in statuses[FREE["address"] :]


def test_guesses_that_hang_up_before_the_answer_are_counted(server, person):
    for number in range(FREE["account"]):
        header = f"Authorization: {basic(person, f'hung up {number}')}"
        connection = connected(server, context())
        connection.sendall(get("/dav/plans/plan.txt", header))
        until(lambda number=number: _wrong(server, person) > number, "the server has read it")
        connection.close()
    assert by_basic(server, person, "another").status == 429


def _wrong(server, person):
    """How many wrong passwords of this person the record tells of."""
    lines = server.home.audit.read_text().splitlines()
    return sum('"wrong password"' in line and f'"{person}"' in line for line in lines)


def test_a_stranger_cannot_tell_who_has_an_account(server, person):
    """Neither by what is answered, nor by when the waiting begins; that each costs a hash tests/authority shows."""
    heard = {}
    for name in (person, "nobody-of-that-name"):
        told = [by_basic(server, name, f"guess {number}") for number in range(8)]
        heard[name] = [(each.status, each.body, sorted(each.headers)) for each in told]
    assert heard[person] == heard["nobody-of-that-name"]


def test_the_password_of_an_ended_or_removed_account_is_nobody_s(server):
    server.net.add_person("gus", GOOD, until=datetime.now(UTC) + timedelta(seconds=3))
    server.net.add_person("rita", GOOD)
    gus, rita = Visitor(server, "gus", GOOD), Visitor(server, "rita", GOOD)
    for each in (gus, rita):
        each.sign_in()
        assert each.get(SIGN_IN) == 200
    server.net.remove_person("rita")
    until(lambda: gus.get(SIGN_IN) == 401, "the end")
    nobody = by_basic(server, "nobody-else", GOOD)
    for each in (gus, rita):
        assert each.get("/dav/plans/plan.txt") == 401, "the session"
        heard = by_basic(server, each.name, GOOD)
        assert (heard.status, heard.body) == (401, nobody.body), "the password"


def test_a_removed_computer_with_a_good_password_in_hand_is_refused(server, tmp_path):
    with town(tmp_path) as make:
        lost = make("lost", "olga")
        enrol(lost, server)
        attacker = As(server, lost)
        server.net.remove("lost")
        heard = attacker("GET", "/dav/plans/plan.txt", Authorization=basic("bob", GOOD))
        assert (heard.status, heard.document["title"]) == (
            403,
            "olga's computer lost was removed from the network office.",
        )
        assert attacker("POST", SIGN_IN, {"person": "bob", "password": GOOD}).status == 403


def test_a_session_token_known_before_the_sign_in_is_worth_nothing(server):
    """Fixation: whatever cookie the victim's browser sends along, the session gets a token of its own."""
    planted = "A" * 43
    bob = Visitor(server, "bob", GOOD)
    bob.cookie = planted
    heard = bob.ask("POST", SIGN_IN, {"person": "bob", "password": GOOD})
    assert planted not in heard.headers["Set-Cookie"]
    thief = Visitor(server)
    thief.cookie = planted
    assert thief.get(SIGN_IN) == 401


def test_a_token_replayed_after_signing_out_is_refused(server):
    bob, other = Visitor(server, "bob", GOOD), Visitor(server, "bob", GOOD)
    bob.sign_in()
    other.sign_in()
    assert bob.cookie != other.cookie
    bob.ask("DELETE", SIGN_IN, Origin=bob.page)
    server.kill()
    server.up()
    assert bob.get(SIGN_IN) == 401
    assert other.get(SIGN_IN) == 200, "another session goes on"


def test_another_site_s_page_neither_acts_in_a_session_nor_begins_one(server):
    bob = Visitor(server, "bob", GOOD)
    bob.sign_in()
    for origin in (
        "https://evil.example",
        "null",
        f"http://{server.address}",
        f"https://{server.address}.evil.example",
    ):
        assert bob.ask("PUT", "/dav/plans/evil.txt", b"x", Origin=origin).status == 403
        heard = Visitor(server).ask("POST", SIGN_IN, {"person": "bob", "password": GOOD}, Origin=origin)
        assert (heard.status, "Set-Cookie" in heard.headers) == (403, False), "login CSRF"
        known = Visitor(server, "bob", GOOD)  # whose browser remembers the password
        assert known.ask("PUT", "/dav/plans/evil.txt", b"x", Origin=origin).status == 403
        assert known.ask("POST", "/account/password", {"old": GOOD, "new": "x" + GOOD}, Origin=origin).status == 403
    assert bob.get(SIGN_IN) == 200


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Basic",
        "Authorization: Basic " + "A" * 7000,
        "Authorization: Basic !!!!",
        "Authorization: Basic " + "OiI6",
        f"Cookie: {COOKIE}=",
        f"Cookie: {COOKIE}=" + "a" * 7000,
        f"Cookie: {COOKIE}=../../state.db; {COOKIE}=x",
        f'Cookie: {COOKIE}="\\"',
    ],
)
def test_odd_credentials_are_no_credentials(server, header):
    answer = said(connected(server, context()), get("/dav/plans/plan.txt", header))
    assert status(answer) in {401, 429}
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"person":"bob"}', b'{"person":1,"password":2}', b"\xff" * 100, b"x" * 20_000]
)
def test_an_odd_sign_in_is_a_question_that_makes_no_sense(server, body):
    heard = Visitor(server).ask("POST", SIGN_IN, body)
    assert (heard.status, heard.document["type"]) == (400, "WrongUsage")


def test_a_password_over_plain_http_gets_no_answer(server):
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=15) as plain:
        plain.sendall(get("/dav/plans/plan.txt", f"Authorization: {basic('bob', GOOD)}"))
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1 2" not in plain.recv(1000)


def test_the_gateway_takes_no_password(server):
    """It is another door: its own secret, on loopback."""
    import http.client

    card = server.home.gateway()
    connection = http.client.HTTPConnection(card.url.removeprefix("http://"), timeout=15)
    connection.request("GET", "/api/status", headers={"Authorization": basic("ann", GOOD)})
    assert connection.getresponse().status == 401
    connection.close()


def test_a_member_of_no_rank_gives_nobody_an_account_or_a_password(office):
    server, desk = office
    mallory = As(server, desk)
    for method, path, body in (
        ("POST", "/persons", {"person": "eve", "password": GOOD}),
        ("PUT", "/persons/ann/password", {"password": GOOD}),
        ("PUT", "/persons/nobody/password", {"password": GOOD}),
        ("DELETE", "/persons/bob", None),
        ("DELETE", "/persons/nobody", None),
    ):
        heard = mallory(method, path, body)
        assert (heard.status, heard.document["title"]) == (
            403,
            "mallory may not admit anybody to office: mallory does not keep the doors of tower.",
        ), path
    assert Visitor(server, "bob", GOOD).get(SIGN_IN) == 200


def test_signing_in_and_out_without_end_does_not_fill_the_record(server, person):
    visitor = Visitor(server, person, GOOD)
    for _ in range(6):
        assert visitor.sign_in().status == 200
        assert visitor.ask("DELETE", SIGN_IN, Origin=visitor.page).status == 204
        visitor.cookie = ""
    events = [each["event"] for each in lines.entries(server.home.audit) if each.get("person") == person]
    assert (events.count("signed in"), events.count("signed out")) == (1, 1)
