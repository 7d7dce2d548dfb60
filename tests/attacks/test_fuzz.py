"""What is parsed before anybody is known, thrown at with rubbish: no crash, no growth, no answer that tells more.

`make fuzz` does the same with many more examples.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.entrance import credentials
from commonhold.authority.roster import Roster, admit, found, remove
from commonhold.authority.statements import KINDS
from commonhold.authority.ticket import Ticket
from commonhold.discovery import understand
from commonhold.errors import CommonholdError, Damaged, NotFound
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.code import Code, LongCode, recovery_key
from commonhold.identity.envelope import Envelope
from commonhold.identity.join import Confirmation, Hello
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName
from commonhold.wire import from_json, to_json

from ..conftest import NOON, town
from .reach import connected, context

GUARD, NEWCOMER = Key.generate(), Key.generate()
GROWTH = 48 * 2**20  # bytes; a leak of a kilobyte for each request of `make fuzz` is found by it


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """A server with an account, a share and an invitation: the widest door there is."""
    with town(tmp_path_factory.mktemp("office")) as make:
        made = make("server", "ann")
        made.create("vineyard", "client-server")
        made.typed("person", "add", "gwendolyn", input="four words not alike\n")
        share = made.folder / "ledgers"
        share.mkdir()
        made.net.share(share, to="gwendolyn", verb="read")
        made.net.invite(minutes=60)
        yield made


# -- HTTP, from somebody without a certificate

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "MKCOL", "MOVE", "LOCK", "TRACE", "PATCH"]
ROUTES = [
    *("/", "/dav", "/dav/", "/dav/ledgers/a", "/session", "/account/password", "/roster", "/rules", "/explanation"),
    *("/readings", "/readings/0123456789abcdef"),
    *("/passes", "/passes/1", "/sessions", "/sessions/inquiry", "/jobs", "/jobs/1/log", "/persons", "/groups"),
    *("/join/1", "/join/7/confirm", "/join/1234", "/join/again", "/api/status", "/charter", "/*"),
]
bytes_of_a_line = st.binary(max_size=80).map(lambda text: re.sub(rb"[\r\n\x00]", b"", text))
pieces = st.sampled_from(["..", "%2e%2e", "%00", "%ff", "a" * 300, "é", "\\", ";", "?a=b", "#", "//", "%", "*", " "])
paths = st.one_of(
    st.sampled_from(ROUTES),
    st.tuples(st.sampled_from(ROUTES), st.lists(pieces, max_size=4).map("/".join)).map("/".join),
    st.text(max_size=60).map(lambda text: "/" + re.sub(r"[\r\n\x00 ]", "", text)),
)
basic = st.one_of(
    st.tuples(st.sampled_from(["ann", "gwendolyn", "", "a\\b"]), st.sampled_from(["", "x", "four words not alike "]))
    .map(":".join)
    .map(lambda text: b"Basic " + base64.b64encode(text.encode())),
    st.binary(max_size=40).map(lambda text: b"Basic " + base64.b64encode(text)),
    bytes_of_a_line.map(lambda text: b"Basic " + text),
)
headers = st.one_of(
    st.tuples(st.just(b"Authorization"), basic),
    st.tuples(st.just(b"Cookie"), bytes_of_a_line.map(lambda text: b"__Host-commonhold=" + text)),
    st.tuples(st.just(b"Commonhold-Pass"), bytes_of_a_line),
    st.tuples(st.sampled_from([b"Depth", b"Range", b"If-Match", b"Origin", b"Host", b"Expect"]), bytes_of_a_line),
    st.tuples(st.sampled_from([b"Content-Length", b"Transfer-Encoding"]), st.sampled_from([b"-1", b"chunked", b"9e9"])),
    st.tuples(st.sampled_from([b"Upgrade", b"Connection"]), st.sampled_from([b"websocket", b"upgrade", b"close"])),
    st.tuples(bytes_of_a_line, bytes_of_a_line),
)
bodies = st.one_of(st.binary(max_size=300), st.sampled_from([b"{}", b"[]", b"null", b'{"spake":"","certificate":""}']))


@st.composite
def requests(draw) -> bytes:
    body = draw(bodies)
    lines = [draw(st.sampled_from(METHODS)).encode() + b" " + draw(paths).encode() + b" HTTP/1.1", b"Host: x"]
    lines += [name + b": " + value for name, value in draw(st.lists(headers, max_size=4))]
    lines += [b"Content-Length: %d" % len(body), b"Connection: close", b"", b""]
    return b"\r\n".join(lines) + body


def asked(office, request: bytes) -> bytes:
    """All that comes back, until the node closes the connection or has nothing to say for a while."""
    answer = b""
    with connected(office, context()) as connection:
        connection.settimeout(3)
        try:
            connection.sendall(request)
            while piece := connection.recv(65536):
                answer += piece
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass
    return answer


STATUSES = {b"100", b"400", b"401", b"403", b"404", b"405", b"413", b"415", b"417", b"429"}
TYPES = {"NotAdmitted", "WrongUsage", "WrongCode", "Refused", "TooManyTries", "NotFound"}
OURS = ("ledgers", "gwendolyn", "vineyard", "ann", "aiohttp", "Python", "Traceback")


def measured(office) -> tuple[dict[str, int], psutil.Process]:
    with sqlite3.connect(f"file:{office.home.state}?mode=ro", uri=True) as state:
        names = [name for (name,) in state.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: state.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}, psutil.Process(  # noqa: S608
            office.pid
        )


@pytest.fixture(scope="module")
def no_growth(office):
    """What the node has before all requests, and after."""
    asked(office, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    tables, process = measured(office)
    before = process.memory_info().rss, process.num_fds(), process.num_threads()
    share = sorted(path.name for path in office.home.folder.iterdir() if path.suffix != ".db-wal")
    yield
    grown, process = measured(office)
    after = process.memory_info().rss, process.num_fds(), process.num_threads()
    assert after[0] - before[0] < GROWTH
    assert after[1] - before[1] < 20
    assert after[2] - before[2] <= 16, "pools fill up, and no further"
    for name, count in grown.items():
        assert count - tables.get(name, 0) <= (5000 if name in {"wrong_try", "sqlite_sequence"} else 0), name
    assert sorted(path.name for path in office.home.folder.iterdir() if path.suffix != ".db-wal") == share
    assert "Traceback" not in office.log()
    assert office.net.status().running


@settings(deadline=None)
@given(requests())
def test_no_request_of_a_stranger_breaks_a_node_or_learns_more_than_the_refusal(office, no_growth, request_):
    answer = asked(office, request_)
    if not answer:
        return  # broken off: less cannot be told
    for status in re.findall(rb"^HTTP/[0-9.]+ (\d{3})", answer, re.MULTILINE):
        assert status in STATUSES, answer
    head, _, body = answer.rpartition(b"\r\n\r\n")
    if b"problem+json" in head and b" 401 " not in head[:20]:
        assert json.loads(body or b'{"type":"NotFound"}')["type"] in TYPES
    told = re.sub(rb'WWW-Authenticate: Basic realm="vineyard"', b"", answer)  # a server's name for its password box
    sent = request_.decode(errors="replace")
    for word in OURS:
        assert word in sent or not re.search(rf"\b{word}\b".encode(), told), (word, answer)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_instead_of_a_request_break_a_node(office, no_growth, noise):
    answer = asked(office, noise + b"\r\n\r\n")
    assert not answer or answer.split()[1] in STATUSES, answer
    for word in OURS:
        assert not re.search(rf"\b{word}\b".encode(), answer.replace(noise, b"")), answer


# -- joining

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
base64s = st.binary(max_size=700).map(lambda raw: base64.b64encode(raw).decode())
points = st.one_of(
    st.binary(min_size=32, max_size=32).map(lambda raw: b"A" + raw),  # SPAKE2 on Ed25519: a side, and a point
    st.sampled_from([b"", b"A", b"A" + bytes(32), b"B" + bytes(32), b"A\x01" + bytes(31), b"A" + b"\xff" * 32]),
    st.binary(max_size=80),
)
hellos = st.builds(
    lambda spake, certificate: {"spake": base64.b64encode(spake).decode(), "certificate": certificate},
    points,
    st.one_of(st.just(base64.b64encode(self_signed(NEWCOMER, NOON).der).decode()), base64s),
)


def posted(office, path: str, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return asked(office, head.encode() + body)


@settings(deadline=None)
@given(st.one_of(hellos, json_values))
def test_no_first_message_of_joining_breaks_an_inviter(office, hello):
    """Each at an open invitation; whatever it is, it admits nobody and costs a try at most."""
    members = {member.computer for member in office.net.members()}
    number = next(iter(office.net.status().invitations), None)
    if number is None:
        number = int(office.net.invite(minutes=60).code.partition("-")[0])
    answer = posted(office, f"/join/{number}", hello)
    status = answer.split()[1]
    assert status in {b"200", b"400", b"403"}, answer
    if status == b"200":
        confirmation = {**json.loads(answer.rpartition(b"\r\n\r\n")[2]), "computer": "a", "person": "b"}
        confirmation |= {"mac": base64.b64encode(bytes(32)).decode(), "signature": ""}
        assert posted(office, f"/join/{number}/confirm", confirmation).split()[1] == b"403"
    assert {member.computer for member in office.net.members()} == members


@settings(deadline=None)
@given(st.one_of(hellos, json_values, st.binary(max_size=200)))
def test_no_message_of_joining_is_more_than_refused(message):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    for kind in (Hello, Confirmation):
        with suppress(ValueError):  # what `document` answers with 400
            from_json(data, kind)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=80), st.from_regex(r"[0-9]{1,4}-[a-z]{3,8}-[a-z]{3,8}", fullmatch=True)))
def test_no_text_breaks_the_reading_of_codes_and_keys(text):
    for read in (Code.parse, LongCode.parse, recovery_key, credentials):
        with suppress(CommonholdError):
            read(text)


# -- certificates, envelopes, the roster


def a_roster() -> tuple[str, list[Envelope]]:
    charter = found(
        key=GUARD,
        certificate=self_signed(GUARD, NOON),
        network=NetworkName("casa"),
        shape="peer-to-peer",
        trusting=False,
        computer=ComputerName("tower"),
        person=PersonName("ann"),
        person_id=PersonId("a" * 32),
        recovery=Key.generate(),
        now=datetime(2026, 11, 22, tzinfo=UTC),
    )
    roster = Roster.of(charter.id, [charter])
    facts = admit(
        GUARD,
        roster,
        self_signed(NEWCOMER, NOON),
        name=ComputerName("desk"),
        person=PersonId("b" * 32),
        person_name=PersonName("bob"),
    )
    roster = roster.merged(facts)
    return charter.id, [*roster.envelopes, *remove(GUARD, roster, NEWCOMER.fingerprint)]


NETWORK, GENUINE = a_roster()
ROSTER = Roster.of(NETWORK, GENUINE)


@st.composite
def damaged(draw, original: bytes) -> bytes:
    """With a few bytes changed, dropped or put in."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


@settings(deadline=None)
@given(st.sampled_from(GENUINE).flatmap(lambda each: damaged(each.encoded())))
def test_no_damaged_envelope_changes_a_roster(document):
    try:
        envelope = Envelope.parse(document)
    except CommonholdError:
        return
    assert ROSTER.merged([envelope]).members == ROSTER.members
    assert ROSTER.merged([envelope]).guards == ROSTER.guards


@settings(deadline=None)
@given(
    st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([*KINDS, GENUINE[0].payload_type, "x"]),
)
def test_no_words_that_a_guard_did_not_sign_are_a_fact(payload, kind):
    true = GENUINE[0].signatures
    assert ROSTER.merged([Envelope(payload, kind, true)]).digest == ROSTER.digest


@settings(deadline=None)
@given(damaged(self_signed(NEWCOMER, NOON).der) | st.binary(max_size=600))
def test_no_bytes_break_the_reading_of_certificates(der):
    try:
        Certificate.parse(der)
    except CommonholdError:
        return
    assert Certificate.parse(der).fingerprint


# -- announcements, and invitations as files

hosts = st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=20)), max_size=12)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([b"id", b"net", b"invite", b"x", b"\xff"]), st.none() | st.binary(max_size=300), max_size=5
    ),
    hosts,
    st.none() | st.integers(-1, 10**6),
)
def test_no_announcement_is_more_than_understood_or_not(properties, addresses, port):
    heard = understand(properties, addresses, port)
    assert heard is None or (len(heard.addresses) <= 8 and len(heard.invitations) <= 8)


TICKET = to_json(
    Ticket(
        form="commonhold invitation 1",
        network="casa",
        inviter=GUARD.fingerprint,
        computer=ComputerName("tower"),
        addresses=("192.168.1.5:7440",),
        code=f"1234-{'ab' * 32}",
        expires=datetime(2030, 1, 1, tzinfo=UTC),
    )
)


@settings(deadline=None)
@given(damaged(TICKET) | st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_file_is_more_than_an_invitation_or_none(tmp_path_factory, content):
    path = Path(tmp_path_factory.getbasetemp()) / "ticket"
    path.write_bytes(content)
    with suppress(NotFound, Damaged):
        assert Ticket.read(path).where() is not None
