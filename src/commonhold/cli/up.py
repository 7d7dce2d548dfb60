"""`commonhold up`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.node import background


@declare("up", "commonhold up", "commonhold up --foreground")
@click.option("--foreground", is_flag=True, help="Stay in this terminal until Ctrl-C; for service managers too.")
@click.option("--ready-fd", type=int, hidden=True, help="The pipe on which to say that the node serves.")
def command(invocation: Invocation, foreground: bool, ready_fd: int | None) -> None:
    """In the background, unless told otherwise. A node that runs already is left alone."""
    if foreground:
        from commonhold.node import process  # noqa: PLC0415 - late: the node loads every library there is

        process.run(invocation.home, ready_fd)
        return
    already = background.running(invocation.home)
    if not already:
        background.start(invocation.home)
    computer = invocation.home.computer()
    invocation.out.answer(
        {"computer": computer, "running": True, "already": already},
        f"The node of {computer} {'already runs' if already else 'runs'}.",
    )
