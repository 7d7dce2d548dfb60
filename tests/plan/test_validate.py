"""Calibration finds the demands that computers have, and predicts what they were not calibrated with."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest
from msgspec.structs import replace

from commonhold.errors import WrongUsage
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.seeded import validated
from commonhold.plan.trials.calibrate import calibrate, chosen, expect, groups
from commonhold.plan.trials.trial import Arrangement, Circumstances, Trial

from .made import EVEN, FIXED, HOT, PROCESSOR, RATE, SERVER, made

COMPUTING = Circumstances("compute", 6, 2.5, 1, "namespaces", link=20.0, power=1.0)


@cache
def trial() -> Trial:
    return made((1, 12, 96), requests=120, repeats=3)


@cache
def validation():
    return validated(trial())


def test_the_demands_are_found():
    found = validation().calibration
    assert found.processor == pytest.approx(PROCESSOR, rel=0.05)
    assert found.per_byte == pytest.approx(1 / RATE, rel=0.1)
    assert found.fixed == pytest.approx(FIXED, rel=0.4)
    assert (found.people, found.disk) == (96, 0.0)
    assert found.busy > 0.9


def test_a_machine_that_plays_all_computers_is_one_station():
    """Its processors are what all wait for, in peer-to-peer too: its links alone would carry ten times as much."""
    found = validated(made((1, 32, 400), requests=60, repeats=2, cores=1, arrangements=(SERVER, EVEN)))
    assert found.calibration.processor == pytest.approx(PROCESSOR, rel=0.1)
    assert found.summaries[0].most < 0.1
    evenly = next(each for each in found.points if each.arrangement == EVEN and each.people == 400)
    assert evenly.throughput.predicted == pytest.approx(1 / PROCESSOR, rel=0.05)


def test_all_other_points_are_predicted_in_both_shapes():
    found = validation()
    assert [each.points for each in found.summaries] == [7, 7, 7]
    throughput, response, p95 = found.summaries
    assert throughput.median < 0.02
    assert throughput.most < 0.1
    assert response.median < 0.05
    assert response.most < 0.25
    assert p95.most < 0.35
    assert min(each.inside for each in found.summaries) >= 0.8
    assert found.ranked == found.pairs
    assert [each.calibrated for each in found.points if each.arrangement == SERVER] == [True, False, True]
    assert {each.arrangement for each in found.points} == {SERVER, EVEN, HOT}
    assert found.warnings == ()


def test_the_same_comparison_the_same_figures():
    few = msgspec.structs.replace(trial(), points=tuple(each for each in trial().points if each.arrangement == SERVER))
    assert validated(few) == validated(few)


def test_what_moved_more_is_predicted_to_take_longer():
    alone, many = chosen(trial())
    known = calibrate(trial().circumstances, alone.repeats, many.repeats, many.people)
    few, more = (expect(trial().circumstances, known, SERVER, (8, 1.0, moved)) for moved in (50_000, 100_000))
    assert more.response - few.response > 50_000 / RATE
    assert more.throughput < few.throughput


def test_parts_that_overlap_are_not_longer_than_the_whole():
    alone, many = chosen(trial())
    short = [msgspec.structs.replace(each, mean=each.mean * 0.66) for each in alone.repeats]
    said = trial().circumstances
    known = calibrate(said, short, many.repeats, many.people)
    think, moved = (sum(getattr(each, of) for each in short) / len(short) for of in ("think", "moved"))
    measured = sum(each.mean for each in short) / len(short)
    assert expect(said, known, SERVER, (1, think, moved)).response == pytest.approx(measured, rel=0.05)
    assert known.fixed < 0


def test_each_person_s_tasks_are_computed_at_one_place():
    """Of nine people at six computers a half by the busiest one, and the others' by the five others."""
    sizes = [group.people for group in groups(COMPUTING, Arrangement(Shape.PEER_TO_PEER, 0.5), 9)]
    assert sizes == [4, 1, 1, 1, 1, 1]
    assert [group.people for group in groups(COMPUTING, SERVER, 9)] == [9]
    assert [group.people for group in groups(COMPUTING, EVEN, 1)] == [1]


def test_figures_that_cannot_be_together_are_refused():
    nothing = dict.fromkeys(("mean", "p50", "p95", "p99", "moved", "think"), 0.0) | {"requests": 0}
    points = [
        replace(point, repeats=tuple(replace(each, **nothing) for each in point.repeats)) for point in trial().points
    ]
    with pytest.raises(WrongUsage, match="what cannot be"):
        validated(replace(trial(), points=tuple(points)))


def test_who_was_never_saturated_and_who_goes_far_beyond_is_warned():
    points = tuple(each for each in trial().points if each.arrangement == (EVEN if each.people == 96 else SERVER))
    found = validated(msgspec.structs.replace(trial(), points=points))
    assert "No point of the server was saturated: with 12 people" in found.warnings[0]
    assert "96 is more than 4 times the load that was calibrated with (12)" in found.warnings[1]


def test_a_comparison_that_cannot_be_calibrated_with():
    without = tuple(each for each in trial().points if each.people > 1)
    with pytest.raises(WrongUsage, match="one person and with many"):
        validated(msgspec.structs.replace(trial(), points=without))
    only = tuple(each for each in trial().points if each.arrangement == SERVER and each.people in {1, 96})
    with pytest.raises(WrongUsage, match="no point but those"):
        validated(msgspec.structs.replace(trial(), points=only))
    other = msgspec.structs.replace(trial().circumstances, workload="games")
    with pytest.raises(WrongUsage, match="games"):
        validated(msgspec.structs.replace(trial(), circumstances=other))
