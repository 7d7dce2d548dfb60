"""`net.dask()`: a Dask client over lent processors, in a person's own process; real nodes, as processes."""

from __future__ import annotations

import threading
import time

import dask
import dask.bag
import pytest

from commonhold.errors import NotFound, Refused

from ..conftest import lent, town, until


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann and laptop of bob, who lends ann his processors."""
    with lent(tmp_path_factory.mktemp("casa")) as both:
        yield both


@pytest.fixture
def tower(network):
    return network[0]


def test_dask_collections_are_computed_by_the_network(tower):
    with tower.net.dask() as client:
        squares = dask.bag.from_sequence(range(1000), npartitions=10).map(lambda number: number**2)
        assert squares.sum().compute() == sum(number**2 for number in range(1000))
        total = dask.delayed(sum)([dask.delayed(pow)(base, 2) for base in range(5)])
        assert total.compute() == 30
        assert client.submit(lambda: 6 * 7).result() == 42
    assert dask.delayed(sum)([1, 2]).compute(scheduler="synchronous") == 3, "and by nobody else's default after it"


def test_workers_fetch_from_one_another_across_computers(tower):
    """A shuffle moves data from each worker to each other."""
    with tower.net.dask("all") as client:
        client.wait_for_workers(4)
        numbers = dask.bag.from_sequence(range(400), npartitions=8)
        counted = numbers.groupby(lambda number: number % 4, shuffle="tasks").map(lambda one: (one[0], len(one[1])))
        assert sorted(counted.compute()) == [(rest, 100) for rest in range(4)]
        assert {worker["name"][:2] for worker in client.scheduler_info()["workers"].values()} == {"p1", "p2"}


def test_on_names_the_computer(tower):
    with tower.net.dask("laptop") as client:
        assert client.submit(lambda: 1).result() == 1
        assert list(client.holding.lenders.values()) == ["laptop"]
    with pytest.raises(NotFound, match="nobody"):
        tower.net.dask("nobody")


def test_cores_are_for_each_task(tower):
    with tower.net.dask("tower", cores=2) as client:
        client.wait_for_workers(1)
        assert [worker["nthreads"] for worker in client.scheduler_info()["workers"].values()] == [1]
    with pytest.raises(Refused, match="each call needs 1000"):
        tower.net.dask("tower", cores=1000)


def test_two_clients_are_used_at_once_and_leave_no_thread(tower):
    before = threading.active_count()
    with tower.net.dask() as one, tower.net.dask() as two:
        assert one.holding.papers.session == two.holding.papers.session
        pending = [client.submit(sum, [number, 1]) for number, client in enumerate((one, two))]
        assert [future.result() for future in pending] == [1, 2]
        assert "processes" in repr(one)
        assert one._repr_html_()
    until(lambda: threading.active_count() <= before + 1, "their threads end")  # Dask keeps one to sample with


def test_closing_in_the_middle_ends_what_runs(tower):
    with tower.net.dask("tower") as client:
        session = client.holding.papers.session
        endless = client.submit(time.sleep, 3600)
        until(lambda: client.processing() and any(client.processing().values()), "it runs")
        assert endless.status == "pending"
    with tower.net.dask("tower") as client:
        assert client.holding.papers.session != session
        assert client.submit(lambda: "free").result() == "free"


def test_in_client_server_a_client_computes_at_its_server(tmp_path):
    with town(tmp_path) as make:
        server, desk = make("server", "ann"), make("desk", "bob")
        server.create("office", shape="client-server")
        desk.join(server)
        with pytest.raises(Refused, match="bob may not run"):
            desk.net.dask()
        server.net.allow("bob", "run", "compute")
        with desk.net.dask() as client:
            running = client.submit(time.sleep, 3600)
            until(lambda: any(client.processing().values()), "it runs")
            server.net.deny("bob", "run", "compute")
            with pytest.raises(Exception, match="scheduler"):
                running.result(timeout=30)
        with pytest.raises(Refused, match="bob may not run"):
            desk.net.dask()
