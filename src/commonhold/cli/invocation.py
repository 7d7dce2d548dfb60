"""What every command gets: the home, the output, and the way to the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import commonhold
from commonhold.cli.output import Output
from commonhold.home import Home

if TYPE_CHECKING:
    from commonhold.api import Network


class Invocation:
    """One command being performed."""

    def __init__(self, home: Home, out: Output) -> None:
        self.home = home
        self.out = out

    @classmethod
    def of(cls, context: click.Context) -> Invocation:
        root = context.find_root()
        return cls(Home.find(root.params["home"]), root.obj)

    def network(self) -> Network:
        """The network as this computer's node sees it; a context manager.

        Raises NotFound when this computer has not joined and NodeNotRunning: both before the
        libraries are loaded, which takes longer than everything else in a small command.
        """
        self.home.gateway()
        return commonhold.connect(self.home)
