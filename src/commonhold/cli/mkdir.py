"""`commonhold mkdir`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation


@declare("mkdir", "commonhold mkdir tower:photos/2026", "commonhold mkdir -p tower:photos/2026/summer/lake")
@click.argument("remote")
@click.option("-p", "--parents", is_flag=True, help="With the folders above; no error when it is there.")
def command(invocation: Invocation, remote: str, parents: bool) -> None:
    with invocation.network() as network:
        network.mkdir(remote, parents=parents)
    invocation.out.answer({"path": remote, "kind": "folder"}, f"{remote} is made.")
