"""Accounts at a server whose clock was set back: an end is one by the time that the server has known already."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.node import founding

from ..conftest import town

PASSWORD = "four plain words here"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Knows that it is thirty days later than the system's clock says."""
    with town(tmp_path_factory.mktemp("people")) as make:
        made = make("tower", "ann")
        founding.create(made.home, "office", "client-server", False, "ann", "tower", [made.address])
        made.home.clock.touch(mode=0o600)
        later = time.time() + 30 * DAY.total_seconds()
        os.utime(made.home.clock, (later, later))
        made.up()
        yield made


def persons(server):
    return {each.person: each for each in server.net.persons()}


def test_an_end_that_the_server_knows_to_be_past_makes_no_guest(server):
    soon = datetime.now(UTC) + DAY
    with pytest.raises(WrongUsage, match="end has come already") as refusal:
        server.net.add_person("gus", PASSWORD, soon)
    assert refusal.value.hint == "give a time to come, such as --until 3d"
    assert "gus" not in persons(server), "no person without the account either"
    known = server.net.add_person("gus", PASSWORD, soon + 31 * DAY)
    assert known.guest
    with pytest.raises(WrongUsage, match="end has come already"):
        server.net.set_password("gus", PASSWORD + "!", soon)
    assert persons(server)["gus"].until == known.until


def test_what_cannot_be_done_to_an_account_changes_nothing(server):
    server.net.add_person("carol", PASSWORD)
    for act, error, sentence in (
        (lambda: server.net.add_person("Carol", PASSWORD), Conflict, "“Carol” belongs to somebody already"),
        (lambda: server.net.add_person("dave", "short"), WrongUsage, "password"),
        (lambda: server.net.add_person("members", PASSWORD), WrongUsage, "members"),
        (lambda: server.net.set_password("nobody", PASSWORD), NotFound, "nobody called “nobody”"),
        (lambda: server.net.set_password("carol", PASSWORD, datetime.now(UTC) + 90 * DAY), WrongUsage, "is no guest"),
        (lambda: server.net.remove_person("nobody"), NotFound, "nobody called “nobody”"),
        (lambda: server.net.invite(person="gus"), Refused, "guests have no computers"),
    ):
        before = persons(server)
        with pytest.raises(error, match=sentence):
            act()
        assert persons(server) == before


def test_a_person_with_a_computer_gets_an_account_and_keeps_the_computer(server):
    assert not persons(server)["ann"].account
    known = server.net.set_password("ann", PASSWORD)
    assert (known.account, known.guest, known.computers) == (True, False, ("tower",))
