"""How cores are divided among those who want them, and how many sessions each may have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.fairness import MOST_OF_ONE, MOST_PERSONS, MOST_SESSIONS, divided, has_room, portions

CORES = st.integers(1, 64)
WANTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 100), max_size=8)
TURN = st.integers(0, 1000)
SESSIONS = st.dictionaries(
    st.sampled_from(["ann", "bob", "carol", "dora", "emil"]),
    st.dictionaries(st.integers(1, 4), st.integers(0, 64), max_size=4),
    max_size=5,
).map(lambda wants: {who: {f"{who} {n}": cores for n, cores in each.items()} for who, each in wants.items()})
LIMITS = st.dictionaries(st.sampled_from(["ann", "bob", "carol"]), st.integers(1, 8), max_size=3)


def test_half_each_and_all_for_whoever_is_alone():
    assert portions(8, {"ann": {"s": 200}, "bob": {"t": 200}}, {}) == {"s": 4, "t": 4}
    assert portions(8, {"ann": {"s": 200}, "bob": {"t": 0}}, {}) == {"s": 8, "t": 0}
    assert portions(8, {"ann": {"s": 200}, "bob": {"t": 1}}, {}) == {"s": 7, "t": 1}


def test_three_sessions_of_one_person_count_as_one_person():
    assert portions(6, {"ann": {"a": 9, "b": 9, "c": 9}, "bob": {"t": 9}}, {}) == {"a": 1, "b": 1, "c": 1, "t": 3}


def test_on_two_cores_three_persons_have_one_each():
    assert portions(2, {who: {who: 9} for who in "abc"}, {}) == {"a": 1, "b": 1, "c": 1}


def test_two_sessions_of_one_person_take_turns_at_the_one_core_that_is_theirs():
    wants = {"ann": {"a": 9, "b": 9}, "bob": {"t": 9}}
    assert [portions(2, wants, {}, turn) for turn in (0, 1)] == [{"a": 1, "b": 0, "t": 1}, {"a": 0, "b": 1, "t": 1}]


def test_what_does_not_divide_evenly_goes_round():
    turns = [divided(3, {"ann": 9, "bob": 9}, turn) for turn in range(2)]
    assert turns == [{"ann": 2, "bob": 1}, {"ann": 1, "bob": 2}]


def test_a_limit_leaves_the_rest_to_others():
    assert portions(8, {"ann": {"s": 9}, "bob": {"t": 9}}, {"ann": 1}) == {"s": 1, "t": 7}
    assert portions(8, {"ann": {"s": 9}}, {"ann": 2}) == {"s": 2}


@given(CORES, WANTS, TURN)
def test_all_is_given_out_that_somebody_wants_and_nothing_more(cores, wants, turn):
    parts = divided(cores, wants, turn)
    assert parts.keys() == wants.keys()
    assert all(0 <= parts[each] <= wants[each] for each in wants)
    assert sum(parts.values()) == min(cores, sum(wants.values()))


@given(CORES, WANTS, TURN)
def test_whoever_got_less_than_another_by_more_than_one_did_not_want_more(cores, wants, turn):
    parts = divided(cores, wants, turn)
    for one in wants:
        assert parts[one] == wants[one] or all(parts[one] >= parts[other] - 1 for other in wants)


@given(CORES, SESSIONS, LIMITS, TURN)
def test_every_person_who_wants_a_core_has_one_and_no_person_more_than_another_but_one(cores, sessions, most, turn):
    given_out = portions(cores, sessions, most, turn)
    parts = {who: sum(given_out[each] for each in theirs) for who, theirs in sessions.items()}
    wanted = {who: min(sum(theirs.values()), most.get(who, cores)) for who, theirs in sessions.items()}
    wanting = sum(each > 0 for each in wanted.values())
    assert sum(parts.values()) == min(max(cores, wanting), sum(wanted.values()))
    for who, part in parts.items():
        assert part >= min(1, wanted[who])
        assert part == wanted[who] or all(part >= other - 1 for other in parts.values())


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_in_turn_everybody_has_as_much(cores, persons, sessions):
    """Over as many turns as there are sessions in all, each session of a person has had the same."""
    wants = {who: {(who, n): 99 for n in range(sessions)} for who in range(persons)}
    had = dict.fromkeys([each for theirs in wants.values() for each in theirs], 0)
    for turn in range(persons * sessions):
        for each, part in portions(cores, wants, {}, turn).items():
            had[each] += part
    assert max(had.values()) - min(had.values()) <= persons * sessions


def test_one_person_cannot_take_all_sessions():
    sessions = {"mallory": 0}
    while has_room(sessions, "mallory"):
        sessions["mallory"] += 1
    assert sessions == {"mallory": MOST_OF_ONE}
    assert has_room(sessions, "ann")


def test_four_who_took_all_leave_one_to_everybody_else():
    sessions = dict.fromkeys("abcd", MOST_OF_ONE)
    assert sum(sessions.values()) == MOST_SESSIONS
    assert not has_room(sessions, "a")
    assert has_room(sessions, "ann")
    assert not has_room({**sessions, "ann": 1}, "ann")


def test_there_is_an_end_to_persons():
    assert not has_room(dict.fromkeys(range(MOST_PERSONS), 1), "ann")
