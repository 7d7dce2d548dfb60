"""Somebody who sets a computer's clock back, so that what ended begins again; against real nodes."""

from __future__ import annotations

import os
import time

import pytest

from commonhold.errors import Refused, WrongCode
from commonhold.node import founding

from ..conftest import town

MONTH = 30 * 24 * 3600.0


def test_a_clock_set_back_a_month_revives_neither_a_rule_nor_a_code(tmp_path):
    """A node that knew it was later: to it, this moment is one to which its clock was set back."""
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "a").write_text("a")
    with town(tmp_path) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        laptop.knows("tower", "laptop")
        tower.net.share(tmp_path / "plans")
        tower.cli("allow", "bob", "read", "plans", "--until", "7d")
        tower.cli("group", "add", "friends", "bob")
        tower.cli("allow", "friends", "read", "plans", "--until", "7d")
        assert tower.json("explain", "friends", "read", "plans")["allowed"]
        code = tower.net.invite(minutes=24 * 60).code
        assert [entry.name for entry in laptop.net.ls("tower:plans")] == ["a"]
        tower.down()
        later = time.time() + MONTH
        os.utime(tower.home.clock, (later, later))
        tower.up()
        with pytest.raises(Refused, match="no rule lets bob"):
            laptop.net.ls("tower:plans")
        assert not tower.json("explain", "friends", "read", "plans")["allowed"]
        late = make("late", "eve")
        with pytest.raises(WrongCode):
            founding.join(late.home, f"{code}@{tower.address}", "eve", "late", [late.address])
        assert not [rule for rule in tower.net.rules() if rule.who == "bob"]
        (trouble,) = [each for each in tower.json("doctor", code=1) if each["code"] == "clock-back"]
        assert str(tower.home.clock) in trouble["cure"]
        tower.down()
        tower.home.clock.unlink()  # the way out, for whoever had set the clock ahead by mistake
        tower.up()
        assert [entry.name for entry in laptop.net.ls("tower:plans")] == ["a"]


def test_a_member_that_dates_its_words_to_a_far_year_moves_nobodys_clock(tmp_path):
    """No time that another computer says is believed: facts and swaps carry none that counts."""
    with town(tmp_path) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        before = tower.home.clock.stat().st_mtime
        laptop.down()
        future = time.time() + 20 * 365 * 24 * 3600
        os.utime(laptop.home.clock, (future, future))
        laptop.up()
        assert {member.computer for member in laptop.net.members()} == {"tower", "laptop"}
        assert tower.home.clock.stat().st_mtime < before + 3600
        assert tower.net.invite().code, "codes have ends to come"
