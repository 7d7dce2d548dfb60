"""`commonhold rm`."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import is_glob
from commonhold.cli.invocation import Invocation
from commonhold.errors import CommonholdError

if TYPE_CHECKING:
    from commonhold.api import Network


@declare(
    "rm",
    "commonhold rm tower:photos/blurred.jpg",
    "commonhold rm -r tower:photos/2019",
    "commonhold rm 'tower:photos/**/*.tmp'",
)
@click.argument("remote", nargs=-1, required=True, metavar="REMOTE...")
@click.option("-r", "--recursive", is_flag=True, help="Folders with everything in them.")
def command(invocation: Invocation, remote: tuple[str, ...], recursive: bool) -> None:
    """What is deleted stays in the trash of its share for as long as that keeps it; what brings it back is said."""
    begun = datetime.now(UTC)
    with invocation.network() as network:
        network.rm(remote, recursive=recursive)
        lines = [_said(network, path, begun) for path in remote]
    done = [{"path": path, "deleted": True} for path in remote]
    invocation.out.answer(done if len(done) > 1 else done[0], *lines)


def _said(network: Network, path: str, begun: datetime) -> str:
    """That it is deleted, and what brings it back if the other computer says that it keeps it."""
    try:
        if not is_glob(path):
            kept = bool(network.history(path))
            back = f"commonhold restore {shlex.quote(path)}"
        else:
            share = path.partition("/")[0]
            kept = bool(network.undo(since=begun, where=share, dry_run=True))
            back = f"commonhold undo --since {begun.isoformat(timespec='milliseconds')} {shlex.quote(share)}"
    except CommonholdError:  # its share keeps nothing, or its node is too old to
        kept, back = False, ""
    what = f"What fits {path} is deleted" if is_glob(path) else f"{path} is deleted"
    return f"{what}; this brings it back: {back}" if kept else f"{what}."
