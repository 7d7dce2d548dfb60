"""`commonhold jobs`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local

if TYPE_CHECKING:
    from commonhold.compute.job import Job

HEADS = ("JOB", "STATE", "DONE", "FAILED", "TASKS", "STARTED", "COMMAND")
WIDEST = 60  # characters of a command in the table


@declare("jobs", "commonhold jobs", "commonhold --json jobs")
def command(invocation: Invocation) -> None:
    """Those of this computer's person, the newest last."""
    with invocation.network() as network:
        jobs = network.jobs()
    invocation.out.table(jobs, HEADS, [_row(job) for job in jobs], "There are no jobs.")


def _row(job: Job) -> tuple[str, ...]:
    line = " ".join(job.command.split())
    line = line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"
    return (str(job.job), job.state, str(job.done), str(job.failed), str(job.total), local(job.created), line)
