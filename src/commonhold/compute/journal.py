"""What became of every job and task: kept by the node that runs them, so that it can always be told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from commonhold.compute.job import MOST_TASKS, Attempt, Input, Job, JobSpec, Outcome, State, Task, may_follow
from commonhold.errors import NotFound
from commonhold.names import Fingerprint, PersonId
from commonhold.transaction import transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY AUTOINCREMENT, person TEXT NOT NULL, person_name TEXT NOT NULL,
    computer TEXT NOT NULL DEFAULT '', spec TEXT NOT NULL, inputs TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL, notes TEXT NOT NULL DEFAULT '[]', into_text TEXT NOT NULL DEFAULT '',
    summary TEXT NOT NULL DEFAULT '', created TEXT NOT NULL, started TEXT, ended TEXT);
CREATE TABLE IF NOT EXISTS task (
    job INTEGER NOT NULL REFERENCES job, number INTEGER NOT NULL, input TEXT NOT NULL, state TEXT NOT NULL,
    place TEXT NOT NULL DEFAULT '',
    computer TEXT NOT NULL DEFAULT '', exit INTEGER, output TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT '', outputs TEXT NOT NULL DEFAULT '[]', started TEXT, ended TEXT,
    earlier TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS task_states ON task (job, state);
"""
# Columns that a state of version 0.1.0 has not.
LATER = (("job", "computer"), ("task", "place"), ("job", "inputs"), ("job", "summary"), ("task", "earlier"))
LONGEST_NOTE, MOST_NOTES = 4_000, 1_000  # characters; of one job
MOST_EARLIER, LONGEST_WHY = 100, 500  # tries that are kept of one task; characters of why one ended
SHED = 500  # tasks that are deleted at a time
PAGE = 50  # tasks that are read at a time: each may have said 128 kB
STOPPED = "The node ended while its inputs were being uploaded."
BROKE_OFF = "Who brought its inputs was gone before all were there."
CUT_OFF = "The node that ran its job ended."
KEPT = "coalesce(nullif(earlier, ''), '[]')"
# The earlier tries of a task with the one that ends now, (why, when); of one that never began, as they are.
TRIED = f"""CASE WHEN started IS NULL THEN earlier ELSE json_insert(
    CASE WHEN json_array_length({KEPT}) < {MOST_EARLIER} THEN {KEPT} ELSE json_remove({KEPT}, '$[0]') END, '$[#]',
    json_object('number', coalesce(json_extract({KEPT}, '$[#-1].number'), 0) + 1, 'computer', computer,
        'why', {{why}}, 'started', started, 'ended', ?)) END"""
TRIED_BECAUSE = TRIED.format(why="?")
TRIED_AS_IT_STANDS = TRIED.format(
    why=f"substr(CASE WHEN problem != '' THEN problem WHEN exit IS NULL THEN state"
    f" ELSE 'exit status ' || exit END, 1, {LONGEST_WHY})"
)
INPUTS = tuple[Input, ...]
TAKEN_UP = "The node ended while this job ran; what was not done yet runs again."


class Unended(NamedTuple):
    """How much of one person's has not ended; a job that collects its inputs counts the tasks that it will have."""

    jobs: int
    tasks: int


class Summary(msgspec.Struct, frozen=True):
    """How a job stands: its tasks by their states, and the computers that ran some. Of an ended one it is kept."""

    states: dict[str, int] = {}
    computers: tuple[str, ...] = ()


class JournalReader:
    """What the journal says of jobs and tasks."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def places(self, job: int) -> dict[int, Fingerprint]:
        """The tasks that are for one computer only."""
        rows = self._db.execute("SELECT number, place FROM task WHERE job = ? AND place != ''", (job,))
        return {number: Fingerprint(place) for number, place in rows}

    def ended(self, job: int) -> Iterator[tuple[int, State, tuple[str, ...]]]:
        """The tasks that have ended: how, and their outputs."""
        for number, state, outputs in self._db.execute(
            "SELECT number, state, outputs FROM task WHERE job = ? AND ended IS NOT NULL", (job,)
        ):
            yield number, State(state), tuple(msgspec.json.decode(outputs, type=list[str]))

    def into(self, job: int) -> str:
        """The folder that takes its outputs, as people write it."""
        return self._job_row(job)["into_text"]

    def submitter(self, job: int) -> Fingerprint | None:
        """The computer from which it was asked for."""
        text = self._job_row(job)["computer"]
        return Fingerprint(text) if text else None

    def spec(self, job: int) -> JobSpec:
        """With all its inputs."""
        (inputs,) = self._db.execute("SELECT inputs FROM job WHERE number = ?", (job,)).fetchone() or ("",)
        found = self._terms(job)
        return msgspec.structs.replace(found, inputs=msgspec.json.decode(inputs, type=INPUTS)) if inputs else found

    def _terms(self, job: int) -> JobSpec:
        return msgspec.json.decode(self._job_row(job)["spec"], type=JobSpec)

    def person(self, job: int) -> PersonId:
        """Whose job it is. Raises NotFound."""
        return PersonId(self._job_row(job)["person"])

    def _whose(self, job: int) -> str:
        return self._job_row(job)["person_name"]

    def busy(self) -> set[PersonId]:
        """Who has a job that has not ended."""
        sql = "SELECT DISTINCT person FROM job WHERE state IN (?, ?)"
        return {PersonId(person) for (person,) in self._db.execute(sql, (State.COLLECTING, State.RUNNING))}

    def unended(self, person: PersonId) -> Unended:
        jobs, collected = self._db.execute(
            "SELECT count(*), sum(CASE WHEN state != ? THEN 0 WHEN inputs = '' THEN 1"
            " ELSE max(1, json_array_length(inputs)) END) FROM job WHERE person = ? AND state IN (?, ?)",
            (State.COLLECTING, person, State.COLLECTING, State.RUNNING),
        ).fetchone()
        (tasks,) = self._db.execute(
            "SELECT count(*) FROM job JOIN task ON task.job = job.number"
            " WHERE job.person = ? AND job.state = ? AND task.state IN (?, ?)",
            (person, State.RUNNING, State.WAITING, State.RUNNING),
        ).fetchone()
        return Unended(jobs, tasks + (collected or 0))

    def tasks(self, job: int, task: int | None = None) -> list[Task]:
        """A job's tasks in order, or the one asked for. Raises NotFound."""
        self._job_row(job)
        found = self._tasks(job, task or 1, task or MOST_TASKS)
        if task is not None and not found:
            raise NotFound(f"Job {job} has no task {task}.", f"commonhold log {job}")
        return found

    def task(self, job: int, task: int) -> Task:
        """Raises NotFound."""
        return self.tasks(job, task)[0]

    def ended_after(self, job: int, task: int, most: int) -> list[Task]:
        """Of a job's tasks that have run to their end, the next ones after that number."""
        return self._tasks(job, task + 1, states=(State.DONE, State.FAILED), most=most)

    def pages(self, job: int, states: Sequence[State] = (), said: bool = False) -> Iterator[list[Task]]:
        """A job's tasks in order, some at a time: all, or those in these states, or that `said` something."""
        found = self._tasks(job, 1, states=states, said=said, most=PAGE)
        while found:
            yield found
            found = self._tasks(job, found[-1].task + 1, states=states, said=said, most=PAGE)

    def _tasks(self, job: int, first: int, last: int = MOST_TASKS, **which: Any) -> list[Task]:
        return _tasks(self._db, job, first, last, **which)

    def _job_row(self, job: int) -> dict[str, str]:
        cursor = self._db.execute(
            "SELECT number, person, person_name, computer, spec, state, notes, into_text, summary,"
            " created, started, ended FROM job WHERE number = ?",
            (job,),
        )
        row = cursor.fetchone()
        if row is None:
            raise NotFound(f"There is no job {job}.", "commonhold jobs")
        return _named(cursor, row)


class Journal(JournalReader):
    """Jobs are numbered 1, 2, 3 and never twice. `now` is the clock (aware datetimes).

    `record` is the audit's; a command may hold what is secret to its person, and is no matter for it.
    """

    def __init__(
        self, connection: sqlite3.Connection, now: Callable[[], datetime], record: Callable[..., object]
    ) -> None:
        super().__init__(connection)
        self._now = now
        self._record = record
        self._computers: dict[int, set[str]] = {}  # that run tasks of jobs, or have
        connection.executescript(SCHEMA)
        for table, column in LATER:
            if column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction: a commit costs 0.1 ms, and tasks end several hundred times a second.

        Inside another it is a part of that.
        """
        if self._db.in_transaction:
            yield
            return
        with transaction(self._db):
            yield

    def add(self, person: PersonId, person_name: str, computer: Fingerprint | None, spec: JobSpec) -> int:
        """A new job of that person, who asks from that computer: its right is asked again after a restart."""
        inputs, rest = spec.inputs, msgspec.structs.replace(spec, inputs=())  # a hundred thousand are megabytes
        told = (msgspec.json.encode(part).decode() for part in (rest, inputs))
        row = (person, person_name, computer or "", *told, State.COLLECTING, self._stamp())
        sql = (
            "INSERT INTO job (person, person_name, computer, spec, inputs, state, created) VALUES (?, ?, ?, ?, ?, ?, ?)"
        )
        return int(self._db.execute(sql, row).lastrowid or 0)

    def collect(self, job: int) -> None:
        """One that never began, for lack of its inputs, waits for them once more."""
        sql = "UPDATE job SET state = ?, ended = NULL, notes = '[]' WHERE number = ?"
        self._db.execute(sql, (State.COLLECTING, job))

    def begin(self, job: int, into: str, tasks: Sequence[tuple[Input | None, Fingerprint | None]]) -> None:
        """The job runs from now on. Each task with its input, and the only computer for it if there is one."""
        rows = (
            (job, number, given.text if given else "", place or "", State.WAITING)
            for number, (given, place) in enumerate(tasks, 1)
        )
        with self.together():
            self._db.executemany("INSERT INTO task (job, number, input, place, state) VALUES (?, ?, ?, ?, ?)", rows)
            sql = "UPDATE job SET state = ?, started = ?, ended = NULL, into_text = ? WHERE number = ?"
            self._db.execute(sql, (State.RUNNING, self._stamp(), into, job))
        self._record("job started", person=self._whose(job), job=job, tasks=len(tasks), on=self._terms(job).on)

    def end(self, job: int, state: State, *notes: str) -> None:
        """The job has ended; tasks that have not ended with it are waiting no more."""
        self.note(job, *notes)
        rest = State.CANCELLED if state is State.CANCELLED else State.FAILED
        problem = "The job ended before this task could." if rest is State.FAILED else ""
        with self.together():
            sql = "UPDATE task SET state = ?, problem = ?, ended = ? WHERE job = ? AND state IN (?, ?)"
            self._db.execute(sql, (rest, problem, self._stamp(), job, State.WAITING, State.RUNNING))
            summary = msgspec.json.encode(self._summary(job)).decode()
            sql = "UPDATE job SET state = ?, ended = ?, summary = ? WHERE number = ?"
            self._db.execute(sql, (state, self._stamp(), summary, job))
        self._computers.pop(job, None)
        self._record("job ended", person=self._whose(job), job=job, state=str(state))

    def shed(self, job: int) -> bool:
        """Let go the next of its tasks, some at a time: each may have said 128 kB. Whether there were any."""
        first = "(SELECT min(number) FROM task WHERE job = ?)"
        sql = f"DELETE FROM task WHERE job = ? AND number < {first} + {SHED}"  # noqa: S608 - ours
        return self._db.execute(sql, (job, job)).rowcount > 0

    def forget(self, job: int, files: int, octets: int) -> None:
        """It was never there, but in the record; so much lay in its folder. No other job gets its number."""
        person = self._whose(job)
        with self.together():
            self._db.execute("DELETE FROM task WHERE job = ?", (job,))
            self._db.execute("DELETE FROM job WHERE number = ?", (job,))
        self._record("job forgotten", person=person, job=job, files=files, bytes=octets)

    def note(self, job: int, *notes: str) -> None:
        """What is said of it, once; other computers' words too, and so no more of them than people read."""
        known = self._notes(job)
        told = [each if len(each) <= LONGEST_NOTE else f"{each[:LONGEST_NOTE]}…" for each in notes]
        fresh = (known + [each for each in told if each not in known])[-MOST_NOTES:]
        if fresh != known:
            self._note_anew(job, fresh)

    def unsay(self, job: int, *beginnings: str) -> None:
        """Notes that begin so hold no more."""
        known = self._notes(job)
        if (left := [each for each in known if not each.startswith(beginnings)]) != known:
            self._note_anew(job, left)

    def _notes(self, job: int) -> list[str]:
        return msgspec.json.decode(self._job_row(job)["notes"], type=list[str])

    def _note_anew(self, job: int, notes: list[str]) -> None:
        self._db.execute("UPDATE job SET notes = ? WHERE number = ?", (msgspec.json.encode(notes).decode(), job))

    def move(
        self, job: int, task: int, state: State, computer: str = "", outcome: Outcome | None = None, why: str = ""
    ) -> bool:
        """Whether the task is now in that state; a move that the table does not allow changes nothing.

        `why` what was tried of it has ended, when it waits again; nothing: it had not begun.
        """
        row = self._db.execute("SELECT state FROM task WHERE job = ? AND number = ?", (job, task)).fetchone()
        if row is None or not may_follow(State(row[0]), state):
            return False
        if computer:
            self._computers.setdefault(job, set()).add(str(computer))
        if state is State.RUNNING:
            sql = "UPDATE task SET state = ?, computer = ?, started = ? WHERE job = ? AND number = ?"
            self._db.execute(sql, (state, computer, self._stamp(), job, task))
        elif outcome is None:
            earlier = f"earlier = {TRIED_BECAUSE}," if why else ""
            sql = f"UPDATE task SET state = ?, {earlier} started = NULL WHERE job = ? AND number = ?"  # noqa: S608 - ours
            self._db.execute(sql, (state, *((why[:LONGEST_WHY], self._stamp()) if why else ()), job, task))
        else:
            sql = (
                "UPDATE task SET state = ?, computer = coalesce(nullif(?, ''), computer), exit = ?, output = ?,"
                " error = ?, problem = ?, outputs = ?, ended = ? WHERE job = ? AND number = ?"
            )
            outputs = msgspec.json.encode(outcome.outputs).decode()
            told = (outcome.exit, outcome.output, outcome.error, outcome.problem, outputs)
            self._db.execute(sql, (state, computer, *told, self._stamp(), job, task))
        return True

    def reopen(self, job: int) -> None:
        """The job runs again: its tasks that failed or were cancelled wait, those that are done stay."""
        self._record("job started", person=self._whose(job), job=job, tasks=self.job(job).total, on=self._terms(job).on)
        with self.together():
            sql = (
                "UPDATE task SET state = ?, exit = NULL, output = '', error = '', problem = '', outputs = '[]',"  # noqa: S608
                f" earlier = {TRIED_AS_IT_STANDS.replace('?', 'ended')},"
                " computer = '', started = NULL, ended = NULL WHERE job = ? AND state IN (?, ?)"
            )
            self._db.execute(sql, (State.WAITING, job, State.FAILED, State.CANCELLED))
            sql = "UPDATE job SET state = ?, ended = NULL, notes = '[]' WHERE number = ?"
            self._db.execute(sql, (State.RUNNING, job))
        self._find_computers(job)

    def take_up(self) -> list[int]:
        """At a node's start: the jobs that its end cut off. What ran waits again; who was uploading has stopped."""
        for (number,) in self._db.execute("SELECT number FROM job WHERE state = ?", (State.COLLECTING,)).fetchall():
            self.end(number, State.STOPPED, STOPPED)
        rows = self._db.execute("SELECT number FROM job WHERE state = ? ORDER BY number", (State.RUNNING,)).fetchall()
        for (number,) in rows:
            self.note(number, TAKEN_UP)
            sql = f"UPDATE task SET state = ?, earlier = {TRIED_BECAUSE}, started = NULL WHERE job = ? AND state = ?"  # noqa: S608
            self._db.execute(sql, (State.WAITING, CUT_OFF, self._stamp(), number, State.RUNNING))
            self._find_computers(number)
        return [number for (number,) in rows]

    def job(self, job: int) -> Job:
        """Raises NotFound."""
        row = self._job_row(job)
        kept = msgspec.json.decode(row["summary"], type=Summary) if row["summary"] and row["ended"] else None
        return _job(row, kept or self._summary(job))

    def _summary(self, job: int) -> Summary:
        counts = self._db.execute("SELECT state, count(*) FROM task WHERE job = ? GROUP BY state", (job,))
        return Summary(dict(counts.fetchall()), tuple(sorted(self._computers.get(job, ()))))

    def _find_computers(self, job: int) -> None:
        """What an earlier run of the node knew of them."""
        rows = self._db.execute("SELECT DISTINCT computer FROM task WHERE job = ? AND computer != ''", (job,))
        self._computers[job] = {computer for (computer,) in rows}

    def jobs(self, person: PersonId | None = None) -> list[Job]:
        """All jobs, or one person's; the newest last."""
        rows = self._db.execute(
            "SELECT number FROM job WHERE ? IS NULL OR person = ? ORDER BY number", (person, person)
        )
        return [self.job(number) for (number,) in rows.fetchall()]

    def _stamp(self) -> str:
        return self._now().isoformat()


def _named(cursor: sqlite3.Cursor, row: tuple[str, ...]) -> dict[str, str]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _job(row: dict[str, str], summary: Summary) -> Job:
    spec, states, number = msgspec.json.decode(row["spec"], type=JobSpec), summary.states, int(row["number"])
    return Job(
        job=number,
        state=State(row["state"]),
        command=spec.title,
        person=row["person_name"],
        share=f".job-{number}",
        into=row["into_text"] or spec.into or "",
        on=spec.on,
        total=sum(states.values()),
        waiting=states.get(State.WAITING, 0),
        running=states.get(State.RUNNING, 0),
        done=states.get(State.DONE, 0),
        failed=states.get(State.FAILED, 0),
        cancelled=states.get(State.CANCELLED, 0),
        computers=summary.computers,
        notes=tuple(msgspec.json.decode(row["notes"], type=list[str])),
        created=_time(row["created"]),
        started=_time(row["started"]),
        ended=_time(row["ended"]),
    )


def _tasks(
    db: sqlite3.Connection,
    job: int,
    first: int,
    last: int,
    *,
    states: Sequence[State] = (),
    said: bool = False,
    most: int = -1,
) -> list[Task]:
    """Those of these numbers, in these states (none: all), and that `said` something."""
    sql = (
        "SELECT number AS task, input, computer, state, exit, output, error, problem, outputs, started, ended,"
        " earlier FROM task WHERE job = ? AND number BETWEEN ? AND ?"
        " AND (? = '[]' OR state IN (SELECT value FROM json_each(?)))"
        " AND (NOT ? OR output != '' OR error != '') ORDER BY number LIMIT ?"
    )
    wanted = msgspec.json.encode(states).decode()
    cursor = db.execute(sql, (job, first, last, wanted, wanted, said, most))
    return [_task(job, _named(cursor, row)) for row in cursor.fetchall()]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _task(job: int, row: dict[str, str]) -> Task:
    times = {"started": _time(row["started"]), "ended": _time(row["ended"])}
    outputs = tuple(msgspec.json.decode(row["outputs"], type=list[str]))
    earlier = msgspec.json.decode(row["earlier"] or "[]", type=tuple[Attempt, ...])
    tries = (earlier[-1].number if earlier else 0) + (row["started"] is not None)
    return msgspec.convert({**row, "job": job, **times, "outputs": outputs, "tries": tries, "earlier": earlier}, Task)
