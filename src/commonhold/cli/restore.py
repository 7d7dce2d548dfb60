"""`commonhold restore`."""

from __future__ import annotations

from datetime import datetime

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local
from commonhold.cli.words import Past


@declare(
    "restore",
    "commonhold restore tower:papers/report.odt",
    "commonhold restore tower:papers/report.odt --at 2h",
    "commonhold restore tower:papers/report.odt --version 8f3a5c1e9b7d2046 --to old/report.odt",
)
@click.argument("remote")
@click.option("--at", type=Past(), help="As it was then: 30m, 2h or 3d ago, or a date.")
@click.option("--version", metavar="ID", help="That version, as `history` lists it.")
@click.option("--to", metavar="PATH", help="Bring it back to another path of the same share.")
def command(invocation: Invocation, remote: str, at: datetime | None, version: str | None, to: str | None) -> None:
    """The newest version, unless told. What is there now is kept in turn, so that this can be taken back, too."""
    with invocation.network() as network:
        back = network.restore(remote, at=at, version=version, to=to)
    invocation.out.answer(back, f"{back.path} is what it was until {local(back.until)} again.")
