"""The owner comes first: ann's jobs on bob's laptop, while bob changes his terms, comes back, and goes again."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import psutil
import pytest
from tests.compute.conftest import ANN, Computer, Town
from tests.compute.test_jobs import values
from tests.conftest import lives

from commonhold.authority.authority import Verb
from commonhold.compute import sandbox
from commonhold.compute.job import State
from commonhold.compute.lender import frost
from commonhold.compute.papers import Rest
from commonhold.errors import NotFound, Refused

AT_ONCE, SLACK = 1.0, 1.5  # seconds: promised; and for a machine that does other things besides
COUNTS = "for i in $(seq 1 {}); do echo $i; sleep 0.05; done"  # a line each 50 ms


def lender(town: Town) -> tuple[Computer, Computer]:
    """(tower, laptop): ann submits at tower, and bob's laptop lends."""
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    laptop.allow(ANN, Verb.RUN)
    return tower, laptop


def guests(computer: Computer) -> list[psutil.Process]:
    """All processes of others here, inside of their sandboxes."""
    found = []
    for box in [stay.box for stay in computer.lending.stays if stay.box]:
        for each in frost.inside(box.pid, box.kind):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                found.append(psutil.Process(each))
    return found


def still(computer: Computer) -> bool:
    return all(frost._moves(each.pid) is False or begins(each) for each in guests(computer))


def begins(process: psutil.Process) -> bool:
    """It waits in the kernel until what it begins (vfork(2)), which is stopped, has begun: it can do nothing else."""
    with suppress(psutil.Error):
        stopped = any(child.status() == psutil.STATUS_STOPPED for child in process.children())
        return stopped and process.status() == psutil.STATUS_DISK_SLEEP
    return False


async def within(condition, seconds: float = 30.0) -> float:
    """-> After how many seconds it held."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def started(tower: Computer, command: str, *given: str, **spec: object) -> int:
    job = await tower.begin(command, inputs=values(*given), on="laptop", **spec)
    await tower.until(job, "running")
    return job


async def computing(laptop: Computer) -> None:
    """Until the task's own process runs: bubblewrap's, the worker, and its command."""
    await within(lambda: len(guests(laptop)) >= 4)


async def test_who_comes_back_has_the_computer_at_once_and_guests_go_on_when_nobody_is_there(lent: Town):
    tower, laptop = lender(lent)
    laptop.lends(when="idle")
    job = await started(tower, COUNTS, "60")
    await computing(laptop)
    laptop.use = "somebody typed here"
    assert await within(lambda: still(laptop)) < AT_ONCE + SLACK
    used = sum(each.cpu_times().user for each in guests(laptop))
    await asyncio.sleep(1)
    assert still(laptop)
    assert sum(each.cpu_times().user for each in guests(laptop)) == used
    [stay] = laptop.lending.stays
    assert stay.frozen is not None
    laptop.use = ""
    ended = await tower.ended(job)
    assert ended.state is State.DONE
    [task] = tower.journal.tasks(job)
    assert task.output.split() == [str(number) for number in range(1, 61)], "it went on where it was"
    assert [*laptop.lending.stays] == [stay]
    assert ended.notes[0] == (
        "laptop is in use, and lends only while it is not: what runs there waits, for a minute at most."
    )


async def test_the_time_in_which_a_task_is_frozen_is_none_of_its_time_out(lent: Town):
    tower, laptop = lender(lent)
    laptop.lends(when="idle")
    job = await started(tower, COUNTS, "20", timeout=10.0)
    await computing(laptop)
    laptop.use = "somebody typed here"
    await within(lambda: still(laptop))
    await asyncio.sleep(11)
    laptop.use = ""
    ended = await tower.ended(job)
    assert (ended.state, ended.done) == (State.DONE, 1), tower.journal.tasks(job)
    slow = await tower.run("sleep 60", on="laptop", timeout=1.5)
    [task] = tower.journal.tasks(slow.job)
    assert task.problem == "It was stopped after 1.5 s, as the job says."


async def test_a_hub_that_dismisses_a_worker_first_hears_all_the_same_why_it_is_given_back(lent: Town):
    tower, laptop = lender(lent)
    job = await started(tower, COUNTS, "900")
    [(key, stay)] = laptop.lending.stays.items()
    stay.closed = "lends nothing now"
    assert (await laptop.lending.stays.dismiss(*key, tower.fingerprint, lost=True)).closed == "lends nothing now"
    await tower.cluster.cancel(job)


async def test_a_freeze_that_lasts_gives_the_tasks_back_and_they_run_elsewhere_without_any_blame(town: Town):
    """Though it was silent for longer than is borne of others."""
    tower, laptop = lender(town)
    laptop.lends(when="idle")
    laptop.lending.precedence.held = tower.patience.silence + 2
    tower.terms = type(tower.terms)(cores=1)
    job = await tower.begin("sleep 0.5; echo {}", inputs=values(*map(str, range(12))))
    await within(lambda: {"laptop", "tower"} <= {task.computer for task in tower.journal.tasks(job)})
    laptop.use = "somebody typed here"
    frozen = time.monotonic()
    await within(lambda: any(stay.frozen for stay in laptop.lending.stays))
    await within(lambda: not laptop.lending.stays)
    assert time.monotonic() - frozen > tower.patience.silence
    ended = await tower.ended(job)
    assert (ended.state, ended.done) == (State.DONE, 12)
    told = " ".join(ended.notes)
    assert "laptop is in use, and lends only while it is not: it gave its tasks back" in told
    assert "given up" not in told
    assert "lost" not in told


async def test_never_ends_guests_within_a_second_and_lends_to_nobody(lent: Town):
    tower, laptop = lender(lent)
    job = await started(tower, COUNTS, "900")
    await computing(laptop)
    there = guests(laptop)
    laptop.lends(when="never")
    assert await within(lambda: not any(map(lives, there))) < AT_ONCE + SLACK
    await within(lambda: any("laptop lends nothing now" in note for note in tower.journal.job(job).notes))
    with pytest.raises(Refused, match="laptop refused: laptop lends nothing now"):
        await tower.begin("echo x", on="laptop")
    laptop.lends(when="always")
    await tower.until(job, "running")
    await tower.cluster.cancel(job)


async def test_the_end_of_the_hours_freezes_too(lent: Town):
    tower, laptop = lender(lent)
    job = await started(tower, COUNTS, "20")
    await computing(laptop)
    [stay] = laptop.lending.stays
    hour = (time.localtime().tm_hour + 3) % 24
    laptop.lends(hours=f"{hour}-{(hour + 1) % 24}")
    assert await within(lambda: still(laptop)) < AT_ONCE + SLACK
    laptop.lends(hours="")
    assert (await tower.ended(job)).state is State.DONE
    assert [*laptop.lending.stays] == [stay]


async def test_cores_that_are_taken_back_are_free_at_once_and_guests_come_again_on_what_is_left(lent: Town):
    tower, laptop = lender(lent)
    job = await started(tower, "sleep 0.4; echo {}", *map(str, range(12)))
    laptop.lends(cores=1)
    ended = await tower.ended(job)
    assert (ended.state, ended.done) == (State.DONE, 12)
    assert "laptop lends fewer cores now: it gave its tasks back, and they run again elsewhere." in ended.notes
    [stay] = laptop.lending.stays
    assert stay.cores == 1


async def test_the_owners_own_jobs_run_on_whatever_terms(town: Town):
    laptop = town.computers["laptop"]
    laptop.lends(when="idle", hours="3-4")
    laptop.use = "somebody typed here"
    job = await laptop.begin("sleep 1; echo {}", inputs=values("x"), on="laptop")
    laptop.lends(when="never")
    assert (await laptop.ended(job)).state is State.DONE
    assert not any(stay.frozen for stay in laptop.lending.stays)
    assert (await laptop.run("true")).state is State.DONE, "and in a session that begins now, too"


@pytest.mark.alone
async def test_a_guest_that_starts_processes_without_end_is_frozen_or_ended(lent: Town):
    tower, laptop = lender(lent)
    laptop.lends(when="idle")
    bomb = "for a in $(seq 40); do (while :; do (:)& (:)& wait; done)& done; wait # {}"
    job = await started(tower, bomb, "x")
    await within(lambda: len(guests(laptop)) > 20)
    there = guests(laptop)
    laptop.use = "somebody typed here"
    seconds = await within(lambda: still(laptop) and not any(lives(each) and frost._moves(each.pid) for each in there))
    assert seconds < AT_ONCE + 4 * SLACK, "forty loops that start processes share this machine with us"
    await asyncio.sleep(0.5)
    assert still(laptop)
    await tower.cluster.cancel(job)


async def test_the_weaker_sandbox_is_frozen_and_goes_on_too(town: Town, monkeypatch):
    """Without bubblewrap: for people whom the owner has named, as ann is."""
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    tower, laptop = lender(town)
    laptop.allow(town.computers["tower"].owner, Verb.RUN)
    tower.allow(laptop.owner, Verb.RUN)
    laptop.lends(when="idle")
    job = await started(tower, COUNTS, "40")
    await within(lambda: len(guests(laptop)) >= 2)
    laptop.use = "somebody typed here"
    assert await within(lambda: still(laptop)) < AT_ONCE + SLACK
    await asyncio.sleep(0.5)
    assert still(laptop)
    laptop.use = ""
    assert (await tower.ended(job)).state is State.DONE
    assert laptop.audit.count("lent") == 1


async def test_a_task_that_is_wakened_from_elsewhere_is_stopped_again(lent: Town):
    tower, laptop = lender(lent)
    laptop.lends(when="idle")
    job = await started(tower, COUNTS, "900")
    await computing(laptop)
    laptop.use = "somebody typed here"
    await within(lambda: still(laptop))
    for process in guests(laptop):
        process.resume()
    assert await within(lambda: still(laptop)) < AT_ONCE + SLACK
    await tower.cluster.cancel(job)


async def test_what_is_submitted_while_a_lender_is_frozen_waits_for_nobody_there(town: Town):
    """A session is kept warm: a frozen worker of it gets nothing new."""
    tower, laptop = lender(town)
    laptop.lends(when="idle")
    first = await tower.begin("echo {}", inputs=values("x"), on="any")
    await tower.ended(first)
    await within(lambda: any(stay.began for stay in laptop.lending.stays))
    laptop.use = "somebody typed here"
    await within(lambda: any(stay.frozen for stay in laptop.lending.stays))
    [session] = [each.result() for each in tower.cluster._sessions._opened.values()]
    await within(lambda: any(seat.noted for seat in session.seats))
    job = await tower.run("echo {}", inputs=values(*map(str, range(20))))
    assert (job.state, job.done) == (State.DONE, 20)
    assert {task.computer for task in tower.journal.tasks(job.job)} == {"tower"}


async def test_nobody_speaks_for_another_computers_worker(lent: Town):
    tower, laptop = lender(lent)
    desk = lent.computers["desk"]
    job = await started(tower, COUNTS, "20")
    [session] = [each.result() for each in tower.cluster._sessions._opened.values()]
    [seat] = [each for each in session.seats if each.name == "laptop"]
    there = lent.peer(tower.fingerprint)
    path = f"/sessions/{session.id}/{seat.participant}/rest"
    for state in ("frozen", "leaving"):
        with pytest.raises(NotFound):
            await desk.caller.ask(there, "POST", path, Rest(state, "lies", 60))
    with pytest.raises(NotFound):
        await laptop.caller.ask(there, "POST", f"/sessions/{'0' * 32}/{seat.participant}/rest", Rest("frozen"))
    assert (await tower.ended(job)).notes == ()


async def test_a_lender_that_says_it_is_frozen_for_ever_is_given_up_all_the_same(lent: Town):
    """Its word holds for ten minutes at most; what it says beyond is no word of ours."""
    tower, laptop = lender(lent)
    job = await started(tower, COUNTS, "20")
    [session] = [each.result() for each in tower.cluster._sessions._opened.values()]
    [seat] = [each for each in session.seats if each.name == "laptop"]
    path = f"/sessions/{session.id}/{seat.participant}/rest"
    for seconds in (1e9, -1.0):
        with pytest.raises(Exception, match="seconds"):
            await laptop.caller.ask(lent.peer(tower.fingerprint), "POST", path, Rest("frozen", "", seconds))
    assert (await tower.ended(job)).state is State.DONE
