"""What the models say of a scenario: the same as the parts they are made of, and only what makes sense."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import pooled_wait
from commonhold.plan.queues.shapes import Shape, respond
from commonhold.plan.seeded import modelled
from commonhold.plan.values.amounts import time
from commonhold.plan.values.scenario import Scenario, told


def scenario(workload: str = "office", **numbers: float) -> Scenario:
    return Scenario(told(numbers), workload)


def test_both_shapes_for_each_number_of_people():
    here = scenario("media", computers=12, link=100)
    found = modelled(here, [24, 1, 12])
    assert [course.shape for course in found.courses] == list(Shape)
    for course in found.courses:
        assert [each.people for each in course.expected] == [1, 12, 24]
        assert course.expected[1].response == respond(here.fleet(), course.shape, 12)
        assert course.expected[1].busiest in {"server's link", "busiest computer's link"}
    assert [each.people for each in modelled(here).courses[0].expected] == [12]


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["office", "fileserver", "media"]),
    st.integers(1, 40),
    st.integers(1, 300),
    st.floats(0, 1),
    st.floats(1, 1000),
)
def test_what_is_said_lies_between_its_bounds(kind, computers, people, hot, link):
    here = scenario(kind, computers=computers, hot=hot, link=link, cores=1)
    for course in modelled(here, [people]).courses:
        (found,) = course.expected
        assert found.least_throughput <= found.throughput * (1 + 1e-9)
        assert found.throughput <= found.most_throughput * (1 + 1e-9)
        assert found.least_response <= found.response * (1 + 1e-9)
        assert found.response <= found.most_response * (1 + 1e-9)
        assert found.slowdown >= 1


def test_percentiles_come_from_a_simulation_that_agrees():
    here = scenario("media", computers=12, link=100)
    for course in modelled(here, [24], percentiles=True).courses:
        (found,) = course.expected
        assert found.spread.mean == pytest.approx(found.response, rel=0.1)
        assert found.spread.p50 < found.spread.mean < found.spread.p95 < found.spread.p99
        assert found.spread.within < found.spread.mean / 10
    assert modelled(here, [24], percentiles=True) == modelled(here, [24], percentiles=True)


def test_tasks_share_all_processors_and_half_of_them_is_what_guests_may_count_on():
    here = scenario("compute", computers=5, cores=4)
    few, many = modelled(here, [8, 40]).pools
    assert (few.processors, few.half, many.half) == (20, True, False)
    task = here["computing"]  # with its start
    assert many.waits == pooled_wait(20, many.running / task, task) < many.apart
    assert modelled(scenario("office")).pools == ()


def test_one_file_for_everybody_comes_from_the_one_who_has_it():
    """Ten others at 80 Mbit/s, 10 MB a second: a gigabyte takes 100 s for each."""
    found = modelled(scenario(computers=11, link=80, strength=4)).spreading
    assert (found.peer, found.server, found.passing_on) == pytest.approx((1000, 250, 100))
    assert modelled(scenario(computers=1)).spreading is None


def test_costs_are_those_of_the_advice_with_where_it_changes():
    found = modelled(scenario(computers=12)).money
    assert found.break_even == 105
    assert found.swings[0].name == "server_outage"
    assert found.dearer.low < found.dearer.middle < found.dearer.high


def test_what_goes_far_beyond_what_was_measured_is_a_guess():
    here = scenario(computers=12, measured=5)
    assert modelled(here, [20]).warnings == ()
    (warning,) = modelled(here, [1, 21]).warnings
    assert "21 is more than 4 times the largest load that was measured (5)" in warning


@pytest.mark.parametrize("people", [[0], [3, -1], [2_000_000], list(range(1, 300))])
def test_numbers_of_people_that_make_no_sense(people):
    with pytest.raises(WrongUsage):
        modelled(scenario(), people)


def test_how_times_are_said():
    assert [time(each) for each in (0.0, 1e-9, 0.5, 7200, inf)] == [
        "0.0 ms", "less than 0.1 ms", "500 ms", "2.0 h", "without end",
    ]  # fmt: skip
