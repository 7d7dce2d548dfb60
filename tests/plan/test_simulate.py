"""The event simulation, against what is known in closed form."""

from __future__ import annotations

from math import exp, inf

import pytest

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import Station, exact, pooled_wait
from commonhold.plan.queues.simulate import Absence, Draw, Facility, Route, always, closed, estimate, exponential, open_
from commonhold.plan.seeded import chance as seeded

SEEDS = range(40)
ENOUGH = 0.9  # of the runs cover the true value: of 95 in 100, by chance and by waits that are not independent


def single(seed: int, servers: int, load: float, *, service: Draw | None = None, requests: int = 10_000):
    """An open queue of `servers` that each need a second on average."""
    chance = seeded(seed)
    served = service or exponential(1.0, chance)
    route, between = Route(1.0, ((0, served),)), exponential(1 / (servers * load), chance)
    return open_([Facility("any", servers)], route, between, requests=requests)


def covered(truth: float, runs) -> float:
    found = [run.mean().covers(truth) for run in runs]
    return sum(found) / len(found)


def test_one_queue_one_server():
    assert covered(1 / (1 - 0.6), (single(seed, 1, 0.6) for seed in SEEDS)) >= ENOUGH


def test_one_queue_three_servers():
    assert covered(1 + pooled_wait(3, 2.4, 1.0), (single(seed, 3, 0.8) for seed in SEEDS)) >= ENOUGH


def test_service_that_always_takes_the_same_halves_the_wait():
    truth = 1 + 0.7 / (2 * (1 - 0.7))  # Pollaczek and Khinchine
    assert covered(truth, (single(seed, 1, 0.7, service=always(1.0)) for seed in SEEDS)) >= ENOUGH


def network(seed: int, requests: int = 10_000, people: int = 20):
    """People who think a second, and ask at two facilities in turn."""
    chance = seeded(seed)
    visits = ((0, exponential(0.05, chance)), (1, exponential(0.03, chance)))
    return closed(
        [Facility("a"), Facility("b")],
        [Route(1.0, visits)],
        people,
        exponential(1.0, chance),
        chance,
        requests=requests,
    )


def test_a_closed_network_agrees_with_mean_value_analysis():
    truth = exact([Station("a", 0.05), Station("b", 0.03)], 20, 1.0)[-1]
    runs = [network(seed) for seed in SEEDS]
    assert covered(truth.response, runs) >= ENOUGH
    throughput = sum(run.throughput for run in runs) / len(runs)
    assert throughput == pytest.approx(truth.throughput, rel=0.005)
    for facility, busy in enumerate(truth.utilisations):
        assert sum(run.busy[facility] for run in runs) / len(runs) == pytest.approx(busy, rel=0.01)


@pytest.mark.parametrize("shared", [False, True])
def test_little_s_law_holds_in_each_run(shared):
    chance = seeded(3)
    visits = ((0, exponential(0.05, chance)), (1, exponential(0.03, chance)))
    facilities = [Facility("a", shared=shared), Facility("b", shared=shared)]
    run = closed(facilities, [Route(1.0, visits)], 20, always(1.0), chance, requests=50_000)
    assert run.throughput * (sum(run.responses) / len(run.responses) + 1.0) == pytest.approx(20, rel=0.001)


def test_the_same_chance_gives_the_same_run_and_another_another():
    assert network(5) == network(5)
    assert network(5) != network(6)


def test_routes_are_taken_by_their_shares_and_desks_apart_do_not_wait_for_one_another():
    chance = seeded(1)
    routes = [Route(3.0, ((0, always(0.001)),)), Route(1.0, ((1, always(0.001)),))]
    run = closed([Facility("often"), Facility("seldom")], routes, 4, always(0.1), chance, requests=40_000)
    assert run.busy[0] / run.busy[1] == pytest.approx(3, rel=0.05)


def test_percentiles_of_one_queue_are_those_of_its_exponential():
    half, most = single(9, 1, 0.5, requests=200_000).percentiles(0.5, 0.95)
    assert half == pytest.approx(2 * 0.6931, rel=0.05)
    assert most == pytest.approx(2 * 2.9957, rel=0.05)


def test_a_desk_that_is_away_lets_wait_or_lets_give_up():
    away = Facility("sleepy", absence=Absence(always(9.0), always(1.0)))
    routes = [Route(1.0, ((0, always(0.01)),))]

    def run(patience: float):
        chance = seeded(4)
        return closed([away], routes, 5, exponential(1.0, chance), chance, requests=20_000, patience=patience)

    patient, impatient = run(inf), run(0.2)
    assert patient.failures == 0
    assert max(patient.responses) == pytest.approx(1.0, abs=0.1)
    assert impatient.failures / (impatient.failures + len(impatient.responses)) == pytest.approx(0.08, abs=0.03)
    assert max(impatient.responses) <= 0.2 + 0.1


def test_an_owner_who_comes_back_slows_what_runs():
    shared = Facility("shared", absence=Absence(always(5.0), always(5.0), slows=3.0))
    chance = seeded(4)
    run = closed([shared], [Route(1.0, ((0, always(0.1)),))], 1, exponential(1.0, chance), chance, requests=20_000)
    assert min(run.responses) == pytest.approx(0.1)
    assert max(run.responses) == pytest.approx(0.3)
    assert run.mean().mean == pytest.approx(0.2, rel=0.1)
    assert not run.held


def test_a_desk_that_breaks_down_and_goes_on_where_it_was():
    """M/M/1 with breakdowns (White and Christie 1958): R = (1 + mu xi / (xi + eta)^2) / (mu A - lambda)."""
    asks, serves, breaks, mends = 0.4, 1.0, 0.1, 0.3
    there = mends / (breaks + mends)
    truth = (1 + serves * breaks / (breaks + mends) ** 2) / (serves * there - asks)

    def run(seed: int):
        chance = seeded(seed)
        absence = Absence(exponential(1 / breaks, chance), exponential(1 / mends, chance))
        route = Route(1.0, ((0, exponential(1 / serves, chance)),))
        return open_([Facility("any", absence=absence)], route, exponential(1 / asks, chance), requests=10_000)

    assert covered(truth, map(run, SEEDS)) >= ENOUGH


def test_who_comes_to_a_desk_that_is_away_waits_for_the_rest_of_its_absence():
    """Of those who come at random the part 1 - A finds nobody, and waits as long as an absence: it has no memory."""
    chance = seeded(2)
    absence = Absence(exponential(90.0, chance), exponential(10.0, chance))
    route = Route(1.0, ((0, always(0.0)),))
    run = open_([Facility("any", absence=absence)], route, exponential(0.5, chance), requests=100_000)
    assert len(run.held) / len(run.responses) == pytest.approx(0.1, rel=0.1)
    assert sum(run.held) / len(run.held) == pytest.approx(10.0, rel=0.1)


def test_work_that_is_given_back_begins_anew_elsewhere():
    """Alone at one server: (e^(xi w) - 1) (1/xi + V), and the rest of an absence for whoever comes in one."""
    work, often, absent = 2.0, 0.2, 3.0
    chance = seeded(3)
    absence = Absence(exponential(1 / often, chance), exponential(absent, chance))
    facility = Facility("room", absence=absence, together=1)
    run = closed([facility], [Route(1.0, ((0, always(work)),))], 1, exponential(500.0, chance), chance, requests=8_000)
    away = absent / (1 / often + absent)
    truth = (exp(often * work) - 1) * (1 / often + absent) + away * absent
    assert run.mean().mean == pytest.approx(truth, rel=0.05)
    other = Facility("room", 4, absence=absence, together=1)
    shorter = closed([other], [Route(1.0, ((0, always(work)),))], 1, exponential(500.0, chance), chance, requests=1_000)
    assert work < shorter.mean().mean < run.mean().mean


@pytest.mark.parametrize("spread", [0.3, 1.0, 50.0])
def test_where_all_share_the_spread_of_service_changes_no_mean(spread):
    """Processor sharing is insensitive (Baskett et al. 1975); in a line the same service waits longer, or shorter."""
    truth = exact([Station("a", 0.05), Station("b", 0.03)], 20, 1.0)[-1]

    def run(seed: int):
        chance = seeded(seed)
        visits = tuple(
            (place, lambda mean=mean: chance.gammavariate(spread, mean / spread))
            for place, mean in enumerate((0.05, 0.03))
        )
        facilities = [Facility("a", shared=True), Facility("b", shared=True)]
        think = exponential(1.0, chance)
        return closed(facilities, [Route(1.0, visits)], 20, think, chance, requests=2_000)

    runs = [run(seed) for seed in SEEDS]
    assert covered(truth.response, runs) >= ENOUGH
    assert sum(each.busy[0] for each in runs) / len(runs) == pytest.approx(truth.utilisations[0], rel=0.02)


def test_whoever_is_alone_has_one_server_and_no_more():
    chance = seeded(1)
    facility = Facility("cores", 4, shared=True)
    alone = closed([facility], [Route(1.0, ((0, always(0.5)),))], 1, always(1.0), chance, requests=100)
    assert {round(each, 9) for each in alone.responses} == {0.5}
    eight = closed([facility], [Route(1.0, ((0, always(0.5)),))], 8, always(0.0), chance, requests=800)
    assert eight.mean().mean == pytest.approx(1.0, rel=0.01)


def test_the_first_requests_count_only_when_they_are_wanted():
    def run(**more: int):
        chance = seeded(1)
        return closed([Facility("a")], [Route(1.0, ((0, always(0.1)),))], 1, always(1.0), chance, requests=100, **more)

    assert [len(run(**more).responses) for more in ({}, {"warm_up": 0}, {"warm_up": 60})] == [90, 100, 40]


def test_a_mean_of_too_few_has_no_bounds_and_nothing_to_visit_is_no_request():
    with pytest.raises(WrongUsage):
        estimate([1.0] * 19)
    with pytest.raises(WrongUsage):
        closed([Facility("a")], [Route(1.0, ())], 1, always(1.0), seeded(1), requests=10)
    assert estimate([2.0] * 40) == (2.0, 0.0)
