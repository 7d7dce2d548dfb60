"""Who is silent since others need the processors is told from who hangs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.lender.starvation import LITTLE, LOOKS, Starvation


def looked(starvation: Starvation, *looks: tuple[dict[int, float], bool], every: float = 0.2) -> bool:
    for number, (spent, ready) in enumerate(looks, 1):
        starvation.look(100 + number * every, spent, ready)
    return starvation.seen


def test_who_is_ready_at_every_look_and_gets_nothing_waits():
    assert looked(Starvation(), *[({2: 5.0}, True)] * (LOOKS + 1))


def test_one_look_at_which_it_wants_nothing_is_enough_to_hang():
    looks = [({2: 5.0}, True)] * (LOOKS + 1)
    assert not looked(Starvation(), *looks, ({2: 5.0}, False))


@given(st.floats(LITTLE, 4), st.floats(0.1, 5))
def test_who_gets_a_fifth_of_a_core_does_not_wait(rate, every):
    spent = [({2: 1.0, 7: round(rate * every * number * 1.01, 9)}, True) for number in range(2 * LOOKS)]
    assert not looked(Starvation(), *spent, every=every)


@given(st.lists(st.dictionaries(st.integers(1, 9), st.floats(0, 0.01), max_size=5), min_size=LOOKS + 1, max_size=20))
def test_processes_that_have_ended_take_nothing_from_what_others_had(looks):
    """What was had by one that is gone is no gain that was undone: with so little each, the guest waits."""
    few = [({process: of for process, of in look.items() if process < 4}, True) for look in looks]
    assert looked(Starvation(), *few)


def test_two_looks_at_once_are_one():
    starvation = Starvation()
    for _ in range(LOOKS + 1):
        starvation.look(100.0, {2: 5.0}, True)
    assert not starvation.seen
