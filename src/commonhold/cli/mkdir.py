"""`commonhold mkdir`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.severally import severally


@declare("mkdir", "commonhold mkdir tower:photos/2026", "commonhold mkdir -p tower:photos/2026/summer/lake")
@click.argument("remote", nargs=-1, required=True, metavar="REMOTE...")
@click.option("-p", "--parents", is_flag=True, help="With the folders above; no error when it is there.")
def command(invocation: Invocation, remote: tuple[str, ...], parents: bool) -> None:
    with invocation.network() as network:
        severally(remote, lambda path: network.mkdir(path, parents=parents))
    made = [{"path": path, "kind": "folder"} for path in remote]
    invocation.out.answer(made if len(made) > 1 else made[0], *(f"{path} is made." for path in remote))
