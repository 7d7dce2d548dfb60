"""The gateway: for this computer's own person, and nobody else on the machine."""

from __future__ import annotations

import http.client
import json
import stat
from pathlib import Path

import pytest

from ..conftest import town


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with town(tmp_path_factory.mktemp("gateway")) as make:
        made = make("one")
        made.create("casa")
        yield made


@pytest.fixture
def card(one):
    return json.loads(one.home.gateway_file.read_bytes())


def ask(card, *, secret=None, host=None, method="GET", path="/api/status", body=None, **headers):
    """One request, byte for byte as given; -> (status, the problem or the answer)."""
    own = card["url"].removeprefix("http://")
    with_port = http.client.HTTPConnection(own, timeout=30)
    try:
        with_port.putrequest(method, path, skip_host=True)
        with_port.putheader("Host", host if host is not None else own)
        if secret is not None:
            with_port.putheader("Authorization", secret)
        for name, value in headers.items():
            with_port.putheader(name, value)
        content = json.dumps(body).encode() if body is not None else b""
        with_port.putheader("Content-Length", str(len(content)))
        with_port.endheaders(content)
        answer = with_port.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        with_port.close()


def bearer(card):
    return f"Bearer {card['secret']}"


def test_the_secret_opens_it(card):
    status, answer = ask(card, secret=bearer(card))
    assert (status, answer["computer"]) == (200, "one")
    port = card["url"].rpartition(":")[2]
    assert ask(card, secret=bearer(card), host=f"localhost:{port}")[0] == 200
    assert ask(card, secret=bearer(card), Origin=card["url"])[0] == 200


@pytest.mark.parametrize("path", ["/api/status", "/api/members", "/rules", "/jobs", "/nothing", "/"])
@pytest.mark.parametrize("secret", [None, "", "Bearer ", "Bearer wrong", "Basic Og==", "bearer SECRET", "SECRET"])
def test_without_it_nothing_is_served(card, path, secret):
    secret = secret.replace("SECRET", card["secret"]) if secret else secret
    status, problem = ask(card, secret=secret, path=path)
    assert (status, problem["type"]) == (401, "NotAdmitted")
    assert "one" not in json.dumps(problem).replace("commonhold", "").split()


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:80", "127.0.0.1", "localhost", "[::1]:PORT"])
def test_a_host_that_is_not_its_own_is_refused(card, host):
    """DNS rebinding: a web page whose name resolves to 127.0.0.1 sends its own name."""
    port = card["url"].rpartition(":")[2]
    status, problem = ask(card, secret=bearer(card), host=host.replace("PORT", port))
    assert (status, problem["type"]) == (403, "Refused")


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "https://OWN", "http://localhost", "http://OWN.evil"]
)
def test_a_foreign_origin_is_refused(card, origin):
    own = card["url"].removeprefix("http://")
    status, _ = ask(card, secret=bearer(card), Origin=origin.replace("OWN", own))
    assert status == 403


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_what_a_browser_asks_for_another_page_is_refused(card, site, status):
    """Fetch Metadata: pictures, scripts and forms of other pages come without an Origin."""
    assert ask(card, secret=bearer(card), **{"Sec-Fetch-Site": site})[0] == status


def test_no_answer_lets_another_origin_read_it(card):
    """No CORS header, with the secret or without, asked for or not."""
    own = card["url"].removeprefix("http://")
    for origin in (card["url"], "http://evil.example", "null"):
        for secret in (bearer(card), ""):
            for method in ("OPTIONS", "GET", "POST"):
                with_port = http.client.HTTPConnection(own, timeout=30)
                with_port.request(
                    method,
                    "/api/status",
                    headers={"Origin": origin, "Authorization": secret, "Access-Control-Request-Method": "POST"},
                )
                answer = with_port.getresponse()
                assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]
                with_port.close()


def test_it_listens_on_loopback_alone(card):
    assert card["url"].startswith("http://127.0.0.1:")


def test_the_secret_and_the_key_are_for_their_owner_alone(one):
    for file in (one.home.gateway_file, one.home.key, one.home.state, one.home.settings_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(one.home.folder.stat().st_mode) == 0o700


def test_the_secret_stands_nowhere_else(one, card):
    """In no process's arguments or environment, in no log and in no other file."""
    secret = card["secret"].encode()
    one.cli("status")
    for process in Path("/proc").iterdir():
        for name in ("cmdline", "environ"):
            try:
                assert secret not in (process / name).read_bytes(), process
            except (OSError, ValueError):
                continue
    for file in one.home.folder.rglob("*"):
        if file.is_file() and file != one.home.gateway_file:
            assert secret not in file.read_bytes(), file


def test_each_start_has_a_secret_of_its_own(one, card):
    one.cli("down")
    one.up()
    fresh = json.loads(one.home.gateway_file.read_bytes())
    assert fresh["secret"] != card["secret"]
    assert ask(fresh, secret=bearer(card))[0] == 401


def test_what_makes_no_sense_is_wrong_usage(card):
    for method, path, body in (
        ("POST", "/api/invitations", {"minutes": 0}),
        ("POST", "/api/invitations", {"minutes": 1e-9}),
        ("POST", "/api/invitations", {"minutes": 1441}),
        ("POST", "/api/invitations", {"uses": 0}),
        ("POST", "/api/invitations", {"uses": "many"}),
        ("POST", "/api/invitations", []),
        ("POST", "/api/shares", {}),
        ("POST", "/rules", {"effect": "maybe", "who": "members", "verb": "read", "door": "compute"}),
        ("POST", "/rules", {"effect": "allow", "who": "members", "verb": "dance", "door": "compute"}),
        ("GET", "/explanation?who=ann&verb=govern&door=compute", None),
        ("GET", "/rules?door=a/b", None),
    ):
        status, problem = ask(card, secret=bearer(card), method=method, path=path, body=body)
        assert (status, problem["type"]) == (400, "WrongUsage"), (path, body, problem)
        assert problem["title"].endswith(".")
    assert ask(card, secret=bearer(card), path="/api/places/nobody")[1]["type"] == "NotFound"
    assert ask(card, secret=bearer(card), method="POST", path="/api/shares", body={"folder": "x" * 2**21})[0] == 400
