"""`commonhold down`."""

from __future__ import annotations

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.node import background


@declare("down", "commonhold down")
def command(invocation: Invocation) -> None:
    """Others no longer reach what this computer shares and lends, until `commonhold up`."""
    background.stop(invocation.home)
    computer = invocation.home.computer()
    invocation.out.answer({"computer": computer, "running": False}, f"The node of {computer} has stopped.")
