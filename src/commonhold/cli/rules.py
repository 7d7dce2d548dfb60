"""`commonhold rules`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local


@declare("rules", "commonhold rules", "commonhold rules photos", "commonhold rules tower:compute")
@click.argument("door", required=False)
def command(invocation: Invocation, door: str | None) -> None:
    """Of one door, or of all. What no rule allows is refused; the owner may do everything."""
    with invocation.network() as network:
        rules = network.rules(door)
    rows = [(rule.effect, rule.who, rule.verb, rule.door, local(rule.until)) for rule in rules]
    empty = "There are no rules: nobody but the owner may do anything."
    invocation.out.table(rules, ("EFFECT", "WHO", "VERB", "DOOR", "UNTIL"), rows, empty)
