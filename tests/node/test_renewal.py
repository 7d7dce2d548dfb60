"""A server's certificate: set at create and up, shown by the running node, read again when it was renewed."""

from __future__ import annotations

import base64
import http.client
import ssl
from datetime import timedelta

import pytest

from ..authorities import WorldAuthority
from ..conftest import town, until

NAME = "office.example.org"


@pytest.fixture(scope="module")
def world():
    return WorldAuthority()


@pytest.fixture(scope="module")
def office(world, tmp_path_factory):
    """ann's server with a certificate for its name, and bob's laptop."""
    folder = tmp_path_factory.mktemp("office")
    files = folder / "signed by été"
    files.mkdir()
    chain, key = world.sign(files, NAME)
    with town(folder) as make:
        server, laptop = make("tower", "ann"), make("laptop", "bob")
        server.typed(
            "create", "office", "--shape", "client-server", "--computer", "tower", "--person", "ann",
            "--listen", server.address, "--certificate", chain, "--key", key,
        )  # fmt: skip
        server.attach()
        laptop.join(server)
        server.files = files
        yield server, laptop


def asked(server, world, path="/dav/", name=NAME, password=""):
    """A request of a client that believes the world's authority and verifies the name. -> (status, serial number)"""
    host, _, port = server.address.rpartition(":")
    context = ssl.create_default_context(cadata=world.pem)

    class Named(http.client.HTTPSConnection):
        def connect(self):
            http.client.HTTPConnection.connect(self)
            self.sock = context.wrap_socket(self.sock, server_hostname=name)

    connection = Named(host, int(port), timeout=20)
    headers = {"Depth": "1"}
    if password:
        headers["Authorization"] = "Basic " + base64.b64encode(f"bob:{password}".encode()).decode()
    try:
        connection.request("PROPFIND", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, connection.sock and connection.sock.getpeercert()["serialNumber"]
    finally:
        connection.close()


def test_a_person_s_program_verifies_the_name_and_comes_in_by_a_password_while_members_go_on(office, world, tmp_path):
    server, laptop = office
    server.typed("person", "passwd", "bob", input="harbour lamp otter\n")
    folder = tmp_path / "papers"
    folder.mkdir()
    server.net.share(folder, to="bob", verb="read")
    assert asked(server, world)[0] == 401
    assert asked(server, world, "/dav/papers/", password="harbour lamp otter")[0] == 207
    assert asked(server, world, "/dav/papers/", password="harbour lamp heron")[0] == 401
    assert laptop.net.ls("tower:papers") == []
    with pytest.raises(ssl.SSLCertVerificationError):
        asked(server, world, name="other.example.org")


def test_a_renewed_certificate_is_shown_without_a_restart(office, world):
    server, _ = office
    before, pid = asked(server, world)[1], server.net.status().pid
    world.sign(server.files, NAME)
    until(lambda: asked(server, world)[1] != before, "the new one is shown")
    assert server.net.status().pid == pid


def test_a_bad_renewal_leaves_the_one_before_and_status_tells(office, world):
    server, _ = office
    key = (server.files / "privkey.pem").read_bytes()
    (server.files / "privkey.pem").write_bytes(b"half a ke")
    until(lambda: "holds no private key" in server.net.status().alarm, "status tells")
    assert asked(server, world)[0] == 401, "the one before is shown"
    (server.files / "privkey.pem").write_bytes(key)
    until(lambda: not server.net.status().alarm, "and it is well again")


def test_up_changes_it_and_takes_it_back(office, world, tmp_path):
    server, laptop = office
    chain, key = world.sign(tmp_path, "new.example.org")
    assert server.json("up", "--certificate", chain, "--key", key)["certificate"] == ["new.example.org"]
    until(lambda: _shows(server, world, "new.example.org"), "the new name")
    assert not _shows(server, world, NAME)
    server.typed("down")
    server.typed("up")
    assert _shows(server, world, "new.example.org"), "after a restart too"
    assert "No certificate" in server.typed("up", "--no-certificate").out
    until(lambda: not _shows(server, world, "new.example.org"), "none any more")
    server.net.close()  # it was the node's before
    server.attach()
    assert [member.computer for member in laptop.net.members()] == ["laptop", "tower"]


def _shows(server, world, name):
    try:
        return asked(server, world, name=name)[0] == 401
    except ssl.SSLCertVerificationError:
        return False


def test_what_makes_no_sense_is_one_sentence_and_changes_nothing(office, world, tmp_path):
    server, laptop = office
    chain, key = world.sign(tmp_path, "x.org")
    before = server.settings()
    assert "belong together" in server.typed("up", "--certificate", chain, code=2).err
    assert "There is no file" in server.typed("up", "--certificate", chain, "--key", tmp_path / "nowhere", code=3).err
    seen = laptop.typed("up", "--certificate", chain, "--key", key, code=2)
    assert "A certificate is a server's matter." in seen.err
    world.sign(tmp_path, "x.org", ends=-timedelta(hours=1))
    assert "ended on" in server.typed("up", "--certificate", chain, "--key", key, code=2).err
    assert server.settings() == before


def test_a_peer_to_peer_network_takes_none_and_none_is_founded(computer, world, tmp_path):
    chain, key = world.sign(tmp_path, "x.org")
    peer = computer("peer")
    words = ("create", "casa", "--listen", peer.address, "--certificate", chain, "--key", key)
    assert "A certificate is a server's matter." in peer.typed(*words, code=2).err
    assert not peer.home.joined
