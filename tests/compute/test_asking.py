"""Tasks that say how much memory they use."""

from __future__ import annotations

import sys

import msgspec
import pytest
from tests.compute.conftest import BOB, Computer, Town

from commonhold.authority.authority import Verb
from commonhold.compute.hub.handout import unfit
from commonhold.compute.job import Input, JobSpec, State
from commonhold.compute.lender import bounds
from commonhold.compute.lender.bounds import Lent, Machine, Unit, Use
from commonhold.compute.papers import Accepted
from commonhold.errors import CommonholdError, WrongUsage

MIB, GIB = 2**20, 2**30


def lends(computer: Computer, memory: int) -> None:
    computer.terms = msgspec.structs.replace(computer.terms, memory=memory)


async def test_no_more_run_at_a_time_than_fit_into_what_is_lent(alone: Computer):
    """Two would have a core each; of 400 MiB tasks may ask for 272."""
    lends(alone, 400 * MIB)
    begun = "touch running; ls -d ../*/running | wc -l; sleep 0.5; rm running; : {}"
    inputs = tuple(Input("value", str(number)) for number in range(3))
    job = await alone.run(begun, inputs=inputs, memory=200 * MIB)
    assert job.done == 3
    assert {task.output.strip() for task in alone.journal.tasks(job.job)} == {"1"}
    job = await alone.run(begun, inputs=inputs, memory=100 * MIB)
    assert {task.output.strip() for task in alone.journal.tasks(job.job)} > {"2"}


async def test_a_task_that_uses_more_than_it_asked_for_ends_and_says_so(alone: Computer):
    hoard = "import sys, time; held = b'x' * (int(sys.argv[1]) * 2**20); time.sleep(2)"
    inputs = tuple(Input("value", str(size)) for size in (10, 150))
    job = await alone.run((sys.executable, "-c", hoard, "{}"), inputs=inputs, memory=100 * MIB)
    small, large = alone.journal.tasks(job.job)
    assert small.state == State.DONE
    assert (large.state, large.exit) == (State.FAILED, None)
    assert large.problem == "It used more than 100 MiB of memory, which is what its job asked for."


async def test_who_lends_too_little_is_told_of_and_others_compute(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    lends(laptop, GIB)
    lends(tower, 4 * GIB)
    job = await laptop.run("true", memory=2 * GIB)
    assert [task.computer for task in laptop.journal.tasks(job.job)] == ["tower"]
    assert any(note == "laptop lends tasks 896 MiB of memory, and each needs 2 GiB." for note in job.notes)
    with pytest.raises(CommonholdError, match="tower lends tasks 3968 MiB of memory, and each needs 8 GiB"):
        await laptop.begin("true", memory=8 * GIB)


def test_what_a_lender_cannot_do_has_a_sentence():
    lent = Accepted(1, "bubblewrap", 896 * MIB)
    assert unfit("tower", lent, JobSpec("true", memory=GIB)).startswith("tower lends tasks 896 MiB of memory")
    assert unfit("tower", lent, JobSpec("true", cores=2)) == "tower lends 1 core, and each task needs 2."
    assert unfit("tower", lent, JobSpec("true", memory=896 * MIB)) == ""


@pytest.mark.parametrize("memory", [-1, 2**51])
def test_what_nobody_has_cannot_be_asked_for(memory: int):
    with pytest.raises(WrongUsage, match="No computer has so much memory"):
        JobSpec("true", memory=memory).check()


def test_tasks_may_ask_for_what_their_worker_leaves_them():
    assert bounds.for_tasks(2 * GIB) == 2 * GIB - bounds.OWN
    assert bounds.for_tasks(100 * MIB) == 50 * MIB


def test_who_asked_for_less_ends_though_all_of_it_would_fit():
    units = (Unit(5, True, 300 * MIB, 1, 200 * MIB), Unit(6, True, 300 * MIB, 1), Unit(7, True, 300 * MIB, 1, GIB))
    [over] = bounds.verdicts([Use(units=units)], Lent(2 * GIB), Machine(16 * GIB, 8 * GIB), "tower")
    assert [unit.number for unit in over.units] == [5]
