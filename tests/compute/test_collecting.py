"""A job whose inputs are being brought is held by whoever brings them, and stops when nobody does."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from tests.compute.conftest import Computer, Town

from commonhold.compute.hub.collecting import Collecting
from commonhold.compute.job import Input, JobSpec, State
from commonhold.errors import Conflict

GIVEN = Input("local", "/home/ann/x.txt", "x.txt")


async def collected(alone: Computer) -> int:
    return (await alone.cluster.submit(alone.me, JobSpec("cat {}", inputs=(GIVEN,)))).job


def bring(alone: Computer, job: int, text: str = "mine") -> None:
    (alone.shelf(f".job-{job}") / "in").mkdir(exist_ok=True)
    (alone.shelf(f".job-{job}") / "in" / "x.txt").write_text(text)


async def test_a_job_that_somebody_holds_waits_and_one_that_is_let_go_stops(alone: Computer):
    job = await collected(alone)
    async with aclosing(alone.cluster.collecting.held(job)) as lines:
        await anext(lines)
        assert alone.journal.job(job).state is State.COLLECTING
    stopped = alone.journal.job(job)
    assert (stopped.state, stopped.total) == (State.STOPPED, 0)
    assert stopped.ended is not None
    assert "gone before all were there" in stopped.notes[0]
    with pytest.raises(Conflict) as told:
        await alone.cluster.begin(job)
    assert told.value.hint == f"commonhold again {job}"


async def test_a_job_that_nobody_ever_held_stops_after_a_while(alone: Computer):
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    collecting = Collecting(stopped.set_result, alone=0.05)
    collecting.add(7, alone.me)
    assert await asyncio.wait_for(stopped, 10) == 7
    assert collecting.take(7) is None


async def test_who_holds_hears_that_it_has_begun_and_what_has_begun_does_not_stop(alone: Computer):
    job = await collected(alone)
    bring(alone, job)
    lines = alone.cluster.collecting.held(job)
    await anext(lines)
    ending = asyncio.ensure_future(anext(lines, None))
    await alone.cluster.begin(job)
    assert await asyncio.wait_for(ending, 10) is None
    assert (await alone.ended(job)).state is State.DONE


async def test_as_long_as_one_of_two_holds_it_it_waits(alone: Computer):
    job = await collected(alone)
    first, second = (alone.cluster.collecting.held(job) for _ in range(2))
    for lines in (first, second):
        await anext(lines)
    await first.aclose()
    assert alone.journal.job(job).state is State.COLLECTING
    await second.aclose()
    assert alone.journal.job(job).state is State.STOPPED


async def test_a_job_that_stopped_collects_again_and_runs_under_its_number(alone: Computer):
    job = await collected(alone)
    await alone.cluster.collecting.held(job).aclose()
    async with aclosing(alone.cluster.collecting.held(job)) as lines:
        await anext(lines)
    again = await alone.cluster.again(job, alone.me.computer)
    assert (again.state, again.ended, again.notes) == (State.COLLECTING, None, ())
    with pytest.raises(Conflict, match="has not ended yet"):
        await alone.cluster.again(job, alone.me.computer)
    bring(alone, job)
    await alone.cluster.begin(job)
    assert (await alone.ended(job)).done == 1
    assert alone.journal.task(job, 1).output == "mine"


async def test_a_job_that_was_cancelled_before_it_began_collects_again_too(alone: Computer):
    job = await collected(alone)
    assert (await alone.cluster.cancel(job)).state is State.CANCELLED
    assert (await alone.cluster.again(job, alone.me.computer)).state is State.COLLECTING
    await alone.cluster.cancel(job)


async def test_files_of_one_computer_are_not_brought_from_another(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    job = await collected(tower)
    await tower.cluster.cancel(job)
    with pytest.raises(Conflict, match="files of another computer") as told:
        await tower.cluster.again(job, laptop.fingerprint)
    assert told.value.hint == "type it where the job was made"
    values = (await tower.cluster.submit(tower.me, JobSpec("true", inputs=(Input("value", "1"),)))).job
    await tower.cluster.cancel(values)
    assert (await tower.cluster.again(values, laptop.fingerprint)).state is State.COLLECTING
    await tower.cluster.cancel(values)


async def test_a_node_that_ends_stops_what_was_being_collected_and_it_goes_on_after_that(alone: Computer):
    job = await collected(alone)
    await alone.restart()
    assert alone.journal.job(job).state is State.STOPPED
    await alone.cluster.again(job, alone.me.computer)
    bring(alone, job)
    await alone.cluster.begin(job)
    assert (await alone.ended(job)).done == 1
