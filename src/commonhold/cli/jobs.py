"""`commonhold jobs`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import aligned, local

if TYPE_CHECKING:
    from commonhold.compute.job import Job

HEADS = ("JOB", "STATE", "DONE", "FAILED", "COMPUTERS", "AGE", "COMMAND")
WIDEST = 60  # characters of a command in the table
MOST_NAMES = 3  # computers in the table
BAR = 10  # characters
AGES = ((86400, "d"), (3600, "h"), (60, "min"))


@declare("jobs", "commonhold jobs", "commonhold jobs 12", "commonhold --json jobs")
@click.argument("job", type=click.IntRange(min=1), required=False)
def command(invocation: Invocation, job: int | None) -> None:
    """Those of this computer's person, the newest last; of one JOB all that there is to say.

    A server's owner sees everybody's there, and whose each is. What its tasks printed is told by `commonhold log`.
    """
    out, now = invocation.out, datetime.now(UTC)
    with invocation.network() as network:
        if job is not None:
            found = network.job(job)
            out.answer(found, *aligned(details(found)))
            return
        jobs = network.jobs()
    out.table(jobs, *table(jobs, now, bar=out.terminal), "There are no jobs.")


def table(jobs: Sequence[Job], now: datetime, bar: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows; of several persons' jobs with whose each is."""
    rows = [row(each, now, bar) for each in jobs]
    if len({each.person for each in jobs}) < 2:
        return HEADS, rows
    return (HEADS[0], "PERSON", *HEADS[1:]), [
        (cells[0], each.person, *cells[1:]) for each, cells in zip(jobs, rows, strict=True)
    ]


def row(job: Job, now: datetime, bar: bool) -> tuple[str, ...]:
    line = " ".join(job.command.split())
    line = line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
    done = f"{job.done}/{job.total}" if job.total else "-"
    drawn = f"{drawing(job)} {done}" if bar and job.total else done
    names = ", ".join([*job.computers[:MOST_NAMES], *(["…"] if len(job.computers) > MOST_NAMES else [])])
    return (str(job.job), job.state, drawn, str(job.failed), names or "-", age(job.created, now), line)


def drawing(job: Job) -> str:
    """`██████▒░░░`: what is done, what failed, what is still to come. Something is never drawn as nothing.

    >>> from commonhold.compute.job import State
    >>> drawing(Job(1, State.RUNNING, "", "", "", "", "", total=100, done=60, failed=1))
    '██████▒░░░'
    """
    ended = min(BAR, -(-BAR * (job.done + job.failed) // job.total))
    failed = min(ended, -(-BAR * job.failed // job.total))
    return "█" * (ended - failed) + "▒" * failed + "░" * (BAR - ended)


def age(moment: datetime | None, now: datetime) -> str:
    """`3 d`, `2 h`, `5 min`, `now`."""
    seconds = (now - moment).total_seconds() if moment else 0
    return next((f"{int(seconds // length)} {unit}" for length, unit in AGES if seconds >= length), "now")


def details(job: Job) -> list[tuple[str, str]]:
    """Each thing that there is to say about a job, with its name."""
    counts = {name: getattr(job, name) for name in ("done", "failed", "running", "waiting", "cancelled")}
    tasks = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    said = [
        ("job", str(job.job)),
        ("state", str(job.state)),
        ("tasks", f"{job.total}: {tasks}" if job.total else "none yet"),
        ("command", " ".join(job.command.split())),
        ("on", job.on),
        ("computers", ", ".join(job.computers)),
        ("into", job.into),
        ("person", job.person),
        *((name, local(moment)) for name, moment in _moments(job) if moment),
        *(("note", note) for note in job.notes),
    ]
    return [(name, text) for name, text in said if text]


def _moments(job: Job) -> list[tuple[str, datetime | None]]:
    return [("created", job.created), ("started", job.started), ("ended", job.ended)]
