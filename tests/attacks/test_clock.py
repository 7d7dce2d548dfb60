"""Somebody who sets a computer's clock back, so that what ended begins again; against real nodes."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import Refused, WrongCode
from commonhold.home import Home
from commonhold.node import founding

from ..conftest import free_address, town

MONTH = 30 * 24 * 3600.0


@pytest.fixture(scope="module")
def casa(tmp_path_factory):
    """tower of ann and laptop of bob."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        laptop.knows("tower", "laptop")
        yield tower, laptop


def test_a_clock_set_back_a_month_revives_neither_a_rule_nor_a_code(casa, tmp_path):
    """A node that knew it was later: to it, this moment is one to which its clock was set back."""
    tower, laptop = casa
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a").write_text("a")
    tower.net.share(tmp_path / "plans")
    week = datetime.now(UTC) + timedelta(days=7)
    tower.net.group_add("friends", "bob")
    for each in ("bob", "friends"):
        tower.net.allow(each, "read", "plans", week)
    assert tower.net.explain("friends", "read", "plans").allowed
    code = tower.net.invite(minutes=24 * 60).code
    assert [entry.name for entry in laptop.net.ls("tower:plans")] == ["a"]
    tower.down()
    later = time.time() + MONTH
    os.utime(tower.home.clock, (later, later))
    tower.up()
    with pytest.raises(Refused, match="no rule lets bob"):
        laptop.net.ls("tower:plans")
    assert not tower.net.explain("friends", "read", "plans").allowed
    with pytest.raises(WrongCode):
        founding.join(Home(tmp_path / "late"), f"{code}@{tower.address}", "eve", "late", [free_address("127.0.0.2")])
    assert not [rule for rule in tower.net.rules() if rule.who == "bob"]
    (trouble,) = [each for each in tower.net.doctor() if each.code == "clock-back"]
    assert str(tower.home.clock) in trouble.cure
    tower.down()
    tower.home.clock.unlink()  # the way out, for whoever had set the clock ahead by mistake
    tower.up()
    assert [entry.name for entry in laptop.net.ls("tower:plans")] == ["a"]


def test_a_member_that_dates_its_words_to_a_far_year_moves_nobodys_clock(casa):
    """No time that another computer says is believed: facts and swaps carry none that counts."""
    tower, laptop = casa
    laptop.down()
    future = time.time() + 20 * 365 * 24 * 3600
    os.utime(laptop.home.clock, (future, future))
    laptop.up()
    assert {member.computer for member in laptop.net.members()} == {"tower", "laptop"}
    assert tower.home.clock.stat().st_mtime < time.time() + 3600
    assert tower.net.invite().code, "codes have ends to come"
