"""Which versions stay: all for a day, then fewer and fewer, and never more than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonhold.files import thinning
from commonhold.files.thinning import DAY, HOUR, Kept, oldest, parts, surplus

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
        st.sampled_from(["ann", "bob", "carol"]),
    ),
    unique_by=lambda version: version.id,
    max_size=60,
)


def edited(*ages: int) -> list[Kept]:
    return [Kept(f"{age / HOUR:g}h", "report.odt", NOW - age, 10, False) for age in ages]


def stay(kept, days=30, most=PLENTY, *, spacious=False):
    gone = set(surplus(kept, days, most, NOW, spacious=spacious))
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
def test_where_room_is_short_no_older_version_of_a_person_outlives_a_newer_one_that_had_no_room(kept, most):
    left = stay(kept, most=most)
    for person in ("ann", "bob", "carol"):
        short = [v.at for v in stay(kept) if v.person == person and v not in left and v.size <= most]
        assert all(v.at >= max(short) for v in left if v.person == person and v.size and short)


def weight(kept, person):
    return sum(version.size for version in kept if version.person == person)


@given(versions, st.integers(0, 10_000))
def test_nobody_loses_a_version_while_somebody_else_takes_more_of_the_room(kept, most):
    left = stay(kept, most=most)
    short = [version for version in stay(kept, most=most + PLENTY) if version not in left and 0 < version.size <= most]
    for version in short:
        largest = max(weight(left, each) for each in ("ann", "bob", "carol"))
        assert weight(left, version.person) + sum(v.size for v in short if v.person == version.person) >= largest
    for person in ("ann", "bob", "carol"):
        if weight(stay(kept), person) <= most // 3:  # an equal part is everybody's
            assert not [version for version in short if version.person == person]


def test_who_overwrites_without_end_pushes_out_nothing_but_their_own():
    theirs = Kept("thesis", "thesis.odt", NOW - 29 * DAY, 400, False, "bob")
    flood = [Kept(str(number), f"junk{number}", NOW - number, 100, True, "carol") for number in range(1000)]
    left = stay([theirs, *flood], most=1000)
    assert left == [theirs, *flood[:6]]


@given(versions, st.integers(0, 10_000))
def test_with_a_spacious_disk_what_went_within_a_day_stays_and_the_rest_has_the_room(kept, most):
    left = stay(kept, most=most, spacious=True)
    assert all(version in left for version in kept if NOW - version.at < DAY)
    assert sum(version.size for version in left if NOW - version.at >= DAY) <= most


@given(versions)
def test_what_was_thinned_is_thin_the_next_time_too(kept):
    left = stay(kept)
    assert stay(left) == left


@given(versions, st.integers(0, 10_000))
def test_for_a_full_disk_only_what_is_older_than_a_day_is_given_up_the_oldest_of_whoever_has_most(kept, wanted):
    gone = oldest(kept, wanted, NOW)
    given_up = [version for version in kept if version.id in gone]
    rest = [version for version in kept if version.id not in gone and NOW - version.at >= DAY]
    assert all(NOW - version.at >= DAY for version in given_up)
    assert sum(version.size for version in given_up) >= wanted or not any(version.size for version in rest)
    for person in ("ann", "bob", "carol"):
        theirs = [v.at for v in given_up if v.person == person]
        assert max(theirs, default=0) <= min((v.at for v in rest if v.person == person), default=NOW)
        if theirs:
            last = min((v for v in given_up if v.person == person), key=lambda v: -v.at)
            assert weight(rest, person) + last.size >= max(weight(rest, each) for each in ("ann", "bob", "carol"))


@given(st.dictionaries(st.text(max_size=2), st.integers(0, 100)), st.integers(0, 300))
def test_of_what_is_short_everybody_gets_what_they_want_or_an_equal_part(wanted, most):
    given_out = parts(wanted, most)
    assert sum(given_out.values()) == min(most, sum(wanted.values()))
    assert all(given_out[who] == wanted[who] or given_out[who] >= most // len(wanted) for who in wanted)


def test_a_small_file_that_is_overwritten_for_ever_fills_no_disk(monkeypatch):
    monkeypatch.setattr(thinning, "MOST", 3)
    kept = [Kept(str(number), "a", number, 0, False) for number in range(5)]
    assert sorted(surplus(kept, 30, 10**9, now=5)) == ["0", "1"]
