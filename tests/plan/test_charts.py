"""What pictures show of a comparison: demands from busy times, bands, the hot peer, and nothing that nobody saw."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from commonhold.plan import seeded
from commonhold.plan.pages import charts
from commonhold.plan.queues.queueing import knee
from commonhold.plan.queues.shapes import Fleet, Shape, stations
from commonhold.plan.queues.workload import Demands
from commonhold.plan.values.scenario import Scenario, told

from .trials import DEMANDS, EVEN, HOT, NAIVE, SERVER, simulated

FLEET = Fleet(8, Demands(1.0, 1.0, 1.0), 1.0)


@pytest.mark.parametrize("arrangement", [SERVER, EVEN, HOT, NAIVE], ids=charts.named)
def test_demands_come_from_how_busy_computers_were(arrangement):
    """As they were put in, but for chance: 1,500 requests with exponential times."""
    trial = simulated(8, (1,), (arrangement,), 5)
    found = charts.fitted(FLEET, arrangement, trial.points[0], 0.5)
    assert found.demands[:3] == pytest.approx(DEMANDS[:3], rel=0.1)
    assert found.think == 1.0
    assert knee(stations(found, Shape.CLIENT_SERVER), 1.0) == pytest.approx(11.0, rel=0.1)


def test_a_server_s_busy_time_is_told_as_an_ordinary_computer_s():
    trial = simulated(8, (1,), (SERVER,), 5)
    found = charts.fitted(FLEET._replace(strength=2.0), SERVER, trial.points[0], 4.0)
    assert found.demands.link == pytest.approx(2 * DEMANDS.link, rel=0.1)
    assert found.demands.processor == pytest.approx(8 * DEMANDS.processor, rel=0.1)


def test_of_jobs_what_is_computed_may_be_computed_anywhere():
    trial = simulated(8, (1,), (EVEN,), 2)
    found = charts.fitted(FLEET._replace(demands=Demands(1.0, 1.0, 1.0, 4.0)), EVEN, trial.points[0], 0.0)
    assert found.demands.processor == 0.0
    assert found.demands.computing == pytest.approx(DEMANDS.processor, rel=0.15)


def test_what_nobody_saw_is_not_drawn():
    trial = simulated(2, (1,), (EVEN,), 1, (), 20)
    (point,), (repeat,) = trial.points, trial.points[0].repeats
    blind = replace(
        repeat,
        served=tuple(replace(each, bytes=0, processor=0.0, disk=0.0, link=0.0, owner=None) for each in repeat.served),
    )
    unseen = replace(trial, points=(replace(point, repeats=(blind,)),))
    about = charts.compared(Scenario(told({"computers": 2})), unseen)
    assert about.fleets[EVEN].demands == Scenario(told({"computers": 2})).fleet().demands
    assert not list(charts.shares(about))
    owner = list(charts.performance(about, seeded.chance))[-1]
    assert {row[2] for row in owner.sheet.rows} == {None}
    (throughput, *_) = charts.performance(about, seeded.chance)
    assert [row[3] for row in throughput.sheet.rows if row[2]] == [None], "one repeat has no band"


def test_the_hot_peer_is_told_in_words():
    about = charts.compared(Scenario(told({"computers": 4})), simulated(4, (1, 6), (SERVER, HOT), 2, ("tower",)))
    utilisation, served = charts.shares(about)
    assert "peer-to-peer, 50 % at one: tower, " in utilisation.alternative
    of_peers = {row[1]: row[2] for row in served.sheet.rows if row[0] != "client-server"}
    assert max(of_peers, key=of_peers.__getitem__) == "tower"


def test_computed_lines_come_from_one_person_and_a_busy_server():
    """And say how far they are off; a comparison without both is computed from its first point."""
    trial = simulated(8, (1, 4, 16), (SERVER, EVEN), 3)
    about = charts.compared(Scenario(told({"computers": 8})), trial)
    assert about.known
    assert about.known[1].people == 16
    for arrangement in about.fleets:
        spots = {spot.people: spot for spot in about.spots(arrangement)}
        for point in about.of(arrangement):
            spot = spots[point.people]
            assert spot.throughput[0] == pytest.approx(point.throughput.mean, rel=0.15)
            for value, least, most in (spot.throughput, spot.response):
                assert least <= value * (1 + 1e-9)
                assert value <= most * (1 + 1e-9)
    table = charts.every_point(about).sheet
    assert all(abs(row[-2]) < 15 for row in table.rows)
    assert spots[1].knee > 60, "peers share the load"
    few = charts.compared(Scenario(told({"computers": 8})), simulated(8, (2, 4), (EVEN,), 2))
    assert few.known is None
    assert [spot.throughput[0] for spot in few.spots(EVEN)]
    for nothing in ({"requests": 0}, {"served": ()}):
        points = [
            replace(each, repeats=tuple(replace(one, **nothing) for one in each.repeats)) for each in trial.points
        ]
        assert charts.compared(Scenario(told({})), replace(trial, points=tuple(points))).known is None
