"""Members of a server who try to do what is another role's, or was theirs a moment ago; against a real node."""

from __future__ import annotations

import pytest

from ..conftest import town
from .reach import As, enrol

LATER = "2100-01-01T00:00:00Z"
GOVERNING = (
    ("GET", "/rules", None),
    ("POST", "/rules", {"effect": "allow", "who": "mallory", "verb": "write", "door": "plans"}),
    ("POST", "/persons", {"person": "accomplice", "password": "seven brave lanterns"}),
    ("PUT", "/persons/ann/password", {"password": "seven brave lanterns"}),
    ("GET", "/groups", None),
)


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """ann's server with one share for nobody; bob's and mallory's clients, who have no right at all."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "plans").mkdir()
    with town(folder) as make:
        server, laptop, desk = make("server", "ann"), make("laptop", "bob"), make("desk", "mallory")
        server.create("office", "client-server")
        for each in (laptop, desk):
            enrol(each, server)
        server.net.share(folder / "plans")
        yield server, As(server, laptop), As(server, desk)


@pytest.mark.parametrize(("method", "path", "body"), GOVERNING, ids=lambda value: str(value)[:20])
def test_a_member_does_nothing_that_is_the_owners(office, method, path, body):
    server, _, mallory = office
    before = server.net.rules()
    assert mallory(method, path, body).status in {403, 404}
    assert server.net.rules() == before


def test_a_role_that_was_taken_away_opens_nothing_from_the_next_request_on(office):
    server, bob, _ = office
    server.typed("group", "add", "admins", "bob")
    assert bob("GET", "/rules").status == 200
    server.typed("group", "remove", "admins", "bob")
    for method, path, body in GOVERNING:
        assert bob(method, path, body).status in {403, 404}, path
    assert "admins" not in str(server.net.rules())


def test_an_admin_does_not_become_the_owner(office):
    """With the owner's password, or by removing the owner, an admin would read everything."""
    server, bob, _ = office
    server.typed("group", "add", "admins", "bob")
    try:
        assert bob("PUT", "/persons/ann/password", {"password": "seven brave lanterns"}).status == 403
        assert bob("DELETE", "/persons/ann").status in {403, 404, 409}
        assert bob("GET", "/dav/plans/").status == 403, (
            "governing is not reading; it would take a rule, which is recorded"
        )
        assert {member.person for member in server.net.members()} == {"ann", "bob", "mallory"}
    finally:
        server.typed("group", "remove", "admins", "bob")


def test_a_job_of_somebody_who_may_not_run_leaves_nothing_at_the_server(office):
    """Its folder would take whatever its person puts there: the server's disk, without any right."""
    server, bob, mallory = office
    assert mallory("POST", "/jobs", {"command": "true"}).status == 403
    assert mallory("PUT", "/dav/.job-1/in/film", b"x" * 1000).status in {403, 404}
    assert not server.net.jobs()
    assert not server.home.jobs.exists() or not list(server.home.jobs.iterdir())
    server.net.allow("bob", "run", "compute")
    job = bob("POST", "/jobs", {"command": "true"}).document["job"]
    for path in [f"/jobs/{job}{what}" for what in ("", "/log", "/events", "/said", "/inputs", "/collecting")]:
        assert mallory("GET", path).status == 404, path
    assert mallory("POST", f"/jobs/{job}/start").status == 404
    for method in ("GET", "PUT", "PROPFIND", "DELETE"):
        assert mallory(method, f"/dav/.job-{job}/in/film", Depth="0").status == 403, method
    assert (
        mallory(
            "POST",
            "/passes",
            {
                "lender": mallory.fingerprint,
                "job": str(job),
                "share": f".job-{job}",
                "verb": "read",
                "until": LATER,
                "folder": "",
            },
        ).status
        == 403
    )


def test_refusals_without_end_do_not_fill_the_record(office):
    server, _, mallory = office
    size = server.home.audit.stat().st_size
    for number in range(100):
        assert mallory("GET", f"/dav/plans/{number}-{'x' * 200}").status == 403
    assert server.home.audit.stat().st_size - size < 5_000


def test_a_member_learns_no_group_from_asking_who_may(office):
    server, _, mallory = office
    server.typed("group", "add", "board", "bob")

    def answers(name):
        answer = mallory("GET", f"/explanation?who={name}&verb=read&door=plans")
        return answer.status, answer.body.replace(name.encode(), b"NAME")

    assert answers("board") == answers("nobody")
    assert answers("bob") == answers("nobody")
