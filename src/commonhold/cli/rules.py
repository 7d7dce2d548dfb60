"""`commonhold rules`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local


@declare(
    "rules",
    "commonhold rules",
    "commonhold rules photos",
    "commonhold rules tower:compute",
    "commonhold rules --strike 7",
)
@click.argument("door", required=False)
@click.option("--strike", type=click.IntRange(1), metavar="NO", help="Take this rule out, as if it had not been said.")
def command(invocation: Invocation, door: str | None, strike: int | None) -> None:
    """Of one door, or of all. What no rule allows is refused; the owner may do everything.

    What `allow` says is taken back by `deny` with the same words, and what `deny` says by `allow`. To take a rule out
    and put nothing in its place: --strike, with its number.
    """
    computer, colon, _ = (door or "").partition(":")
    there = computer + colon
    with invocation.network() as network:
        if strike is not None:
            struck = network.strike(strike, computer if colon else "")
            invocation.out.answer(struck, struck.done)
            return
        rules = network.rules(door)
    rows = [(str(rule.number), rule.effect, rule.who, rule.verb, rule.door, local(rule.until)) for rule in rules]
    empty = "There are no rules: nobody but the owner may do anything."
    invocation.out.table(rules, ("NO", "EFFECT", "WHO", "VERB", "DOOR", "UNTIL"), rows, empty)
    if rules:
        invocation.out.remark(
            f"To take one back: commonhold deny WHO VERB {there}DOOR (what was denied: allow), with its words; or"
            f" commonhold rules {there and there + ' '}--strike NO"
        )
