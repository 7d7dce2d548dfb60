"""One job, and each part that it needs is killed in turn, or frozen: three nodes as real processes."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from commonhold.node import background

from ..conftest import processes_of, town, until

COUNT = 40
COMMAND = "sleep 0.7; seq {} 2000 > {}.txt"
OWNERS = {"tower": "ann", "laptop": "bob", "desk": "carol"}
GIVEN_UP, SLACK = 20.0, 15.0  # seconds: promised; and for a machine that does other things besides


@pytest.fixture
def network(tmp_path):
    """ann's tower, where she submits and takes the outputs; laptop and desk lend to her."""
    with town(tmp_path) as make:
        tower, *others = [
            make(name, person) for name, person in (("tower", "ann"), ("laptop", "bob"), ("desk", "carol"))
        ]
        tower.create("casa")
        for one in others:
            one.join(tower)
        for one in others:
            one.knows("tower", "laptop", "desk")
            one.net.allow("ann", "run", "compute")
        (tower.folder / "out").mkdir()
        tower.net.share(tower.folder / "out")
        yield [tower, *others]


def program(one, place: str) -> psutil.Process:
    """What runs in a sandbox there: a worker (`lent`), or a scheduler (`sessions`)."""

    def look():
        found = [each for each in processes_of(one.home.folder / place) if each.ppid() == one.pid]
        while found and "bwrap" in found[0].name():
            found = found[0].children()
        return found[0] if found else None

    return until(look, f"something runs in {place} of {one.name}")


def done(one, job: int) -> int:
    return one.net.job(job).done


def progress(one, job: int, more: int = 2) -> None:
    """Until so many more of its tasks are done."""
    before = done(one, job)
    until(lambda: done(one, job) >= min(before + more, COUNT), f"{more} more tasks")


def whole(tower, job: int, *, once: bool = True):
    """Every task is done, every output is right, and was stored once."""
    found = tower.net.job(job)
    assert (found.state, found.done, found.failed) == ("done", COUNT, 0), (found, tower.net.log(job))
    for number in range(1, COUNT + 1):
        right = "".join(f"{each}\n" for each in range(number, 2001))
        assert (tower.folder / "out" / f"{number}.txt").read_text() == right
        assert not once or tower.net.history(f"tower:out/{number}.txt") == [], "nothing was overwritten"
    assert len(list((tower.folder / "out").glob("*.txt"))) == COUNT
    return found


def begun(tower) -> int:
    job = tower.net.run(COMMAND, [str(number) for number in range(1, COUNT + 1)], into="tower:out", wait=False)
    until(lambda: {task.computer for task in tower.net.log(job.job)} >= {"laptop", "desk"}, "all take part")
    return job.job


def test_each_part_is_killed_in_turn_and_nothing_is_lost(network):
    tower, laptop, desk = network
    job = begun(tower)
    program(laptop, "lent").kill()
    progress(tower, job)
    desk.kill()
    progress(tower, job)
    program(tower, "sessions").kill()
    progress(tower, job)
    tower.kill()
    background.start(tower.home)
    tower.attach()
    desk.up()
    until(lambda: tower.net.job(job).ended, "the job ends", 120)
    notes = " ".join(whole(tower, job).notes)
    for told in (
        "The worker on laptop was killed by signal 9",
        "desk was lost",
        "The scheduler of this job ended",
        "The node ended while this job ran",
    ):
        assert told in notes


def test_a_lender_that_is_frozen_is_given_up_and_stores_nothing_when_it_wakes(network):
    tower, laptop, _desk = network
    job = begun(tower)
    frozen = [psutil.Process(laptop.pid), *psutil.Process(laptop.pid).children(recursive=True)]
    for process in frozen:
        os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        note = until(
            lambda: next((note for note in tower.net.job(job).notes if note.startswith("laptop was given up")), None),
            "laptop is given up",
            GIVEN_UP + SLACK,
        )
        assert "silent" in note
        until(lambda: tower.net.job(job).ended, "the job ends without it")
        assert time.monotonic() - began < GIVEN_UP + SLACK + COUNT * 0.7
        whole(tower, job)
    finally:
        for process in frozen:
            os.kill(process.pid, signal.SIGCONT)
    until(lambda: not any(process.is_running() for process in frozen[1:]), "what ran there ends")
    whole(tower, job)


def test_a_job_is_cancelled_and_run_again_over_the_gateway(network):
    tower, laptop, _desk = network
    job = begun(tower)
    progress(tower, job)
    kept = done(tower, job)
    assert ask(tower, job, "cancel")["state"] == "cancelled"
    until(lambda: not [each for each in commands(laptop) if "sleep" in each], "its commands are killed", 2)
    assert ask(tower, job, "again")["done"] >= kept
    until(lambda: tower.net.job(job).ended, "the job ends")
    whole(tower, job, once=False)  # what was being stored when it was cancelled was not done


def ask(one, job: int, word: str):
    return one.net._loop.run(one.net._node.ask("POST", f"/jobs/{job}/{word}"))


def commands(one) -> list[str]:
    found = []
    for process in psutil.Process(one.pid).children(recursive=True):
        try:
            found += process.cmdline()[:1]
        except psutil.Error:
            continue
    return found
