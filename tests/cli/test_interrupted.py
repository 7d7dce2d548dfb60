"""`run` is interrupted or killed while it brings inputs, or one is gone: no job waits for ever, none is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from commonhold.errors import CommonholdError

from ..conftest import town, until

SMALL, LARGE = 40, 300 * 2**20


@pytest.fixture(params=["peer-to-peer", "client-server"])
def network(request, tmp_path):
    """Where jobs are typed, and the computer that takes them in: the same, or the server."""
    with town(tmp_path) as make:
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


def running(typed, inputs) -> subprocess.Popen[str]:
    words = typed.words("run", "wc -c < {}", ":::", inputs)
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def arrived(hub) -> dict[str, int]:
    """What has been brought of job 1 so far, with what is the same file and what is another."""
    folder = hub.home.jobs / "1" / "in"
    return {path.name: path.stat().st_ino for path in folder.glob("*.txt")}


def in_the_middle(hub, running) -> None:
    until(lambda: arrived(hub), "something is there")
    assert running.poll() is None


def goes_on(typed, hub, before) -> None:
    """`again` brings what is missing, and nothing twice."""
    before = before or arrived(hub)
    done = typed.cli("again", 1)
    assert done.out == f"{SMALL + 1} done\n"
    after = arrived(hub)
    assert len(after) == SMALL
    assert before.items() <= after.items()
    sizes = {task.input.rpartition("/")[2]: int(task.output) for task in typed.net.log(1)}
    assert sizes["zz.bin"] == LARGE
    assert sizes["07 é.txt"] == 2


def test_ctrl_c_stops_the_job_and_again_brings_the_rest(network, inputs):
    typed, hub = network
    waiting = running(typed, inputs)
    in_the_middle(hub, waiting)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (130, "")
    assert err.splitlines() == [
        "commonhold: Interrupted; job 1 has not begun.",
        "hint: commonhold again 1 brings what is missing of its inputs, and runs it",
    ]
    until(lambda: typed.net.job(1).state == "stopped", "it has stopped")
    assert "stopped" in typed.cli("jobs", 1).out
    goes_on(typed, hub, arrived(hub))


def test_a_command_that_is_killed_leaves_no_job_that_waits_for_ever(network, inputs):
    typed, hub = network
    killed = running(typed, inputs)
    in_the_middle(hub, killed)
    killed.kill()
    killed.communicate(timeout=60)
    until(lambda: typed.net.job(1).state == "stopped", "it has stopped")
    assert "gone before all were there" in typed.net.job(1).notes[0]
    goes_on(typed, hub, None)


def test_a_second_ctrl_c_ends_it_at_once_though_the_hub_is_frozen(network, inputs):
    typed, hub = network
    waiting = running(typed, inputs)
    in_the_middle(hub, waiting)
    os.kill(hub.pid, signal.SIGSTOP)
    try:
        waiting.send_signal(signal.SIGINT)
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=60)
        assert waiting.returncode == 130
        assert "Traceback" not in err
    finally:
        os.kill(hub.pid, signal.SIGCONT)
    until(lambda: typed.net.job(1).state == "stopped", "it has stopped")


def test_who_waits_when_the_hub_dies_is_told_to_follow_the_job_and_not_to_type_it_again(network):
    typed, hub = network
    words = typed.words("run", "sleep 3; echo {}", ":::", "a", "b")
    waiting = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: [job for job in typed.net.jobs() if job.running], "it runs")
    hub.kill()
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 5
    assert "hint: job 1 goes on when its node does: commonhold log -f 1 follows it\n" in err
    hub.up()
    assert "Job 1 ended as done: 2 done" in typed.cli("log", "-f", 1).err


def test_an_input_that_goes_meanwhile_is_named_and_the_job_goes_on_when_it_is_back(network, inputs):
    typed, hub = network
    lost = inputs / "07 é.txt"
    (inputs / "zz.bin").unlink()

    def lose(event) -> None:
        if event["event"] == "job":
            lost.unlink(missing_ok=True)

    with pytest.raises(CommonholdError, match=r"07 é\.txt"):
        typed.net.run("cat", [str(inputs)], progress=lose)
    until(lambda: typed.net.job(1).state == "stopped", "it has stopped")
    seen = typed.cli("again", 1, code=3)
    assert "07 é.txt" in seen.err
    assert "Job 1 has not begun; commonhold again 1 brings what is missing" in seen.err
    lost.write_text("back\n")
    until(lambda: typed.net.job(1).state == "stopped", "it has stopped")
    assert typed.cli("again", 1).out == f"{SMALL} done\n"
    assert "back\n" in {task.output for task in typed.net.log(1)}
    assert arrived(hub)


def test_ctrl_c_after_the_job_has_begun_says_that_it_goes_on_and_what_ends_it(network):
    typed, _ = network
    words = typed.words("run", "sleep 600")
    waiting = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: typed.net.jobs() and typed.net.job(1).running, "it runs")
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=60)
    assert err.splitlines() == [
        "commonhold: Interrupted; job 1 goes on.",
        "hint: commonhold log -f 1 follows it, commonhold cancel 1 ends it",
    ]
    assert json.loads(typed.cli("jobs", 1, json_=True).out)["state"] == "running"
    assert typed.cli("cancel", 1).out == "Job 1 is cancelled: 0 of 1 task done.\n"
