"""Advice: which rule decides, what would change it, and that no number moves it the wrong way."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.plan.advise import EITHER, Advice, accepted, advise, judge, measure_first
from commonhold.plan.explain import explained
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.reach.imagined import Imagined
from commonhold.plan.seeded import advised, chance
from commonhold.plan.values.cost import break_even, cost, difference, tornado
from commonhold.plan.values.scenario import Scenario, told

SERVER, PEERS = Shape.CLIENT_SERVER, Shape.PEER_TO_PEER


def scenario(workload: str = "office", **numbers: float) -> Scenario:
    return Scenario(told(numbers), workload)


@cache
def found(workload: str = "office", **numbers: float) -> Advice:
    """Advice that several tests look at."""
    return advised(scenario(workload, **numbers))


def verdict(workload: str = "office", **numbers: float) -> str:
    return judge(scenario(workload, **numbers), chance).verdict


def test_a_few_computers_of_a_home_need_no_server():
    advice = found(computers=3)
    assert advice.verdict == PEERS
    assert advice.sentence == "Peer-to-peer, for 3 computers and 3 people: it is cheaper."
    assert len(advice.reasons) == 3
    assert [score.about for score in advice.scores] == ["performance", "cost", "exposure", "accidents"]


def test_one_place_that_shuts_anybody_out_is_a_server_whatever_it_costs():
    assert advised(scenario(computers=3, strict=1)).verdict == SERVER
    assert advised(scenario(computers=3, strict=1, server=1e6)).sentence.endswith("out of everything.")


def test_only_one_shape_keeps_the_wait_that_people_accept():
    hot = {"computers": 20, "hot": 0.9, "link": 20, "think": 5, "strength": 8}
    assert judge(scenario("media", **hot), chance) == (SERVER, "performance")
    even = {"computers": 20, "hot": 0.0, "link": 100, "think": 5, "strength": 1}
    assert judge(scenario("media", **even), chance) == (PEERS, "performance")


def test_where_nothing_decides_either_will_do_and_it_is_said_what_to_measure_first():
    advice = found(computers=30)
    assert advice.verdict == EITHER
    assert advice.measure_first.endswith("it could change the advice")


def test_either_says_what_to_do_in_doubt():
    assert found(computers=30).sentence == (
        "Either, for 30 computers and 30 people: both are fast enough, and neither is surely cheaper;"
        " if in doubt peer-to-peer, cheaper in most cases."
    )
    slow = advised(scenario("media", computers=30, link=1, hot=1, think=1))
    assert slow.verdict == EITHER
    assert "both are as slow" in slow.sentence


def test_one_computer_serves_whoever_has_none_or_nobody():
    assert advised(scenario(computers=1)).sentence.endswith("whose owner is alone, nobody has to be served.")
    assert advised(scenario(computers=1, people=4)).verdict == SERVER
    few = advised(scenario(computers=3, people=4))
    assert few.warnings == ("1 person has no computer: only a server gives accounts to people without one.",)
    assert not advised(scenario(computers=3, people=4, strict=1)).warnings


def test_who_starts_a_long_task_does_not_expect_it_at_once():
    assert accepted(scenario("office")) == 1
    assert accepted(scenario("compute")) == pytest.approx(8, rel=0.01)
    assert accepted(scenario("compute", response=1)) == 1, "who says so is believed"
    advice = advised(scenario("compute", computers=3))
    assert advice.sentence.endswith("it is cheaper.")
    said = next(each for each in advice.assumptions if "(response)" in each)
    assert said == "mean wait that people accept (response): 8 s, 2 times what a request takes when nobody else asks"


def test_exposure_is_that_of_the_network_where_there_is_one():
    live = Imagined(computers=5, letting="invited", colleagues=2).exposure()
    (found,) = [each for each in advise(scenario(computers=5), chance, live).scores if each.about == "exposure"]
    assert found.sentence.startswith("As the rules of this network stand, a stolen key or password destroys 36% of")
    assert "at worst 100% (computer 1" in found.sentence


def test_the_point_at_which_the_advice_changes_is_where_it_changes():
    advice = found(computers=5)
    (change,) = [each for each in advice.changes if "computers" in each]
    other, number = change.split(" from ")[0], int(change.split(" from ")[1].split()[0])
    assert verdict(computers=number) == other
    assert verdict(computers=number - 1) == PEERS


def test_what_was_measured_bounds_how_far_it_looks():
    advice = advised(scenario(computers=5, measured=2))
    assert not [each for each in advice.changes if "computers up" in each]
    assert advised(scenario(computers=9, measured=2)).warnings


def test_the_same_scenario_the_same_words():
    assert advised(scenario(computers=30)) == found(computers=30)


def test_a_measured_value_is_no_longer_the_first_to_measure():
    before = measure_first(scenario(computers=12), judge(scenario(computers=12), chance), chance)
    assert "server_outage" in before
    known = scenario(computers=12, server_outage=8)
    assert "server_outage" not in measure_first(known, judge(known, chance), chance)


def leaning(verdict: str) -> int:
    return {PEERS: -1, EITHER: 0, SERVER: 1}[verdict]


NETWORKS = st.fixed_dictionaries(
    {
        "computers": st.integers(1, 60).map(float),
        "hot": st.floats(0, 1),
        "strength": st.floats(0.5, 8),
        "link": st.floats(10, 1000),
        "response": st.floats(0.05, 3),
    }
)
KINDS = st.sampled_from(["office", "fileserver", "media", "compute"])


@settings(max_examples=30, deadline=None)
@given(NETWORKS, KINDS, st.floats(1.5, 10))
def test_a_dearer_server_never_speaks_for_a_server(numbers, kind, times):
    cheap = verdict(kind, **numbers, server=1500)
    assert leaning(verdict(kind, **numbers, server=1500 * times)) <= leaning(cheap)


@settings(max_examples=30, deadline=None)
@given(NETWORKS, KINDS, st.floats(1.1, 5))
def test_a_faster_server_never_speaks_for_peers(numbers, kind, times):
    fast = verdict(kind, **{**numbers, "strength": numbers["strength"] * times})
    assert leaning(fast) >= leaning(verdict(kind, **numbers))


@settings(max_examples=30, deadline=None)
@given(NETWORKS, KINDS, st.floats(1.5, 10))
def test_dearer_care_of_peers_never_speaks_for_peers(numbers, kind, times):
    dear = verdict(kind, **numbers, computer_care=times)
    assert leaning(dear) >= leaning(verdict(kind, **numbers, computer_care=1))


@settings(max_examples=30, deadline=None)
@given(NETWORKS, KINDS)
def test_who_must_shut_out_always_gets_a_server(numbers, kind):
    assert verdict(kind, **numbers, strict=1) == SERVER


def test_costs_add_up_and_their_range_holds_their_middle():
    here = scenario(computers=12)
    for shape in Shape:
        assert cost(here, shape).whole == sum(cost(here, shape))
    spread = difference(here, chance())
    assert spread.low < spread.middle < spread.high
    assert difference(here, chance()) == spread


def test_many_pairs_make_peers_dear_and_from_where_on():
    far = scenario(pair_care=10, server_outage=1)
    number = break_even(far, 200)
    assert number is not None
    dearer = [
        cost(far.but(computers=n), SERVER).whole < cost(far.but(computers=n), PEERS).whole for n in (number - 1, number)
    ]
    assert dearer == [False, True]
    assert break_even(scenario(pair_care=0, computer_care=0, awake=0, computer_outage=0), 50) is None
    assert break_even(scenario(server=0, server_care=0, server_outage=0, person_care=0, server_watts=0), 50) == 1


def test_the_tornado_begins_with_what_matters_most():
    swings = [abs(high - low) for _, low, high in tornado(scenario(computers=12))]
    assert swings == sorted(swings, reverse=True)
    assert tornado(scenario(computers=12))[0][0] == "server_outage"


def test_the_formulas_come_with_their_numbers():
    text = "\n".join(explained(scenario("media", computers=12, link=100)))
    assert "knee N* = (D + Z) / Dmax = (0.6176 + 20)" in text
    assert text.count("mean value analysis") == 2


@pytest.mark.parametrize(
    ("kind", "computers"),
    [("office", 1), ("fileserver", 2), ("media", 60), ("compute", 1), ("media", 2), ("compute", 60)],
)
def test_there_is_advice_for_every_workload_and_size(kind, computers):
    advice = advised(scenario(kind, computers=computers))
    assert advice.verdict in {*Shape, EITHER}
    assert not any("nan" in reason or "inf" in reason for reason in advice.reasons)
