"""Short commands travel together: what people notice of it, and what not. With real workers."""

from __future__ import annotations

import asyncio

from tests.compute.conftest import Computer

from commonhold.compute.job import KEPT_OUTPUT, Input, State


def values(count: int) -> tuple[Input, ...]:
    return tuple(Input("value", str(number)) for number in range(1, count + 1))


async def test_many_short_commands_run_once_each_in_folders_of_their_own(warm: Computer):
    command = "ls -A | wc -l; echo {}; touch {}; mkdir x; [ {} != 7 ]"
    warm.share("results")
    job = await warm.run(command, inputs=values(60), into="tower:results")
    assert (job.state, job.done, job.failed) == (State.FAILED, 59, 1)
    tasks = warm.journal.tasks(job.job)
    assert [task.output for task in tasks] == [f"0\n{number}\n" for number in range(1, 61)]
    assert [task.exit for task in tasks if task.state is State.FAILED] == [1]
    assert all(task.started and task.ended and task.computer == "tower" for task in tasks)
    assert sorted(path.name for path in warm.shelf("results").iterdir()) == sorted(map(str, range(1, 61)))


async def test_nothing_waits_behind_a_long_command_that_travels_with_short_ones(warm: Computer):
    """It is the 40th: by then it is known that they are short."""
    job = await warm.begin("[ {} != 40 ] || while [ ! -e done ]; do sleep 0.1; done", inputs=values(60), timeout=60)
    others = await warm.until(job, "done", 59)
    assert 40 not in {task.task for task in others}
    await warm.cluster.cancel(job)
    assert warm.journal.tasks(job, 40)[0].state is State.CANCELLED


async def test_a_job_that_is_cancelled_runs_no_more_of_the_commands_that_travel_together(warm: Computer):
    job = await warm.begin("sleep 0.01; : {}", inputs=values(1000))
    await warm.until(job, "done", 20)
    cancelled = await warm.cluster.cancel(job)
    assert cancelled.done < 1000
    after = await warm.run("echo next")  # in the same session, as soon as they are gone
    assert warm.journal.tasks(after.job)[0].output == "next\n"
    await asyncio.sleep(0.3)
    assert warm.journal.job(job).done == cancelled.done


async def test_outputs_that_are_long_in_json_are_all_told(warm: Computer):
    """Each of these bytes takes six there: 60 tasks, 24 MB, and one line between sandbox and node has 16."""
    job = await warm.run(f"head -c {KEPT_OUTPUT} /dev/zero; : {{}}", inputs=values(60))
    assert (job.state, job.done) == (State.DONE, 60), (job.notes, warm.journal.tasks(job.job)[0].problem[:400])
    assert {task.output for task in warm.journal.tasks(job.job)} == {"\0" * KEPT_OUTPUT}


async def test_a_worker_that_dies_in_the_middle_costs_no_task(warm: Computer):
    job = await warm.begin("sleep 0.01; echo {}", inputs=values(120))
    await warm.until(job, "done", 30)
    warm.worker().kill()
    ended = await warm.ended(job)
    assert (ended.state, ended.done) == (State.DONE, 120)
    assert [task.output for task in warm.journal.tasks(job)] == [f"{number}\n" for number in range(1, 121)]
