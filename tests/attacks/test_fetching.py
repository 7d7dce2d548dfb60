"""A member that has other computers fetch files: what it may not read, from where it should not, with what it stole.

tower of ann has files that carol and bob may read, and mallory may not; nas of carol takes files of all three.
"""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from commonhold.files.fetchwords import FETCH, MOST

from ..conftest import town, until
from .reach import As, enrol

COPY = "0123456789abcdef"
SECRET = "not for mallory"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("casa")
    with town(folder) as make:
        tower, nas, laptop = make("tower", "ann"), make("nas", "carol"), make("laptop", "bob")
        desk = make("desk", "mallory")
        tower.create("casa")
        nas.join(tower)
        for one in (laptop, desk):
            enrol(one, tower)
        for one in (tower, nas):
            one.knows("tower", "nas", "laptop", "desk")
        for share, text in (("diary", SECRET), ("open", "for all")):
            (folder / share).mkdir()
            (folder / share / "file").write_text(text)
            (folder / share / "twin").write_text(text)
            tower.net.share(folder / share)
        for person in ("carol", "bob"):
            tower.net.allow(person, "read", "diary")
        tower.net.allow("mallory", "read", "open")
        (folder / "inbox").mkdir()
        (folder / "closed").mkdir()
        nas.net.share(folder / "inbox")
        nas.net.share(folder / "closed")
        for person in ("mallory", "bob"):
            nas.net.allow(person, "write", "inbox")
        nas.inbox, nas.closed = folder / "inbox", folder / "closed"
        yield tower, nas, laptop, desk


class Third:
    """Somebody who asks tower for passes and nas to fetch; `etag` is what tower says of a file to whoever may ask."""

    def __init__(self, network, who) -> None:
        tower, nas, *_ = network
        self.at_tower, self.at_nas = As(tower, who), As(nas, who)
        self.tower, self.nas = As(nas, tower).fingerprint, As(tower, nas).fingerprint

    def ask(self, share: str = "diary", *paths: str, **more: object):
        wish = {"copy": COPY, "bearer": self.nas, "share": share, "paths": paths or ("file",), **more}
        return self.at_tower("POST", "/readings", wish)

    def fetch(self, token: str, of: str = "diary", path: str = "file", into: str = "inbox", **more: object):
        file = {"source": path, "etag": self.etag(of, path), "target": f"got-{path}"}
        wish = {"computer": self.tower, "share": of, "token": token, "files": [file], **more}
        return self.at_nas("POST", f"/dav/{into}", wish, Content_Type=FETCH)

    def etag(self, share: str, path: str) -> str:
        headers = self.at_tower("HEAD", f"/dav/{share}/{path}").headers
        return {name.lower(): value for name, value in headers.items()}.get("etag", "0").strip('"')


@pytest.fixture
def mallory(network):
    return Third(network, network[3])


@pytest.fixture
def bob(network):
    return Third(network, network[2])


def last(answer) -> dict:
    """What became of the file."""
    assert answer.status == 200, answer.body
    return json.loads(answer.body.splitlines()[-1])


def got(network) -> list[str]:
    return [path.name for path in network[1].inbox.glob("got-*")]


@pytest.fixture(autouse=True)
def _nothing_was_got(network):
    yield
    for file in network[1].inbox.glob("got-*"):
        file.unlink()


def test_who_may_at_both_ends_has_it_fetched(network, bob):
    token = bob.ask().document
    assert last(bob.fetch(token)) == {"number": 0, "bytes": len(SECRET), "status": 201}
    assert (network[1].inbox / "got-file").read_text() == SECRET


def test_nobody_has_another_read_what_they_may_not(network, mallory):
    """nas itself may read it; and under no token, true or made up, does it read with its own right."""
    assert mallory.ask().status == 403
    assert mallory.ask().body.replace(b"diary", b"") == mallory.ask("nothing").body.replace(b"nothing", b"")
    allowed = mallory.ask("open").document
    for token in (allowed, "0" * 32):
        assert last(mallory.fetch(token))["status"] == 403, token
    for token in ("", "0", "0" * 33, "G" * 32, None):
        assert mallory.fetch(token).status == 400, token
    assert got(network) == []


def test_a_token_opens_no_path_beside_and_no_other_share(network, bob):
    token = bob.ask().document
    for share, path in (("diary", "twin"), ("diary", ""), ("open", "file")):
        assert last(bob.fetch(token, share, path))["status"] == 403, (share, path)
    assert got(network) == []


def test_a_stolen_token_is_of_no_use_to_anybody(network, bob, mallory):
    token = bob.ask().document
    told = last(mallory.fetch(token))
    assert (told["status"], told["elsewhere"]) == (403, True), "nas makes another pass of it, for mallory"
    for thief in (mallory, bob):
        assert thief.at_tower("GET", "/dav/diary/file", Commonhold_Pass=token).status == 403
    assert got(network) == []


def test_a_pass_ends_with_the_copy_and_nobody_else_ends_or_prolongs_it(network, bob, mallory):
    token = bob.ask().document
    assert mallory.at_tower("DELETE", f"/readings/{COPY}").status == 204, "which ends mallory's own of that name"
    assert mallory.at_tower("PUT", f"/readings/{COPY}").status == 404
    assert last(bob.fetch(token))["status"] == 201
    assert bob.at_tower("PUT", f"/readings/{COPY}").status == 204
    assert bob.at_tower("DELETE", f"/readings/{COPY}").status == 204
    assert last(bob.fetch(token, path="file"))["status"] == 403
    assert bob.at_tower("PUT", f"/readings/{COPY}").status == 404


def test_the_right_is_asked_again_at_each_use(network, bob):
    tower, nas, *_ = network
    token = bob.ask().document
    tower.net.deny("bob", "read", "diary")
    told = last(bob.fetch(token))
    assert (told["status"], told["elsewhere"]) == (403, True)
    tower.net.allow("bob", "read", "diary")
    tower.net.deny("nas", "read", "diary")
    assert last(bob.fetch(token))["status"] == 403
    tower.net.allow("nas", "read", "diary")
    for rule in tower.net.rules():
        if rule.effect == "deny":
            tower.net.allow(rule.who, "read", "diary")
    assert nas.net.deny("bob", "write", "inbox")
    assert bob.fetch(token).status == 403
    nas.net.allow("bob", "write", "inbox")
    assert got(network) == []


def test_who_may_store_nothing_has_nobody_asked(network, mallory):
    """Not even whether a computer or a share is there."""
    answers = [
        mallory.fetch("0" * 32, into="closed"),
        mallory.fetch("0" * 32, into="closed", computer="f" * 64),
        mallory.fetch("0" * 32, into="closed", files=[]),
    ]
    assert {answer.status for answer in answers} == {403}
    assert len({answer.body for answer in answers}) == 1
    assert mallory.fetch("0" * 32, into="nothing").body.replace(b"nothing", b"") == answers[0].body.replace(
        b"closed", b""
    )


def test_no_address_is_dialled_that_somebody_names(network, mallory):
    """Only members, by their keys, where this computer knows them to be."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(1.0)
        place = f"127.0.0.1:{trap.getsockname()[1]}"
        token = mallory.ask("open").document
        for computer in (place, f"https://{place}/", f"tower@{place}", "localhost", "tower", "f" * 64, "", None, 7):
            assert mallory.fetch(token, "open", computer=computer).status in {400, 404}, computer
        more = {"address": place, "addresses": [place], "host": place, "url": f"https://{place}/", "peer": place}
        assert last(mallory.fetch(token, "open", **more))["status"] == 201, "what is not asked for is not read"
        for share in (f"//{place}/open", "../open", "..", "", "open/../diary", "open%2f..", "a\r\nHost: x", "compute"):
            assert mallory.fetch(token, "open", share=share).status == 400, share
        for path in ("../diary/file", f"//{place}/x", "a/../../diary/file", "a\r\nHost: x", "..", "\0"):
            crooked = [{"source": path, "etag": "0", "target": "crooked"}]
            assert last(mallory.fetch(token, "open", files=crooked))["status"] in {400, 403}, path
        with pytest.raises(TimeoutError):
            trap.accept()
    assert mallory.fetch(token, "open", computer=mallory.nas).status == 400, "itself neither"
    assert got(network) == ["got-file"]


@pytest.mark.parametrize("etag", ['a"b', "a\r\nX: y", "é", "a" * 129, None])
def test_no_etag_breaks_out_of_its_header(network, mallory, etag):
    token = mallory.ask("open").document
    file = {"source": "file", "etag": etag, "target": "broke-out"}
    assert mallory.fetch(token, "open", files=[file]).status == 400
    assert not (network[1].inbox / "broke-out").exists()


def test_no_target_leads_out_of_the_share(network, mallory):
    token = mallory.ask("open").document
    for target in ("../closed/x", "/etc/x", "a/../../closed/x", "..", "", ".commonhold/x", "a\0", "x/", "\\..\\x"):
        file = {"source": "file", "etag": mallory.etag("open", "file"), "target": target}
        answer = mallory.fetch(token, "open", files=[file])
        assert answer.status == 400 or last(answer).get("failed") or target in {"/etc/x", "x/", "\\..\\x"}, target
    assert not list(network[1].closed.iterdir())
    assert {path.name for path in network[1].folder.parent.iterdir()} >= {"inbox", "closed", "diary", "open"}


@pytest.mark.parametrize("files", [[], [{}], "file", None, [{"source": "a", "etag": "", "target": "b"}] * (MOST + 1)])
def test_rubbish_is_refused(mallory, files):
    assert mallory.fetch("0" * 32, files=files).status == 400


def test_a_pass_begets_no_fetching_and_no_pass(network, bob):
    wish = {"lender": bob.at_nas.fingerprint, "job": "7", "share": "inbox", "verb": "write", "folder": ""}
    given = Third(network, network[3]).at_nas("POST", "/passes", {**wish, "until": "2100-01-01T00:00:00Z"}).document
    token = bob.ask().document
    file = {"source": "file", "etag": bob.etag("diary", "file"), "target": "got-file"}
    wish = {"computer": bob.tower, "share": "diary", "token": token, "files": [file]}
    assert bob.at_nas("POST", "/dav/inbox", wish, Content_Type=FETCH, Commonhold_Pass=given).status == 403
    assert bob.at_tower("POST", "/readings", {}, Commonhold_Pass=given).status in {400, 403}
    assert got(network) == []


def test_who_stops_listening_leaves_nothing(network, bob):
    """The file is so slow that it would take an hour."""
    tower, nas, *_ = network
    large = tower.folder.parent / "diary" / "large"
    with large.open("wb") as file:
        file.truncate(2**22)
    token = bob.ask("diary", "large").document
    wish = {
        "computer": bob.tower,
        "share": "diary",
        "token": token,
        "limit": 1000,
        "files": [{"source": "large", "etag": bob.etag("diary", "large"), "target": "large"}],
    }

    async def listen() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                await bob.at_nas.ask("POST", "/dav/inbox", wish, Content_Type=FETCH)

    asyncio.run(listen())
    workshop = nas.inbox / ".commonhold" / "tmp"
    until(lambda: not workshop.exists() or not list(workshop.iterdir()), "nothing is left of it")
    assert not (nas.inbox / "large").exists()
