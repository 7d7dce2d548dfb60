"""`commonhold rm`."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.copying import is_glob
from commonhold.cli.invocation import Invocation
from commonhold.errors import CommonholdError, PartlyFailed

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
        try:
            network.rm(remote, recursive=recursive)
        except PartlyFailed:
            for share in dict.fromkeys(path.partition("/")[0] for path in remote):
                if back := _undoing(network, share, begun):
                    invocation.out.remark(f"What was deleted of {share} comes back with: {back}")
            raise
        lines = [_said(network, path, begun) for path in remote]
    done = [{"path": path, "deleted": True} for path in remote]
    invocation.out.answer(done if len(done) > 1 else done[0], *lines)


def _said(network: Network, path: str, begun: datetime) -> str:
    """That it is deleted, and what brings it back if the other computer says that it keeps it."""
    back = _undoing(network, path.partition("/")[0], begun) if is_glob(path) else _restoring(network, path)
    what = f"What fits {path} is deleted" if is_glob(path) else f"{path} is deleted"
    return f"{what}; this brings it back: {back}" if back else f"{what}."


def _restoring(network: Network, path: str) -> str:
    try:
        return f"commonhold restore {shlex.quote(path)}" if network.history(path) else ""
    except CommonholdError:  # its share keeps nothing, or its node is too old to
        return ""


def _undoing(network: Network, share: str, begun: datetime) -> str:
    try:
        kept = bool(network.undo(since=begun, where=share, dry_run=True))
    except CommonholdError:
        return ""
    return f"commonhold undo --since {begun.isoformat(timespec='milliseconds')} {shlex.quote(share)}" if kept else ""
