"""`commonhold mkdir`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.session import Session


@declare("mkdir", "commonhold mkdir tower:photos/2026", "commonhold mkdir -p tower:photos/2026/summer/lake")
@click.argument("remote")
@click.option("-p", "--parents", is_flag=True, help="With the folders above; no error when it is there.")
def command(session: Session, remote: str, parents: bool) -> None:
    with session.network() as network:
        network.mkdir(remote, parents=parents)
    session.out.answer({"path": remote, "kind": "folder"}, f"{remote} is made.")
