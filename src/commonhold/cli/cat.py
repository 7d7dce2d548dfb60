"""`commonhold cat`."""

from __future__ import annotations

import shlex

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import WrongUsage


@declare("cat", "commonhold cat tower:notes/todo.txt", "commonhold cat tower:logs/today.log | grep error")
@click.argument("remote")
def command(invocation: Invocation, remote: str) -> None:
    """The bytes go to standard output as they are."""
    if invocation.out.json:
        raise WrongUsage(
            "cat prints the file itself, which is no JSON document.", f"commonhold cat {shlex.quote(remote)}"
        )
    with invocation.network() as network:
        invocation.out.content(network.cat(remote))
