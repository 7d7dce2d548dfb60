"""The event simulation, against what is known in closed form."""

from __future__ import annotations

from math import inf

import pytest

from commonhold.errors import WrongUsage
from commonhold.plan.queueing import Station, exact, pooled_wait
from commonhold.plan.seeded import chance as seeded
from commonhold.plan.simulate import Absence, Draw, Facility, Route, always, closed, estimate, exponential, open_

SEEDS = range(40)
ENOUGH = 0.9  # of the runs cover the true value: of 95 in 100, by chance and by waits that are not independent


def single(seed: int, servers: int, load: float, *, service: Draw | None = None, requests: int = 20_000):
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


def network(seed: int, requests: int = 20_000, people: int = 20):
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


def test_little_s_law_holds_in_each_run():
    run = network(3, requests=200_000)
    assert run.throughput * (run.mean().mean + 1.0) == pytest.approx(20, rel=0.01)


def test_the_same_chance_gives_the_same_run_and_another_another():
    assert network(5) == network(5)
    assert network(5) != network(6)


def test_routes_are_taken_by_their_shares_and_desks_apart_do_not_wait_for_one_another():
    chance = seeded(1)
    routes = [Route(3.0, ((0, always(0.001)),)), Route(1.0, ((1, always(0.001)),))]
    run = closed([Facility("often"), Facility("seldom")], routes, 4, always(0.1), chance, requests=40_000)
    assert run.busy[0] / run.busy[1] == pytest.approx(3, rel=0.05)


def test_percentiles_of_one_queue_are_those_of_its_exponential():
    half, most = single(9, 1, 0.5, requests=400_000).percentiles(0.5, 0.95)
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


def test_an_owner_who_comes_back_slows_what_begins_meanwhile():
    shared = Facility("shared", absence=Absence(always(5.0), always(5.0), slows=3.0))
    chance = seeded(4)
    run = closed([shared], [Route(1.0, ((0, always(0.1)),))], 1, exponential(1.0, chance), chance, requests=20_000)
    assert {round(each, 6) for each in run.responses} == {0.1, 0.3}
    assert run.mean().mean == pytest.approx(0.2, rel=0.1)


def test_a_mean_of_too_few_has_no_bounds_and_nothing_to_visit_is_no_request():
    with pytest.raises(WrongUsage):
        estimate([1.0] * 19)
    with pytest.raises(WrongUsage):
        closed([Facility("a")], [Route(1.0, ())], 1, always(1.0), seeded(1), requests=10)
    assert estimate([2.0] * 40) == (2.0, 0.0)
