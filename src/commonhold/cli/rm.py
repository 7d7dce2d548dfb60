"""`commonhold rm`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation


@declare("rm", "commonhold rm tower:photos/blurred.jpg", "commonhold rm -r tower:photos/2019")
@click.argument("remote")
@click.option("-r", "--recursive", is_flag=True, help="A folder with everything in it.")
def command(invocation: Invocation, remote: str, recursive: bool) -> None:
    with invocation.network() as network:
        network.rm(remote, recursive=recursive)
    invocation.out.answer({"path": remote, "deleted": True}, f"{remote} is deleted.")
