"""`run` is interrupted or killed while it brings inputs, or one is gone: no job waits for ever, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from commonhold.errors import CommonholdError

from ..conftest import town, until

SMALL, LARGE = 10, 300 * 2**20


@pytest.fixture(scope="module", params=["peer-to-peer", "client-server"])
def network(request, tmp_path_factory):
    """Where jobs are typed, and the computer that takes them in: the same, or the server."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower = make("tower", "ann")
        tower.create("casa", request.param)
        if request.param == "peer-to-peer":
            yield tower, tower
            return
        laptop = make("laptop", "bob")
        laptop.join(tower)
        tower.net.allow("bob", "run", "compute")
        yield laptop, tower


@pytest.fixture
def inputs(tmp_path):
    """Small files, and one whose upload takes its time."""
    folder = tmp_path / "mes entrées"
    folder.mkdir()
    for number in range(SMALL):
        (folder / f"{number:02} é.txt").write_text(f"{number}\n")
    with (folder / "zz.bin").open("wb") as large:
        large.truncate(LARGE)
    for file in folder.iterdir():
        os.utime(file, (time.time() - 60,) * 2)  # what has changed just now would be brought again
    return folder


def running(desk, *words) -> tuple[int, subprocess.Popen[str]]:
    """The number of the job that is typed, and the command that waits for it."""
    number = len(desk.net.jobs()) + 1
    waiting = subprocess.Popen(desk.words("run", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return number, waiting


def arrived(hub, job) -> dict[str, int]:
    """What has been brought of the job so far, with what is the same file and what is another."""
    folder = hub.home.jobs / str(job) / "in"
    return {path.name: path.stat().st_ino for path in folder.glob("*.txt")}


def in_the_middle(network, inputs) -> tuple[int, subprocess.Popen[str]]:
    desk, hub = network
    job, waiting = running(desk, "wc -c < {}", ":::", inputs)
    until(lambda: arrived(hub, job), "something is there")
    assert waiting.poll() is None
    return job, waiting


def stopped(desk, job) -> None:
    until(lambda: desk.net.job(job).state == "stopped", "it has stopped")


def goes_on(network, job, size: int = LARGE) -> None:
    """`again` brings what is missing, and nothing twice."""
    desk, hub = network
    before = arrived(hub, job)
    done = desk.typed("again", job)
    assert done.out == f"{SMALL + 1} done\n"
    after = arrived(hub, job)
    assert len(after) == SMALL
    assert before.items() <= after.items()
    sizes = {task.input.rpartition("/")[2]: int(task.output) for task in desk.net.log(job)}
    assert sizes["zz.bin"] == size
    assert sizes["07 é.txt"] == 2


def test_ctrl_c_stops_the_job_and_again_brings_the_rest(network, inputs):
    desk, _ = network
    job, waiting = in_the_middle(network, inputs)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (130, "")
    assert err.splitlines() == [
        f"commonhold: Interrupted; job {job} has not begun.",
        f"hint: commonhold again {job} brings what is missing of its inputs, and runs it",
    ]
    stopped(desk, job)
    assert "stopped" in desk.typed("jobs", job).out
    goes_on(network, job)


def test_a_command_that_is_killed_leaves_no_job_that_waits_for_ever(network, inputs):
    desk, _ = network
    job, killed = in_the_middle(network, inputs)
    killed.kill()
    killed.communicate(timeout=60)
    stopped(desk, job)
    assert "gone before all were there" in desk.net.job(job).notes[0]
    os.truncate(inputs / "zz.bin", SMALL)
    os.utime(inputs / "zz.bin", (time.time() - 60,) * 2)
    goes_on(network, job, SMALL)


def test_a_second_ctrl_c_ends_it_at_once_though_the_hub_is_frozen(network, inputs):
    desk, hub = network
    job, waiting = in_the_middle(network, inputs)
    os.kill(hub.pid, signal.SIGSTOP)
    try:
        waiting.send_signal(signal.SIGINT)
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=60)
        assert waiting.returncode == 130
        assert "Traceback" not in err
    finally:
        os.kill(hub.pid, signal.SIGCONT)
    stopped(desk, job)


def test_an_input_that_goes_meanwhile_is_named_and_the_job_goes_on_when_it_is_back(network, inputs):
    desk, hub = network
    lost, job = inputs / "07 é.txt", len(desk.net.jobs()) + 1
    (inputs / "zz.bin").unlink()

    def lose(event) -> None:
        if event["event"] == "job":
            lost.unlink(missing_ok=True)

    with pytest.raises(CommonholdError, match=r"07 é\.txt"):
        desk.net.run("cat", [str(inputs)], progress=lose)
    stopped(desk, job)
    seen = desk.typed("again", job, code=3)
    assert "07 é.txt" in seen.err
    assert f"Job {job} has not begun; commonhold again {job} brings what is missing" in seen.err
    lost.write_text("back\n")
    stopped(desk, job)
    assert desk.typed("again", job).out == f"{SMALL} done\n"
    assert "back\n" in {task.output for task in desk.net.log(job)}
    assert arrived(hub, job)


def test_ctrl_c_after_the_job_has_begun_says_that_it_goes_on_and_what_ends_it(network):
    desk, _ = network
    job, waiting = running(desk, "sleep {}; echo over", ":::", "3", "600")
    until(lambda: len(desk.net.jobs()) == job and desk.net.job(job).running, "it runs")
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=60)
    assert err.splitlines() == [
        f"commonhold: Interrupted; job {job} goes on.",
        f"hint: commonhold log -f {job} follows it, commonhold cancel {job} ends it",
    ]
    assert desk.json("jobs", job)["state"] == "running"
    until(lambda: desk.net.job(job).done == 1, "what has begun goes on to its end")
    assert desk.typed("log", job, 1).out == "over\n"
    assert desk.typed("cancel", job).out == f"Job {job} is cancelled: 1 of 2 tasks done.\n"


def test_who_waits_when_the_hub_dies_is_told_to_follow_the_job_and_not_to_type_it_again(network):
    desk, hub = network
    job, waiting = running(desk, "sleep 3; echo {}", ":::", "a", "b")
    until(lambda: len(desk.net.jobs()) == job and desk.net.job(job).running, "it runs")
    hub.kill()
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 5
    assert f"hint: job {job} goes on when its node does: commonhold log -f {job} follows it\n" in err
    hub.up()
    assert f"Job {job} ended as done: 2 done" in desk.cli("log", "-f", job).err
