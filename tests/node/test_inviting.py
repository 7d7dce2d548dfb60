"""The number of an invitation is announced while it is open, and not a moment that matters longer: with real mDNS."""

from __future__ import annotations

import asyncio
import time

import pytest

from commonhold.discovery import find_inviter
from commonhold.errors import WrongCode
from commonhold.home import Home
from commonhold.node import founding

from ..conftest import town

pytestmark = pytest.mark.alone  # other tests' nodes announce invitations too

LOOPBACK = ["127.0.0.2"]


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("tower")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


def announced(number, seconds=0.5):
    return [str(address) for address in asyncio.run(find_inviter(number, seconds, LOOPBACK))]


def withdrawn(tower, invitation, home):
    tower.net.withdraw(invitation.number)


def used(tower, invitation, home):
    founding.join(home, f"{invitation.code}@{tower.address}", "bob", "laptop")


def burnt(tower, invitation, home):
    for _ in range(3):
        with pytest.raises(WrongCode):
            founding.join(home, f"{invitation.number}-zoo-zebra@{tower.address}", "bob", "laptop")


def over(tower, invitation, home):
    """By time alone: nobody calls."""


@pytest.mark.parametrize(("end", "minutes"), [(withdrawn, 10), (used, 10), (burnt, 10), (over, 0.1)])
def test_a_number_is_announced_while_its_invitation_is_open(tower, tmp_path, end, minutes):
    invitation = tower.net.invite(minutes=minutes)
    assert announced(invitation.number, 10) == [tower.address]
    end(tower, invitation, Home(tmp_path / "home"))
    deadline = time.monotonic() + 20
    while announced(invitation.number):
        assert time.monotonic() < deadline


def test_a_file_is_not_announced(tower, tmp_path):
    written = tower.net.invite_file(tmp_path / "file")
    assert announced(written.number) == []
