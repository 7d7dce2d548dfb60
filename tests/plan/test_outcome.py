"""Requests that happened become a repeat: what failed is an error, and what came late or early does not count."""

from __future__ import annotations

import pytest

from commonhold.errors import CommonholdError
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.outcome import Happened, repeat, slowdown, within
from commonhold.plan.trials.trial import Arrangement, OwnerFelt, Point, Served

TWO = [Served("tower", 0, 0, 0.5, 0.1, 0.9), Served("desk", 0, 0, 0.2, 0.0, 0.1)]


def happened(answered: float, response: float = 0.1, where: int = 0, error: str = "") -> Happened:
    return Happened(0, "read", where, 0.5, answered - response, answered, 1000, error)


def test_means_percentiles_and_who_served():
    told = [happened(1 + number / 10, number / 100, number % 2) for number in range(100)]
    done = repeat(7, 10.0, [*told, happened(5, 60.0, error="It is gone.")], TWO)
    assert (done.seed, done.seconds, done.requests, done.errors) == (7, 10.0, 100, 1)
    assert done.mean == pytest.approx(0.495)
    assert (done.p50, done.p95, done.p99) == pytest.approx((0.5, 0.95, 0.99))
    assert (done.think, done.moved, done.throughput) == (0.5, 1000.0, 10.0)
    assert [(each.requests, each.bytes, each.link) for each in done.served] == [(50, 50_000, 0.9), (50, 50_000, 0.1)]


def test_only_what_was_answered_in_the_time_counts():
    told = [happened(moment) for moment in (0.9, 1.0, 1.9, 2.0)]
    assert [each.answered for each in within(told, 1.0, 2.0)] == [1.0, 1.9]


@pytest.mark.parametrize("told", [[], [happened(1, error="It is gone.")]])
def test_of_no_answer_nothing_can_be_said(told):
    with pytest.raises(CommonholdError, match=r"No request was answered: (It is gone|nothing)"):
        repeat(1, 10.0, told, TWO)


@pytest.mark.parametrize(("shape", "mean"), [(Shape.PEER_TO_PEER, 1.5), (Shape.CLIENT_SERVER, 1.1)])
def test_owners_felt_it_where_it_was_worst_but_nobody_owns_a_server(shape, mean):
    owners = [OwnerFelt(0.1, 0.15, 0.2), OwnerFelt(0.1, 0.11, 0.2)]
    felt = [Served(each.computer, 0, 0, 0, 0, 0, owner) for each, owner in zip(TWO, owners, strict=True)]
    repeats = tuple(repeat(number, 1.0, [happened(1)], felt) for number in range(3))
    found = slowdown(Point(Arrangement(shape), 2, repeats))
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((mean, mean, mean))
    assert slowdown(Point(Arrangement(shape), 2, (repeat(1, 1.0, [happened(1)], TWO),))) is None
