"""`commonhold jobs`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import aligned, counted, local, size
from commonhold.cli.words import Past
from commonhold.errors import CommonholdError, PartlyFailed, WrongUsage

if TYPE_CHECKING:
    from commonhold.api import Network
    from commonhold.compute.job import Forgotten, Job

HEADS = ("JOB", "STATE", "DONE", "FAILED", "COMPUTERS", "AGE", "COMMAND")
WIDEST = 60  # characters of a command in the table
MOST_NAMES = 3  # computers in the table
BAR = 10  # characters
AGES = ((86400, "d"), (3600, "h"), (60, "min"))


@declare(
    "jobs",
    "commonhold jobs",
    "commonhold jobs 12",
    "commonhold jobs 12 --forget",
    "commonhold jobs --forget --older 30d --yes",
    "commonhold --json jobs",
)
@click.argument("job", type=click.IntRange(min=1), required=False)
@click.option("--forget", is_flag=True, help="Remove for good its folder, what its tasks printed, and that it was.")
@click.option("--older", type=Past(), help="With --forget and no JOB: all of yours that ended so long ago, like 30d.")
@click.option("--yes", is_flag=True, help="Forget without asking.")
def command(invocation: Invocation, job: int | None, forget: bool, older: datetime | None, yes: bool) -> None:
    """Those of this computer's person, the newest last; of one JOB all that there is to say.

    A server's owner sees everybody's there, and whose each is. What its tasks printed is told by `commonhold log`.
    All is kept until it is forgotten, which only the job's person can do, and only of one that has ended.
    """
    out, now = invocation.out, datetime.now(UTC)
    if forget:
        _forget(invocation, job, older, yes)
        return
    if older or yes:
        raise WrongUsage("--older and --yes are for --forget.", "commonhold jobs --forget --older 30d")
    with invocation.network() as network:
        if job is not None:
            found = network.job(job)
            out.answer(found, *aligned(details(found)))
            return
        jobs, me = network.jobs(), network.status().person
    out.table(jobs, *table(jobs, now, me, bar=out.terminal), "There are no jobs.")


def _forget(invocation: Invocation, number: int | None, older: datetime | None, yes: bool) -> None:
    """One job, or those that ended before then; what cannot be forgotten keeps no other."""
    if (number is None) == (older is None):
        raise WrongUsage("Either one job is forgotten, or those that are older.", "commonhold jobs 12 --forget")
    with invocation.network() as network:
        chosen = [network.job(number)] if number is not None else _ended_before(network, older)
        if chosen and not yes:
            _ask(invocation, chosen)
        gone: list[Forgotten] = []
        failed: list[CommonholdError] = []
        for job in chosen:
            try:
                gone.append(network.forget_job(job.job))
            except CommonholdError as error:
                failed.append(error)
    if failed and not gone:
        raise failed[0]
    sentence = f"{counted(len(gone), 'job')} forgotten" if number is None else f"Job {number} is forgotten"
    room = f"{counted(sum(each.files for each in gone), 'file')}, {size(sum(each.bytes for each in gone))}"
    invocation.out.answer(gone if number is None else gone[0], f"{sentence}: {room} given back.")
    if failed:
        raise PartlyFailed(f"{counted(len(failed), 'job')} could not be: {failed[0].sentence}", failed[0].hint)


def _ended_before(network: Network, moment: datetime | None) -> list[Job]:
    me = network.status().person
    return [job for job in network.jobs() if job.person == me and job.ended and moment and job.ended < moment]


def _ask(invocation: Invocation, chosen: Sequence[Job]) -> None:
    if invocation.out.json or not sys.stdin.isatty():
        raise WrongUsage("Forgetting asks first, and nobody is here to answer.", "give --yes")
    what = f"job {chosen[0].job}" if len(chosen) == 1 else f"{len(chosen)} jobs"
    if not click.confirm(f"Remove for good the folder and the log of {what}?", err=True):
        raise CommonholdError("Nothing was forgotten.")


def table(jobs: Sequence[Job], now: datetime, me: str, bar: bool) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads and rows; with whose each is, where some are not `me`'s."""
    rows = [row(each, now, bar) for each in jobs]
    if {each.person for each in jobs} <= {me}:
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
