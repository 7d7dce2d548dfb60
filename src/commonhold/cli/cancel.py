"""`commonhold cancel`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import counted


@declare("cancel", "commonhold cancel 12")
@click.argument("job", type=click.IntRange(min=1))
def command(invocation: Invocation, job: int) -> None:
    """What runs of it is killed within a second, what waits does not begin, and what is done stays."""
    with invocation.network() as network:
        cancelled = network.cancel(job)
    told = f"{cancelled.done} of {counted(cancelled.total, 'task')} done" if cancelled.total else "it had not begun"
    invocation.out.answer(cancelled, f"Job {job} is cancelled: {told}.")
    if not cancelled.total or cancelled.done < cancelled.total:
        invocation.out.remark(f"commonhold again {job} runs the rest")
