"""What a guest uses too much of ends, its lender stays usable, and who did it hears why."""

from __future__ import annotations

import sys

import msgspec
import pytest
from tests.compute.conftest import BOB, Computer, Town, needs_bubblewrap

from commonhold.authority.authority import Verb
from commonhold.compute import sandbox
from commonhold.compute.job import Input, State
from commonhold.compute.lender import warden
from commonhold.compute.lender.bounds import Lent

MIB = 2**20
HOARD = "import time\nheld = b'x' * ({} * 2**20)\ntime.sleep(60)"
FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 60"
kinds = pytest.mark.parametrize("kind", sandbox.Kind)


async def held_by(kind: sandbox.Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind is sandbox.Kind.BUBBLEWRAP and await sandbox.here() is not kind:
        pytest.skip("bubblewrap does not work here")
    monkeypatch.setitem(sandbox._known, "kind", kind)


def lends(computer: Computer, **terms: int) -> None:
    computer.terms = msgspec.structs.replace(computer.terms, **terms)


def hoarding(size: int) -> tuple[str, ...]:
    return (sys.executable, "-c", HOARD.format(size))


@kinds
async def test_a_task_that_takes_more_memory_than_is_lent_ends_and_the_others_go_on(
    alone: Computer, kind: sandbox.Kind, monkeypatch: pytest.MonkeyPatch
):
    await held_by(kind, monkeypatch)
    lends(alone, memory=400 * MIB)
    beside = await alone.begin(("sleep", "3"))
    job = await alone.run(hoarding(450))
    [task] = alone.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.FAILED, None)
    assert task.problem == "It used more than 400 MiB of memory, which is what tower lends."
    assert (await alone.ended(beside)).done == 1
    assert not alone.journal.job(beside).notes, "its worker was the same, and is alive"


@needs_bubblewrap
async def test_a_fork_bomb_ends_and_its_lender_stays_usable(alone: Computer):
    job = await alone.run(FORK_BOMB)
    [task] = alone.journal.tasks(job.job)
    assert task.problem == "It started more than 384 processes and threads, which is what tower lends."
    assert (await alone.run("echo fine")).done == 1


SCATTERED = """
import os, time
for _ in range(2000):
    try:
        if os.fork() == 0:
            os.setsid(); time.sleep(60); os._exit(0)
    except OSError:
        time.sleep(0.1)
"""


@needs_bubblewrap
async def test_whose_processes_scatter_ends_all_the_same(alone: Computer):
    """Few at a time, until its own is among them; or all of its guest, and then the task runs again, alone."""
    lends(alone, memory=16 * 1024 * MIB)
    job = await alone.run((sys.executable, "-c", SCATTERED))
    [task] = alone.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.FAILED, None)
    assert task.problem == "It started more than 384 processes and threads, which is what tower lends."
    assert (await alone.run("true")).done == 1


async def test_many_that_take_too_much_together_lose_the_largest(alone: Computer):
    lends(alone, memory=500 * MIB)
    inputs = tuple(Input("value", str(size)) for size in (150, 250))
    held = "import sys, time; held = b'x' * (int(sys.argv[1]) * 2**20); time.sleep(3)"
    job = await alone.run((sys.executable, "-c", held, "{}"), inputs=inputs)
    small, large = alone.journal.tasks(job.job)
    assert small.state == State.DONE
    assert "used more than 500 MiB of memory together, which is what tower lends; of this task it was" in large.problem


@needs_bubblewrap
async def test_files_kept_in_memory_count(alone: Computer):
    lends(alone, memory=300 * MIB)
    fill = f"head -c {400 * MIB} /dev/zero > /dev/shm/hidden; sleep 60"
    job = await alone.run(fill)
    [task] = alone.journal.tasks(job.job)
    assert task.problem == "It used more than 300 MiB of memory, which is what tower lends."


NAMELESS = """
import os, time
with open('f', 'wb') as file:
    os.unlink('f')
    for _ in range(60):
        file.write(bytes(10 * 2**20))
    time.sleep(60)
"""
FILLERS = {
    "one file": ("sh", "-c", f"head -c {600 * MIB} /dev/zero > big; sleep 60"),
    "many files": (
        "sh",
        "-c",
        f"mkdir -p a/b; for n in $(seq 600); do head -c {MIB} /dev/zero > a/b/$n; done; sleep 60",
    ),
    "a file without a name": (sys.executable, "-c", NAMELESS),
    "a folder that is closed": (
        "sh",
        "-c",
        f"mkdir a; head -c {600 * MIB} /dev/zero > a/big; chmod 0 a; sleep 60",
    ),
}


@kinds
@pytest.mark.parametrize("how", FILLERS)
async def test_a_task_that_fills_the_disk_ends_and_the_others_go_on(
    alone: Computer, how: str, kind: sandbox.Kind, monkeypatch: pytest.MonkeyPatch
):
    await held_by(kind, monkeypatch)
    lends(alone, disk=300 * MIB)
    beside = await alone.begin(("sleep", "6"))
    job = await alone.run(FILLERS[how])
    [task] = alone.journal.tasks(job.job)
    assert task.problem == "It took more than 300 MiB of the disk, which is what tower lends."
    assert (await alone.ended(beside)).done == 1
    assert not alone.journal.job(beside).notes


async def test_a_log_without_end_is_begun_anew(alone: Computer, monkeypatch: pytest.MonkeyPatch):
    """What the worker itself says; under bubblewrap a task reaches that by its worker's handle."""
    monkeypatch.setattr(warden, "LONGEST_LOG", 2**20)
    shout = "exec 3>> /proc/$PPID/fd/2; head -c 3000000 /dev/zero >&3; sleep 4; stat -Lc %s /proc/$PPID/fd/2"
    job = await alone.run(shout)
    [task] = alone.journal.tasks(job.job)
    assert (task.state, task.output) == (State.DONE, "0\n")


async def test_a_task_prints_without_end_and_fills_nothing(alone: Computer):
    job = await alone.run("yes | head -c 300000000; echo the end")
    [task] = alone.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.DONE, 0)
    assert task.output.startswith("y\ny\n")
    assert task.output.endswith("the end\n")


async def test_what_is_fetched_counts_and_its_task_hears_why(town: Town):
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.share("data", large_bin="x" * (60 * MIB))
    tower.allow(BOB, Verb.READ, "data")
    lends(laptop, disk=20 * MIB)
    given = (Input("remote", "tower:data/large.bin", "large.bin"),)
    job = await laptop.run("sleep 60; cat {}", inputs=given, on="laptop")
    [task] = laptop.journal.tasks(job.job)
    assert task.problem == "It took more than 20 MiB of the disk, which is what laptop lends."


async def test_a_scheduler_is_watched_like_a_worker(alone: Computer):
    """Computers that take part have a say in it."""
    job = await alone.begin("sleep 60")
    await alone.until(job, "running")
    watched = {ward.stay.parent.name for ward in alone.lending.warden._wards}
    assert watched == {"lent", "sessions"}


def test_without_guests_it_sleeps_and_ends_at_once():
    found = warden.Warden("tower", lambda: Lent(2**30), lambda person, lent: lent)
    found.close()
    assert found._threads == []
