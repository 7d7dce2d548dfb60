"""A person's tasks in a network with a server: ann's server, bob and carol as clients."""

from __future__ import annotations

import gzip
import socket

import pytest

from commonhold.errors import Refused

from ..conftest import town, until


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with town(tmp_path_factory.mktemp("office")) as make:
        server, first, second = make("server", "ann"), make("client1", "bob"), make("client2", "carol")
        server.founded = server.json(
            "create", "office", "--shape", "client-server",
            "--computer", "server", "--person", "ann", "--listen", server.address,
        )  # fmt: skip
        server.attach()
        code = server.net.invite().code
        first.joined = first.typed(
            "join", f"{code}@{server.address}", "--computer", "client1", "--person", "bob", "--listen", first.address
        ).out
        first.attach()
        second.join(server)
        for one in (server, first, second):
            one.knows("server", "client1", "client2")
        yield server, first, second


@pytest.fixture
def server(network):
    return network[0]


@pytest.fixture
def first(network):
    return network[1]


@pytest.fixture
def second(network):
    return network[2]


@pytest.fixture
def projects(server, tmp_path):
    """A folder of the server that bob may write and carol read."""
    folder = tmp_path / "projects"
    folder.mkdir()
    (folder / "plan.txt").write_text("first draft\n")
    server.net.share(folder, to="bob", verb="write")
    server.net.allow("carol", "read", "projects")
    yield folder
    server.net.unshare("projects")


def listens(address):
    host, _, port = address.rpartition(":")
    with socket.socket() as trial:
        trial.settimeout(2)
        return trial.connect_ex((host, int(port))) == 0


def test_joining_says_what_a_client_is(server, first):
    assert (server.founded["shape"], server.founded["role"]) == ("client-server", "server")
    told, standing = first.joined.splitlines()
    assert told == "client1 has joined office (client-server), invited by server."
    assert standing == "client1 is a client: it shares nothing, lends nothing and opens no port."
    assert {(m.computer, m.role, m.guard) for m in first.net.members()} == {
        ("server", "server", True), ("client1", "client", False), ("client2", "client", False),
    }  # fmt: skip


def test_joining_with_a_folder_says_that_the_client_has_joined_and_shares_nothing(server, computer, tmp_path):
    van, code = computer("van", "vic"), server.net.invite().code
    seen = van.typed(
        "join", f"{code}@{server.address}", "--computer", "van", "--person", "vic", "--share", tmp_path, code=8
    )
    assert seen.err.startswith("commonhold: van has joined office, but as a client it shares nothing.")
    assert "hint: copy " in seen.err
    van.attach()
    assert van.net.status().role == "client"
    server.net.remove("van")


def test_a_client_opens_no_port(server, first, second):
    assert listens(server.address)
    for client in (first, second):
        assert not listens(client.address)
        status = client.net.status()
        assert status.listener == ()
        assert status.jobs_at == "server"


def test_a_client_shares_lends_rules_and_admits_nothing(first, second, tmp_path):
    for wish in (
        lambda: first.net.share(tmp_path),
        lambda: first.net.allow("carol", "run", "compute"),
        first.net.rules,
        first.net.invite,
        lambda: first.net.remove("client2"),
    ):
        with pytest.raises(Refused) as refusal:
            wish()
        assert refusal.value.hint
    with pytest.raises(Refused, match="client1 is a client: it shares nothing and opens no door"):
        second.net.ls("client1:")
    assert first.json("share", tmp_path, code=4)["reason"] == "this computer is a client and shares nothing"


def test_people_have_the_rights_that_the_server_says(server, first, second, projects, tmp_path):
    first.net.put(projects / "plan.txt", "server:projects/copy.txt")
    assert b"".join(second.net.cat("server:projects/copy.txt")) == b"first draft\n"
    with pytest.raises(Refused, match="carol may not"):
        second.net.put(__file__, "server:projects/x.py")
    with pytest.raises(Refused):
        second.net.rm("server:projects/plan.txt")
    (tmp_path / "private").mkdir()
    server.net.share(tmp_path / "private")
    for client in (first, second):
        with pytest.raises(Refused, match="may not list private"):
            client.net.ls("server:private")
        assert {entry.path for entry in client.net.ls("server:")} == {"projects"}
    server.net.unshare("private")
    assert first.net.explain("bob", "write", "server:projects").allowed
    with pytest.raises(Refused):
        first.net.allow("carol", "write", "server:projects")


def test_a_file_goes_from_client_to_client_through_the_server(first, second, projects, tmp_path):
    letter = tmp_path / "Für Carol, été.txt"
    letter.write_bytes(b"Through the server.\n" * 10_000)
    assert first.typed("put", letter, "server:projects").out == "1 file copied, 200.0 kB.\n"
    second.typed("get", f"server:projects/{letter.name}", tmp_path / "arrived.txt")
    assert (tmp_path / "arrived.txt").read_bytes() == letter.read_bytes()


def test_clients_compute_on_the_server_when_a_rule_says_so(server, first, second, projects, tmp_path):
    for client in (first, second):
        with pytest.raises(Refused) as refusal:
            client.net.run("true", ["1"])
        assert refusal.value.exit_code == 4
    server.net.allow("bob", "run", "compute")
    (tmp_path / "local.txt").write_text("from the laptop\n")
    inputs = ["server:projects/*.txt", str(tmp_path / "local.txt")]
    job = first.net.run("gzip -n -c {} > {}.gz", inputs, into="server:projects/packed")
    assert (job.state, job.done, job.failed) == ("done", 2, 0)
    assert gzip.decompress((projects / "packed" / "plan.txt.gz").read_bytes()) == b"first draft\n"
    assert gzip.decompress((projects / "packed" / "local.txt.gz").read_bytes()) == b"from the laptop\n"
    assert {task.computer for task in first.net.log(job.job)} == {"server"}
    # Each sees their own jobs, the server's owner all.
    server.net.run("true")
    mine = {each.job for each in first.net.jobs()}
    assert job.job in mine
    assert mine < {each.job for each in server.net.jobs()}
    assert job.job not in {each.job for each in second.net.jobs()}
    assert second.typed("log", job.job, code=3).err.startswith(f"commonhold: There is no job {job.job}.")
    with pytest.raises(Refused):
        second.net.ls(f"server:{job.share}")


def test_a_removed_client_is_refused_at_its_next_request(server, first, projects, computer):
    guest = computer("guest", "gus")
    guest.join(server)
    server.net.allow("gus", "read", "projects")
    assert guest.net.ls("server:projects")
    removal = server.json("remove", "gus", "--yes")
    assert (removal["person"], removal["computers"]) == ("gus", ["guest"])
    seen = guest.typed("ls", "server:projects", code=4)
    assert seen.err.startswith("commonhold: guest was removed from the network office.\nhint: ")
    first.knows("server", "client1", "client2")  # it asked the server something, and heard


def test_the_server_away_is_unreachable_and_back_again(server, first, projects):
    server.typed("down")
    try:
        seen = first.typed("ls", "server:projects", code=5)
        assert "server does not answer" in seen.err
    finally:
        server.up()
    assert [entry.path for entry in until(lambda: first.net.ls("server:projects"), "the server is back")] == [
        "plan.txt"
    ]


def test_a_further_computer_of_a_person_has_that_persons_rights_at_the_server(server, first, projects, computer):
    """bob's phone joins without a name: the invitation is bound to bob. Removed, it leaves his laptop in."""
    phone = computer("phone", "whoever")
    code = server.json("invite", "--person", "bob")["code"]
    joined = phone.json("join", f"{code}@{server.address}", "--computer", "phone", "--listen", phone.address)
    assert (joined["person"], joined["role"]) == ("bob", "client")
    phone.attach()
    assert b"".join(phone.net.cat("server:projects/plan.txt")) == b"first draft\n"
    assert {m.computer for m in server.net.members() if m.person == "bob"} == {"client1", "phone"}
    server.net.remove("phone")
    with pytest.raises(Refused, match="bob's computer phone was removed from the network office"):
        phone.net.ls("server:projects")
    assert first.net.ls("server:projects")
