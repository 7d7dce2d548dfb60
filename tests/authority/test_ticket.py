"""An invitation as a file: what is written for its owner alone, and what is refused when it is read."""

from __future__ import annotations

import errno
import secrets
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from commonhold.authority.ticket import FORM, LARGEST, Blank, Ticket
from commonhold.errors import Conflict, Damaged, NotFound
from commonhold.identity.code import LongCode
from commonhold.names import Address, ComputerName, Fingerprint
from commonhold.wire import to_json

TICKET = Ticket(
    form=FORM,
    network="casa",
    inviter=Fingerprint("a" * 64),
    computer=ComputerName("tower"),
    addresses=("127.0.0.2:7440", "[fd00::1]:7440"),
    code=str(LongCode.draw(1234, secrets.token_bytes)),
    expires=datetime(2026, 11, 22, 12, tzinfo=UTC),
    person="ann",
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "for the näs.invitation"


def test_what_was_written_is_read_and_is_its_owners_alone(path):
    with Blank(path) as blank:
        assert path.stat().st_mode & 0o777 == 0o600, "before anything is in it"
        blank.fill(TICKET)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Ticket.read(path) == TICKET
    assert Ticket.read(path).where() == (Address("127.0.0.2", 7440), Address("fd00::1", 7440))


def test_nothing_is_replaced(path):
    path.write_text("mine")
    with pytest.raises(Conflict, match="exists already") as refusal:
        Blank(path)
    assert refusal.value.hint == "name another file; nothing was replaced"
    assert path.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_something(path, tmp_path):
    """Through it the secret would lie somewhere else than was said."""
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        Blank(path)
    assert not (tmp_path / "elsewhere").exists()


def test_without_its_folder_it_is_said(tmp_path):
    (tmp_path / "file").touch()
    for folder in ("nothing", "file"):
        with pytest.raises(NotFound, match=f"no folder {tmp_path / folder}"):
            Blank(tmp_path / folder / "x.invitation")


def test_what_was_not_filled_in_is_removed(path):
    with pytest.raises(OSError, match="No space"), Blank(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not path.exists()


def test_what_somebody_else_removed_meanwhile_is_no_second_error(path):
    with Blank(path):
        path.unlink()
    assert not path.exists()


def test_where_there_is_no_file_one_is_told_how_to_make_one(path, tmp_path):
    for missing in (path, tmp_path):
        with pytest.raises(NotFound, match="There is no file") as told:
            Ticket.read(missing)
        assert told.value.hint == "make one: commonhold invite --file FILE"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"form": "commonhold invitation 1"}',
        to_json(replace(TICKET, form="commonhold invitation 2")),
        to_json(replace(TICKET, code="7-otter-plum")),  # of a code that is said: its tries would be another's
        to_json(replace(TICKET, code="")),
        to_json(replace(TICKET, addresses=("nowhere",))),
        to_json(msgspec.structs.asdict(TICKET) | {"inviter": "not a fingerprint"}),
        to_json(TICKET)[:-9],
    ],
)
def test_what_is_none_is_damaged_and_named(path, content):
    path.write_bytes(content)
    with pytest.raises(Damaged, match="is no invitation of Commonhold") as told:
        Ticket.read(path)
    assert str(path) in told.value.sentence


def test_no_more_is_read_than_an_invitation_can_have(path):
    path.write_bytes(to_json(replace(TICKET, person="x" * LARGEST)))
    with pytest.raises(Damaged):
        Ticket.read(path)


def test_one_without_a_person_lets_the_newcomer_say(path):
    path.write_bytes(to_json({k: v for k, v in msgspec.structs.asdict(TICKET).items() if k != "person"}))
    assert Ticket.read(path).person == ""
