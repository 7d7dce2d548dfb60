"""Both shapes as queues: the simulation and the formulas tell the same, and what was published of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.queues.queueing import total
from commonhold.plan.queues.shapes import Fleet, Shape, parts, predict, respond, simulate, slowdown, stations
from commonhold.plan.queues.workload import WORKLOADS, Demands, Rates, demands, named
from commonhold.plan.seeded import chance

SERVER, PEERS = Shape.CLIENT_SERVER, Shape.PEER_TO_PEER
LINKED = Demands(0.0, 0.0, 0.1)  # seconds: a network that waits for its links alone
FLEETS = st.builds(
    Fleet,
    st.integers(1, 30),
    st.builds(Demands, *[st.floats(0.001, 0.2)] * 4),
    st.floats(0.1, 10),
    st.integers(1, 8),
    st.floats(0.5, 8),
    st.floats(0, 1),
)


def test_the_same_figures_as_were_published():
    """Twenty computers, a tenth of a second for each request, a second of thought."""
    waits = [respond(Fleet(20, LINKED, 1.0, strength=strength), SERVER, 20) for strength in (1, 2, 4)]
    assert waits == pytest.approx([1.004, 0.189, 0.045], abs=0.0005)
    assert respond(Fleet(20, LINKED, 1.0), PEERS, 20) == pytest.approx(0.109, abs=0.0005)
    assert respond(Fleet(20, LINKED, 1.0, hot=0.5), PEERS, 20) == pytest.approx(0.227, abs=0.0005)


@pytest.mark.parametrize(("strength", "overtaken"), [(1, 2), (2, 14), (4, 38)])
def test_from_how_many_computers_on_even_peers_are_faster(strength, overtaken):
    def faster(computers: int) -> bool:
        fleet = Fleet(computers, LINKED, 1.0, strength=strength)
        return respond(fleet, PEERS, computers) < respond(fleet, SERVER, computers)

    assert next(number for number in range(1, 61) if faster(number)) == overtaken


def test_half_of_the_requests_at_one_computer_are_never_faster_than_a_strong_server():
    fleets = [Fleet(number, LINKED, 1.0, strength=2, hot=0.5) for number in range(2, 61)]
    assert all(respond(f, PEERS, f.computers) > respond(f, SERVER, f.computers) for f in fleets)


@given(FLEETS)
def test_every_request_goes_somewhere(fleet):
    busiest, other = parts(fleet)
    assert busiest + other * (fleet.computers - 1) == pytest.approx(1)
    assert busiest >= other - 1e-12 or fleet.computers == 1
    assert total(stations(fleet, PEERS)) == pytest.approx(sum(fleet.demands))
    assert total(stations(fleet, SERVER)) == pytest.approx(sum(fleet.demands) / fleet.strength)


@given(FLEETS, st.integers(1, 30), st.floats(1.1, 4))
def test_a_faster_server_never_lets_wait_longer_and_says_nothing_of_peers(fleet, people, times):
    faster = fleet._replace(strength=fleet.strength * times)
    assert respond(faster, SERVER, people) < respond(fleet, SERVER, people)
    assert respond(faster, PEERS, people) == respond(fleet, PEERS, people)


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("hot", [0.0, 0.6])
def test_the_simulation_agrees_with_the_formulas(shape, hot):
    fleet = Fleet(6, Demands(0.02, 0.03, 0.08, 0.1), 1.0, cores=1, strength=2.0, hot=hot)
    truth = predict(fleet, shape, [12])[0]
    run = simulate(fleet, shape, 12, chance(), 60_000)
    assert run.mean().mean == pytest.approx(truth.response, rel=0.05)
    assert run.throughput == pytest.approx(truth.throughput, rel=0.02)


def test_with_several_cores_the_simulation_is_near():
    """Seidmann's split is an approximation."""
    fleet = Fleet(4, Demands(0.1, 0.01, 0.02, 0.3), 1.0, cores=4, hot=0.5)
    for shape in Shape:
        run = simulate(fleet, shape, 16, chance(), 40_000)
        assert run.mean().mean == pytest.approx(respond(fleet, shape, 16), rel=0.2)


def test_an_owner_waits_for_those_who_ask_and_a_client_for_nobody():
    fleet = Fleet(2, Demands(0.5, 0.0, 0.0), 1.0)
    load = predict(fleet, PEERS, [1])[0]
    assert slowdown(fleet, PEERS, load) == pytest.approx(1 / (1 - load.utilisations[0]))
    assert slowdown(fleet, SERVER, predict(fleet, SERVER, [1])[0]) == 1.0
    flooded = predict(fleet, PEERS, [100_000])[0]
    assert slowdown(fleet, PEERS, flooded) > 100


def test_tasks_go_where_there_is_room_whatever_files_they_read():
    fleet = Fleet(8, Demands(0.0, 0.0, 0.001, 4.0), 1.0, cores=2, hot=0.9)
    assert respond(fleet, PEERS, 12) == pytest.approx(4.0, rel=0.2)
    assert respond(fleet, SERVER, 12) > 15


def test_what_a_workload_asks_of_a_computer():
    for workload in WORKLOADS.values():
        assert sum(each.part for each in workload.operations) == pytest.approx(1)
        slow, fast = demands(workload, Rates(link=1e6)), demands(workload, Rates(link=1e8))
        assert slow.link == pytest.approx(100 * fast.link)
        assert slow[:2] + slow[3:] == fast[:2] + fast[3:]
    assert demands(named("compute"), Rates(link=1e8, start=0.1)).computing == pytest.approx(4.1)
    assert demands(named("office"), Rates(link=1e8)).computing == 0


def test_a_workload_that_nobody_knows_and_a_simulation_of_nothing():
    with pytest.raises(WrongUsage, match="games"):
        named("games")
    with pytest.raises(WrongUsage):
        simulate(Fleet(2, LINKED, 1.0), PEERS, 2, chance(), 0)
