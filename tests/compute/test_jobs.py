"""Jobs from end to end: real sandboxes, real Dask, real TLS between computers."""

from __future__ import annotations

import asyncio

import pytest
from tests.compute.conftest import ANN, BOB, CAROL, Computer, Town, guests_of, needs_bubblewrap, nobody_left

from commonhold.authority import roster as rosters
from commonhold.authority.authority import Verb
from commonhold.compute import sandbox
from commonhold.compute.job import Input, JobSpec, State
from commonhold.errors import Conflict, NotFound, Refused, WrongUsage


def values(*texts: str) -> tuple[Input, ...]:
    return tuple(Input("value", text) for text in texts)


async def test_a_command_runs_on_ones_own_computer_and_its_output_is_kept(warm: Computer):
    job = await warm.run("echo hello; echo trouble >&2")
    assert (job.state, job.total, job.done, job.failed) == (State.DONE, 1, 1, 0)
    [task] = warm.journal.tasks(job.job)
    assert (task.exit, task.output, task.error, task.computer) == (0, "hello\n", "trouble\n", "tower")


async def test_every_input_makes_a_task_and_each_keeps_its_own_answer(warm: Computer):
    job = await warm.run(("echo", "frame", "{}"), inputs=values("1", "2 3", "$(id)"))
    assert [task.output for task in warm.journal.tasks(job.job)] == ["frame 1\n", "frame 2 3\n", "frame $(id)\n"]


async def test_a_task_that_fails_is_reported_and_the_others_go_on(warm: Computer):
    job = await warm.run("exit {}", inputs=values("0", "3", "0"))
    assert (job.state, job.done, job.failed) == (State.FAILED, 2, 1)
    assert [task.exit for task in warm.journal.tasks(job.job)] == [0, 3, 0]


async def test_a_failing_task_is_tried_again_as_often_as_the_job_says(warm: Computer):
    warm.share("log")
    told = "echo x > $$.txt; test -e never"
    job = await warm.run(told, retries=2, into="tower:log")
    assert job.failed == 1
    assert len(list(warm.shelf("log").iterdir())) == 3
    [task] = warm.journal.tasks(job.job)
    assert (task.tries, task.exit) == (3, 1)
    assert [(each.computer, each.why) for each in task.earlier] == [("tower", "exit status 1")] * 2


async def test_a_program_that_is_not_there_is_named(warm: Computer):
    job = await warm.run(("no-such-program", "-x"))
    [task] = warm.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.FAILED, 127)
    assert "no-such-program" in task.problem


async def test_a_task_is_stopped_when_its_time_is_up_and_its_children_with_it(warm: Computer):
    job = await warm.run("sleep 600 & sleep 600", timeout=0.5)
    [task] = warm.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.FAILED, None)
    assert "after 0.5 s," in task.problem


async def test_remote_inputs_go_in_and_new_files_come_out_beside_them(lent: Town):
    tower = lent.computers["tower"]
    tower.share("photos")
    for folder, name in (("2025", "a b.txt"), ("2026", "c.txt")):
        (tower.shelf("photos") / folder).mkdir()
        (tower.shelf("photos") / folder / name).write_text(f"{folder}\n")
    tower.share("made")
    inputs = (
        Input("remote", "tower:photos/2025/a b.txt", "a b.txt", "2025"),
        Input("remote", "tower:photos/2026/c.txt", "c.txt", "2026"),
    )
    job = await tower.run("tr 0 o < {} > {.}.out", inputs=inputs, into="tower:made", on="laptop")
    tasks = tower.journal.tasks(job.job)
    assert [task.computer for task in tasks] == ["laptop", "laptop"]
    assert tasks[0].outputs == ("tower:made/2025/a b.out",)
    assert (tower.shelf("made") / "2025" / "a b.out").read_text() == "2o25\n"
    assert (tower.shelf("made") / "2026" / "c.out").read_text() == "2o26\n"
    assert not (tower.shelf("made") / "2026" / "c.txt").exists()  # an input is no output


async def test_local_inputs_are_taken_from_the_jobs_own_folder_and_outputs_stay_there(warm: Computer):
    given = Input("local", "/home/ann/x.txt", "x.txt")
    job = await warm.cluster.submit(warm.me, JobSpec("cp {} copy.txt", inputs=(given,)))
    assert job.state is State.COLLECTING
    place = warm.shelf(job.share) / "in"
    place.mkdir()
    (place / "x.txt").write_text("mine")
    await warm.cluster.begin(job.job)
    assert (await warm.ended(job.job)).state is State.DONE
    assert (warm.shelf(job.share) / "out" / "copy.txt").read_text() == "mine"


async def test_an_input_that_is_not_there_fails_its_task_with_the_reason(warm: Computer):
    warm.share("photos")
    given = Input("remote", "tower:photos/gone.jpg", "gone.jpg")
    job = await warm.run("cat {}", inputs=(given,))
    assert "gone.jpg" in warm.journal.tasks(job.job)[0].problem


async def test_two_tasks_that_leave_a_file_of_one_name_are_not_both_done(warm: Computer):
    warm.share("results")
    job = await warm.run("echo {} > same.txt", inputs=values("1", "2"), into="tower:results")
    assert (job.done, job.failed) == (1, 1)
    [failed] = [task for task in warm.journal.tasks(job.job) if task.state is State.FAILED]
    assert "same.txt”, and so did task" in failed.problem


async def test_all_means_every_computer_that_lends_and_who_refuses_gets_no_papers_of_the_session(town: Town):
    tower, laptop, desk = town.computers.values()
    laptop.allow(ANN, Verb.RUN)
    job = await tower.run("true", on="all")
    assert sorted(task.computer for task in tower.journal.tasks(job.job)) == ["laptop", "tower"]
    assert any(note.startswith("desk refused: ann may not") for note in job.notes)
    assert "POST /sessions/inquiry" in desk.heard
    assert "POST /sessions" not in desk.heard
    assert "POST /sessions" in laptop.heard


async def test_a_job_without_a_computer_says_who_refused_and_why(town: Town):
    tower = town.computers["tower"]
    with pytest.raises(Refused, match="laptop refused: ann may not"):
        await tower.run("true", on="laptop")
    with pytest.raises(NotFound, match="no computer called “nobody”"):
        await tower.run("true", on="nobody")
    ended = tower.journal.jobs()
    assert {job.state for job in ended} == {State.FAILED}
    assert any("laptop refused: ann may not" in note for job in ended for note in job.notes)


async def test_without_bubblewrap_only_people_whom_the_owner_named_are_served(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    tower, laptop, desk = town.computers.values()
    laptop.allow("members", Verb.RUN)
    desk.allow(ANN, Verb.RUN)
    tower.allow(CAROL, Verb.RUN)
    job = await tower.run("true", on="all")
    assert sorted(task.computer for task in tower.journal.tasks(job.job)) == ["desk", "tower"]
    assert any("laptop refused: laptop has no bubblewrap" in note for note in job.notes)


async def test_without_bubblewrap_a_hub_seats_nobody_whom_its_owner_did_not_name(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    """Whoever takes part in a session can run programs where its scheduler runs."""
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    tower, desk = town.computers["tower"], town.computers["desk"]
    desk.allow(ANN, Verb.RUN)
    with pytest.raises(Refused, match="tower has no bubblewrap, and computes only with people whom its owner named"):
        await tower.run("true", on="desk")
    assert "POST /sessions" not in desk.heard


async def test_without_bubblewrap_a_lender_wants_to_know_everybody_who_takes_part(
    town: Town, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    tower, laptop, desk = town.computers.values()
    for owner, others in ((tower, (BOB, CAROL)), (laptop, (ANN, CAROL)), (desk, (ANN,))):
        for other in others:
            owner.allow(other, Verb.RUN)
    job = await tower.run("true", on="all")
    assert sorted(task.computer for task in tower.journal.tasks(job.job)) == ["laptop", "tower"]
    assert any("desk refused: desk has no bubblewrap, and computes only with" in note for note in job.notes)
    desk.allow(BOB, Verb.RUN)
    job = await tower.run("true", on="all")
    assert sorted(task.computer for task in tower.journal.tasks(job.job)) == ["desk", "laptop", "tower"]


async def test_a_right_that_ended_ends_at_the_next_job_of_a_warm_session(lent: Town):
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    assert (await tower.run("true", on="laptop")).state is State.DONE
    laptop.deny(ANN, Verb.RUN)
    with pytest.raises(Refused, match="ann may not"):
        await tower.run("true", on="laptop")
    laptop.allow(ANN, Verb.RUN)


async def test_a_door_that_refuses_the_outputs_fails_the_job_before_anything_runs(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.share("private")
    with pytest.raises(Refused, match="may not"):
        await tower.run("echo x > y", into="laptop:private")
    assert [job.state for job in tower.journal.jobs()] == [State.FAILED]
    assert list(laptop.shelf("private").iterdir()) == []


async def test_a_right_to_add_is_enough_for_outputs(lent: Town):
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    laptop.share("box")
    laptop.allow(ANN, Verb.ADD, "box")
    job = await tower.run("echo x > {}.txt", inputs=values("1", "2"), into="laptop:box/new")
    assert job.state is State.DONE
    assert {file.name for file in (laptop.shelf("box") / "new").iterdir()} == {"1.txt", "2.txt"}


async def test_passes_end_with_the_job(lent: Town):
    tower = lent.computers["tower"]
    tower.share("out")
    job = await tower.begin("sleep 600", into="tower:out", on="laptop")
    await tower.until(job, "running")
    assert tower.passes._passes
    await tower.cluster.cancel(job)
    while tower.passes._passes:  # noqa: ASYNC110 - no event is set by that
        await asyncio.sleep(0.02)


async def test_a_job_for_every_computer_fails_where_one_of_them_does_not_come_back(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    job = await tower.begin("sleep 2", on="all")
    await tower.until(job, "running", 2)
    await laptop.close()
    ended = await tower.ended(job)
    assert (ended.state, ended.done, ended.failed) == (State.FAILED, 1, 1)
    [failed] = [task for task in tower.journal.tasks(job) if task.state is State.FAILED]
    assert failed.problem.startswith("It could not run for 5 seconds. laptop ")  # is stopping, or does not answer
    assert any(note.startswith("What is for laptop alone cannot run now") for note in ended.notes)


async def test_a_lender_that_vanishes_loses_its_tasks_to_the_others(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    command = "sleep 0.7; echo ok"
    job = await tower.cluster.submit(tower.me, JobSpec(command, inputs=values(*"abcdefgh")))
    await tower.cluster.begin(job.job)
    await tower.until(job.job, "running", 4)
    await laptop.lending.close()
    laptop.terms = type(laptop.terms)(when="never")
    ended = await tower.ended(job.job)
    assert (ended.state, ended.done) == (State.DONE, 8)
    assert any("laptop is stopping: it gave its tasks back" in note for note in ended.notes)


@needs_bubblewrap
async def test_a_task_that_kills_its_worker_is_reported_and_the_session_lives_on(warm: Computer):
    job = await warm.run("kill -9 $PPID")
    [task] = warm.journal.tasks(job.job)
    assert task.state is State.FAILED
    assert "ended the process that ran it" in task.problem
    assert (await warm.run("echo fine")).state is State.DONE


async def test_the_next_job_finds_the_session_warm(warm: Computer):
    await warm.run("true")
    [opened] = warm.cluster._sessions._opened.values()
    await warm.run("true")
    assert [opened] == list(warm.cluster._sessions._opened.values())


async def test_a_job_is_started_once(warm: Computer):
    job = await warm.run("true")
    with pytest.raises(Conflict):
        await warm.cluster.begin(job.job)


async def test_a_job_that_makes_no_sense_is_refused(warm: Computer):
    for spec in (JobSpec("  "), JobSpec("true", retries=-1), JobSpec("true", into="nowhere")):
        with pytest.raises(WrongUsage):
            await warm.cluster.submit(warm.me, spec)
    hostile = Input("remote", "tower:photos/a.jpg", "b.jpg")
    with pytest.raises(WrongUsage):
        await warm.cluster.submit(warm.me, JobSpec("cat", inputs=(hostile,)))


async def test_the_right_to_run_ends_and_so_does_the_stay(lent: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("commonhold.compute.lender.lend.LOOK_EVERY", 0.1)
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    job = await tower.begin("sleep 600", on="laptop")
    await tower.until(job, "running")
    laptop.book.deny(ANN, "ann", Verb.RUN, laptop.compute)
    ended = await tower.ended(job)
    assert ended.state is State.FAILED
    assert not laptop.lending.stays
    laptop.allow(ANN, Verb.RUN)


async def test_http_shows_jobs_to_their_person_and_the_owner_only(lent: Town):
    tower, laptop = lent.computers["tower"], lent.computers["laptop"]
    job = await tower.run("echo mine")
    there = lent.peer(tower.fingerprint)
    assert [each["job"] for each in await tower.caller.ask(there, "GET", "/jobs")] == [job.job]
    log = await tower.caller.ask(there, "GET", f"/jobs/{job.job}/log?task=1")
    assert log["output"] == "mine\n"
    assert await laptop.caller.ask(there, "GET", "/jobs") == []
    for path in ("", "/log", "/events", "/said", "/inputs", "/collecting"):
        with pytest.raises(NotFound):
            await laptop.caller.ask(there, "GET", f"/jobs/{job.job}{path}")


async def test_http_takes_a_job_from_submission_to_its_end(lent: Town):
    tower = lent.computers["tower"]
    there = lent.peer(tower.fingerprint)
    spec = {"command": "echo {}", "inputs": [{"kind": "value", "text": "x"}]}
    job = await tower.caller.ask(there, "POST", "/jobs", spec)
    assert (job["state"], job["share"]) == ("collecting", f".job-{job['job']}")
    place = f"/jobs/{job['job']}"
    await tower.caller.ask(there, "POST", f"{place}/start")
    async with tower.caller.request(there, "GET", f"{place}/events") as answer:
        lines = [line async for line in answer.content]
    assert b'"state":"done"' in lines[-1]
    assert (await tower.caller.ask(there, "GET", place))["done"] == 1


async def test_a_session_belongs_to_the_computers_that_take_part(lent: Town):
    tower, laptop, desk = lent.computers.values()
    await tower.run("true", on="laptop")
    session, _ = next(key for key, _ in laptop.lending.stays.items())
    for computer in (tower, laptop):
        there = lent.peer(computer.fingerprint)
        with pytest.raises(Refused):
            await desk.caller.ask(there, "GET", f"/sessions/{session}")
        with pytest.raises(Refused):
            async with desk.caller.socket(there, f"/sessions/{session}/relay/p0"):
                pass
    with pytest.raises(NotFound):
        await desk.caller.ask(lent.peer(laptop.fingerprint), "DELETE", f"/sessions/{session}/p1")


async def test_nobody_starts_a_session_for_somebody_else(lent: Town):
    laptop, desk = lent.computers["laptop"], lent.computers["desk"]
    offer = {"session": "0" * 32, "participant": "p1", "authority": "", "certificate": "", "key": ""}
    offer |= {"person": ANN, "person_name": "ann", "python": "3.11"}
    with pytest.raises(Refused):
        await desk.caller.ask(lent.peer(laptop.fingerprint), "POST", "/sessions", offer)


async def test_a_deny_kills_what_runs_at_once_and_the_submitter_hears_why(town: Town):
    tower, laptop, desk = town.computers.values()
    for lender in (laptop, desk):
        lender.allow(ANN, Verb.RUN)
    job = await tower.cluster.submit(tower.me, JobSpec("sleep 60", on="all"))
    await tower.cluster.begin(job.job)
    await tower.until(job.job, "running", count=3)
    laptop.deny(ANN, Verb.RUN)
    assert [event for event in laptop.audit if event == "cut"] == ["cut"]
    await nobody_left(laptop.folder)
    assert guests_of(desk.folder)
    [failed] = await tower.until(job.job, "failed")
    assert "laptop refused: ann may not run jobs on compute:" in failed.problem, "it runs nowhere else"
    job = await tower.cluster.cancel(job.job)
    assert any(note.startswith("laptop refused: ann may not run jobs on compute:") for note in job.notes), job.notes


async def test_the_jobs_of_a_computer_that_is_removed_end_at_its_hub(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.share("out")
    tower.allow(BOB, Verb.RUN)
    tower.allow(BOB, Verb.ADD, "out")
    bob = tower.authority.who(laptop.fingerprint)
    running = await tower.cluster.submit(bob, JobSpec("sleep 60", into="tower:out", on="tower"))
    await tower.cluster.begin(running.job)
    own = await tower.cluster.submit(tower.me, JobSpec("sleep 1; echo done", on="tower"))
    await tower.cluster.begin(own.job)
    await tower.until(running.job, "running")
    town.roster = town.roster.merged(rosters.remove(town.keys["tower"], town.roster, laptop.fingerprint))
    tower.watch.look()
    job = await tower.ended(running.job)
    assert (job.state, job.notes) == (State.FAILED, ("bob's computer laptop was removed from the network town.",))
    assert (await tower.ended(own.job)).state is State.DONE
    assert tower.audit.count("cut") == 2, "the session, and its stay"


async def test_a_session_ends_when_nobody_has_used_it_for_its_time(warm: Computer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warm.cluster._sessions, "_warm", 0.01)
    await warm.run("true")
    async with asyncio.timeout(20):
        while warm.cluster._sessions._opened or warm.lending.stays or warm.switchboard.switches:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
