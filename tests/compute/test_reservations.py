"""Memory that tasks have asked for, and who gets it when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.lender.reservations import Asker, Reservations


class Lender:
    """So much memory, and the tasks that may run, in the order in which they were let."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.running: dict[str, int] = {}
        self.order: list[str] = []
        self._askers: dict[str, Asker] = {}
        self.reservations = Reservations(lambda: self.total)

    def begin(self, who: str, task: str, size: int) -> None:
        """Tasks are called after their person, job and number: ann's 1-2 is ann 1-2."""
        name = f"{who} {task}"

        def granted() -> None:
            self.running[name] = size
            self.order.append(name)

        self._askers[name] = Asker(who, f"{who}'s session", task)
        self.reservations.ask(self._askers[name], size, granted)

    def end(self, name: str) -> None:
        self.running.pop(name, None)
        self.reservations.give_back(self._askers.pop(name))


def test_what_fits_runs_at_once_whoevers_it_is():
    lender = Lender(100)
    lender.begin("ann", "1-1", 60)
    lender.begin("bob", "1-1", 40)
    assert lender.order == ["ann 1-1", "bob 1-1"]


def test_what_does_not_fit_waits_until_it_does():
    lender = Lender(100)
    lender.begin("ann", "1-1", 60)
    lender.begin("bob", "1-1", 60)
    assert lender.order == ["ann 1-1"]
    lender.end("ann 1-1")
    assert lender.order == ["ann 1-1", "bob 1-1"]


def test_many_small_ones_do_not_keep_a_large_one_waiting_for_ever():
    lender = Lender(100)
    for number in range(4):
        lender.begin("ann", f"1-{number}", 25)
    lender.begin("bob", "1-1", 90)
    for number in range(4, 8):
        lender.begin("ann", f"1-{number}", 25)
    for number in range(3):
        lender.end(f"ann 1-{number}")
        assert "bob 1-1" not in lender.running, "it does not fit yet"
    lender.end("ann 1-3")
    assert lender.running == {"bob 1-1": 90}, "and nothing of ann's went before it"


def test_whoever_has_less_goes_before_the_next_of_the_same_person():
    lender = Lender(100)
    for number in range(4):
        lender.begin("ann", f"1-{number}", 50)
    lender.begin("bob", "1-1", 50)
    lender.end("ann 1-0")
    assert lender.order[2:] == ["bob 1-1"]


def test_one_that_is_more_than_all_runs_by_itself():
    lender = Lender(100)
    lender.begin("ann", "1-1", 300)
    lender.begin("bob", "1-1", 1)
    assert lender.order == ["ann 1-1"]
    lender.end("ann 1-1")
    assert lender.order == ["ann 1-1", "bob 1-1"]


def test_a_session_that_ends_leaves_all_that_it_had_and_waited_for():
    lender = Lender(100)
    for number in range(3):
        lender.begin("ann", f"1-{number}", 60)
    lender.begin("bob", "7-1", 100)
    lender.reservations.leave("ann's session")
    assert lender.order == ["ann 1-0", "bob 7-1"]
    assert not lender.reservations._waiting


def test_a_job_that_is_over_leaves_what_its_tasks_had_and_no_other_jobs():
    lender = Lender(100)
    for task in ("1-1", "11-1"):
        lender.begin("ann", task, 50)
    lender.begin("bob", "1-1", 50)
    lender.reservations.leave("ann's session", "1")
    assert lender.order == ["ann 1-1", "ann 11-1", "bob 1-1"]
    lender.begin("bob", "1-2", 50)
    assert "bob 1-2" not in lender.order, "11 is not 1"


def test_more_memory_that_is_lent_lets_the_waiting_in():
    lender = Lender(100)
    for who in ("ann", "bob", "carol"):
        lender.begin(who, "1-1", 80)
    lender.total = 200
    lender.reservations.look()
    assert lender.order == ["ann 1-1", "bob 1-1"]
    lender.end("ann 1-1")
    assert lender.order == ["ann 1-1", "bob 1-1", "carol 1-1"]


STEPS = st.lists(st.tuples(st.sampled_from(["ann", "bob", "carol"]), st.integers(1, 150), st.booleans()), max_size=60)


@given(STEPS)
def test_never_more_than_fits_and_everybody_comes_to_run(steps):
    lender, expected = Lender(100), set()
    for number, (who, size, ends) in enumerate(steps):
        lender.begin(who, f"1-{number}", size)
        expected.add(f"{who} 1-{number}")
        assert sum(lender.running.values()) <= 100 or len(lender.running) == 1
        if ends and lender.running:
            lender.end(min(lender.running))
    while lender.running:
        lender.end(min(lender.running))
        assert sum(lender.running.values()) <= 100 or len(lender.running) == 1
    assert set(lender.order) == expected
    assert len(lender.order) == len(expected)
