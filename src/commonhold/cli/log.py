"""`commonhold log`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation

if TYPE_CHECKING:
    from commonhold.api import Network
    from commonhold.compute.job import Task

LOOK_AGAIN = 0.5  # seconds between two looks at a job that goes on


@declare("log", "commonhold log 12", "commonhold log 12 3", "commonhold log -f 12")
@click.argument("job", type=click.IntRange(min=1))
@click.argument("task", type=click.IntRange(min=1), required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
def command(invocation: Invocation, job: int, task: int | None, follow: bool) -> None:
    """Of one TASK it prints just that: output to standard output, errors to standard error."""
    out = invocation.out
    with invocation.network() as network:
        if out.json:
            if follow:
                for _ in _as_they_end(network, job, task):
                    pass
            out.answer(network.log(job, task))
            return
        for record in _as_they_end(network, job, task) if follow else network.log(job, task):
            if task is None:
                out.answer(None, heading(record))
            out.text(record.output, closed=task is None)
            out.text(record.error, err=task is not None, closed=task is None)


def heading(task: Task) -> str:
    """One line about a task, above what it printed."""
    words = [f"— {task.task}", task.input, f"at {task.computer}" if task.computer else "", task.state]
    if task.exit:
        words.append(f"with exit status {task.exit}")
    return " ".join(word for word in words if word) + (f": {task.problem}" if task.problem else "")


def _as_they_end(network: Network, job: int, task: int | None) -> Iterator[Task]:
    """The tasks of a job, each when it has ended, until there is no more to come."""
    told: set[int] = set()
    ended = -1
    while True:
        now = network.job(job)
        if now.done + now.failed != ended:  # the log of a large job is not asked for nothing
            ended = now.done + now.failed
            for record in network.log(job, task):
                if record.ended is not None and record.task not in told:
                    told.add(record.task)
                    yield record
        if now.ended is not None or (task is not None and task in told):
            return
        time.sleep(LOOK_AGAIN)
