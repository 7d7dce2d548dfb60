"""`commonhold deny`."""

from __future__ import annotations

from datetime import datetime

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.rulings import question
from commonhold.cli.words import Until


@declare("deny", "commonhold deny members read photos", "commonhold deny bob run compute --until 2h")
@question()
@click.option("--until", type=Until(), help="When it ends: 30m, 2h, 3d, or a date and time.")
def command(invocation: Invocation, who: str, verb: str, door: str, until: datetime | None) -> None:
    """Takes a right back. For one person or computer the denial also wins over what members and groups may do.

    With --until it suspends: what allowed it before does so again afterwards.
    """
    with invocation.network() as network:
        ruling = network.deny(who, verb, door, until)
    invocation.out.answer(ruling, ruling.done or ruling.rule)
