"""`commonhold remove`."""

from __future__ import annotations

import shlex
import sys

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import CommonholdError, WrongUsage


@declare("remove", "commonhold remove laptop", "commonhold remove ann --yes")
@click.argument("member")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(invocation: Invocation, member: str, yes: bool) -> None:
    """MEMBER is a computer, or a person with all computers. What is removed stays out for ever."""
    if not yes:
        if invocation.out.json or not sys.stdin.isatty():
            raise WrongUsage(
                "Removing asks first, and nobody is here to answer.", f"commonhold remove {shlex.quote(member)} --yes"
            )
        if not click.confirm(f"Remove {member} for ever?", err=True):
            raise CommonholdError("Nothing was removed.")
    with invocation.network() as network:
        removal = network.remove(member)
    computers = ", ".join(removal.computers)
    whose = f"{removal.person}, with {computers}," if removal.person and computers else removal.person or computers
    wish = removal.wish
    if wish is None or wish.done:
        lines = [f"{whose} is removed for ever."]
    else:  # a guard
        lines = [f"{whose} is a guard: signed here, and nothing is removed yet; {wish.missing} more must agree."]
        lines.append(f"Next: {wish.agree}; or, when too few can, commonhold recover --remove {shlex.quote(member)}")
    if removal.told:
        lines.append(f"Told: {', '.join(removal.told)}.")
    if removal.not_reached:
        lines.append(f"Not reached, and told as soon as they answer: {', '.join(removal.not_reached)}.")
    invocation.out.answer(removal, *lines)
