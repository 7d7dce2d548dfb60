"""Nothing is lost: whatever dies while a job runs, each of its tasks ends once, and people are told what happened."""

from __future__ import annotations

import asyncio
import os
import time

import psutil
import pytest
from tests.compute.conftest import ANN, Computer, Town, needs_bubblewrap
from tests.compute.test_jobs import values
from tests.conftest import commands

from commonhold.authority import roster as rosters
from commonhold.authority.authority import Verb
from commonhold.compute.hub import seating
from commonhold.compute.job import Input, JobSpec, State
from commonhold.errors import Conflict, NotFound, Refused, Unreachable

TEN = values(*map(str, range(10)))
WRITES = "sleep 0.3; echo {} of $(date +%s%N) > {}.txt"  # no two runs of it write the same


def lending(town: Town) -> None:
    """laptop lends two cores to ann, whose tower has one."""
    town.computers["tower"].terms = type(town.computers["tower"].terms)(cores=1)


def whole(computer: Computer, job: int, town: Town) -> None:
    """The job is done, and each task's output was stored once."""
    found = computer.journal.job(job)
    assert (found.state, found.done) == (State.DONE, 10), (found, computer.journal.tasks(job))
    assert sorted(town.stored) == sorted(f"{number}.txt" for number in range(10))
    for number in range(10):
        assert (computer.shelf("out") / f"{number}.txt").read_text().startswith(f"{number} of ")


async def shared(town: Town) -> tuple[Computer, int]:
    """A job for tower and laptop. Both are ready: else tower may be through before laptop begins."""
    tower = town.computers["tower"]
    tower.share("out")
    assert (await tower.run("true", on="all")).done == 2
    return tower, await tower.begin(WRITES, inputs=TEN, into="tower:out")


async def begun(town: Town) -> tuple[Computer, int]:
    """Laptop has done something of it, and runs a part at this moment."""
    tower, job = await shared(town)
    async for _ in tower.cluster.news.of(job):
        states = {task.state for task in tower.journal.tasks(job) if task.computer == "laptop"}
        if {State.DONE, State.RUNNING} <= states:
            return tower, job
    raise AssertionError(f"laptop ran none of it: {tower.journal.job(job)}")


async def stopped(worker: psutil.Process) -> None:
    """Between two tasks, or with one that has just ended, there would be nothing to lose."""
    worker.suspend()
    while all(each.name() != "sleep" for each in worker.children(recursive=True)):
        worker.resume()
        await asyncio.sleep(0.02)
        worker.suspend()


async def test_a_worker_that_is_killed_costs_what_it_ran_and_nothing_twice(lent: Town):
    lending(lent)
    tower, job = await begun(lent)
    worker = lent.computers["laptop"].worker()
    await stopped(worker)
    worker.kill()
    ended = await tower.ended(job)
    whole(tower, job, lent)
    assert "The worker on laptop was killed by signal 9; the tasks that it ran run again, each alone." in ended.notes
    tried = [each for task in tower.journal.tasks(job) for each in task.earlier]
    assert ("laptop", "the worker on laptop was killed by signal 9") in {(each.computer, each.why) for each in tried}


async def test_what_was_stored_before_its_worker_died_is_done_and_does_not_run_again(lent: Town):
    """Its scheduler has not heard of it: the lender's node knows."""
    lending(lent)
    laptop, killed = lent.computers["laptop"], []

    def kill(lender: Computer, path: str) -> None:
        if lender is laptop and not killed:
            killed.append(path)
            laptop.worker().kill()

    lent.on_stored = kill
    tower, job = await shared(lent)
    await tower.ended(job)
    assert killed
    whole(tower, job, lent)


async def test_a_worker_that_is_frozen_is_ended_and_stores_nothing_when_it_wakes(lent: Town):
    lending(lent)
    tower, job = await begun(lent)
    worker = lent.computers["laptop"].worker()
    await stopped(worker)
    frozen = time.monotonic()
    ended = await tower.ended(job)
    assert time.monotonic() - frozen < tower.patience.silence + 5 + 6 * 0.3 * 10
    with pytest.raises(psutil.NoSuchProcess):
        worker.resume()
    whole(tower, job, lent)
    said = "The worker on laptop was ended by its lender (It stopped the worker that ran it)"
    assert any(note.startswith(said) for note in ended.notes), ended.notes


async def test_a_scheduler_that_is_killed_loses_nothing(lent: Town):
    lending(lent)
    tower, job = await begun(lent)
    tower.scheduler().kill()
    ended = await tower.ended(job)
    whole(tower, job, lent)
    assert "The scheduler of this job ended; what was not done yet runs again." in ended.notes


async def test_a_job_whose_schedulers_die_before_any_task_ends_fails_with_the_reason(alone: Computer):
    job = await alone.begin("sleep 60")
    async for event in alone.cluster.news.of(job):
        if event["event"] == "task" and event["state"] == "running":
            alone.scheduler().kill()
    ended = alone.journal.job(job)
    assert (ended.state, ended.notes[-1]) == (State.FAILED, "Its scheduler ended 3 times before any task did.")


async def test_a_node_that_ends_takes_its_jobs_up_when_it_is_back(lent: Town):
    lending(lent)
    tower, job = await begun(lent)
    await tower.until(job, "done", 3)
    await tower.restart()
    found = tower.journal.job(job)
    assert (found.state, found.running) == (State.RUNNING, 0)
    assert 3 <= found.done < 10
    ended = await tower.ended(job)
    whole(tower, job, lent)
    assert "The node ended while this job ran; what was not done yet runs again." in ended.notes


async def test_a_job_for_every_computer_is_taken_up_with_each_task_where_it_belongs(lent: Town):
    tower = lent.computers["tower"]
    job = await tower.begin("sleep 1; echo x", on="all")
    await tower.until(job, "running", 2)
    places = [task.computer for task in tower.journal.tasks(job)]
    await tower.restart()
    assert (await tower.ended(job)).state is State.DONE
    assert [task.computer for task in tower.journal.tasks(job)] == places


async def test_who_may_run_no_more_finds_the_job_failed_after_a_restart_with_the_reason(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.share("out")
    for verb, share in ((Verb.RUN, None), (Verb.ADD, "out")):
        tower.allow(laptop.owner, verb, share)
    spec = JobSpec("sleep 60", into="tower:out", on="tower")
    submitted = await tower.cluster.submit(tower.authority.who(laptop.fingerprint), spec)
    await tower.cluster.begin(submitted.job)
    await tower.until(submitted.job, "running")
    await tower.close()
    town.roster = town.roster.merged(rosters.remove(town.keys["tower"], town.roster, laptop.fingerprint))
    tower._build()
    await tower.open()
    job = tower.journal.job(submitted.job)
    assert job.state is State.FAILED
    assert job.notes[-1].endswith(": bob's computer laptop was removed from the network town.")


async def test_a_job_waits_for_a_lender_that_was_lost_and_goes_on_when_it_is_back(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.patience = tower.patience._replace(waiting=600)
    await tower.restart()
    laptop.allow(ANN, Verb.RUN)
    tower.share("out")
    job = await tower.begin(WRITES, inputs=TEN, into="tower:out", on="laptop")
    await tower.until(job, "done")
    await laptop.close()
    async for _ in tower.cluster.news.of(job):
        if any(note.startswith("What is for laptop alone cannot run now") for note in tower.journal.job(job).notes):
            break
    laptop._build()
    await laptop.open()
    await tower.ended(job)
    whole(tower, job, town)


async def test_a_lender_that_lends_no_more_before_its_worker_came_is_not_waited_for(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    began = time.monotonic()
    job = await tower.begin("true", on="laptop")
    laptop.lends(when="never")
    await asyncio.sleep(1)
    laptop.lends(when="always")
    assert (await tower.ended(job)).state is State.DONE
    assert time.monotonic() - began < seating.APPEARS_WITHIN


async def test_a_lender_whose_yes_was_lost_is_asked_again(town: Town):
    """Its answer did not arrive: what it began is over before it begins anew."""
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    lost: list[str] = []

    async def lose(asked: Computer, what: str) -> None:
        if what == "POST /sessions" and not lost:
            lost.append(what)
            raise Unreachable("The answer of laptop was lost.")

    town.on_answer = lose
    with pytest.raises(Refused, match="was lost"):
        await tower.begin("true", on="laptop")
    assert (await tower.run("true", on="laptop")).state is State.DONE


async def test_a_worker_that_comes_late_to_a_second_stay_is_not_taken_for_one_that_missed_the_first(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    """The first ended before its worker came, and its time runs out when that of the second has just begun."""
    monkeypatch.setattr(seating, "APPEARS_WITHIN", 5.0)
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    broken = 0.0

    async def break_off(asked: Computer, what: str) -> None:
        nonlocal broken
        if what.endswith("/jobs/1") and not broken:
            broken = time.monotonic()
            raise Unreachable("The line broke.")
        if what == "POST /sessions/inquiry" and broken and time.monotonic() - broken < 4.3:
            raise Unreachable("It is broken still.")

    town.on_answer = break_off
    job = await tower.begin("sleep 0.2; : {}", inputs=values(*map(str, range(60))))
    ended = await tower.ended(job)
    assert broken
    assert ended.state is State.DONE
    assert not any("silent" in note for note in ended.notes), ended.notes


async def test_a_lender_that_comes_while_a_job_runs_is_given_tasks(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    job = await tower.begin("sleep 0.3; : {}", inputs=values(*map(str, range(30))))
    await tower.until(job, "done")
    laptop.allow(ANN, Verb.RUN)
    assert (await tower.ended(job)).state is State.DONE
    assert {task.computer for task in tower.journal.tasks(job)} == {"tower", "laptop"}


@needs_bubblewrap
async def test_a_task_that_kills_its_worker_costs_two_and_those_beside_it_are_not_to_blame(lent: Town):
    lending(lent)
    lost = []
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    job = await tower.begin("test {} != 4 && sleep 0.4 || kill -9 $PPID", inputs=TEN)
    async for event in tower.cluster.news.of(job):
        lost += [1 for _ in [event] if event["event"] == "note" and "killed by signal 9" in event["note"]]
    ended = tower.journal.job(job)
    assert (ended.done, ended.failed) == (9, 1)
    [failed] = [task for task in tower.journal.tasks(job) if task.state is State.FAILED]
    assert failed.input == "4"
    assert "It ended the process that ran it, on two workers (killed by signal 9)" in failed.problem
    assert len(lost) <= 2
    assert laptop.audit.count("lent") + tower.audit.count("lent") <= 4


async def test_a_door_that_forgot_its_passes_gives_new_ones(lent: Town):
    """As one does whose node was started again."""
    lending(lent)
    tower, job = await begun(lent)
    tower.passes._drop(lambda _: True)
    ended = await tower.ended(job)
    whole(tower, job, lent)
    assert any(note.startswith("A task could not reach its files, and runs again.") for note in ended.notes)


async def test_cancel_kills_what_runs_within_a_second_and_keeps_what_is_done(lent: Town):
    lending(lent)
    tower = lent.computers["tower"]
    tower.share("out")
    long = f"sleep 6{os.getpid()}"
    job = await tower.begin(f"test {{}} -lt 2 && echo x > {{}}.txt || {long}", inputs=TEN, into="tower:out")
    await tower.until(job, "running", 3)
    await tower.until(job, "done", 2)
    while not commands(long):  # noqa: ASYNC110 - what is handed out together begins one after the other
        await asyncio.sleep(0.02)
    await tower.cluster.cancel(job)
    asked = time.monotonic()
    while commands(long):
        await asyncio.sleep(0.02)
        assert time.monotonic() - asked < 2, "a second, and one for a busy machine"
    ended = tower.journal.job(job)
    assert (ended.state, ended.done, ended.cancelled) == (State.CANCELLED, 2, 8)
    assert sorted(lent.stored) == ["0.txt", "1.txt"]
    with pytest.raises(Conflict, match="has ended already: cancelled"):
        await tower.cluster.cancel(job)


async def test_again_runs_what_failed_or_was_cancelled_and_keeps_what_is_done(lent: Town):
    lending(lent)
    tower = lent.computers["tower"]
    tower.share("out")
    tower.share("in")
    inputs = tuple(Input("remote", f"tower:in/{number}", str(number)) for number in range(10))
    for number in range(5):
        (tower.shelf("in") / str(number)).write_text("")
    job = await tower.begin(WRITES, inputs=inputs, into="tower:out")
    with pytest.raises(Conflict, match="has not ended yet"):
        await tower.cluster.again(job)
    ended = await tower.ended(job)
    assert (ended.state, ended.done, ended.failed) == (State.FAILED, 5, 5)
    for number in range(5, 10):
        (tower.shelf("in") / str(number)).write_text("")
    assert (await tower.cluster.again(job)).state is State.RUNNING
    await tower.ended(job)
    whole(tower, job, lent)
    with pytest.raises(Conflict, match=f"All tasks of job {job} are done"):
        await tower.cluster.again(job)


async def test_again_takes_up_what_was_just_cancelled(lent: Town):
    lending(lent)
    tower, job = await begun(lent)
    await tower.cluster.cancel(job)
    await tower.cluster.again(job)
    ended = await tower.ended(job)
    assert (ended.state, ended.done) == (State.DONE, 10)
    # A task may have stored its output in the moment in which it was cancelled: then it has done so again.
    assert set(lent.stored) == {f"{number}.txt" for number in range(10)}


async def test_a_job_that_nobody_took_is_begun_by_again(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    with pytest.raises(Exception, match="laptop refused"):
        await tower.begin("echo x", on="laptop")
    laptop.allow(ANN, Verb.RUN)
    await tower.cluster.again(1)
    assert (await tower.ended(1)).done == 1


async def test_a_job_that_still_collects_is_cancelled_and_runs_only_when_it_is_asked_for_again(warm: Computer):
    job = await warm.cluster.submit(warm.me, JobSpec("true"))
    assert (await warm.cluster.cancel(job.job)).state is State.CANCELLED
    with pytest.raises(Conflict):
        await warm.cluster.begin(job.job)
    assert (await warm.cluster.again(job.job, warm.me.computer)).state is State.COLLECTING
    await warm.cluster.begin(job.job)
    assert (await warm.ended(job.job)).done == 1


async def test_http_cancels_and_begins_again_for_its_person_only(lent: Town):
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    there = lent.peer(tower.fingerprint)
    job = await tower.begin("sleep 1")
    for word in ("cancel", "again"):
        with pytest.raises(NotFound):
            await laptop.caller.ask(there, "POST", f"/jobs/{job}/{word}")
    assert (await tower.caller.ask(there, "POST", f"/jobs/{job}/cancel"))["state"] == "cancelled"
    assert (await tower.caller.ask(there, "POST", f"/jobs/{job}/again"))["state"] == "running"
    assert (await tower.ended(job)).state is State.DONE
