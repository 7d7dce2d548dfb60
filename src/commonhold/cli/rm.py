"""`commonhold rm`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation


@declare(
    "rm",
    "commonhold rm tower:photos/blurred.jpg",
    "commonhold rm -r tower:photos/2019",
    "commonhold rm 'tower:photos/**/*.tmp'",
)
@click.argument("remote", nargs=-1, required=True, metavar="REMOTE...")
@click.option("-r", "--recursive", is_flag=True, help="Folders with everything in them.")
def command(invocation: Invocation, remote: tuple[str, ...], recursive: bool) -> None:
    with invocation.network() as network:
        removed = network.rm(remote, recursive=recursive)
    done = [{"path": path, "deleted": True} for path in remote]
    lines = [f"{path} is deleted." for path in remote] if removed == len(remote) else [f"{removed} deleted."]
    invocation.out.answer(done if len(done) > 1 else done[0], *lines)
