"""Doors opened and refused leave one line for each visitor, verb and door in a quarter of an hour."""

from __future__ import annotations

import pytest

from commonhold.authority.authority import Door, Verb, permit
from commonhold.authority.visits import QUARTER, Visits
from commonhold.errors import Refused

from .suite import ANN, BOB, Casa, fingerprint

PHOTOS = Door(kind="share", id="1" * 32, name="photos", owner=ANN)


@pytest.fixture
def casa():
    """tower with a clock and its lines; bob may read."""
    made = Casa("peer")
    made.lines, made.clock = [], 0.0
    made.authority.note = Visits(
        lambda event, **words: made.lines.append((event, words)), fingerprint("tower"), lambda: made.clock
    )
    made.allow(BOB, Verb.READ, PHOTOS)
    return made


def knocks(casa, computer, verb, door=PHOTOS):
    try:
        permit(casa.authority, casa.authority.who(fingerprint(computer)), verb, door)
    except Refused:
        return False
    return True


def test_a_visit_is_one_line_however_much_is_read(casa):
    for _ in range(100):
        assert knocks(casa, "laptop", Verb.READ)
    assert casa.lines == [("door opened", {"person": "bob", "computer": "laptop", "verb": "read", "door": "photos"})]
    casa.clock = QUARTER
    assert knocks(casa, "laptop", Verb.READ)
    assert len(casa.lines) == 2


def test_a_refusal_says_why_and_is_not_hidden_by_what_was_allowed(casa):
    assert knocks(casa, "laptop", Verb.READ)
    assert not knocks(casa, "laptop", Verb.WRITE)
    assert not knocks(casa, "desk", Verb.READ)
    assert [event for event, _ in casa.lines] == ["door opened", "door refused", "door refused"]
    assert casa.lines[1][1]["reason"]
    assert casa.lines[2][1]["person"] == "carol"


def test_who_asks_for_many_doors_that_do_not_exist_leaves_one_line(casa):
    for number in range(50):
        assert not knocks(casa, "laptop", Verb.READ, Door(kind="share", id="", name=f"guess{number}", owner=ANN))
    assert [words["door"] for _, words in casa.lines] == ["guess0"]


def test_what_is_done_at_ones_own_computer_is_no_visit(casa):
    assert knocks(casa, "tower", Verb.WRITE)
    assert casa.lines == []


def test_to_be_refused_the_say_is_a_visit_and_to_have_it_is_none(casa):
    compute = Door(kind="compute", id="compute", name="compute", owner=ANN)
    assert knocks(casa, "tablet", Verb.GOVERN, compute), "ann's own"
    assert not knocks(casa, "laptop", Verb.GOVERN, compute)
    assert [(event, words["verb"]) for event, words in casa.lines] == [("door refused", "govern")]


def test_how_long_people_pause_is_told_in_sums_once_the_quarter_is_over(casa):
    for moment in (0, 0.2, 10, 10.5, 30):  # two requests that a program makes at once are one
        casa.clock = moment
        assert knocks(casa, "laptop", Verb.READ)
    assert [event for event, _ in casa.lines] == ["door opened"]
    casa.clock = 3 * QUARTER  # after a long silence somebody has come back, and did not think for so long
    assert knocks(casa, "laptop", Verb.READ)
    assert casa.lines[1] == ("pauses", {"people": 1, "pauses": 2, "seconds": 14.65})
    casa.clock = 4 * QUARTER
    assert knocks(casa, "laptop", Verb.READ)
    assert [event for event, _ in casa.lines].count("pauses") == 1
