"""The time that ends things: it goes on, whatever is done to the system's clock."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.clock import LAST, NOTED, Timepiece

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
MONTH = 30 * 24 * 3600.0


class Clocks:
    """A wall clock that can be set, and a steady one."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 500.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    def timepiece(self, file) -> Timepiece:
        return Timepiece(file, lambda: self.wall, lambda: self.steady)


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "clock"
    made.touch()
    os.utime(made, (NOON - 1000, NOON - 1000))
    return made


def test_it_is_the_time_of_the_system(clocks, file):
    timepiece = clocks.timepiece(file)
    assert timepiece.now() == datetime.fromtimestamp(NOON, UTC)
    clocks.passes(7)
    assert timepiece.now().timestamp() == NOON + 7
    clocks.wall += MONTH  # a computer without a battery has asked for the time
    assert timepiece.now().timestamp() == NOON + 7 + MONTH
    assert timepiece.behind == 0


def test_set_back_it_goes_on_from_where_it_was(clocks, file):
    timepiece = clocks.timepiece(file)
    timepiece.now()
    clocks.wall -= MONTH
    assert timepiece.now().timestamp() == NOON
    clocks.passes(10)
    assert timepiece.now().timestamp() == NOON + 10
    assert timepiece.behind == MONTH


def test_its_memory_may_be_removed_while_it_goes(clocks, file):
    """As whoever set the clock ahead by mistake is told to."""
    timepiece = clocks.timepiece(file)
    file.unlink()
    clocks.passes(2 * NOTED)
    assert timepiece.now().timestamp() == NOON + 2 * NOTED


def test_set_back_while_the_node_is_off_it_goes_on_too(clocks, file):
    timepiece = clocks.timepiece(file)
    clocks.passes(NOTED + 1)
    timepiece.now()  # noted by itself: no end of the node is needed
    clocks.wall -= MONTH
    again = clocks.timepiece(file)
    assert again.now().timestamp() == pytest.approx(NOON + NOTED + 1, abs=1e-3)
    file.unlink()  # the way out, for whoever had set the clock ahead by mistake
    file.touch()
    os.utime(file, (clocks.wall, clocks.wall))
    assert clocks.timepiece(file).now().timestamp() == pytest.approx(clocks.wall, abs=1e-3)


def test_the_file_is_its_owners_alone(clocks, tmp_path):
    clocks.timepiece(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e12, 1e12)), max_size=20))
def test_it_never_goes_back_and_never_stands_still(tmp_path_factory, steps):
    clocks = Clocks()
    file = tmp_path_factory.mktemp("clock") / "clock"
    timepiece = clocks.timepiece(file)
    before = timepiece.now().timestamp()
    for seconds, jump in steps:
        clocks.passes(seconds)
        clocks.wall += jump
        now = timepiece.now().timestamp()
        assert now >= min(before + seconds, LAST) - 1e-3
        before = now
