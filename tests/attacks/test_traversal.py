"""Every spelling of a way out of a share that can be put together from an alphabet of pieces, at every door for paths.

As copyparty's own tests generate them, after CVE-2023-37474: plain, encoded, encoded twice, with backslashes, and
with a zero byte, alone and before the name of something that must not be met.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
from contextlib import contextmanager
from urllib.parse import unquote

import msgspec
import pytest

from commonhold.errors import WrongUsage
from commonhold.files.batch import ASKED, END, FILES, MAGIC, Asked, Sent, pack
from commonhold.files.webdav import target
from commonhold.identity.keys import Key
from commonhold.names import HIDDEN

from ..conftest import town
from ..people import basic
from ..properties.test_paths import stays_inside
from .reach import certificate_of, context

PIECES = ("%", "25", "2e", "2f", "5c", "00", ".", "/", "\\")
LEADS_TO = ("", "secret", f"{HIDDEN}/secret", "%2ecommonhold%2fsecret", "../secret", "/etc/hostname")
SECRET = b"nobody may read this"
JSON = {"Content-Type": "application/json"}
PASSWORD = "harbour lamp otter"
SPELLINGS = 150  # over the real door, with each method


def ways(longest):
    """Every sequence of pieces of up to that many."""
    for length in range(longest + 1):
        yield from map("".join, itertools.product(PIECES, repeat=length))


def some(count):
    """Every n-th of the long ones, the same each time; and the ones that were made to lead out."""
    every = [way for way in ways(5) if way.count(".") + way.count("2e") >= 2]
    chosen = itertools.chain(every[:: len(every) // count], ("..%2f", "%2e%2e/", "%252e%252e%252f", "..%5c", "../../"))
    return [way + LEADS_TO[number % len(LEADS_TO)] for number, way in enumerate(chosen)]


def test_the_parser_lets_no_spelling_out():
    inside = 0
    for number, way in enumerate(ways(5)):
        try:
            share, path = target(f"/dav/photos/{way}{LEADS_TO[number % len(LEADS_TO)]}")
        except WrongUsage:
            continue
        stays_inside(path)
        assert share == "photos"
        inside += 1
    assert inside > 500, "harmless ones are understood"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """bob may do everything in photos; a secret lies beside it, and one where our own files are kept."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "photos" / HIDDEN).mkdir(parents=True)
    for place in (folder, folder / "photos" / HIDDEN):
        (place / "secret").write_bytes(SECRET)
    with town(folder) as make:
        made = make("tower", "ann")
        made.create("office", "client-server")
        made.net.add_person("bob", PASSWORD)
        made.net.share(folder / "photos", to="bob", verb="write")
        yield made


@contextmanager
def asking(server, shown, **always):
    """Sends what is asked as it is, on a connection that stays open; no answer is a secret, or an accident."""
    host, _, port = server.address.rpartition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=shown)
    outside = server.folder.parent

    def request(method, path, body=b"", **headers):
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in ({"Content-Length": str(len(body)), "Depth": "1"} | always | headers).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        heard = answer.read()
        assert answer.status < 500, f"{method} {path} {headers}: {answer.status} {heard}"
        assert SECRET not in heard, f"{method} {path}"
        assert answer.status != 207 or f"/{HIDDEN}".encode() not in heard, f"{method} {path}: {heard}"
        return answer

    yield request
    connection.close()
    assert (outside / "secret").read_bytes() == (outside / "photos" / HIDDEN / "secret").read_bytes() == SECRET
    assert {each.name for each in outside.iterdir()} == {"secret", "photos", "tower"}


@pytest.fixture
def ask(server):
    """What bob asks, by password."""
    with asking(server, context(), Authorization=basic("bob", PASSWORD)) as request:
        yield request


@pytest.fixture
def ask_as_ann(server):
    """What ann asks, by the certificate of her computer."""
    with asking(server, context(Key.load(server.home.key), [certificate_of(server)])) as request:
        yield request


def test_no_method_at_any_spelling_leads_out(ask):
    ask("PUT", "/dav/photos/a-file", b"planted")
    kinds = "", "a-file", "no-such-name"  # each kind of thing tells what it understands
    allowed = (ask("OPTIONS", f"/dav/photos/{kind}").getheader("Allow").split(", ") for kind in kinds)
    methods = sorted(set().union(*allowed), reverse=True)  # PUT before DELETE
    assert {"GET", "PUT", "DELETE", "PROPFIND", "MKCOL"} <= set(methods)
    heard = set()
    for way in some(SPELLINGS):
        for method in methods:
            heard.add(ask(method, f"/dav/photos/{way}", b"planted" if method == "PUT" else b"").status)
    assert heard >= {201, 204, 400, 404}, "some are refused, and some are names like any other"


def test_no_spelling_of_a_share_or_of_the_door_leads_out(ask):
    for way in some(SPELLINGS):
        for path in (f"/{way}", f"/dav/{way}", f"/dav{way}", f"/dav/{way}/photos/secret"):
            ask("GET", path)


def test_no_spelling_of_a_name_in_a_batch_leads_out(ask, server):
    ways = [each for way in some(SPELLINGS) for each in (way, unquote(way, errors="replace"))]
    digest = hashlib.sha256(b"planted").digest()
    frames = [pack(Sent(path=way, size=7, sha256=digest), b"planted") for way in ways]
    stored = ask("POST", "/dav/photos/", b"".join((MAGIC, *frames, END)), **{"Content-Type": FILES})
    assert stored.status == 200
    asked = msgspec.json.encode(Asked(paths=ways))
    assert ask("POST", "/dav/photos/", asked, **{"Content-Type": ASKED}).status == 200
    planted = [path for path in (server.folder.parent / "photos").rglob("*") if path.is_file()]
    assert len(planted) > 50, "harmless ones were stored"
    assert {path.read_bytes() for path in planted} == {b"planted", SECRET}


def test_no_spelling_of_a_destination_leads_out(ask):
    heard = set()
    for way in some(SPELLINGS // 4):
        for method in ("COPY", "MOVE"):
            ask("PUT", "/dav/photos/source", b"planted")
            for goal in (f"/dav/photos/{way}", f"/{way}"):
                heard.add(ask(method, "/dav/photos/source", Destination=goal, Depth="infinity").status)
    assert heard & {201, 204}
    assert 400 in heard


def test_no_spelling_leads_history_restore_or_undo_out(ask_as_ann, server):
    ask_as_ann("PUT", "/dav/photos/kept", b"planted")
    ask_as_ann("DELETE", "/dav/photos/kept")
    heard = set()
    for way in some(SPELLINGS // 4):
        for method, door in (("GET", "history"), ("POST", "history"), ("DELETE", "history"), ("POST", "undo")):
            heard.add(ask_as_ann(method, f"/{door}/photos/{way}", b"{}", **JSON).status)
        goal = msgspec.json.encode({"to": unquote(way, errors="replace")})
        heard.add(ask_as_ann("POST", "/history/photos/kept", goal, **JSON).status)
    assert heard >= {200, 400, 404}
    planted = [path for path in (server.folder.parent / "photos").rglob("*") if path.is_file()]
    assert {path.read_bytes() for path in planted if HIDDEN not in path.parts} == {b"planted"}
