"""`commonhold allow`."""

from __future__ import annotations

from datetime import datetime

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.rulings import question
from commonhold.cli.words import Until


@declare(
    "allow",
    "commonhold allow members read photos",
    "commonhold allow ann write papers --until 3d",
    "commonhold allow ann run compute",
    "commonhold allow bob read tower:photos --until 2099-01-31T18:00",
)
@question()
@click.option("--until", type=Until(), help="When it ends: 30m, 2h, 3d, or a date and time.")
def command(invocation: Invocation, who: str, verb: str, door: str, until: datetime | None) -> None:
    """WHO is a person, a group, `members` (everybody) or `guests`. VERB is list, read, add (new files only) or write
    at a share, and run at compute. DOOR is a share's name, "every share" or compute; COMPUTER:DOOR for another
    computer that lets you.
    """
    with invocation.network() as network:
        ruling = network.allow(who, verb, door, until)
    invocation.out.answer(ruling, ruling.done or ruling.rule)
