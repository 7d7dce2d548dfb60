"""Root rewrites last week's record on one computer, the whole chain with it (facts: section 5, row 20)."""

from __future__ import annotations

import shutil

import msgspec
import pytest

from commonhold.authority.lines import BEFORE_ALL, digest, entries, verify

from ..conftest import town, until


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with town(tmp_path_factory.mktemp("office")) as make:
        server, laptop = make("server", "ann"), make("laptop", "bob")
        server.create("office", "client-server")
        laptop.join(server)
        laptop.knows("server", "laptop")
        laptop.down()  # tells the server the end of its record
        yield server, laptop


def forged(path, number, old, new):
    """Write the record anew, with one line changed and every later hash made to fit."""
    lines, before = [], BEFORE_ALL
    for entry in entries(path):
        line = msgspec.json.encode(entry | {"prev": before})
        if entry["n"] == number:
            assert old in line
            line = line.replace(old, new)
        before = digest(line)
        lines.append(line + b"\n")
    path.write_bytes(b"".join(lines))


def test_a_rewritten_record_is_found_out_and_reported(office):
    server, laptop = office
    record = laptop.home.audit
    honest = laptop.json("audit", "verify")
    assert honest["broken"] is None
    assert honest["witnessed"] == honest["lines"] > 0, "the server has seen all of it when the node stopped"
    assert laptop.home.heads.stat().st_mode & 0o777 == 0o600

    whole = record.read_bytes()
    forged(record, 1, b'"joined"', b'"jailed"')
    assert verify(record).broken is None, "the chain alone fits"
    found = laptop.typed("audit", "verify", code=1)
    assert "Line 1 of the record is not what it was: it is not what server saw on " in found.err

    # Without the signed heads the forger is safe for as long as nobody asks the server.
    kept = laptop.home.heads.rename(laptop.home.folder / "aside")
    assert laptop.json("audit", "verify")["witnessed"] == 0
    laptop.up()
    assert "it is not what server saw" in laptop.typed("audit", "verify", code=1).err
    laptop.down()
    until(lambda: server.json("audit", "--event", "record rewritten", "--computer", "laptop"), "the server's alarm")
    assert "laptop: its record was rewritten" in server.json("status")["alarm"]

    # It is a lasting stain: also when the honest record is put back nothing is forgotten.
    record.write_bytes(whole)
    shutil.move(kept, laptop.home.heads)
    assert laptop.json("audit", "verify")["broken"] is None, "by what is kept here, it is the one that was witnessed"
    laptop.up()
    assert laptop.json("audit", "verify", code=1)["verdict"]["broken"]["n"] == 1


@pytest.fixture(scope="module")
def phone(office):
    """carol's, asleep."""
    server, _ = office
    with town(server.folder / "phones") as make:
        made = make("phone", "carol")
        made.join(server)
        made.down()
        yield made


def test_a_killed_node_s_record_is_not_taken_for_a_rewritten_one(office, phone):
    server, _ = office
    phone.up()
    phone.kill()
    phone.up()
    phone.down()
    assert phone.json("audit", "verify")["broken"] is None
    assert not server.json("audit", "--event", "record rewritten", "--computer", "phone")


def test_heads_that_nobody_signed_count_for_nothing(phone):
    good = phone.home.heads.read_bytes()
    envelope = msgspec.json.decode(good.splitlines()[0])
    envelope["payload"] = envelope["payload"][:-8] + "AAAAAAAA"
    phone.home.heads.write_bytes(good + msgspec.json.encode(envelope) + b"\nnonsense\n")
    said = phone.typed("audit", "verify")
    assert "2 lines of " in said.err
    assert "bear nobody's signature" in said.err
    assert "guards have seen" in said.out
    phone.home.heads.write_bytes(good)


def test_a_record_that_was_cut_short_is_missed(phone):
    record = phone.home.audit
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join(lines[:-1]))
    found = phone.typed("audit", "verify", code=1).err
    assert f"Line {len(lines)} of the record is not what it was: it is missing: server saw" in found
    record.unlink()
    assert phone.json("audit", "verify", code=1)["verdict"]["lines"] == 0
