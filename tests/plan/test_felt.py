"""What comparisons show of the textbook's claims: made-up ones, with a server and peers that behave as we say."""

from __future__ import annotations

from itertools import chain

import pytest
from msgspec.structs import replace

from commonhold.plan.queues.shapes import Shape
from commonhold.plan.textbook.felt import because_shared, by_power, few_clients, heavy_lifting, knee, onset
from commonhold.plan.trials.trial import Arrangement, Circumstances, OwnerFelt, Point, Repeat, Served, Trial

EVEN, NAIVE = Arrangement(Shape.PEER_TO_PEER), Arrangement(Shape.PEER_TO_PEER, naive=True)
HOT, SERVER = Arrangement(Shape.PEER_TO_PEER, hot=0.5), Arrangement(Shape.CLIENT_SERVER)


def point(arrangement: Arrangement, people: int, p95: float, busy: float = 0.1, felt: float = 1.0) -> Point:
    """Of three computers the first one serves all where there is a server, else each as much; its owner feels it."""
    alone = arrangement == SERVER
    owners = [OwnerFelt(0.05, 0.05 * felt, 0.1), OwnerFelt(0.05, 0.05, 0.1)]
    served = [Served("tower", 300, 9_000, busy, 0.0, 0.0, owners[0])]
    served += [Served(name, 0 if alone else 300, 0 if alone else 9_000, 0.0 if alone else busy, 0.0, 0.0, owners[1])
               for name in ("nas", "desk")]  # fmt: skip
    repeats = [Repeat(seed, 10.0, 300, 0, 0.1, 0.1, p95, 2 * p95, 1.0, 1e5, tuple(served)) for seed in (1, 2)]
    return Point(arrangement, people, tuple(repeats))


def curve(arrangement: Arrangement, *p95: float, felt: float = 1.0) -> list[Point]:
    """At 2, 4, 8 and 16 people; owners feel nothing but at the last."""
    found = [point(arrangement, 2 << number, each) for number, each in enumerate(p95)]
    return [*found[:-1], point(arrangement, 2 << (len(p95) - 1), p95[-1], busy=0.5, felt=felt)]


def trial(*curves: list[Point], power: float = 1.0) -> Trial:
    return Trial(Circumstances("office", 3, 1.0, 20, "namespaces", 20.0, power), tuple(chain(*curves)))


FLAT, STEEP = (0.1, 0.1, 0.12, 0.15), (0.1, 0.1, 0.15, 0.4)


def test_trouble_begins_where_a_straight_line_has_twice_the_first():
    assert onset(curve(EVEN, *STEEP)).people == pytest.approx(8 + 8 * (0.2 - 0.15) / (0.4 - 0.15))
    assert str(onset(curve(EVEN, *FLAT))) == "never up to 16 people"
    assert onset(curve(EVEN, *FLAT, felt=1.2)).people == pytest.approx(8 + 8 * (1 - 0.6) / (2 - 0.6))
    assert onset([point(EVEN, 2, 0.1, felt=1.3)]).people == 2, "with the first already"


def test_few_clients_are_trouble_where_a_server_has_none_yet():
    late, early = curve(SERVER, *FLAT), curve(HOT, 0.1, 0.15, 0.5, 1.0)
    assert few_clients([trial(early, late)]).verdict == "confirmed"
    assert few_clients([trial(curve(EVEN, *FLAT), late)]).verdict == "refuted"
    both = few_clients([trial(early, curve(EVEN, *FLAT), late)])
    assert both.verdict == "depends"
    assert "among peers with 50% of the requests at one computer with 5 people" in both.because
    assert "among peers spread evenly never up to 16 people" in both.because
    assert few_clients([trial(early, curve(SERVER, 0.1, 0.3))]).verdict == "refuted", "the server has it as early"


def test_several_comparisons_are_told_apart_by_what_differs():
    late = curve(SERVER, *FLAT)
    found = few_clients([trial(curve(EVEN, *STEEP), late, power=0.5), trial(curve(EVEN, 0.1, 0.2), late)])
    assert "among peers spread evenly (0.5 cores each) with 10 people" in found.because
    assert "among peers spread evenly (1 cores each) with 4 people" in found.because
    assert len(found.figures) == 2, "none stands in another's place"


def test_what_was_not_tried_with_ten_people_shows_nothing():
    assert few_clients([trial(curve(EVEN, 0.1, 0.1), curve(SERVER, 0.1, 0.1))]).verdict == "untried"
    assert few_clients([trial(curve(EVEN, *FLAT))]).verdict == "untried", "against what?"
    assert few_clients([]).verdict == "untried"


def test_stronger_computers_move_it_as_far_as_the_knee():
    weak, strong = trial(curve(EVEN, 0.1, 0.2, 0.4), power=0.5), trial(curve(EVEN, 0.1, 0.1, 0.2, 0.4))
    assert (onset(weak.of(EVEN)).people, onset(strong.of(EVEN)).people) == (4, 8)
    assert knee(strong.of(EVEN)) == pytest.approx((0.1 + 1.0) * 30 / 0.5)
    assert by_power([strong, weak]).verdict == "refuted", "the knee stays where it is, and trouble moves"
    half = trial([point(EVEN, 2, 0.1), point(EVEN, 4, 0.2), point(EVEN, 8, 0.4, busy=1.0)], power=0.5)
    found = by_power([strong, half])
    assert found.verdict == "confirmed"
    assert "of 0.5 cores with 4 people, of 1 cores with 8 people (the knee moves 2.0 times)" in found.because
    assert by_power([strong, strong]).verdict == by_power([trial(curve(EVEN, *FLAT))]).verdict == "untried"


def test_owners_of_peers_wait_and_clients_do_not():
    ours, naive = curve(EVEN, *FLAT, felt=1.05), curve(NAIVE, *FLAT, felt=2.0)
    assert because_shared([trial(naive, curve(SERVER, *FLAT))]).verdict == "confirmed"
    assert because_shared([trial(ours, curve(SERVER, *FLAT))]).verdict == "refuted"
    both = because_shared([trial(ours, naive, curve(SERVER, *FLAT, felt=9.0))])
    assert both.verdict == "depends", "the server's own owner is no client"
    assert "the naive network spread evenly 100%" in both.because
    assert "at clients of a server 0%" in both.because


def test_what_serving_does_not_explain_shows_nothing():
    strange = [point(EVEN, people, 0.1, busy=0.001, felt=2.0) for people in (2, 4)]
    assert because_shared([trial(strange, curve(SERVER, *FLAT))]).verdict == "untried", "something else was busy"
    once = [replace(each, repeats=each.repeats[:1]) for each in curve(NAIVE, *FLAT, felt=2.0)]
    assert because_shared([trial(once, curve(SERVER, *FLAT))]).verdict == "untried", "who knows how it would be again"
    assert onset(once).people is None


def test_a_server_lifts_all_of_it():
    found = heavy_lifting([trial(curve(EVEN, *FLAT), curve(SERVER, *FLAT))])
    assert found.verdict == "confirmed"
    assert "among peers spread evenly one computer sent 33% of it all" in found.because
    assert "with a server one computer sent 100% of it all" in found.because
    assert heavy_lifting([trial(curve(EVEN, *FLAT))]).verdict == "untried"
