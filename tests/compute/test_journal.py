"""The journal tells the truth about jobs, after restarts too."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from tests.compute.conftest import ANN, BOB

from commonhold.authority.events import check
from commonhold.compute.job import Input, JobSpec, Outcome, State
from commonhold.compute.journal import (
    BROKE_OFF,
    CUT_OFF,
    LONGEST_WHY,
    MOST_EARLIER,
    PAGE,
    SCHEMA,
    STOPPED,
    TAKEN_UP,
    Journal,
)
from commonhold.errors import NotFound
from commonhold.names import ComputerName, Fingerprint

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
    job = journal.add(ANN, "ann", None, JobSpec("echo {}", TWO))
    journal.begin(job, "tower:out", [(each, None) for each in TWO])
    return job


def test_jobs_are_numbered_from_one_and_belong_to_their_person(journal: Journal):
    assert [journal.add(person, "x", None, JobSpec("true")) for person in (ANN, BOB, ANN)] == [1, 2, 3]
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


def test_each_try_of_a_task_is_kept_with_its_computer_and_why_it_ended(tmp_path: Path):
    first = opened(tmp_path / "state.db")
    job = begun(first)
    first.move(job, 1, State.RUNNING, "desk")
    first.move(job, 1, State.WAITING)  # given back before it had begun: that is no try
    first.move(job, 1, State.RUNNING, "laptop")
    first.move(job, 1, State.WAITING, why="laptop was lost")
    assert (first.task(job, 1).tries, first.task(job, 1).started) == (1, None)
    first.move(job, 1, State.RUNNING, "tower")
    second = opened(tmp_path / "state.db")
    second.take_up()
    second.move(job, 1, State.RUNNING, "desk")
    second.move(job, 1, State.FAILED, "desk", Outcome(exit=3))
    second.end(job, State.FAILED)
    second.reopen(job)
    second.move(job, 1, State.RUNNING, "desk")
    told, untried = second.tasks(job)
    assert told.tries == 4
    assert [(each.number, each.computer, each.why) for each in told.earlier] == [
        (1, "laptop", "laptop was lost"),
        (2, "tower", CUT_OFF),
        (3, "desk", "exit status 3"),
    ]
    assert all(each.started and each.ended for each in told.earlier)
    assert (untried.tries, untried.earlier) == (0, ())


def test_of_a_task_that_is_tried_for_ever_the_last_hundred_tries_are_kept(journal: Journal):
    job = begun(journal)
    for number in range(MOST_EARLIER + 5):
        journal.move(job, 1, State.RUNNING, "desk")
        journal.move(job, 1, State.WAITING, why=f"{number}" + "x" * 1000)
    told = journal.task(job, 1)
    assert (told.tries, len(told.earlier)) == (MOST_EARLIER + 5, MOST_EARLIER)
    assert (told.earlier[0].number, len(told.earlier[0].why)) == (6, LONGEST_WHY)


def test_what_was_said_of_a_job_goes_when_it_holds_no_more(journal: Journal):
    job = begun(journal)
    journal.note(job, "desk refused: it lends nothing now", "laptop was lost")
    journal.unsay(job, "desk refused: ")
    assert journal.job(job).notes == ("laptop was lost",)
    journal.end(job, State.FAILED, "It broke.")
    journal.reopen(job)
    assert journal.job(job).notes == ()


def test_a_task_that_has_ended_stays_as_it_is(journal: Journal):
    job = begun(journal)
    journal.move(job, 1, State.RUNNING, "desk")
    journal.move(job, 1, State.FAILED, "desk", Outcome(exit=3))
    assert not journal.move(job, 1, State.DONE, "desk", Outcome(exit=0))
    assert not journal.move(job, 99, State.RUNNING)
    assert journal.tasks(job, 1)[0].exit == 3


def test_after_a_crash_what_ran_waits_again_and_what_is_done_stays(tmp_path: Path):
    first = opened(tmp_path / "state.db")
    job = begun(first)
    first.move(job, 1, State.RUNNING, "desk")
    first.move(job, 1, State.DONE, "desk", Outcome(exit=0, outputs=("tower:out/x",)))
    first.move(job, 2, State.RUNNING, "desk")
    second = opened(tmp_path / "state.db")
    assert second.take_up() == [job]
    found = second.job(job)
    assert (found.state, found.notes, found.done, found.waiting) == (State.RUNNING, (TAKEN_UP,), 1, 1)
    assert list(second.ended(job)) == [(1, State.DONE, ("tower:out/x",))]


def test_a_job_that_was_uploading_its_inputs_stops_with_its_node(tmp_path: Path):
    first = opened(tmp_path / "state.db")
    job = first.add(ANN, "ann", None, JobSpec("echo {}", TWO))
    second = opened(tmp_path / "state.db")
    assert second.take_up() == []
    assert (second.job(job).state, second.job(job).notes) == (State.STOPPED, (STOPPED,))


def test_a_job_begins_again_with_what_is_not_done(journal: Journal):
    job = begun(journal)
    journal.move(job, 1, State.RUNNING, "desk")
    journal.move(job, 1, State.DONE, "desk", Outcome(exit=0))
    journal.move(job, 2, State.FAILED, "desk", Outcome(exit=3, error="no"))
    journal.end(job, State.FAILED)
    journal.reopen(job)
    assert (journal.job(job).state, journal.job(job).ended) == (State.RUNNING, None)
    [done, again] = journal.tasks(job)
    assert (done.state, again.state) == (State.DONE, State.WAITING)
    assert (again.exit, again.error, again.ended) == (None, "", None)


def test_the_journal_knows_from_where_a_job_was_asked_and_for_which_computers_tasks_are(journal: Journal):
    desk = Fingerprint("d" * 64)
    job = journal.add(ANN, "ann", desk, JobSpec("true"))
    journal.begin(job, "", [(None, desk), (None, None)])
    assert (journal.submitter(job), journal.places(job)) == (desk, {1: desk})


def test_a_state_of_the_first_version_is_understood(tmp_path: Path):
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    later = SCHEMA.replace("    computer TEXT NOT NULL DEFAULT '', spec", "    spec")
    later = later.replace("    earlier TEXT NOT NULL DEFAULT '',\n", "")
    connection.executescript(later.replace("    place TEXT NOT NULL DEFAULT '',\n", ""))
    connection.execute(
        "INSERT INTO job (person, person_name, spec, state, created) VALUES (?, 'ann', ?, 'running', ?)",
        (ANN, '{"command": "true"}', NOON.isoformat()),
    )
    journal = Journal(connection, lambda: NOON, recorded)
    assert (journal.take_up(), journal.submitter(1), journal.places(1)) == ([1], None, {})


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


def test_an_ended_job_is_told_without_its_tasks_and_with_where_it_ran(tmp_path: Path):
    journal = opened(tmp_path / "state.db")
    job = begun(journal)
    for task, computer in ((1, "laptop"), (2, "desk")):
        journal.move(job, task, State.RUNNING, ComputerName(computer))
    assert journal.job(job).computers == ("desk", "laptop")
    journal.move(job, 1, State.DONE, "laptop", Outcome(exit=0))
    journal.move(job, 2, State.FAILED, "desk", Outcome(exit=1))
    journal.end(job, State.FAILED)
    ended = journal.job(job)
    assert (ended.total, ended.done, ended.failed, ended.computers) == (2, 1, 1, ("desk", "laptop"))
    assert opened(tmp_path / "state.db").job(job) == ended
    journal.reopen(job)
    assert (journal.job(job).waiting, journal.job(job).done, journal.job(job).computers) == (1, 1, ("laptop",))


def test_inputs_are_kept_apart_and_what_an_older_version_wrote_is_read(tmp_path: Path):
    db = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    db.executescript(
        SCHEMA.replace(" inputs TEXT NOT NULL DEFAULT '',", "").replace("    summary TEXT NOT NULL DEFAULT '',", "")
    )
    spec = JobSpec("echo {}", TWO, retries=3)
    old = "INSERT INTO job (person, person_name, spec, state, created) VALUES ('a', 'ann', ?, 'done', ?)"
    db.execute(old, (msgspec.json.encode(spec).decode(), NOON.isoformat()))
    journal = opened(tmp_path / "state.db")
    assert journal.spec(1) == spec
    assert journal.spec(journal.add(ANN, "ann", None, spec)) == spec


def test_tasks_are_read_some_at_a_time_and_those_that_are_asked_for(journal: Journal):
    inputs = tuple(Input("value", str(number)) for number in range(2 * PAGE + 1))
    job = journal.add(ANN, "ann", None, JobSpec("echo {}", inputs))
    journal.begin(job, "tower:out", [(each, None) for each in inputs])
    for task, (state, output) in {3: (State.FAILED, ""), 5: (State.DONE, "hi"), 2 * PAGE: (State.FAILED, "x")}.items():
        journal.move(job, task, State.RUNNING)
        journal.move(job, task, state, "", Outcome(exit=0, output=output))
    assert [len(page) for page in journal.pages(job)] == [PAGE, PAGE, 1]
    assert [task.task for page in journal.pages(job, [State.FAILED]) for task in page] == [3, 2 * PAGE]
    assert [task.task for page in journal.pages(job, said=True) for task in page] == [5, 2 * PAGE]


def test_a_job_that_never_had_its_inputs_collects_them_again(journal: Journal):
    job = journal.add(ANN, "ann", None, JobSpec("echo {}", TWO))
    journal.end(job, State.STOPPED, BROKE_OFF)
    journal.collect(job)
    assert (journal.job(job).state, journal.job(job).ended) == (State.COLLECTING, None)
    assert journal.unended(ANN) == (1, 2)


def test_a_job_that_is_forgotten_is_gone_and_leaves_its_number_to_no_other(journal: Journal):
    job = begun(journal)
    journal.move(job, 1, State.RUNNING, "desk")
    journal.end(job, State.CANCELLED)
    assert (journal.shed(job), journal.shed(job)) == (True, False)
    journal.forget(job, 3, 1_000)
    assert journal.jobs() == []
    with pytest.raises(NotFound):
        journal.tasks(job)
    assert journal.add(ANN, "ann", None, JobSpec("true")) == job + 1
