"""`commonhold again`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.run import perform, tell_end


@declare("again", "commonhold again 12")
@click.argument("job", type=click.IntRange(min=1))
def command(invocation: Invocation, job: int) -> None:
    """Tasks that failed, were cancelled or lost wait again, under the job's own number; those that are done stay so."""
    with invocation.network() as network:
        ended, failed = perform(network, invocation.out, lambda hear: network.again(job, progress=hear))
    tell_end(invocation.out, ended, failed)
