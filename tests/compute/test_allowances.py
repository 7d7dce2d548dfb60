"""How much of a computer's processors one person may have."""

from __future__ import annotations

import sqlite3

import pytest
from tests.compute.conftest import ANN, BOB, CAROL, NAMES, Computer, Town
from tests.compute.test_fairness import considered
from tests.compute.test_portions import TIMED, at_once, spans, values

from commonhold.authority.authority import Standing, Subject, Verb
from commonhold.compute import allowances
from commonhold.compute.allowances import Allowance, Allowances
from commonhold.compute.job import Job, JobSpec, State
from commonhold.errors import NoSpace, Refused
from commonhold.home import LendingTerms
from commonhold.names import PersonId


@pytest.fixture
def server(alone: Computer) -> Computer:
    """tower, as bob and carol hand in jobs there."""
    return alone


async def submit(server: Computer, tasks: int, person: PersonId = BOB) -> Job:
    """A job of that person that collects its inputs."""
    server.allow(person, Verb.RUN)
    subject = Subject(standing=Standing.MEMBER, person=person, person_name=NAMES[person], computer=server.fingerprint)
    return await server.cluster.submit(subject, JobSpec("true", inputs=values(*map(str, range(tasks)))))


async def test_so_many_jobs_and_no_more_of_one_person(server: Computer):
    server.allowances.say(BOB, Allowance(jobs=2))
    first = await submit(server, 1)
    await submit(server, 1)
    refusal = "bob has 2 of the 2 unfinished jobs that tower's owner allows; 1 more is too many"
    with pytest.raises(NoSpace, match=refusal) as told:
        await submit(server, 1)
    assert told.value.hint.endswith("commonhold quota bob --jobs N")
    await submit(server, 1, CAROL)
    await server.cluster.cancel(first.job)
    await submit(server, 1)


async def test_so_many_tasks_and_no_more_whatever_the_jobs(server: Computer):
    server.allowances.say(BOB, Allowance(tasks=10))
    await submit(server, 6)
    with pytest.raises(NoSpace, match=r"bob has 6 of the 10 unfinished tasks .* 5 more are too many"):
        await submit(server, 5)
    await submit(server, 4)
    assert server.journal.unended(BOB) == (2, 10)
    assert server.journal.busy() == {BOB}


async def test_tasks_count_until_they_end(alone: Computer):
    job = await alone.begin("test {} = 1 || sleep 600", inputs=values("1", "2", "3"))
    await alone.until(job, "done")
    assert alone.journal.unended(ANN) == (1, 2)
    await alone.cluster.cancel(job)
    assert alone.journal.unended(ANN) == (0, 0)


async def test_a_job_without_inputs_is_one_task(server: Computer):
    server.allowances.say(BOB, Allowance(tasks=1))
    await submit(server, 0)
    with pytest.raises(NoSpace):
        await submit(server, 0)


async def test_what_is_run_again_counts(alone: Computer):
    job = await alone.run("exit 1", inputs=values("1", "2", "3"))
    alone.allowances = Allowances(sqlite3.connect(":memory:", isolation_level=None), CAROL, lambda: "carol")
    alone.cluster._allowances = alone.allowances
    alone.allowances.say(ANN, Allowance(tasks=2))
    with pytest.raises(NoSpace, match="ann has 0 of the 2 unfinished tasks that carol allows; 3 more are too many"):
        await alone.cluster.again(job.job)
    assert alone.journal.job(job.job).state is State.FAILED
    alone.allowances.say(ANN, Allowance(tasks=3))
    await alone.cluster.again(job.job)
    await alone.ended(job.job)


async def test_nobody_fills_a_server_with_jobs_though_nothing_was_said(
    server: Computer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(allowances, "MOST_JOBS", 3)
    monkeypatch.setattr(allowances, "MOST_TASKS", 20)
    for _ in range(3):
        await submit(server, 5)
    with pytest.raises(NoSpace, match="unfinished jobs"):
        await submit(server, 1)
    with pytest.raises(NoSpace, match="unfinished tasks"):
        await submit(server, 21, CAROL)
    assert len(server.journal.jobs()) == 3, "what is refused leaves nothing"
    await submit(server, 21, ANN)


def test_what_was_said_is_there_after_a_restart_until_it_is_taken_back(tmp_path):
    def opened() -> Allowances:
        return Allowances(sqlite3.connect(tmp_path / "state.db", isolation_level=None), ANN, lambda: "ann")

    opened().say(BOB, Allowance(cores=2, memory=2**33, tasks=100))
    again = opened()
    assert (again.of(BOB), again.persons()) == (Allowance(cores=2, memory=2**33, tasks=100), {BOB})
    assert (again.cores(BOB, 8), again.cores(BOB, 1), again.cores(CAROL, 8)) == (2, 1, 8)
    assert (again.memory(BOB, 2**40), again.memory(CAROL, 2**40), again.memory(BOB, 5)) == (2**33, 2**40, 5)
    again.say(BOB, Allowance())
    assert (opened().of(BOB), opened().persons()) == (Allowance(), set())


def test_the_owner_has_no_limit(tmp_path):
    kept = Allowances(sqlite3.connect(":memory:", isolation_level=None), ANN, lambda: "ann")
    kept.say(ANN, Allowance(cores=1))
    assert kept.cores(ANN, 8) == 8


async def test_tasks_wait_for_the_cores_that_their_person_may_have(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow("members", Verb.RUN)
    tower.terms = LendingTerms(cores=4, memory=2**30)
    tower.allowances.say(BOB, Allowance(cores=1))
    job = await laptop.run(TIMED, inputs=values(*["0.1"] * 6), on="tower")
    assert job.done == 6
    assert at_once(spans(laptop, job.job), (0, 2**63)) == 1
    with pytest.raises(Refused, match="tower lends bob 1 cores, and each call needs 2"):
        await considered(tower, laptop, call_cores=2)


async def test_who_holds_more_memory_than_they_may_loses_that_task_and_others_keep_theirs(town: Town):
    """Less than the owner lends to all: carol's task of the same size goes on."""
    tower, laptop, desk = town.computers.values()
    tower.allow("members", Verb.RUN)
    tower.terms = LendingTerms(cores=2, memory=4 * 2**30)
    tower.allowances.say(BOB, Allowance(memory=400 * 2**20))
    holds = "python3 -c 'import time; held = bytearray({}); time.sleep(3)'"
    small, large = str(20 * 2**20), str(420 * 2**20)
    theirs = await desk.begin(holds, inputs=values(large), on="tower")
    job = await laptop.run(holds, inputs=values(small, large), on="tower")
    assert (job.done, job.failed) == (1, 1)
    [failed] = [task for task in laptop.journal.tasks(job.job) if task.state is State.FAILED]
    assert failed.input == large
    assert "400 MiB of memory" in failed.problem
    assert "which is what tower lends bob" in failed.problem
    assert (await desk.ended(theirs)).done == 1


async def test_fewer_cores_for_a_person_hold_for_what_runs_already(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow("members", Verb.RUN)
    tower.terms = LendingTerms(cores=4, memory=2**30)
    job = await laptop.begin(TIMED, inputs=values(*["0.2"] * 40), on="tower")
    await laptop.until(job, "done", 4)
    tower.allowances.say(BOB, Allowance(cores=2))
    tower.lending.portions.look()
    before = len(spans(laptop, job))
    await laptop.until(job, "done", before + 8)
    later = max(begun for begun, _ in spans(laptop, job)[: before + 8])
    assert (await laptop.ended(job)).done == 40
    every = spans(laptop, job)
    assert at_once(every, (0, later)) == 4
    assert at_once(every, (later, 2**63)) <= 2
