"""One job, and each part that it needs is killed in turn, or frozen: three nodes as real processes."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from commonhold.node import background

from ..conftest import processes_of, town, until

COMMAND = "sleep 0.7; seq {} 2000 > {}.txt"
OWNERS = {"tower": "ann", "laptop": "bob", "desk": "carol"}
GIVEN_UP, SLACK = 20.0, 15.0  # seconds: promised; and for a machine that does other things besides


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """ann's tower, where she submits and takes the outputs; laptop and desk lend to her."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, *others = [
            make(name, person) for name, person in (("tower", "ann"), ("laptop", "bob"), ("desk", "carol"))
        ]
        tower.create("casa")
        for one in others:
            one.join(tower)
        for one in others:
            one.knows("tower", "laptop", "desk")
            one.net.allow("ann", "run", "compute")
        yield [tower, *others]


@pytest.fixture
def out(network, tmp_path):
    """Of tower: takes the outputs of one job."""
    network[0].net.share(tmp_path, "out")
    yield tmp_path
    network[0].net.unshare("out")


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


def progress(one, job: int) -> None:
    """Until two more of its tasks are done."""
    before = done(one, job)
    until(lambda: done(one, job) >= before + 2 or one.net.job(job).ended, "two more tasks")


def whole(tower, job: int, out, *, count: int, once: bool = True):
    """Every task is done, every output is right, and was stored once."""
    found = tower.net.job(job)
    assert (found.state, found.done, found.failed) == ("done", count, 0), (found, tower.net.log(job))
    for number in range(1, count + 1):
        right = "".join(f"{each}\n" for each in range(number, 2001))
        assert (out / f"{number}.txt").read_text() == right
        assert not once or tower.net.history(f"tower:out/{number}.txt") == [], "nothing was overwritten"
    assert len(list(out.glob("*.txt"))) == count
    return found


def begun(tower, count: int) -> int:
    job = tower.net.run(COMMAND, [str(number) for number in range(1, count + 1)], into="tower:out", wait=False)
    until(lambda: {task.computer for task in tower.net.log(job.job)} >= {"laptop", "desk"}, "all take part")
    return job.job


def test_a_job_is_cancelled_and_run_again_over_the_gateway(network, out):
    tower, laptop, _desk = network
    job = begun(tower, 24)
    progress(tower, job)
    kept = done(tower, job)
    assert ask(tower, job, "cancel")["state"] == "cancelled"
    until(lambda: not [each for each in commands(laptop) if "sleep" in each], "its commands are killed", 2)
    assert ask(tower, job, "again")["done"] >= kept
    until(lambda: tower.net.job(job).ended, "the job ends")
    whole(tower, job, out, count=24, once=False)  # what was being stored when it was cancelled was not done


def test_each_part_is_killed_in_turn_and_nothing_is_lost(network, out):
    tower, laptop, desk = network
    job = begun(tower, 40)
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
    notes = " ".join(whole(tower, job, out, count=40).notes)
    for told in (
        "The worker on laptop was killed by signal 9",
        "desk was lost",
        "The scheduler of this job ended",
        "The node ended while this job ran",
    ):
        assert told in notes


def test_a_lender_that_is_frozen_is_given_up_and_stores_nothing_when_it_wakes(network, out):
    tower, laptop, _desk = network
    job = begun(tower, 16)
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
        assert time.monotonic() - began < GIVEN_UP + SLACK + 16 * 0.7
        whole(tower, job, out, count=16)
    finally:
        for process in frozen:
            os.kill(process.pid, signal.SIGCONT)
    until(lambda: not any(process.is_running() for process in frozen[1:]), "what ran there ends")
    whole(tower, job, out, count=16)


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
