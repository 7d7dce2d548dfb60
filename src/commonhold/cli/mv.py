"""`commonhold mv`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import copy, require_remote
from commonhold.cli.invocation import Invocation


@declare(
    "mv",
    "commonhold mv tower:photos/cat.jpg tower:photos/lion.jpg",
    "commonhold mv 'tower:photos/*.raw' nas:archive",
)
@click.argument("source", nargs=-1, required=True, metavar="REMOTE...")
@click.argument("target", metavar="REMOTE")
def command(invocation: Invocation, source: tuple[str, ...], target: str) -> None:
    """Nothing that is there is replaced. Between two computers each file is deleted at the first when it is on the disk
    of the second, with the same digest, and only if nobody has changed it meanwhile.
    """
    require_remote((*source, target))
    with invocation.network() as network:
        copy(invocation.out, "mv", lambda progress: network.mv(list(source), target, progress=progress), done="moved")
