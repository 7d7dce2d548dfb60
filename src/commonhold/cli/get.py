"""`commonhold get`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import copied
from commonhold.cli.progress import files_progress


@declare("get", "commonhold get tower:photos/cat.jpg", "commonhold get -r tower:photos/2026 ~/pictures")
@click.argument("remote")
@click.argument("local", default=".")
@click.option("-r", "--recursive", is_flag=True, help="A folder with everything in it.")
def command(invocation: Invocation, remote: str, local: str, recursive: bool) -> None:
    """Each file appears under its name when it is whole and its digest is right. A transfer that broke goes on where it
    stopped when the same command is given again.
    """
    with invocation.network() as network, files_progress(invocation.out, "get") as progress:
        report = network.get(remote, local, recursive=recursive, progress=progress)
    invocation.out.answer(report, copied(report.files, report.bytes))
