"""Mistakes: whom they hurt follows from what everybody may do, as counted by hand and as tried one by one."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.plan.queues.shapes import Shape
from commonhold.plan.reach.accidents import Commons, Harm, Mistake, SharedFiles, harms, mean
from commonhold.plan.reach.imagined import imagined_commons

ANN, BOB, EVE = "ann", "bob", "eve"
ALL = frozenset({ANN, BOB, EVE})
PAPERS = SharedFiles("tower", 30, ALL, frozenset({ANN, BOB}))
PHOTOS = SharedFiles("laptop", 10, frozenset({BOB}), frozenset({BOB}))
CASA = Commons((ANN, BOB, EVE), {"tower": ANN, "laptop": BOB}, (PAPERS, PHOTOS), {"tower": ALL, "laptop": ALL})


def test_as_counted_by_hand():
    found = harms(CASA)
    file = found[Mistake.FILE]
    # ann can hit papers alone, on her own disk; bob one of 30 papers or 10 photos of his own; eve nothing.
    assert file.hurt == pytest.approx(float((2 + Fraction(30, 40) * 2 + 0) / 3))
    assert file.minutes == pytest.approx((2 * 240 + 30 / 40 * 2 * 10) / 3)
    assert (file.able, file.most) == (pytest.approx(2 / 3), 2)
    assert found[Mistake.POWER] == Harm(pytest.approx(1 / 3), pytest.approx(2 / 3), 2, pytest.approx(2 * 30 / 3))
    disk = found[Mistake.DISK]  # at tower ann and bob store, at laptop bob alone
    assert disk.hurt == pytest.approx((1 + (1 + 0) / 2 + 0) / 3)
    assert found[Mistake.TASK].hurt == pytest.approx((1 + 1 + 0) / 3), "of two others, half run at each of two"
    assert mean(found.values()).hurt == pytest.approx(sum(each.hurt for each in found.values()) / 4)


@settings(deadline=None)
@given(st.data())
def test_versions_never_make_it_worse(data):
    """Whoever may do what: the same people are hurt, and for as long at most."""
    some = st.frozensets(st.sampled_from([ANN, BOB, EVE]))
    shares = [
        SharedFiles(at, data.draw(st.integers(1, 9)), data.draw(some), data.draw(some)) for at in ("tower", "laptop")
    ]
    without = harms(CASA._replace(shares=shares, kept=False))[Mistake.FILE]
    kept = harms(CASA._replace(shares=shares))[Mistake.FILE]
    assert (kept.hurt, kept.most, kept.able) == (without.hurt, without.most, without.able)
    assert kept.minutes <= without.minutes


@pytest.mark.parametrize("seed", range(8))
def test_what_is_computed_is_what_drawing_comes_to(seed):
    """A share of one computer each, with rights at random; 2,000 deletions by anybody."""
    chance = Random(seed)  # noqa: S311 - nothing secret is drawn
    people = [f"p{number}" for number in range(chance.randint(2, 5))]

    def some(owner: str) -> frozenset[str]:
        return frozenset(each for each in people if each == owner or chance.random() < 0.5)

    shares = [SharedFiles(each, chance.randint(1, 3), some(each), some(each)) for each in people]
    net = Commons(people, {each: each for each in people}, shares, {})
    drawn = 0
    for _ in range(2_000):
        person = chance.choice(people)
        files = [share for share in shares if person in share.writers for _ in range(share.files)]
        drawn += len(chance.choice(files).users - {person})
    assert harms(net)[Mistake.FILE].hurt == pytest.approx(drawn / 2_000, abs=0.25)


def test_a_server_that_is_off_hurts_all_and_is_one_among_many():
    shapes = (Shape.CLIENT_SERVER, Shape.PEER_TO_PEER)
    server, peers = (harms(imagined_commons(shape, 8))[Mistake.POWER] for shape in shapes)
    assert (server.most, peers.most) == (8, 2)
    assert server.hurt < peers.hurt


def test_the_naive_network_lets_more_people_hit_what_others_need():
    naive, ours = (mean(harms(imagined_commons(Shape.PEER_TO_PEER, 8, naive=each)).values()) for each in (True, False))
    assert naive.hurt > ours.hurt
    assert naive.minutes > 2 * ours.minutes
