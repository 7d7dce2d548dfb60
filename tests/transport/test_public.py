"""A server's certificate for people's programs: real files, a real authority, a real client that verifies names."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import CommonholdError
from commonhold.transport import PublicCertificate

from ..authorities import WorldAuthority


@pytest.fixture(scope="module")
def world():
    return WorldAuthority()


def read(files):
    return PublicCertificate.read(*files, datetime.now(UTC))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("office.example.org", True),
        ("OFFICE.Example.org", True),
        ("a.branch.example.org", True),
        ("b.a.branch.example.org", False),
        ("branch.example.org", False),
        ("example.org", False),
        ("commonhold", False),
        ("", False),
        (None, False),
    ],
)
def test_it_is_for_its_names_and_no_others(world, tmp_path, name, shown):
    public = read(world.sign(tmp_path, "office.example.org", "*.branch.example.org"))
    assert public.is_for(name) is shown


def other_key(world, folder):
    (folder / "other").mkdir()
    return world.sign(folder, "x.org")[0], world.sign(folder / "other", "x.org")[1]


def swapped(world, folder):
    return world.sign(folder, "x.org")[::-1]


def missing(world, folder):
    return folder / "nowhere.pem", world.sign(folder, "x.org")[1]


def rubbish(world, folder):
    (folder / "rubbish.pem").write_bytes(b"\x00" * 100)
    return world.sign(folder, "x.org")[0], folder / "rubbish.pem"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (other_key, "is not the one of the certificate"),
        (swapped, "holds no certificate"),
        (missing, "There is no file"),
        (rubbish, "holds no private key"),
        (lambda world, folder: (folder, folder), "cannot be read: Is a directory"),
        (lambda world, folder: world.sign(folder, "x.org", ends=-timedelta(hours=1)), "ended on"),
        (lambda world, folder: world.sign(folder, "x.org", begins=timedelta(hours=1)), "begins on"),
        (lambda world, folder: world.sign(folder), "is for no server's name"),
        (lambda world, folder: world.sign(folder, "192.0.2.1"), "is for no server's name"),
        (lambda world, folder: world.sign(folder, "x.org", passphrase="open sesame"), "locked with a passphrase"),
    ],
)
def test_what_could_not_be_shown_is_refused_in_one_sentence(world, tmp_path, make, sentence):
    folder = tmp_path / "été files"
    folder.mkdir()
    with pytest.raises(CommonholdError, match=sentence) as refused:
        read(make(world, folder))
    assert refused.value.sentence.endswith(".")
    assert "PRIVATE KEY" not in str(refused.value.problem())


async def name_shown(tower, world, name):
    """Connect as a browser does, asking for `name`: the names of what was shown, or why it was not believed."""
    context = ssl.create_default_context(cadata=world.pem)
    try:
        _, writer = await asyncio.open_connection(*tower.listener.addresses[0], ssl=context, server_hostname=name)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    names = [value for _, value in writer.get_extra_info("peercert")["subjectAltName"]]
    writer.close()
    return names


async def test_whoever_asks_for_its_name_is_shown_it_and_members_go_on_with_the_computer_s_own(
    computer, world, tmp_path
):
    tower, laptop = computer("tower"), computer("laptop")
    await tower.open(trusted=[laptop])
    assert "self-signed" in await name_shown(tower, world, "office.example.org"), "as before"
    await tower.listener.present(read(world.sign(tmp_path, "office.example.org")))
    assert await name_shown(tower, world, "office.example.org") == ["office.example.org"]
    assert "self-signed" in await name_shown(tower, world, "another.example.org")
    shown, who = await asyncio.gather(
        name_shown(tower, world, "office.example.org"), laptop.caller.ask(tower.peer, "GET", "/who")
    )
    assert (shown, who) == (["office.example.org"], laptop.key.fingerprint)
    tower.listener.trust([tower.certificate])
    await tower.listener.trusted()
    assert await name_shown(tower, world, "office.example.org") == ["office.example.org"], "whoever joins or goes"
    await tower.listener.present(None)
    assert "self-signed" in await name_shown(tower, world, "office.example.org")


async def test_nobody_gets_in_by_asking_for_that_name(computer, world, tmp_path):
    """What a client shows there is believed no more than elsewhere, and TLS 1.3 it stays."""
    tower, stranger = computer("tower"), computer("stranger")
    await tower.open(trusted=[])
    await tower.listener.present(read(world.sign(tmp_path, "office.example.org")))
    context = ssl.create_default_context(cadata=world.pem)
    (tmp_path / "own.pem").write_bytes(stranger.key.pem() + stranger.certificate.pem.encode())
    context.load_cert_chain(tmp_path / "own.pem")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asked(tower, context)
    old = ssl.create_default_context(cadata=world.pem)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asked(tower, old)
    assert (await asked(tower, ssl.create_default_context(cadata=world.pem))).endswith(b"null")


async def asked(tower, context):
    reader, writer = await asyncio.open_connection(
        *tower.listener.addresses[0], ssl=context, server_hostname="office.example.org"
    )
    try:
        writer.write(b"GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if not (answer := await reader.read()):
            raise ConnectionError("cut before an answer")
        return answer
    finally:
        writer.transport.abort()
