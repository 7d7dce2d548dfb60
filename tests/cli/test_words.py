"""Ends and durations as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.cli.words import LONGEST, Duration, Size, Until, moment, seconds

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "amount"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("3d", 259200), ("1w", 604800), (" 2H ", 7200)]
)
def test_durations(text, amount):
    assert seconds(text) == amount


@pytest.mark.parametrize("text", ["", "h", "2", "2y", "-2h", "0m", "2 h", "1.5h", "999999999w", "soon", "٣d2"])
def test_what_is_no_duration(text):
    assert seconds(text) is None


def test_a_moment_with_a_zone_is_that_moment():
    assert moment("2027-01-31T18:00:00+02:00", NOON) == datetime(2027, 1, 31, 16, tzinfo=UTC)
    assert moment("2027-01-31T18:00Z", NOON) == datetime(2027, 1, 31, 18, tzinfo=UTC)


def test_a_moment_without_a_zone_is_local():
    here = datetime(2027, 1, 31, 18).astimezone()
    assert moment("2027-01-31T18:00", NOON) == here
    assert moment("2027-01-31", NOON) == datetime(2027, 1, 31).astimezone()


def test_a_duration_counts_from_now():
    assert moment("3d", NOON) == NOON + timedelta(days=3)


@given(st.text(max_size=30))
def test_no_text_breaks_the_parsing(text):
    found = moment(text, NOON)
    assert found is None or found.tzinfo is UTC
    amount = seconds(text)
    assert amount is None or 0 < amount <= LONGEST


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours))),
)
def test_every_iso_moment_is_understood(when, zone):
    assert moment(when.replace(tzinfo=zone).isoformat(), NOON) == when.replace(tzinfo=zone)


def test_an_end_in_the_past_is_refused():
    with pytest.raises(click.BadParameter, match="lies in the past"):
        Until().convert("2020-01-01", None, None)


def test_an_end_that_is_none_says_how_to_write_one():
    with pytest.raises(click.BadParameter, match="30m, 2h, 3d"):
        Until().convert("tomorrow", None, None)


def test_a_timeout_is_seconds_or_has_a_unit():
    assert Duration().convert("90", None, None) == 90
    assert Duration().convert("2m", None, None) == 120
    with pytest.raises(click.BadParameter, match="no duration"):
        Duration().convert("0", None, None)


@pytest.mark.parametrize(
    ("typed", "octets"),
    [("0", 0), ("1500", 1500), ("1.5kB", 1500), ("10 MB", 10**7), ("2GiB", 2**31), ("3t", 3 * 10**12), ("7B", 7)],
)
def test_sizes_are_powers_of_1000_unless_they_say_otherwise(typed, octets):
    assert Size().convert(typed, None, None) == octets


@pytest.mark.parametrize("typed", ["", "MB", "-1", "1e9", "1 kilo", "\u0661kB", "9" * 400])
def test_what_is_no_size(typed):
    with pytest.raises(click.UsageError):
        Size().convert(typed, None, None)
