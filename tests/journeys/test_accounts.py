"""People with accounts at ann's server: real nodes, real commands, programs that know passwords only."""

from __future__ import annotations

import contextlib
import http.client
import os
import pty
import shutil
import subprocess
import sys
import time

import pytest

from commonhold.authority.tries import FREE

from ..conftest import town, until
from ..people import Visitor

SLACK = 15.0  # seconds: what a busy machine may take beside the bound that is promised
GOOD, BETTER = "harbour lamp otter", "meadow violin forty"


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """ann's server, with a folder that members may write and guests read; carol's laptop is a client."""
    folder = tmp_path_factory.mktemp("office")
    plans = folder / "plans"
    plans.mkdir()
    (plans / "plan.txt").write_text("first draft\n")
    with town(folder) as make:
        server, laptop = make("tower", "ann"), make("laptop", "carol")
        server.create("office", "client-server")
        laptop.join(server)
        server.net.share(plans, to="members", verb="write")
        server.net.allow("guests", "read", "plans")
        server.typed("person", "add", "bob", input=f"{GOOD}\n")
        yield server, laptop


@pytest.fixture
def server(office):
    return office[0]


@pytest.fixture
def laptop(office):
    return office[1]


def passwd(computer, action, name, password, *more, code=0):
    return computer.typed("person", action, name, *more, input=f"{password}\n", code=code)


def test_an_account_opens_what_members_may_and_nothing_of_the_network(server):
    bob = Visitor(server, "bob", GOOD)
    assert bob.ask("GET", "/dav/plans/plan.txt").body == b"first draft\n"
    assert bob.ask("PUT", "/dav/plans/bob's notes.txt".replace(" ", "%20"), b"mine").status == 201
    assert bob.ask("PROPFIND", "/dav/", Depth="1").status == 207
    for path in ("/roster", "/rules", "/persons", "/jobs", "/api/members", "/"):
        assert bob.get(path) == 401, path


def test_members_lists_who_has_an_account_and_no_computer(server, laptop):
    listed = {(line["person"], line["computer"], line["role"]) for line in server.json("members")}
    assert {("ann", "tower", "server"), ("carol", "laptop", "client"), ("bob", "", "account")} <= listed
    assert "bob" in server.typed("members").out
    assert {person.person for person in laptop.net.persons()} >= {"ann", "bob", "carol"}


def test_curl_comes_in_with_a_password(server, tmp_path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    words = ["curl", "-sSk", "--config", "-", f"https://{server.address}/dav/plans/plan.txt"]
    done = subprocess.run(words, input=f'user = "bob:{GOOD}"\n', capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "first draft\n"


def test_a_person_with_a_computer_gets_a_password_too(server, laptop):
    seen = passwd(server, "passwd", "carol", GOOD)
    assert "carol has a new password" in seen.out
    assert Visitor(server, "carol", GOOD).get("/dav/plans/plan.txt") == 200
    assert laptop.typed("cat", "tower:plans/plan.txt").out == "first draft\n"


def test_a_guest_reads_until_the_end_and_is_then_nobody(server):
    known = passwd(server, "add", "gus", GOOD, "--until", "4s").out
    assert "gus has an account, as a guest until" in known
    by_password, by_session = Visitor(server, "gus", GOOD), Visitor(server, "gus", GOOD)
    assert by_session.sign_in().document["guest"] is True
    assert by_password.get("/dav/plans/plan.txt") == by_session.get("/dav/plans/plan.txt") == 200
    refused = by_password.ask("PUT", "/dav/plans/x.txt", b"x")
    assert refused.status == 403
    assert not [word for word in (b"ann", b"bob", b"carol", b"tower", b"admin") if word in refused.body], refused.body
    until(lambda: by_session.get("/dav/plans/plan.txt") == 401, "the session's end")
    ended, stranger = by_password.ask("GET", "/dav/plans/plan.txt"), Visitor(server, "nobody", GOOD)
    heard = stranger.ask("GET", "/dav/plans/plan.txt")
    assert (ended.status, ended.body) == (heard.status, heard.body) == (401, heard.body)
    again = passwd(server, "passwd", "gus", BETTER, "--until", "1h").out
    assert "as a guest until" in again
    assert Visitor(server, "gus", BETTER).get("/dav/plans/plan.txt") == 200
    assert by_session.get("/session") == 401


def test_explain_knows_who_is_a_guest_and_whose_account_ended(server):
    passwd(server, "add", "greta", GOOD, "--until", "1h")
    explained = server.json("explain", "greta", "read", "plans")
    assert (explained["allowed"], explained["rule"]) == (True, "allow guests read plans")
    assert explained["hint"] == "", "whoever may has nothing to ask for"
    assert server.json("explain", "greta", "write", "plans")["allowed"] is False
    assert server.json("explain", "bob", "write", "plans")["rule"] == "allow members write plans"
    passwd(server, "add", "gerd", GOOD, "--until", "5s")
    ended = until(lambda: _refusal(server.json("explain", "gerd", "read", "plans")), "the end")
    assert ended == "what let this person in is over"


def _refusal(explained):
    return None if explained["allowed"] else explained["reason"]


def test_guests_have_no_computers(server):
    passwd(server, "add", "gina", GOOD, "--until", "1h")
    seen = server.typed("invite", "--person", "gina", code=4)
    assert "guests have no computers" in seen.err
    assert passwd(server, "passwd", "bob", GOOD, "--until", "1h", code=2).err.startswith("commonhold: bob is no guest")


def test_a_new_password_ends_what_the_old_one_opened(server):
    passwd(server, "add", "dora", GOOD)
    by_password, by_session = Visitor(server, "dora", GOOD), Visitor(server, "dora", GOOD)
    by_session.sign_in()
    assert by_password.get("/session") == by_session.get("/session") == 200
    passwd(server, "passwd", "dora", BETTER)
    assert by_password.get("/session") == by_session.get("/session") == 401
    assert Visitor(server, "dora", BETTER).get("/session") == 200


def test_a_person_changes_the_own_password_with_the_old_one(server):
    passwd(server, "add", "emil", GOOD)
    emil = Visitor(server, "emil", GOOD)
    emil.sign_in()
    words = {"old": GOOD, "new": BETTER}
    assert emil.ask("POST", "/account/password", words).status == 403, "no page of this server asked"
    assert emil.ask("POST", "/account/password", {**words, "old": "wrong"}, Origin=emil.page).status == 401
    weak = emil.ask("POST", "/account/password", {**words, "new": "short"}, Origin=emil.page)
    assert (weak.status, weak.document["type"]) == (400, "WrongUsage")
    assert emil.ask("POST", "/account/password", words, Origin=emil.page).status == 204
    assert emil.get("/session") == 401, "this session too"
    assert Visitor(server, "emil", GOOD).get("/session") == 401
    assert Visitor(server, "emil", BETTER).get("/session") == 200


def test_signing_out_ends_the_session(server):
    bob = Visitor(server, "bob", GOOD)
    heard = bob.sign_in()
    attributes = {word.strip() for word in heard.headers["Set-Cookie"].split(";")[1:]}
    assert attributes == {"Secure", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"}
    assert bob.ask("GET", "/session").document["person"] == "bob"
    out = bob.ask("DELETE", "/session", Origin=bob.page)
    assert (out.status, "Max-Age=0" in out.headers["Set-Cookie"]) == (204, True)
    assert bob.get("/session") == 401


def test_a_removed_person_is_out_and_the_name_is_free_for_another(server):
    passwd(server, "add", "fred", GOOD)
    fred = Visitor(server, "fred", GOOD)
    fred.sign_in()
    assert "asks first" in server.typed("person", "remove", "fred", code=2).err
    assert server.json("person", "remove", "fred", "--yes")["person"] == "fred"
    assert fred.get("/session") == 401
    passwd(server, "add", "fred", BETTER)
    assert fred.get("/session") == 401
    assert Visitor(server, "fred", GOOD).get("/session") == 401
    assert Visitor(server, "fred", BETTER).get("/session") == 200
    server.typed("remove", "fred", "--yes")
    assert Visitor(server, "fred", BETTER).get("/session") == 401, "by the other command too"


def test_an_account_becomes_a_computer_by_an_invitation(server, office, tmp_path):
    passwd(server, "add", "hana", GOOD)
    with town(tmp_path) as make:
        desk = make("desk", "hana")
        code = server.json("invite", "--person", "hana")["code"]
        desk.typed("join", f"{code}@{server.address}", "--computer", "desk", "--listen", desk.address)
        desk.attach()
        assert desk.net.status().person == "hana"
        assert desk.typed("cat", "tower:plans/plan.txt").out == "first draft\n"
        assert Visitor(server, "hana", GOOD).get("/session") == 200, "one person, two ways in"
        server.typed("person", "remove", "hana", "--yes")
        assert desk.typed("cat", "tower:plans/plan.txt", code=4).err


def test_admins_keep_accounts_from_their_own_computers_and_others_do_not(server, laptop):
    seen = passwd(laptop, "add", "ivan", GOOD, code=4)
    assert "carol may not admit anybody to office" in seen.err
    server.typed("group", "add", "admins", "carol")
    try:
        passwd(laptop, "add", "ivan", GOOD)
        assert Visitor(server, "ivan", GOOD).get("/session") == 200
        seen = passwd(laptop, "passwd", "ann", BETTER, code=4)
        assert "Only ann, whose server this is" in seen.err, "or an admin could read everything as the owner"
        laptop.typed("person", "remove", "ivan", "--yes")
        assert Visitor(server, "ivan", GOOD).get("/session") == 401
    finally:
        server.typed("group", "remove", "admins", "carol")


def test_what_makes_no_sense_is_one_sentence(server):
    assert "belongs to somebody already" in passwd(server, "add", "BOB", GOOD, code=6).err
    assert "fewer than 10 characters" in passwd(server, "add", "jan", "short", code=2).err
    assert "no password on standard input" in server.typed("person", "add", "jan", input="", code=2).err
    assert "nobody called “jan”" in passwd(server, "passwd", "jan", GOOD, code=3).err
    assert "nobody called “jan”" in server.typed("person", "remove", "jan", "--yes", code=3).err
    assert "the word has a meaning" in passwd(server, "add", "guests", GOOD, code=2).err
    assert "lies in the past" in passwd(server, "add", "jan", GOOD, "--until", "2020-01-01", code=2).err


def test_elsewhere_accounts_are_a_server_s_matter(computer):
    peer = computer("peer")
    peer.create("casa")
    seen = passwd(peer, "add", "bob", GOOD, code=4)
    assert seen.err == (
        "commonhold: Accounts are a server's matter, and the network casa has no server.\n"
        "hint: commonhold invite lets a person join with a computer\n"
    )
    heard = Visitor(peer, "ann", GOOD).ask("GET", "/dav/")
    assert (heard.status, "WWW-Authenticate" in heard.headers) == (401, False)
    assert Visitor(peer).ask("POST", "/session", {"person": "ann", "password": GOOD}).status == 401


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(server):
    pid, screen = pty.fork()
    if pid == 0:
        words = [sys.executable, "-m", "commonhold", "--home", str(server.home), "person", "add", "kim"]
        os.execv(sys.executable, words)  # noqa: S606
    drawn = b""

    def read_until(words):
        nonlocal drawn
        deadline = time.monotonic() + 60
        while words not in drawn and time.monotonic() < deadline:
            try:
                drawn += os.read(screen, 65536)
            except OSError:
                break
        assert words in drawn, drawn

    read_until(b"Password for kim: ")
    os.write(screen, f"{GOOD}\n".encode())
    read_until(b"Once more: ")
    os.write(screen, f"{GOOD}\n".encode())
    read_until(b"kim has an account")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(screen)
    assert b"harbour" not in drawn
    assert Visitor(server, "kim", GOOD).get("/session") == 200


LARGE = 400 * 2**20  # bytes: more than all buffers on the way hold


@pytest.fixture(scope="module")
def film(office, tmp_path_factory):
    """A file that takes its time, in a share for members and guests."""
    server, _ = office
    folder = tmp_path_factory.mktemp("films")
    with (folder / "film").open("wb") as file:
        file.truncate(LARGE)
    server.net.share(folder, name="films", to="members", verb="read")
    server.net.allow("guests", "read", "films")
    return "/dav/films/film"


def new_password(server, _visitor):
    passwd(server, "passwd", "lena", BETTER)


def removed(server, _visitor):
    server.typed("person", "remove", "lena", "--yes")


def signed_out(_server, visitor):
    assert visitor.ask("DELETE", "/session", Origin=visitor.page).status == 204


def ended(_server, visitor):
    until(lambda: visitor.get("/session") == 401, "the guest's end")


@pytest.mark.parametrize(
    ("end", "in_session", "guest"),
    [(new_password, False, False), (new_password, True, False), (removed, True, False), (signed_out, True, False),
     (ended, False, True), (ended, True, True)],
    ids=["password", "password-session", "removal", "sign-out", "guest", "guest-session"],
)  # fmt: skip
def test_a_running_download_ends_with_what_let_its_person_in(server, film, end, in_session, guest):
    passwd(server, "add", "lena", GOOD, *(["--until", "3s"] if guest else []))
    try:
        lena = Visitor(server, "lena", GOOD)
        if in_session:
            lena.sign_in()
        with lena.opened("GET", film) as answer:
            assert answer.status == 200
            got = len(answer.read(2**16))
            end(server, lena)
            began = time.monotonic()
            with contextlib.suppress(OSError, http.client.HTTPException):
                while piece := answer.read1(2**16):
                    got += len(piece)
            assert time.monotonic() - began < 5 + SLACK, "cut within five seconds"
        assert got < LARGE
    finally:
        server.typed("person", "remove", "lena", "--yes", code=3 if end is removed else 0)


def test_a_restart_keeps_accounts_sessions_and_the_delay_of_whoever_guessed(server):
    bob, guesser = Visitor(server, "bob", GOOD), Visitor(server, "nobody at all")
    bob.sign_in()
    for number in range(FREE["account"]):
        guesser.password = f"wrong {number}"
        assert guesser.get("/session") == 401
    server.kill()
    server.up()
    time.sleep(1.0)  # the wait after the last free try
    heard = []
    for number in range(2):
        guesser.password = f"wrong again {number}"
        heard.append(guesser.get("/session"))
    assert heard == [401, 429], "one, and not five"
    assert bob.get("/session") == 200
    assert Visitor(server, "bob", GOOD).get("/session") == 200


def test_no_password_and_no_token_lies_anywhere_in_the_home(server):
    """After all of the above."""
    bob = Visitor(server, "bob", GOOD)
    bob.sign_in()
    for file in server.home.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [word for word in (GOOD, BETTER, bob.cookie) if word.encode() in content], file.name
