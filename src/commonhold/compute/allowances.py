"""How much of a computer's processors one person may have: said by whoever keeps its rules, kept on the disk.

Cores are divided (portions.py): tasks wait for one. Who holds too much memory loses the task that holds the most
(warden.py). What is asked for beyond the jobs and tasks that a person may have
at a server at a time is refused. Nobody needs to say anything: without a limit of their own
people have those below, which keep one of them from filling the server's memory. The owner has none.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable

import msgspec

from commonhold.compute.journal import Journal
from commonhold.errors import NoSpace
from commonhold.names import PersonId

MOST_JOBS = 100  # of one person, that have not ended
LEAST_MEMORY = 256 * 2**20  # bytes
MOST_TASKS = 200_000  # of these jobs, that wait or run

TABLE = """
CREATE TABLE IF NOT EXISTS allowance
    (person TEXT PRIMARY KEY, cores INTEGER, memory INTEGER, jobs INTEGER, tasks INTEGER) STRICT
"""


class Allowance(msgspec.Struct, frozen=True):
    """Of one person, at a time; None is no limit of their own."""

    cores: int | None = None
    memory: int | None = None  # bytes
    jobs: int | None = None
    tasks: int | None = None


class Allowances:
    """Of everybody but `owner`, at one computer."""

    def __init__(self, connection: sqlite3.Connection, owner: PersonId, keeper: Callable[[], str]) -> None:
        """`keeper` says who sets limits here."""
        self._db = connection
        self._owner = owner
        self._keeper = keeper
        connection.execute(TABLE)
        rows = connection.execute("SELECT person, cores, memory, jobs, tasks FROM allowance").fetchall()
        self._said = {PersonId(person): Allowance(*limits) for person, *limits in rows}

    def of(self, person: PersonId | None) -> Allowance:
        """What was said for them."""
        return self._said.get(person, Allowance()) if person else Allowance()

    def persons(self) -> set[PersonId]:
        """For whom anything was said."""
        return set(self._said)

    def say(self, person: PersonId, allowance: Allowance) -> None:
        """On the disk when this returns. What runs already goes on, also when it is more."""
        if allowance == Allowance():
            self._db.execute("DELETE FROM allowance WHERE person = ?", (person,))
            self._said.pop(person, None)
            return
        row = (person, allowance.cores, allowance.memory, allowance.jobs, allowance.tasks)
        self._db.execute("INSERT OR REPLACE INTO allowance VALUES (?, ?, ?, ?, ?)", row)
        self._said[person] = allowance

    def cores(self, person: PersonId | None, cores: int) -> int:
        """Of so many cores, those that this person may have."""
        most = self.of(person).cores
        return cores if most is None or person == self._owner else min(cores, most)

    def memory(self, person: PersonId | None, memory: int) -> int:
        """Of so many bytes, those that this person's tasks may hold together. From any thread."""
        most = self.of(person).memory
        return memory if most is None or person == self._owner else min(memory, most)

    def require(self, person: PersonId, name: str, journal: Journal, jobs: int, tasks: int) -> None:
        """Raise NoSpace when so many jobs and tasks more, at the hub that keeps this journal, are too many."""
        if person == self._owner:
            return
        said, now = self.of(person), journal.unended(person)
        limits = (
            ("jobs", now.jobs, jobs, MOST_JOBS if said.jobs is None else said.jobs),
            ("tasks", now.tasks, tasks, MOST_TASKS if said.tasks is None else said.tasks),
        )
        for what, there, more, most in limits:
            if more and there + more > most:
                keeper = self._keeper()
                raise NoSpace(
                    f"{name} has {there:,} of the {most:,} unfinished {what} that {keeper} allows;"
                    f" {more:,} more {'is' if more == 1 else 'are'} too many.",
                    f"wait until some are done, cancel a job, or ask {keeper}, who can type:"
                    f" commonhold quota {shlex.quote(name)} --{what} N",
                )
