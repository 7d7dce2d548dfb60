"""The journal tells the truth about jobs, after restarts too."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.compute.conftest import ANN, BOB

from commonhold.authority.events import check
from commonhold.compute.job import Input, JobSpec, Outcome, State
from commonhold.compute.journal import STOPPED, Journal
from commonhold.errors import NotFound

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TWO = (Input("value", "1"), Input("value", "2"))


def recorded(event: str, **words: object) -> None:
    check(event, words)


def opened(path: Path) -> Journal:
    return Journal(sqlite3.connect(path, isolation_level=None), lambda: NOON, recorded)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return opened(tmp_path / "state.db")


def begun(journal: Journal) -> int:
    job = journal.add(ANN, "ann", JobSpec("echo {}", TWO))
    journal.begin(job, "tower:out", TWO)
    return job


def test_jobs_are_numbered_from_one_and_belong_to_their_person(journal: Journal):
    assert [journal.add(person, "x", JobSpec("true")) for person in (ANN, BOB, ANN)] == [1, 2, 3]
    assert [job.job for job in journal.jobs(ANN)] == [1, 3]
    assert [job.job for job in journal.jobs()] == [1, 2, 3]
    assert journal.person(2) == BOB


def test_a_task_goes_its_way_and_what_it_said_is_kept(journal: Journal):
    job = begun(journal)
    assert journal.move(job, 1, State.RUNNING, "laptop")
    assert journal.move(job, 1, State.WAITING)
    assert journal.move(job, 1, State.RUNNING, "desk")
    outcome = Outcome(exit=0, output="hi\n", outputs=("tower:out/x",), computer="desk")
    assert journal.move(job, 1, State.DONE, "desk", outcome)
    [task] = journal.tasks(job, 1)
    assert (task.state, task.computer, task.exit, task.output) == (State.DONE, "desk", 0, "hi\n")
    assert task.outputs == ("tower:out/x",)
    found = journal.job(job)
    assert (found.total, found.done, found.waiting) == (2, 1, 1)


def test_a_task_that_has_ended_stays_as_it_is(journal: Journal):
    job = begun(journal)
    journal.move(job, 1, State.RUNNING, "desk")
    journal.move(job, 1, State.FAILED, "desk", Outcome(exit=3))
    assert not journal.move(job, 1, State.DONE, "desk", Outcome(exit=0))
    assert not journal.move(job, 99, State.RUNNING)
    assert journal.tasks(job, 1)[0].exit == 3


def test_after_a_crash_the_journal_says_what_stopped(tmp_path: Path):
    first = opened(tmp_path / "state.db")
    job = begun(first)
    first.move(job, 1, State.RUNNING, "desk")
    first.move(job, 1, State.DONE, "desk", Outcome(exit=0))
    second = opened(tmp_path / "state.db")
    assert second.stop_unfinished() == [job]
    found = second.job(job)
    assert (found.state, found.notes, found.done, found.failed) == (State.STOPPED, (STOPPED,), 1, 1)
    assert second.stop_unfinished() == []


def test_a_transaction_that_fails_leaves_nothing(journal: Journal):
    job = begun(journal)

    def half() -> None:
        with journal.together():
            journal.move(job, 1, State.RUNNING, "desk")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert journal.tasks(job, 1)[0].state is State.WAITING


def test_a_note_is_kept_once(journal: Journal):
    job = begun(journal)
    journal.note(job, "desk refused")
    journal.note(job, "desk refused", "laptop was lost")
    assert journal.job(job).notes == ("desk refused", "laptop was lost")


def test_what_is_not_there_is_said(journal: Journal):
    with pytest.raises(NotFound, match="no job 7"):
        journal.job(7)
    with pytest.raises(NotFound, match="no task 9"):
        journal.tasks(begun(journal), 9)
