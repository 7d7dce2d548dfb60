"""A comparison's file: what it holds comes back, and what is none is named."""

from __future__ import annotations

from datetime import date
from math import inf

import pytest
from msgspec.structs import replace

from commonhold.errors import WrongUsage
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.trials.trial import (
    Arrangement,
    Circumstances,
    OwnerFelt,
    Point,
    Repeat,
    Served,
    Trial,
    band,
    read,
    written,
)

EVEN = Arrangement(Shape.PEER_TO_PEER)


def tried(seed: int, seconds: float = 30.0, mean: float = 0.1) -> Repeat:
    served = (Served("tower", 300, 75_000_000, 0.02, 0.1, 0.5, OwnerFelt(0.05, 0.055, 0.07)),)
    return Repeat(seed, seconds, 300, 0, mean, mean, 3 * mean, 4 * mean, 1.02, 250_000.0, served)


TRIAL = Trial(
    Circumstances("fileserver", 16, 1.0, 20, "namespaces", 20.0, day=date(2026, 11, 30)),
    (Point(EVEN, 4, (tried(1), tried(2))), Point(EVEN, 2, (tried(1),))),
    ("The machine was busy.",),
)


def test_a_file_holds_all_of_it():
    assert read(written(TRIAL)) == TRIAL
    assert [point.people for point in TRIAL.of(EVEN)] == [2, 4]
    assert TRIAL.arrangements == [EVEN]


def test_bands_are_students():
    """Five values, by hand: mean 3, deviation 1.5811, t of four degrees 2.776."""
    found = band([1, 2, 3, 4, 5])
    assert found == pytest.approx((3, 3 - 1.963, 3 + 1.963), abs=0.001)
    assert band([7.0]) == (7.0, -inf, inf)
    assert TRIAL.points[0].throughput.mean == 10.0
    assert TRIAL.points[0].repeats[0].served[0].owner.slowdown == pytest.approx(1.1)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff", b'{"circumstances": 3}', b'{"x":' + b"[" * 100_000, written(Trial(TRIAL.circumstances, ()))],
)
def test_what_is_no_comparison_is_named(data):
    with pytest.raises(WrongUsage):
        read(data)
    with pytest.raises(WrongUsage):
        band([])


@pytest.mark.parametrize(
    ("said", "nonsense"),
    [
        ('"seconds": 30.0', '"seconds": 0.0'),
        ('"requests": 300', '"requests": -1'),
        ('"alone": 0.05', '"alone": 0'),
        ('"link": 0.5', '"link": 1.5'),
        ('"people": 4', '"people": 0'),
        ('"mean": 0.1', '"mean": 1e99'),
    ],
)
def test_values_that_cannot_be_are_named(said, nonsense):
    data = written(TRIAL).decode()
    assert said in data
    with pytest.raises(WrongUsage, match="Expected `"):
        read(data.replace(said, nonsense).encode())
    point = TRIAL.points[0]
    nobody = replace(point, repeats=(replace(point.repeats[0], served=()),))
    with pytest.raises(WrongUsage, match="no points"):
        read(written(replace(TRIAL, points=(nobody,))))
