"""Means of closed networks, against what is known in closed form."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import factorial, inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import (
    MOST_EXACT,
    Station,
    approximate,
    bottleneck,
    bounds,
    erlang_c,
    exact,
    knee,
    loads,
    pooled_wait,
    total,
)
from commonhold.plan.queues.simulate import Facility, Route, closed, exponential

DEMANDS = st.floats(0.001, 2.0)
STATIONS = st.lists(
    st.builds(Station, st.just("any"), DEMANDS, st.integers(1, 4), st.integers(1, 3), st.just(1.0)),
    min_size=1,
    max_size=5,
)


def machine_repair(demand: float, think: float, people: int) -> float:
    """Throughput of M/M/1//N: the chance that the server is busy, by its rate (any textbook)."""
    ratio = demand / think
    weights = [factorial(people) / factorial(people - n) * ratio**n for n in range(people + 1)]
    return (1 - weights[0] / sum(weights)) / demand


def balanced(demand: float, count: int, people: int) -> float:
    """Throughput of equal stations without thought: N / (N + K - 1) / D."""
    return people / (people + count - 1) / demand


@pytest.mark.parametrize("people", [1, 2, 10, 50])
def test_one_station_agrees_with_the_machine_repair_model(people):
    found = exact([Station("link", 0.1)], people, think=1.0)[-1]
    assert found.throughput == pytest.approx(machine_repair(0.1, 1.0, people), rel=1e-9)


@pytest.mark.parametrize("people", [1, 3, 40])
def test_equal_stations_agree_with_the_closed_form(people):
    found = exact([Station("disk", 0.2, copies=7)], people, think=0.0)[-1]
    assert found.throughput == pytest.approx(balanced(0.2, 7, people), rel=1e-9)
    apart = exact([Station(f"disk {n}", 0.2) for n in range(7)], people, think=0.0)[-1]
    assert apart.throughput == pytest.approx(found.throughput, rel=1e-12)


def test_two_unequal_stations_agree_with_the_product_form():
    """Normalising constants by Buzen's convolution: X(N) = G(N-1)/G(N)."""
    demands, people, think = (0.3, 0.1, 0.05), 12, 2.0
    constants = [think**n / factorial(n) for n in range(people + 1)]
    for demand in demands:
        for n in range(1, people + 1):
            constants[n] += demand * constants[n - 1]
    found = exact([Station("any", demand) for demand in demands], people, think)[-1]
    assert found.throughput == pytest.approx(constants[people - 1] / constants[people], rel=1e-9)


def test_figures_that_were_published_of_a_server_and_of_peers():
    """Twenty people, a tenth of a second of work, a second of thought: with a server 1, 2 and 4 times as fast."""
    for strength, expected in ((1, 1.00375), (2, 0.18891), (4, 0.04451)):
        assert exact([Station("server", 0.1 / strength)], 20, 1.0)[-1].response == pytest.approx(expected, abs=1e-5)
    assert exact([Station("peer", 0.1 / 20, copies=20)], 20, 1.0)[-1].response == pytest.approx(0.10932, abs=1e-5)


@pytest.mark.parametrize(("people", "throughput"), [(10, 9.46973), (50, 33.2595), (1000, 33.3333)])
def test_figures_of_the_package_line(people, throughput):
    """pfqn_mva of line-solver 3.0.8 for demands of 30, 10 and 5 ms and a second of thought."""
    stations = [Station("disk", 0.03), Station("processor", 0.01), Station("link", 0.005)]
    assert exact(stations, people, 1.0)[-1].throughput == pytest.approx(throughput, rel=5e-6)


@given(STATIONS, st.integers(1, 60), st.floats(0, 20))
def test_bounds_always_hold_and_what_goes_in_comes_out(stations, people, think):
    single = [each._replace(servers=1) for each in stations]
    limits = bounds(single, people, think)
    for number, load in enumerate(exact(single, people, think), 1):
        assert load.people == number
        assert load.throughput * (think + load.response) == pytest.approx(number)  # Little's law
        assert sum(queue * each.copies for queue, each in zip(load.queues, single, strict=True)) == pytest.approx(
            load.throughput * load.response
        )
        assert all(0 <= busy <= 1 for busy in load.utilisations)
    assert limits.least_throughput <= load.throughput * (1 + 1e-9)
    assert load.throughput <= limits.most_throughput * (1 + 1e-9)
    assert limits.least_response <= load.response + 1e-9
    assert load.response <= limits.most_response + 1e-9


@given(STATIONS, st.integers(1, 40), st.floats(0.1, 20))
def test_more_people_never_get_less_done_and_never_wait_less(stations, people, think):
    found = exact(stations, people + 1, think)
    assert all(a.throughput <= b.throughput * (1 + 1e-9) for a, b in pairwise(found))
    assert all(a.response <= b.response * (1 + 1e-9) for a, b in pairwise(found))


@given(STATIONS, st.integers(1, 200), st.floats(0.1, 20))
def test_the_approximation_is_near(stations, people, think):
    truth, near = exact(stations, people, think)[-1], approximate(stations, people, think)
    assert near.throughput == pytest.approx(truth.throughput, rel=0.2)
    assert near.throughput <= 1 / bottleneck(stations) * (1 + 1e-9)


def test_many_people_are_approximated_and_saturate_the_bottleneck():
    stations = [Station("disk", 0.01), Station("link", 0.02)]
    few, many = loads(stations, [10, 10 * MOST_EXACT], think=1.0)
    assert (few.people, many.people) == (10, 10 * MOST_EXACT)
    assert many.throughput == pytest.approx(50, rel=1e-3)


def test_a_station_with_many_servers_is_as_fast_as_one_request_and_carries_more():
    one, four = (exact([Station("processor", 0.4, servers)], 30, 1.0) for servers in (1, 4))
    assert four[0].response == one[0].response == pytest.approx(0.4)
    assert four[-1].throughput == pytest.approx(10, rel=0.02)
    assert one[-1].throughput == pytest.approx(2.5)


def test_where_the_knee_lies():
    stations = [Station("processor", 0.03), Station("link", 0.1)]
    assert total(stations) == pytest.approx(0.13)
    assert knee(stations, 1.0) == pytest.approx(11.3)
    assert knee([Station("nothing", 0.0)], 1.0) == inf


def erlang_by_definition(servers: int, offered: float) -> float:
    last = offered**servers / factorial(servers) * servers / (servers - offered)
    return last / (sum(offered**k / factorial(k) for k in range(servers)) + last)


@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_erlang_c_is_what_it_is_by_definition(servers, part):
    offered = servers * part
    assert erlang_c(servers, offered) == pytest.approx(erlang_by_definition(servers, offered), rel=1e-9)


@pytest.mark.parametrize(("servers", "waits"), [(1, 0.8), (2, 0.7111), (5, 0.5541), (10, 0.4092), (20, 0.2561)])
def test_erlang_c_is_what_tables_have_for_a_load_of_four_fifths(servers, waits):
    assert erlang_c(servers, 0.8 * servers) == pytest.approx(waits, abs=5e-5)


def test_erlang_c_of_hundreds_of_servers_does_not_overflow_and_saturates():
    assert 0 < erlang_c(500, 480.0) < 1
    assert erlang_c(3, 3.0) == 1.0
    assert pooled_wait(3, 3.0, 1.0) == inf


@pytest.mark.parametrize("people", [2, 6, 12])
@pytest.mark.parametrize("variation", [1.5, 3.0])
def test_in_the_order_of_arrival_lengths_that_vary_more_wait_longer(variation, people):
    """As a simulation of that says, nearly; and longer than where they are served all at once."""
    chance = Random(3)  # noqa: S311
    draw = partial(chance.gammavariate, 1 / variation, 0.1 * variation)
    run = closed(
        [Facility("link")], [Route(1.0, ((0, draw),))], people, exponential(0.6, chance), chance, requests=40_000
    )
    here = [Station("link", 0.1, variation=variation)]
    assert exact(here, people, 0.6)[-1].response == pytest.approx(sum(run.responses) / len(run.responses), rel=0.09)
    assert approximate(here, 3_000, 0.6).throughput == pytest.approx(10.0), "and of many that is so, too"
    assert exact(here, people, 0.6)[-1].response > exact([Station("link", 0.1)], people, 0.6)[-1].response
    assert exact(here, 200, 0.6)[-1].throughput == pytest.approx(10.0), "at saturation no more, and no less"


def test_one_pooled_queue_waits_less_than_many():
    assert pooled_wait(1, 0.8, 1.0) == pytest.approx(4.0)  # M/M/1
    assert pooled_wait(10, 8.0, 1.0) < pooled_wait(1, 0.8, 1.0) / 10


@pytest.mark.parametrize(
    ("stations", "people", "think"),
    [
        ([Station("a", 0.1)], 0, 1.0),
        ([Station("a", -0.1)], 1, 1.0),
        ([Station("a", 0.1, variation=0.9)], 1, 1.0),
        ([Station("a", 0.0)], 3, 0.0),
        ([], 3, 0.0),
    ],
)
def test_what_makes_no_sense_is_said(stations, people, think):
    with pytest.raises(WrongUsage):
        exact(stations, people, think)
    with pytest.raises(WrongUsage):
        erlang_c(0, 1.0)
