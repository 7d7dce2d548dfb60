"""`commonhold cp`."""

from __future__ import annotations

from typing import Any

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import copy, copying, how, require_remote
from commonhold.cli.invocation import Invocation


@declare(
    "cp",
    "commonhold cp tower:photos/cat.jpg nas:backup",
    "commonhold cp 'tower:photos/*.jpg' tower:chosen",
    "commonhold cp -r tower:photos/2026 nas:backup",
)
@click.argument("source", nargs=-1, required=True, metavar="REMOTE...")
@click.argument("target", metavar="REMOTE")
@copying
def command(invocation: Invocation, /, source: tuple[str, ...], target: str, **options: Any) -> None:
    """From one place of the network to another. Within one computer it copies by itself; between two the bytes go
    straight, where the first lets the second read them, else through this one, without being stored here. They are on
    the other's disk when this is done.
    """
    require_remote((*source, target))
    with invocation.network() as network:
        copy(
            invocation.out,
            "cp",
            lambda progress: network.cp(list(source), target, progress=progress, **how(options)),
            tried=options["dry_run"],
        )
