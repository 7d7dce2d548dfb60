"""`commonhold unshare`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation


@declare("unshare", "commonhold unshare photos")
@click.argument("name")
def command(invocation: Invocation, name: str) -> None:
    """The folder and its files stay; the rules about it go."""
    with invocation.network() as network:
        offer = network.unshare(name)
    invocation.out.answer(offer, f"{offer.folder} is no longer offered as {offer.share}.")
