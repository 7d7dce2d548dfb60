"""`run`, `jobs` and `log`: what is typed, and how it is told what became of it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from commonhold.cli.jobs import age, details, drawing, row, table
from commonhold.cli.lists import divided, listed, require_in_front
from commonhold.cli.log import heading, tried
from commonhold.cli.progress import Tally, fetched
from commonhold.cli.run import Underway, ending, failure, tally, tell_packages
from commonhold.compute.environment import Packages
from commonhold.compute.job import Attempt, Job, State, Task
from commonhold.errors import WrongUsage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def a_job(done=0, failed=0, state=State.DONE, command="wc -l"):
    return Job(12, state, command, "ann", ".job-12", "", "any", total=done + failed, done=done, failed=failed)


def test_one_word_is_a_line_for_the_shell_and_several_are_a_program():
    assert divided(["echo {}", ":::", "1", "2"]) == ("echo {}", ["1", "2"], None)
    assert divided(["gzip", "-k", ":::", "a b.txt"]) == (["gzip", "-k"], ["a b.txt"], None)
    assert divided(["true"]) == ("true", [], None)
    assert divided(["wc", "::::", "-"]) == ("wc", [], "-")


@pytest.mark.parametrize("more", [[":::", "b"], ["::::", "list"]])
def test_there_are_no_combinations_and_that_is_said(more):
    with pytest.raises(WrongUsage, match="stands once"):
        divided(["echo", ":::", "a", *more])


def test_a_list_is_one_file():
    with pytest.raises(WrongUsage, match="One file follows"):
        divided(["echo", "::::", "a", "b"])


def test_a_list_has_one_input_a_line_or_ends_each_with_nul(tmp_path):
    (tmp_path / "lines").write_bytes("a b\r\n\nö.txt\n  indented".encode())
    assert listed(str(tmp_path / "lines")) == ["a b", "ö.txt", "  indented"]
    (tmp_path / "nuls").write_bytes(b"two\nlines\0next\0")
    assert listed(str(tmp_path / "nuls"), null=True) == ["two\nlines", "next"]


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "names no input"), (b"\n\n", "names no input"), (b"a\0b", "-0"), (b"\xff", "UTF-8")]
)
def test_a_list_that_is_none_is_refused(tmp_path, content, said):
    (tmp_path / "list").write_bytes(content)
    with pytest.raises(WrongUsage) as refused:
        listed(str(tmp_path / "list"))
    assert said in f"{refused.value.sentence} {refused.value.hint}"


def test_a_list_that_is_not_there_is_not_found(cli, tmp_path):
    seen = cli("run", "wc", "::::", tmp_path / "gone")
    assert (seen.code, "cannot be read" in seen.err) == (3, True)


def test_an_empty_pipe_is_no_list_but_a_command_without_placeholder_runs_once(process, home):
    """Neither runs here, for lack of a network; what was wrong with the list is found before."""
    assert "names no input" in process("run", "gzip {}", input="").err
    assert "names no input" not in process("run", "uname", input="").err
    assert "names no input" not in process("run", "find -exec ls {} +", stdin=subprocess.DEVNULL).err


def test_nul_is_about_a_list(cli):
    assert "there is none" in cli("run", "-0", "true").err


@pytest.mark.parametrize("words", [[":::", "a"], ["", ":::", "a"], [" "]])
def test_a_job_needs_a_command(words):
    with pytest.raises(WrongUsage, match="no command"):
        divided(words)


def test_a_pattern_that_matched_nothing_does_not_run_the_command_once():
    with pytest.raises(WrongUsage, match="no input follows"):
        divided(["rm {}", ":::"])


def test_options_behind_the_command_are_the_commands(cli):
    seen = cli("run", "grep", "--on", "--frobnicate", ":::", "a")
    assert seen.code == 3  # not joined; nothing was read as an option of ours


BEHIND = [
    ("wc -l {}", "--into", "tower:counts", ":::", "a"),
    ("wc -l {}", ":::", "a", "--cores", "2"),
    ("wc", ":::", "a", "--on=tower"),
]


@pytest.mark.parametrize("words", BEHIND)
def test_an_option_behind_a_line_for_the_shell_or_among_inputs_is_not_taken_for_one_of_them(cli, words):
    seen = cli("run", *words)
    assert seen.code == 2
    assert "and is no option there" in seen.err
    assert "options stand before the command: commonhold run --" in seen.err


@pytest.mark.parametrize("words", [("./a b", "-k", "--x"), ("wc", ":::", "--frob", "-0"), ("wc {}", "::::", "--on")])
def test_what_is_no_option_of_ours_is_left_alone(words):
    require_in_front(words, {"--on", "--into"})


def test_a_mistyped_option_before_the_command_is_not_taken_for_one(cli):
    seen = cli("run", "--onn", "all", "true")
    assert seen.code == 2
    assert "did you mean “--on”?" in seen.err


def test_one_sentence_ends_with_one_stop():
    task = Task(1, 1, State.FAILED, "a", output="begun\n", problem="It was stopped after 2 s, as the job says.")
    assert ending(task) == "It was stopped after 2 s, as the job says: begun"


@pytest.mark.parametrize("option", [("--timeout", "soon"), ("--retries", "-1"), ("--cores", "0")])
def test_terms_that_make_no_sense_are_refused_before_anything_runs(cli, option):
    assert cli("run", *option, "true").code == 2


def test_the_tally_is_one_line():
    assert tally(a_job(done=97, failed=3)) == "97 done, 3 failed"
    assert tally(a_job(done=3)) == "3 done"


def test_some_failed_is_exit_8_and_all_failed_is_exit_1():
    task = Task(12, 3, State.FAILED, "tower:logs/c.log", "tower", exit=2, error="warming up\nno such file\n")
    some = failure(a_job(done=97, failed=3, state=State.FAILED), [task])
    assert (some.exit_code, some.sentence, some.hint) == (8, "3 of 100 tasks failed.", "commonhold log 12")
    assert some.more["failed"] == [{"path": "tower:logs/c.log", "error": "exit status 2: no such file"}]
    assert failure(a_job(failed=1, state=State.FAILED), [task]).exit_code == 1


def test_a_job_that_was_cancelled_has_failed():
    assert failure(a_job(state=State.CANCELLED), []).sentence == "Job 12 ended as cancelled."


def test_how_a_task_ended_is_said_in_a_few_words():
    assert ending(Task(12, 1, State.FAILED, exit=1)) == "exit status 1"
    assert ending(Task(12, 1, State.FAILED, exit=1, output="broken\n")) == "exit status 1: broken"
    assert ending(Task(12, 1, State.FAILED, problem="It took longer than 5 s.")) == "It took longer than 5 s."


def test_the_log_names_each_task():
    assert heading(Task(12, 3, State.DONE, "tower:a.log", "tower", exit=0)) == "— 3 tower:a.log at tower done"
    failed = Task(12, 4, State.FAILED, "x", "tower", exit=7)
    assert heading(failed) == "— 4 x at tower failed with exit status 7"
    assert heading(Task(12, 5, State.FAILED, problem="Lost.")) == "— 5 failed: Lost."


def test_a_long_command_does_not_break_the_table():
    cells = row(a_job(done=1, command="echo\n" + "x" * 200), NOON, bar=False)
    assert cells[0] == "12"
    assert len(cells[-1]) == 60
    assert "\n" not in cells[-1]


def test_the_table_shows_how_far_a_job_is_and_where_it_runs():
    job = structs.replace(a_job(done=60, failed=1), total=100, computers=("desk", "laptop", "nas", "tower"))
    job = structs.replace(job, state=State.RUNNING, created=NOON - timedelta(minutes=5))
    assert row(job, NOON, bar=False) == ("12", "running", "60/100", "1", "desk, laptop, nas, …", "5 min", "wc -l")
    assert row(job, NOON, bar=True)[2] == "██████▒░░░ 60/100"
    waiting = Job(13, State.COLLECTING, "true", "ann", ".job-13", "", "any", created=NOON)
    assert row(waiting, NOON, bar=True)[2:6] == ("-", "0", "-", "now")


def test_the_table_says_whose_jobs_are_only_where_some_are_somebody_elses():
    mine, hers = a_job(done=1), structs.replace(a_job(done=1), person="carol")
    heads, rows = table([mine, hers], NOON, mine.person, bar=False)
    assert heads[:3] == ("JOB", "PERSON", "STATE")
    assert [cells[1] for cells in rows] == ["ann", "carol"]
    assert all(len(cells) == len(heads) for cells in rows)
    assert table([hers], NOON, mine.person, bar=False)[0] == heads
    heads, (cells,) = table([mine], NOON, mine.person, bar=False)
    assert heads[:2] == ("JOB", "STATE")
    assert len(cells) == len(heads)


@given(st.integers(1, 10**5), st.integers(0, 10**5), st.integers(0, 10**5))
def test_a_bar_has_one_length_and_shows_whatever_there_is(total, done, failed):
    done = min(done, total)
    failed = min(failed, total - done)
    drawn = drawing(structs.replace(a_job(done, failed), total=total))
    assert len(drawn) == 10
    assert ("▒" in drawn) == bool(failed)
    assert drawn.startswith("░") == (not done and not failed)
    if done + failed == total:
        assert "░" not in drawn


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "now"), (59, "now"), (60, "1 min"), (7199, "1 h"), (86400, "1 d"), (10**7, "115 d")]
)
def test_ages_are_told_in_one_unit(seconds, told):
    assert age(NOON - timedelta(seconds=seconds), NOON) == told


def test_of_one_job_all_is_told_that_there_is():
    job = structs.replace(a_job(done=2, failed=1), computers=("tower",), notes=("desk was lost.",), ended=NOON)
    told = dict(details(job))
    assert told["tasks"] == "3: 2 done, 1 failed"
    assert told["note"] == "desk was lost."
    assert "into" not in told
    assert dict(details(structs.replace(job, total=0)))["tasks"] == "none yet"


@pytest.mark.parametrize("number", ["0", "-1", "twelve"])
def test_a_job_has_a_number(cli, number):
    assert cli("log", number).code == 2


def test_progress_counts_a_task_that_starts_again_once():
    tally = Tally()
    tally.hear({"event": "job", "job": {"total": 2}})
    for state in ("running", "waiting", "running", "done"):
        tally.hear({"event": "task", "job": 1, "task": 1, "state": state, "computer": "tower"})
    tally.hear({"event": "note", "job": 1, "note": "tower was lost."})
    tally.hear({"event": "task", "job": 1, "task": 2, "state": "failed", "computer": "laptop"})
    assert (tally.total, tally.ended, tally.states["failed"]) == (2, 2, 1)
    assert tally.words() == "1 failed"


def test_progress_tells_of_uploads_until_the_job_begins():
    tally = Tally()
    tally.hear({"event": "job", "job": {"total": 0}})
    tally.hear({"event": "upload", "job": 1, "done_files": 3, "total_files": 9})
    assert (tally.uploading, tally.uploaded, tally.uploads) == (True, 3, 9)
    tally.hear({"event": "job", "job": {"total": 9}})
    tally.hear({"event": "task", "job": 1, "task": 1, "state": "running", "computer": "tower"})
    assert (tally.uploading, tally.total, tally.words()) == (False, 9, "1 running")


def test_who_stops_waiting_is_told_what_becomes_of_the_job_and_how_to_find_it_again():
    way = Underway()
    assert (way.left().exit_code, way.left().sentence) == (130, "Interrupted; nothing was begun.")
    way.hear({"event": "job", "job": {"job": 12, "state": "collecting"}})
    way.hear({"event": "upload", "job": 12, "done_files": 1, "total_files": 9})
    assert way.left().sentence == "Interrupted; job 12 has not begun."
    assert way.left().hint == "commonhold again 12 brings what is missing of its inputs, and runs it"
    way.hear({"event": "begin", "job": 12})
    assert way.left().sentence == "Interrupted; job 12 goes on."
    assert way.left().hint == "commonhold log -f 12 follows it, commonhold cancel 12 ends it"
    running = Underway()
    running.hear({"event": "job", "job": {"job": 12, "state": "running"}})
    assert running.left().sentence == "Interrupted; job 12 goes on."


def test_what_is_done_for_packages_is_said_with_how_far_it_is():
    event = {"event": "environment", "doing": "downloading numpy", "done_bytes": 0, "total_bytes": 0}
    assert fetched(event) == "downloading numpy"
    assert fetched(event | {"done_bytes": 3_100_000, "total_bytes": 16_600_000}) == "downloading numpy, 3.1 of 16.6 MB"
    assert "\x1b" not in fetched(event | {"doing": "downloading \x1b[2Jnumpy"})  # an index's word, on a terminal


@pytest.mark.parametrize(
    ("to_send", "said"),
    [(0, "All of it is at tower, from where"), (2_500_000, "2.5 MB of it would be sent to tower, from where")],
)
def test_a_plan_tells_of_the_packages(to_send, said):
    told = Told()
    tell_packages(told, Packages("ab", "3.11", "x86_64", ("numpy 2.4.0", "six 1.17.0"), 17_000_000, "tower", to_send))
    assert told.lines[0] == "Its environment: numpy 2.4.0, six 1.17.0; 17.0 MB for Python 3.11 on x86_64."
    assert told.lines[1].startswith(said)


class Told:
    """What is said beside the answer."""

    def __init__(self):
        self.lines = []

    def remark(self, line):
        self.lines.append(line)


@pytest.mark.parametrize(
    "typed",
    [("--forget",), ("3", "--forget", "--older", "30d"), ("--older", "30d"), ("3", "--yes"), ("-3", "--forget")],
)
def test_which_jobs_are_forgotten_is_said(cli, typed):
    assert cli("jobs", *typed).code == 2


def test_of_a_task_that_was_tried_more_than_once_each_earlier_try_is_told():
    task = Task(
        12, 3, State.DONE, tries=3, earlier=(Attempt(1, "desk", "desk was lost"), Attempt(2, "", "exit status 1"))
    )
    assert tried(task) == ["It was tried 3 times.", "  try 1 at desk: desk was lost", "  try 2: exit status 1"]
    assert tried(Task(12, 4, State.DONE, tries=1)) == []
