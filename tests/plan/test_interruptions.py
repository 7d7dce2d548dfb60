"""What is off when it is wanted: by formulas, and by simulations in which it happens."""

from __future__ import annotations

from math import exp

import pytest

from commonhold.plan.queues.interruptions import Away, Interruptions, interruptions, missed
from commonhold.plan.queues.shapes import Fleet, Shape, simulate
from commonhold.plan.queues.workload import Demands
from commonhold.plan.seeded import chance, modelled
from commonhold.plan.values.scenario import Scenario, told

QUICK = Demands(0.0001, 0.0, 0.0)
NEVER = Away(0.0, 60.0)


def test_who_finds_nobody_waits_or_gives_up():
    """A tenth of the time off for a minute at a time, of which an exponential part is longer than half a minute."""
    found = missed(Interruptions(Away(0.1, 60.0), NEVER, 30.0))
    assert found.given_up == pytest.approx(0.1 * exp(-0.5))
    assert found.given_up + found.held == pytest.approx(0.1)
    assert 0 < found.seconds < 15.0  # of times below 30 s the shorter ones are likelier
    assert missed(Interruptions(NEVER, NEVER, 30.0)) == (missed(Interruptions(Away(0.0, 0.0), NEVER, 0.0)))
    assert missed(Interruptions(Away(0.1, 60.0), NEVER, 0.0)).held == 0.0


@pytest.mark.parametrize("shape", Shape)
def test_a_simulation_in_which_it_happens_tells_the_same(shape):
    """People who think long and are served at once ask at any time, whether something is off or not."""
    drawn = chance(3)
    away = Away(0.2, 10.0)
    fleet = Fleet(6, QUICK, 100.0, hot=0.5)
    run = simulate(fleet, shape, 40, drawn, 40_000, asked=away.absence(drawn), patience=5.0)
    truth = missed(Interruptions(away, NEVER, 5.0))
    whole = run.failures + len(run.responses)
    assert run.failures / whole == pytest.approx(truth.given_up, rel=0.15)
    assert len(run.held) / whole == pytest.approx(truth.held, rel=0.15)
    assert sum(run.held) / len(run.held) == pytest.approx(truth.seconds, rel=0.1)


def test_what_is_never_off_and_what_a_server_s_clients_do_not_have():
    assert NEVER.absence(chance()) is None
    here = Scenario(told({"computers": 12, "server_outage": 40, "computer_outage": 100, "used": 2000}))
    server, peers = (interruptions(here, shape) for shape in (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER))
    assert (server.asked.part, peers.asked.part) == (0.02, 0.05)
    assert (server.owner.part, peers.owner.part) == (0.0, 0.3)


def test_owners_who_come_back_cost_guests_time_and_more_computers_make_up_for_it():
    def wait(computers: int, owners: float) -> float:
        drawn = chance(5)
        fleet = Fleet(computers, Demands(0.0, 0.0, 0.0, 4.0), 5.0, cores=2)
        owner = Away(owners, 30.0).absence(drawn)
        return simulate(fleet, Shape.PEER_TO_PEER, 6, drawn, 8_000, owner=owner).mean().mean

    alone, shared, many = wait(4, 0.0), wait(4, 0.5), wait(16, 0.5)
    assert alone == pytest.approx(4.0, rel=0.1)
    assert shared > 1.2 * alone
    assert many < shared


def test_the_model_tells_both_shapes_apart():
    here = Scenario(told({"computers": 12, "server_outage": 100, "computer_outage": 20, "used": 2000}))
    peers, server = modelled(here, [4]).courses
    assert server.missed.given_up == pytest.approx(5 * peers.missed.given_up)
