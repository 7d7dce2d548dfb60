"""The terms of lending: what they say at which hour of the day."""

from __future__ import annotations

from contextlib import suppress
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.terms import DAY, Hours, closed
from commonhold.errors import WrongUsage
from commonhold.home import LendingTerms

NOON = time(12)

minutes = st.integers(0, DAY - 1)
parts = st.tuples(minutes, st.integers(0, DAY)).filter(lambda part: part[0] != part[1]).map(lambda part: Hours(*part))


def clock(minute: int) -> time:
    return time(minute // 60, minute % 60)


@given(parts, minutes)
def test_hours_include_what_a_walk_from_their_beginning_meets_before_their_end(hours, minute):
    """Over midnight too: the walk goes round."""
    length = (hours.ends - hours.begins) % DAY or DAY
    assert hours.include(clock(minute)) == ((minute - hours.begins) % DAY < length)


@given(parts)
def test_hours_begin_with_their_first_minute_and_end_before_their_last(hours):
    assert hours.include(clock(hours.begins))
    assert hours.include(clock((hours.ends - 1) % DAY))
    whole_day = (hours.begins, hours.ends) == (0, DAY)
    assert hours.include(clock(hours.ends % DAY)) == whole_day


@given(parts.filter(lambda hours: hours.ends < DAY), minutes)
def test_hours_and_the_hours_between_them_are_the_day(hours, minute):
    rest = Hours(hours.ends, hours.begins)
    assert hours.include(clock(minute)) != rest.include(clock(minute))


@given(parts)
def test_hours_come_back_as_they_were_written(hours):
    assert Hours.parse(str(hours)) == hours


@pytest.mark.parametrize(
    ("typed", "kept"), [("19-7", "19-7"), ("08:30-17:00", "8:30-17"), ("0-24", "0-24"), ("22:05-06", "22:05-6")]
)
def test_hours_as_people_type_them(typed, kept):
    assert str(Hours.parse(typed)) == kept


@pytest.mark.parametrize(
    "typed",
    ["", "7", "19", "-7", "25-7", "19-25", "24-7", "9-9", "9:60-10", "9-24:01", "9/17", "night", "9-17-18", "9 - 17"],
)
def test_what_are_no_hours_is_refused_with_what_to_write(typed):
    with pytest.raises(WrongUsage) as wrong:
        Hours.parse(typed)
    assert wrong.value.hint == "write 19-7, 8:30-17, or always"


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_hours(text):
    with suppress(WrongUsage):
        assert Hours.parse(str(Hours.parse(text))) == Hours.parse(text)


def test_always_lends_whoever_is_there():
    assert closed(LendingTerms(), NOON, used=True) == ""


def test_never_is_never():
    assert closed(LendingTerms("never"), NOON, used=False) == "lends nothing now"


def test_idle_lends_while_nobody_is_there():
    terms = LendingTerms("idle")
    assert closed(terms, NOON, used=False) == ""
    assert closed(terms, NOON, used=True) == "is in use, and lends only while it is not"


def test_hours_hold_for_idle_too_and_over_midnight():
    terms = LendingTerms("idle", hours="19-7:30")
    assert closed(terms, time(7, 29), used=False) == ""
    assert closed(terms, time(7, 30), used=False) == "lends only from 19:00 to 7:30"
    assert "in use" in closed(terms, time(23), used=True)


@given(st.builds(LendingTerms, hours=parts.map(str)), minutes)
def test_who_lends_always_within_hours_lends_in_these(terms, minute):
    assert (not closed(terms, clock(minute), used=True)) == Hours.parse(terms.hours).include(clock(minute))
