"""`commonhold cat`."""

from __future__ import annotations

import shlex

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.severally import severally
from commonhold.errors import WrongUsage


@declare("cat", "commonhold cat tower:notes/todo.txt", "commonhold cat tower:logs/today.log | grep error")
@click.argument("remote", nargs=-1, required=True, metavar="REMOTE...")
def command(invocation: Invocation, remote: tuple[str, ...]) -> None:
    """The bytes go to standard output as they are."""
    if invocation.out.json:
        raise WrongUsage(
            "cat prints the file itself, which is no JSON document.", f"commonhold cat {shlex.join(remote)}"
        )
    with invocation.network() as network:
        severally(remote, lambda each: invocation.out.content(network.cat(each)))
