"""At the doors of a real node: false certificates, old sessions, stolen passes, forged facts, crooked paths."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from datetime import timedelta

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from commonhold.authority.statements import KINDS
from commonhold.identity.certificate import self_signed
from commonhold.identity.envelope import Envelope, Signature, sign
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint
from commonhold.transport.connections import LOOK_EVERY, STRANGERS
from commonhold.wire import to_json

from ..conftest import NOON, town, until
from .reach import As, certificate_of, connected, context, enrol, get, said, status

LATER = "2100-01-01T00:00:00Z"
REMOVE = next(kind for kind in KINDS if "remove" in kind)
ADMIT = next(kind for kind in KINDS if "admit" in kind)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann, with two shares; desk of mallory, who may read one of them; laptop of bob."""
    folder = tmp_path_factory.mktemp("casa")
    for share, text in (("open", "for mallory"), ("closed", "not for mallory")):
        (folder / share / "deep").mkdir(parents=True)
        (folder / share / "deep" / "file").write_text(text)
        (folder / share / "twin").write_text(text)
    (folder / "open" / "way").symlink_to(folder / "closed")
    with town(folder) as make:
        tower, desk, laptop = make("tower", "ann"), make("desk", "mallory"), make("laptop", "bob")
        tower.create("casa")
        for each in (desk, laptop):
            enrol(each, tower)
        tower.knows("tower", "desk", "laptop")
        tower.net.share(folder / "open", to="mallory", verb="read")
        tower.net.share(folder / "closed")
        yield tower, desk, laptop


@pytest.fixture(scope="module")
def tower(network):
    return network[0]


@pytest.fixture(scope="module")
def mallory(network):
    tower, desk, _ = network
    return As(tower, desk)


@pytest.fixture(scope="module")
def bob(network):
    tower, _, laptop = network
    return As(tower, laptop)


def signed_by(issuer: Key, about: Key, name: str) -> bytes:
    """A certificate for `about` in the name `name`, signed by `issuer`'s key: PEM."""
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer.fingerprint)]))
        .public_key(about.private_key().public_key())
        .serial_number(7)
        .not_valid_before(NOON)
        .not_valid_after(NOON + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(issuer.private_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def handshake_fails(tower, shown: ssl.SSLContext) -> bool:
    """TLS 1.3 tells a client of its refused certificate with the first answer."""
    try:
        with connected(tower, shown) as connection:
            return said(connection, get("/roster")) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_a_strangers_certificate_gets_no_further_than_the_handshake(tower):
    key = Key.generate()
    assert handshake_fails(tower, context(key, [self_signed(key, NOON)]))


@pytest.mark.parametrize("name", ["evil", "admin", "tower", ""])
def test_a_member_vouches_for_nobody_by_its_signature(tower, network, mallory, name):
    """Neither for a name of its choice, nor for the guard's fingerprint."""
    evil, subject = Key.generate(), name or str(certificate_of(tower).fingerprint)
    chain = [signed_by(mallory.key, evil, subject), mallory.certificate]
    assert handshake_fails(tower, context(evil, chain))
    own = signed_by(mallory.key, mallory.key, subject)  # its own key, under another name
    assert handshake_fails(tower, context(mallory.key, [own]))


def test_older_tls_is_refused_by_a_real_node(tower):
    old = context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connected(tower, old)


def test_a_removed_computer_resumes_nothing_and_is_refused_on_its_open_connection(tower, tmp_path):
    with town(tmp_path) as make:
        phone = make("phone", "eve")
        enrol(phone, tower)
        shows = context(Key.load(phone.home.key), [certificate_of(phone)])
        first = connected(tower, shows)
        assert status(said(first, get("/roster"))) == 200
        session = first.session
        assert session is None or not session.has_ticket
        tower.net.remove("phone")
        answer = said(first, get("/roster"))
        assert status(answer) == 403, "on the open connection too"
        again = connected(tower, shows, session)
        assert not again.session_reused
        answer = said(again, get("/roster"))
        assert status(answer) == 403
        assert b"was removed from the network casa" in answer
        for path in ("/dav/open/twin", "/rules", "/passes", "/sessions", "/join/1", "/nothing"):
            with connected(tower, shows) as each:
                assert status(said(each, get(path))) == 403, path
        first.close()
        again.close()


def test_a_removed_computer_cannot_use_up_a_nodes_connections(tower, tmp_path):
    """Its certificate still completes the handshake, so that it hears why; what it opened before counts too."""
    with town(tmp_path) as make:
        phone = make("tablet", "zoe")
        enrol(phone, tower)
        shows = context(Key.load(phone.home.key), [certificate_of(phone)])
        before = psutil.Process(tower.pid).num_fds()
        held = [connected(tower, shows) for _ in range(2 * STRANGERS)]
        time.sleep(2 * LOOK_EVERY)
        tower.net.remove("tablet")
        held += [connected(tower, shows) for _ in range(STRANGERS)]
        until(lambda: psutil.Process(tower.pid).num_fds() < before + 2 * STRANGERS, "they are broken", seconds=20)
        for each in held:
            each.close()


def test_a_pass_opens_for_its_lender_what_it_names_and_nothing_beside_it(tower, mallory, bob):
    """Stolen it is worth nothing; and one file's pass does not open its siblings."""
    wish = {"job": "7", "share": "open", "verb": "read", "until": LATER, "paths": ["deep/file"]}
    given = mallory("POST", "/passes", {**wish, "lender": bob.fingerprint}).document
    assert bob("GET", "/dav/open/deep/file", Commonhold_Pass=given).body == b"for mallory"
    for path in ("/dav/open/twin", "/dav/open/deep/", "/dav/open/", "/dav/closed/deep/file"):
        assert bob("GET", path, Commonhold_Pass=given).status == 403, path
    assert bob("GET", "/dav/open/deep/file").status == 403, "without it, nothing"
    assert bob("PUT", "/dav/open/deep/file", b"x", Commonhold_Pass=given).status == 403
    assert mallory("GET", "/dav/open/deep/file", Commonhold_Pass=given).status == 403, "it is not the submitter's"
    assert bob("DELETE", "/passes/7").status == 204, "which ends bob's own of that number, and no other"
    assert bob("GET", "/dav/open/deep/file", Commonhold_Pass=given).status == 200
    beyond = mallory("POST", "/passes", {**wish, "share": "closed", "lender": mallory.fingerprint})
    assert beyond.status == 403
    assert mallory("DELETE", "/passes/7").status == 204
    assert bob("GET", "/dav/open/deep/file", Commonhold_Pass=given).status == 403, "over"


def test_bytes_of_one_kind_shown_as_another_change_nothing(tower, mallory):
    """The guard's own signed words under another type; one key twice; a member's own facts, and rules."""
    before, digest = {m.computer for m in tower.net.members()}, mallory("GET", "/roster").document["digest"]
    roster = mallory("GET", "/roster").document["envelopes"]
    retyped = [{**each, "payloadType": kind} for each in roster for kind in (REMOVE, ADMIT, "text/plain")]
    victim = Fingerprint(certificate_of(tower).fingerprint)
    own = to_json({"network": tower.net.status().network_id, "subject": str(victim)})
    forged = sign(own, REMOVE, [mallory.key])
    twice = Envelope(forged.payload, REMOVE, (*forged.signatures, Signature(str(victim), forged.signatures[0].sig)))
    told = json.loads(to_json([forged, twice]))
    for envelopes in (retyped, told):
        assert mallory("POST", "/roster", {"envelopes": envelopes}).status == 200
    assert mallory("GET", "/roster").document["digest"] == digest
    assert {m.computer for m in tower.net.members()} == before
    saying = {"effect": "allow", "who": "mallory", "verb": "write", "door": "closed"}
    rules = tower.net.rules()
    for path in ("closed", "open", "compute", "every share"):
        assert mallory("POST", "/rules", {**saying, "door": path, "verb": "read"}).status == 403, path
    assert tower.net.rules() == rules


CROOKED = (
    "/dav/open/../closed/twin",
    "/dav/open/%2e%2e/closed/twin",
    "/dav/open/%2E./closed/twin",
    "/dav/open/%252e%252e/closed/twin",
    "/dav/open/..%2fclosed%2ftwin",
    "/dav/open/..%5cclosed%5ctwin",
    "/dav/open\\..\\closed\\twin",
    "/dav/open/./../closed/twin",
    "/dav/open//../closed/twin",
    "/dav//closed/twin",
    "/dav/./closed/twin",
    "/dav/open/deep/../../closed/twin",
    "/dav/open/way/twin",
    "/dav/open/way/",
    "/dav/OPEN/../CLOSED/twin",
    "/dav/CLOSED/twin",
    "/dav/closed./twin",
    "/dav/closed%20/twin",
    "/dav/closed%00/twin",
    "/dav/closed;x=1/twin",
    "/dav/%63losed/twin",
    "/dav/cl\u200bosed/twin",
    "/dav/open%2f..%2fclosed/twin",
    "/dav/open/%ff%fe/../../closed/twin",
    "/dav/open/\x00/closed/twin",
    "/dav/open/.commonhold/tmp",
    "/dav/open/.COMMONHOLD/",
    "/dav/../../etc/passwd",
    "/dav/open/../../../../etc/passwd",
    "/dav/open/C:/Windows",
    "http://x/dav/closed/twin",
    "//dav/closed/twin",
    "/join/1/../../dav/closed/twin",
)


@pytest.mark.parametrize("path", CROOKED)
@pytest.mark.parametrize("method", ["GET", "PROPFIND", "PUT", "DELETE"])
def test_no_crooked_path_leads_from_a_share_that_is_open_to_one_that_is_not(tower, network, mallory, path, method):
    """By somebody who may read the one: sent byte for byte, as no library would."""
    shows = context(mallory.key, [mallory.certificate])
    with connected(tower, shows) as connection:
        connection.sendall(get(path, "Depth: 1", "Connection: close", method=method).replace(b"\\u", b"/u"))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert status(answer) in {400, 403, 404, 405}, answer[:300]
    assert b"not for mallory" not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize("name", ["OPEN", "Open", "open", "o%70en"])
def test_a_share_is_one_door_in_each_spelling_of_its_name(tower, mallory, name):
    """The rule is on the share's id: no spelling walks around it, nor around a denial."""
    assert mallory("GET", f"/dav/{name}/twin").body == b"for mallory"
    tower.net.deny("mallory", "read", "open")
    try:
        assert mallory("GET", f"/dav/{name}/twin").status == 403
    finally:
        tower.net.allow("mallory", "read", "open")


def test_a_member_who_may_read_files_finds_no_port_of_a_running_job_and_joins_no_session(tower, mallory, tmp_path):
    """Dask listens nowhere: during a job nothing but the door and the gateway does."""
    job = threading.Thread(target=lambda: tower.net.run("sleep 4", ["1", "2"]))
    job.start()

    def running():
        return [each for each in tower.net.jobs() if each.running]

    until(running, "the job runs")
    (at_work, *_) = running()
    listening = set()
    node = psutil.Process(tower.pid)
    for process in [node, *node.children(recursive=True)]:
        listening |= {each.laddr for each in process.net_connections("inet") if each.status == "LISTEN"}
    host, _, port = tower.address.rpartition(":")
    gateway = int(tower.home.gateway().url.rpartition(":")[2])
    assert listening == {(host, int(port)), ("127.0.0.1", gateway)}
    sessions = [each.name for each in (tower.home.folder / "sessions").iterdir()]
    assert sessions
    for session in [*sessions, "0" * 32]:
        for method, path in (
            ("GET", f"/sessions/{session}"),
            ("GET", f"/sessions/{session}/relay/p0"),
            ("DELETE", f"/sessions/{session}/p0"),
            ("DELETE", f"/sessions/{session}/p0/jobs/{at_work.job}"),
            ("POST", f"/sessions/{session}/p0/jobs/{at_work.job}"),
        ):
            answer = mallory(method, path, {} if method == "POST" else None)
            assert answer.status in {400, 403, 404}, (path, answer)
    offer = {"session": "1" * 32, "participant": "p1", "person": "0" * 32, "person_name": "ann", "python": "3.11"}
    for path, papers in (("/sessions/inquiry", {}), ("/sessions", {"authority": "", "certificate": "", "key": ""})):
        assert mallory("POST", path, {**offer, **papers}).status == 403
    for path in [f"/jobs/{at_work.job}{what}" for what in ("", "/log", "/events", "/said", "/inputs", "/collecting")]:
        assert mallory("GET", path).status == 404
    assert mallory("GET", f"/dav/.job-{at_work.job}/out/").status == 403
    job.join()
    assert (tower.net.jobs()[0].done, tower.net.jobs()[0].failed) == (2, 0), "and nothing of it disturbed the job"


def test_a_member_cannot_hold_up_a_node_with_a_large_roster(tower, mallory):
    """Sorting millions of marks took seconds, and all others waited."""
    marks = b'{"marks":[' + b",".join(b'"%x"' % number for number in range(1_200_000)) + b"]}"
    stalled, over = [], threading.Event()

    def look():
        while not over.is_set():
            begun = time.monotonic()
            tower.net.status()
            stalled.append(time.monotonic() - begun)
            time.sleep(0.01)

    looking = threading.Thread(target=look)
    looking.start()
    assert mallory("POST", "/roster", marks).status == 400
    over.set()
    looking.join()
    assert max(stalled) < 5.0


@pytest.mark.parametrize(
    "noise",
    [
        struct.pack("!iI", -1, 2**31) * 50,
        b"\x16\x03\x01\xff\xff" + b"\x00" * 300,
        b"\x16\x03\x03\x00\x05\x01\xff\xff\xff\xff",
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"",
    ],
    ids=["negative lengths", "a record of any length", "a hello of any length", "ssh", "plain http", "nothing"],
)
def test_noise_instead_of_tls_ends_that_connection_and_nothing_else(tower, noise):
    host, _, port = tower.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=15) as plain:
        plain.sendall(noise)
        plain.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := plain.recv(4096):
                answer += piece
        except ConnectionError:
            pass
    assert b"HTTP" not in answer
    assert len(answer) < 100, "an alert at most"
    assert tower.net.status().running
