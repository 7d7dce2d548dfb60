"""`commonhold down`."""

from __future__ import annotations

from commonhold.cli.command import command as declare
from commonhold.cli.session import Session
from commonhold.node import background


@declare("down", "commonhold down")
def command(session: Session) -> None:
    """Others no longer reach what this computer shares and lends, until `commonhold up`."""
    background.stop(session.home)
    computer = session.home.computer()
    session.out.answer({"computer": computer, "running": False}, f"The node of {computer} has stopped.")
