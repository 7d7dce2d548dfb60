"""`commonhold guard`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation


@declare("guard", "commonhold guard add nas", "commonhold guard remove tower")
@click.argument("action", type=click.Choice(("add", "remove")))
@click.argument("computer")
def command(invocation: Invocation, action: str, computer: str) -> None:
    """A guard's signature lets a computer in, or removes it. Typed on a guard, about any member.

    Who guards is changed by a majority of the guards: one alone; of two both; of three two. Each agrees by typing the
    same command on its own computer; until enough have, `status` and `doctor` tell who is waited for. Two or three
    guards let a network go on when one is lost. A guard that is removed here stays a member.
    """
    with invocation.network() as network:
        wish = network.guard_add(computer) if action == "add" else network.guard_remove(computer)
    if wish.done:
        lines = [f"{'The guard is' if len(wish.guards) == 1 else 'Guards are'} {', '.join(wish.guards)}."]
        if wish.not_reached:
            lines.append(f"Not reached, and told as soon as they answer: {', '.join(wish.not_reached)}.")
    else:
        lines = [f"Signed here, and nothing is changed yet: {wish.missing} more must agree.", f"Next: {wish.agree}"]
    invocation.out.answer(wish, *lines)
