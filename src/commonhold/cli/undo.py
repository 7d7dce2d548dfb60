"""`commonhold undo`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import counted, local
from commonhold.cli.words import Past
from commonhold.errors import Conflict, PartlyFailed

if TYPE_CHECKING:
    from commonhold.files.past import Undone


@declare(
    "undo",
    "commonhold undo",
    "commonhold undo --since 10m --dry-run",
    "commonhold undo --since 2026-11-24T10:00 tower:papers",
    "commonhold undo --person bob --since 2h tower:papers",
)
@click.argument("remote", default="")
@click.option("--person", metavar="P", help="What that person did; of others only the owner may.")
@click.option("--since", type=Past(), help="All since then: 30m, 2h or 3d ago, or a date.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken back.")
def command(invocation: Invocation, remote: str, person: str | None, since: datetime | None, dry_run: bool) -> None:
    """Without --since it takes back the last thing that you did to a file through the network; with it all, newest
    first. What was made goes to the trash, what was deleted or overwritten comes back, what was moved goes back, to
    another share of that computer, too. What somebody has changed again since is left, and named. Without REMOTE
    all computers are asked that answer.
    """
    with invocation.network() as network:
        changes = network.undo(person, since, remote, dry_run)
    left = [each for each in changes if not each.undone]
    lines = [_line(each, dry_run) for each in changes] or ["There is nothing to take back."]
    if not left:
        invocation.out.answer(changes, *lines)
        return
    if not invocation.out.json:
        invocation.out.lines(_line(each, dry_run) for each in changes if each.undone)
    kind = Conflict if len(left) == len(changes) else PartlyFailed
    first = left[0]
    raise kind(
        f"{len(left)} of {counted(len(changes), 'change')} could not be taken back;"
        f" the first, {first.path}: {first.reason}",
        "see what was there with: commonhold history COMPUTER:SHARE/PATH",
        undone=[each for each in changes if each.undone],
        failed=[{"path": each.path, "error": each.reason} for each in left],
    )


def _line(change: Undone, dry_run: bool) -> str:
    doing = "would be taken back" if dry_run else "is taken back"
    where = f"{change.computer}:{change.share}/{change.path}"
    return f"{local(change.when)}  {where}: {change.was} by {change.person}; {doing}"
