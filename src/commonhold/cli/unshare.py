"""`commonhold unshare`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.session import Session


@declare("unshare", "commonhold unshare photos")
@click.argument("name")
def command(session: Session, name: str) -> None:
    """The folder and its files stay; the rules about it go."""
    with session.network() as network:
        offer = network.unshare(name)
    session.out.answer(offer, f"{offer.folder} is no longer offered as {offer.share}.")
