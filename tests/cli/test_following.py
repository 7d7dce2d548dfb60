"""`log -f` as a person has it: a process that prints what tasks on another computer say while they say it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess

import pytest

from commonhold.cli.log import LONGEST, Interleaving
from commonhold.cli.output import Output
from commonhold.compute.job import State, Task
from commonhold.compute.said import Said

from ..conftest import town, until


def said(text: str, task: int = 1, stream: str = "output", left_out: int = 0, **more: str) -> Said:
    return Said(12, task, more.get("input", "ab"[task - 1]), "tower", stream, text, left_out)  # type: ignore[arg-type]


@pytest.fixture
def told(capsys):
    """What is printed of things that tasks say."""

    def printed(*each: Said | Task, alone: bool = False) -> tuple[str, str]:
        lines = Interleaving(Output(), alone)
        for one in each:
            lines.hear(one)
        return tuple(capsys.readouterr())

    return printed


def test_lines_of_several_tasks_are_whole_and_each_stands_behind_its_input(told):
    out, _ = told(said("one\nhal"), said("two\n", 2), said("f\nthree\nrest"))
    assert out == "a\tone\nb\ttwo\na\thalf\na\tthree\n"


def test_the_last_line_needs_no_end_and_how_a_task_ended_is_told_beside_it(told):
    ended = Task(12, 1, State.FAILED, "a", "tower", exit=3)
    assert told(said("no end"), ended) == ("a\tno end\n", "— 1 a at tower failed with exit status 3\n")


def test_output_and_errors_are_two_streams(told):
    assert told(said("x"), said("oh\n", stream="error"), said("y\n")) == ("a\txy\n", "a\toh\n")


def test_a_task_without_input_is_named_by_its_computer(told):
    assert told(said("Linux\n", input=""))[0] == "tower\tLinux\n"


def test_what_is_left_out_is_a_line_of_its_own(told):
    assert told(said("beg"), said("end\n", left_out=99))[0] == "a\tbeg\na\t… 99 bytes left out …\na\tend\n"


def test_a_line_without_end_is_shown_before_it_fills_the_memory(told):
    assert len(told(*[said("x" * 1000)] * 20)[0]) > LONGEST


def test_an_input_of_several_lines_breaks_no_line(told):
    assert told(said("x\n", input="first\nsecond"))[0] == "first second\tx\n"


def test_one_task_alone_is_told_as_it_comes_without_any_addition(told):
    done = Task(12, 1, State.DONE, "a", "tower", exit=0)
    assert told(said("50 %"), said("…\r"), said("e", stream="error"), done, alone=True) == ("50 %…\r", "e")


# Real nodes, a lender, and the command as a process


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    """ann's tower; bob's laptop lends to her."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        laptop.net.allow("ann", "run", "compute")
        laptop.knows("tower", "laptop")
        yield tower


def begun(tower, command: str, *inputs: str) -> int:
    job = tower.net.run(command, list(inputs), on="laptop", wait=False).job
    until(lambda: tower.net.job(job).running, "it runs")
    return job


def following(tower, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(tower.words("log", "-f", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_person_reads_along_and_leaves_and_the_job_goes_on(tower):
    job = begun(tower, "echo hello from {}; sleep 600", "a", "b")
    reading = following(tower, job)
    assert {reading.stdout.readline(), reading.stdout.readline()} == {"a\thello from a\n", "b\thello from b\n"}
    reading.send_signal(signal.SIGINT)
    _, err = reading.communicate(timeout=60)
    assert (reading.returncode, err) == (
        130,
        f"commonhold: Interrupted; the job goes on.\nhint: commonhold log -f {job}\n",
    )
    assert tower.net.job(job).state is State.RUNNING
    until(lambda: not tower.net.job(job).ended and tower.log().count("failed") == 0, "nothing is amiss")
    tower.net.cancel(job)


def test_who_is_killed_or_reads_no_more_leaves_nothing_behind(tower):
    job = begun(tower, "while : {}; do seq 1000; sleep 0.1; done", "a")
    killed, stalled = following(tower, job), following(tower, job)
    for one in (killed, stalled):
        assert one.stdout.readline().startswith("a\t")
    killed.kill()
    killed.communicate(timeout=60)
    stalled.stdout.close()
    stalled.wait(60)
    assert "BrokenPipe" not in stalled.stderr.read()
    stalled.stderr.close()
    again = following(tower, job)
    assert again.stdout.readline().startswith("a\t")
    tower.net.cancel(job)
    _, err = again.communicate(timeout=60)
    assert again.returncode == 0
    assert "— 1 a at laptop cancelled" in err


def test_a_terminal_shows_what_a_task_says_and_obeys_none_of_it(tower):
    job = begun(tower, r"printf '\033]0;owned\007\033[2Jharmless\n'; sleep 3")
    screen, theirs = pty.openpty()
    reading = subprocess.Popen(tower.words("log", "-f", job, 1), stdout=theirs, stderr=theirs)
    os.close(theirs)
    drawn = b""
    while b"harmless" not in drawn:
        assert select.select([screen], [], [], 60)[0]
        drawn += os.read(screen, 4096)
    assert reading.wait(60) == 0
    os.close(screen)
    assert b"\x1b" not in drawn
    assert b"\x07" not in drawn
    assert tower.typed("log", job, 1).out == "\x1b]0;owned\x07\x1b[2Jharmless\n", "a file gets what was said"


def test_a_job_of_nobody_is_not_followed(tower):
    assert "There is no job 99" in tower.typed("log", "-f", 99, code=3).err
