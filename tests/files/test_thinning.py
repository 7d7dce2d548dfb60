"""Which versions stay: all for a day, then fewer and fewer, and never more than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonhold.files import thinning
from commonhold.files.thinning import DAY, HOUR, Kept, oldest, surplus

NOW = 1000 * DAY
PLENTY = 10**15
versions = st.lists(
    st.builds(
        Kept,
        st.uuids().map(str),
        st.sampled_from(["a", "b"]),
        st.integers(NOW - 40 * DAY, NOW),
        st.integers(0, 1000),
        st.booleans(),
    ),
    unique_by=lambda version: version.id,
    max_size=60,
)


def edited(*ages: int) -> list[Kept]:
    return [Kept(f"{age / HOUR:g}h", "report.odt", NOW - age, 10, False) for age in ages]


def stay(kept, days=30, most=PLENTY):
    gone = set(surplus(kept, days, most, NOW))
    return [version for version in kept if version.id not in gone]


def test_a_file_edited_all_the_time_keeps_every_version_of_a_day_then_one_an_hour_then_one_a_day():
    today = edited(*(minutes * HOUR // 60 for minutes in range(0, 24 * 60, 10)))
    assert stay(today) == today
    then = edited(*(2 * DAY + minutes * HOUR // 60 for minutes in range(0, 24 * 60, 10)))
    assert len(stay(then)) in {24, 25}
    long_ago = edited(*(10 * DAY + minutes * HOUR // 60 for minutes in range(0, 5 * 24 * 60, 30)))
    assert len(stay(long_ago)) in {5, 6}


def test_the_last_of_an_hour_is_the_one_that_stays():
    noon = NOW - 3 * DAY
    first, last = (
        Kept(name, "a", noon + minutes * HOUR // 60, 1, False) for name, minutes in (("first", 5), ("last", 55))
    )
    assert stay([first, last]) == [last]


@given(versions, st.integers(0, 40), st.integers(0, 10_000))
def test_nothing_stays_too_long_nor_takes_too_much_and_what_was_deleted_stays_while_there_is_room(kept, days, most):
    left = stay(kept, days, most)
    assert sum(version.size for version in left) <= most
    assert all(NOW - version.at < days * DAY for version in left)
    roomy = stay(kept, days)
    assert all(v in roomy for v in kept if v.deleted and NOW - v.at < days * DAY)
    assert all(v in roomy for v in kept if NOW - v.at < min(days, 1) * DAY)


@given(versions, st.integers(0, 10_000))
def test_where_room_is_short_no_older_version_outlives_a_newer_one_that_had_no_room(kept, most):
    left = stay(kept, most=most)
    short = [version.at for version in stay(kept) if version not in left and version.size <= most]
    assert all(version.at >= max(short) for version in left if version.size and short)


@given(versions)
def test_what_was_thinned_is_thin_the_next_time_too(kept):
    left = stay(kept)
    assert stay(left) == left


@given(versions, st.integers(0, 10_000))
def test_for_a_full_disk_only_what_is_older_than_a_day_is_given_up_the_oldest_first(kept, wanted):
    gone = oldest(kept, wanted, NOW)
    given_up = [version for version in kept if version.id in gone]
    rest = [version for version in kept if version.id not in gone and NOW - version.at >= DAY]
    assert all(NOW - version.at >= DAY for version in given_up)
    assert sum(version.size for version in given_up) >= wanted or not rest
    assert max((v.at for v in given_up), default=0) <= min((v.at for v in rest), default=NOW)


def test_a_small_file_that_is_overwritten_for_ever_fills_no_disk(monkeypatch):
    monkeypatch.setattr(thinning, "MOST", 3)
    kept = [Kept(str(number), "a", number, 0, False) for number in range(5)]
    assert sorted(surplus(kept, 30, 10**9, now=5)) == ["0", "1"]
