"""What a guest uses too much of ends, its lender stays usable, and who did it hears why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
from tests.compute.conftest import BOB, Computer, Town, needs_bubblewrap

from commonhold.authority.authority import Verb
from commonhold.compute.job import Input, State
from commonhold.compute.lender import warden
from commonhold.compute.lender.bounds import Lent

MIB = 2**20
HOARD = "import time\nheld = b'x' * ({} * 2**20)\ntime.sleep(60)"
FORK_BOMB = "bomb() { bomb | bomb & }; bomb; sleep 60"


async def goes_on(computer: Computer, job: int) -> None:
    """It has run all the time, in the same worker, which is alive."""
    [task] = await computer.until(job, "running")
    assert (task.earlier, computer.journal.job(job).notes) == ((), ())
    assert (await computer.run("true")).done == 1
    assert computer.journal.tasks(job)[0].state is State.RUNNING


def lends(computer: Computer, **terms: int) -> None:
    computer.terms = msgspec.structs.replace(computer.terms, **terms)


def hoarding(size: int) -> tuple[str, ...]:
    return (sys.executable, "-c", HOARD.format(size))


async def test_a_task_that_takes_more_memory_than_is_lent_ends_and_the_others_go_on(boxed: Computer):
    lends(boxed, memory=400 * MIB)
    beside = await boxed.begin(("sleep", "600"))
    job = await boxed.run(hoarding(450))
    [task] = boxed.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.FAILED, None)
    assert task.problem == "It used more than 400 MiB of memory, which is what tower lends."
    await goes_on(boxed, beside)


@pytest.fixture
def busy() -> Iterator[None]:
    """Its owner's programs want all processors."""
    with ExitStack() as ending:
        for _ in range(os.cpu_count() or 1):
            hog = ending.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            ending.callback(hog.kill)
        yield


@needs_bubblewrap
async def test_a_fork_bomb_ends_on_a_busy_computer_and_its_lender_stays_usable(warm: Computer, busy: None):
    """Where root runs the node, Linux counts no processes for us: only a look can end it, and must not come late."""
    job = await warm.run(FORK_BOMB)
    [task] = warm.journal.tasks(job.job)
    assert task.problem == "It started more than 384 processes and threads, which is what tower lends."
    assert (await warm.run("echo fine")).done == 1


SCATTERED = """
import os, time
for _ in range(2000):
    try:
        if os.fork() == 0:
            os.setsid(); time.sleep(60); os._exit(0)
    except OSError:
        time.sleep(0.1)
time.sleep(60)  # it does not end by itself before anybody looks
"""


@needs_bubblewrap
async def test_whose_processes_scatter_ends_all_the_same(warm: Computer):
    """Few at a time, until its own is among them; or all of its guest, and then the task runs again, warm."""
    lends(warm, memory=16 * 1024 * MIB)
    job = await warm.run((sys.executable, "-c", SCATTERED))
    [task] = warm.journal.tasks(job.job)
    assert (task.state, task.exit) == (State.FAILED, None)
    assert task.problem == "It started more than 384 processes and threads, which is what tower lends."
    assert (await warm.run("true")).done == 1


async def test_many_that_take_too_much_together_lose_the_largest(warm: Computer):
    lends(warm, memory=500 * MIB)
    inputs = tuple(Input("value", str(size)) for size in (150, 250))
    held = "import sys, time; held = b'x' * (int(sys.argv[1]) * 2**20); time.sleep(3)"
    job = await warm.run((sys.executable, "-c", held, "{}"), inputs=inputs)
    small, large = warm.journal.tasks(job.job)
    assert small.state == State.DONE
    assert "used more than 500 MiB of memory together, which is what tower lends; of this task it was" in large.problem


@needs_bubblewrap
async def test_files_kept_in_memory_count(warm: Computer):
    lends(warm, memory=300 * MIB)
    fill = f"head -c {400 * MIB} /dev/zero > /dev/shm/hidden; sleep 60"
    job = await warm.run(fill)
    [task] = warm.journal.tasks(job.job)
    assert task.problem == "It used more than 300 MiB of memory, which is what tower lends."


NAMELESS = """
import os, time
with open('f', 'wb') as file:
    os.unlink('f')
    for _ in range(12):
        file.write(bytes(10 * 2**20))
    time.sleep(60)
"""
FILLERS = {
    "many files": (
        "sh",
        "-c",
        f"mkdir -p a/b; for n in $(seq 120); do head -c {MIB} /dev/zero > a/b/$n; done; sleep 60",
    ),
    "a file without a name": (sys.executable, "-c", NAMELESS),
    "a folder that is closed": (
        "sh",
        "-c",
        f"mkdir a; head -c {120 * MIB} /dev/zero > a/big; chmod 0 a; sleep 60",
    ),
}


@pytest.mark.parametrize("how", FILLERS)
async def test_a_task_that_fills_the_disk_ends_and_the_others_go_on(boxed: Computer, how: str):
    lends(boxed, disk=60 * MIB)
    beside, stored = await boxed.begin(("sleep", "600")), len(boxed.town.stored)
    job = await boxed.run(FILLERS[how])
    [task] = boxed.journal.tasks(job.job)
    assert task.problem == "It took more than 60 MiB of the disk, which is what tower lends."
    assert len(boxed.town.stored) == stored, "what was too much here is not to fill another disk"
    await goes_on(boxed, beside)


async def test_a_log_without_end_is_begun_anew(warm: Computer, monkeypatch: pytest.MonkeyPatch):
    """What the worker itself says; under bubblewrap a task reaches that by its worker's handle."""
    monkeypatch.setattr(warden, "LONGEST_LOG", 2**20)
    shout = "exec 3>> /proc/$PPID/fd/2; head -c 3000000 /dev/zero >&3; sleep 4; stat -Lc %s /proc/$PPID/fd/2"
    job = await warm.run(shout)
    [task] = warm.journal.tasks(job.job)
    assert (task.state, task.output) == (State.DONE, "0\n")


async def test_a_task_prints_without_end_and_fills_nothing(warm: Computer):
    job = await warm.run("yes | head -c 100000000; echo the end")
    [task] = warm.journal.tasks(job.job)
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


async def test_a_scheduler_is_watched_like_a_worker(warm: Computer):
    """Computers that take part have a say in it."""
    job = await warm.begin("sleep 60")
    await warm.until(job, "running")
    watched = {ward.stay.parent.name for ward in warm.lending.warden._wards}
    assert watched == {"lent", "sessions"}


def test_without_guests_it_sleeps_and_ends_at_once():
    found = warden.Warden("tower", lambda: Lent(2**30), lambda person, lent: lent)
    found.close()
    assert found._threads == []
