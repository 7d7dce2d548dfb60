"""`commonhold history`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import counted, local, size
from commonhold.cli.words import Default, OrDefault, Size
from commonhold.errors import CommonholdError, WrongUsage

if TYPE_CHECKING:
    from commonhold.files.past import HistoryPolicy, Version

HEADS = ("VERSION", "UNTIL", "SIZE", "WHAT", "BY", "PATH")


@declare(
    "history",
    "commonhold history tower:papers/report.odt",
    "commonhold history tower:papers",
    "commonhold history tower:papers --days 90 --space 50GB",
    "commonhold history tower:papers --days default --space default",
    "commonhold history tower:papers/secret.txt --forget",
)
@click.argument("remote")
@click.option("--days", type=OrDefault(click.IntRange(0, 36500)), metavar="N", help="Days to keep; 0 keeps nothing.")
@click.option("--space", type=OrDefault(Size()), help="Bytes to keep at most: 500MB, 50GB.")
@click.option("--forget", is_flag=True, help="Erase for good what was kept, there and below.")
@click.option("--yes", is_flag=True, help="Erase without asking.")
def command(
    invocation: Invocation,
    remote: str,
    days: int | Default | None,
    space: int | Default | None,
    forget: bool,
    yes: bool,
) -> None:
    """What is overwritten or deleted through the network is kept for a time, and `restore` brings it back. Of a folder
    it lists what was in it, too. How long and in how much space, the owner of a share may say, and have it erased;
    `default` is 30 days, and a tenth of the disk.
    """
    changes = days is not None or space is not None
    if forget and changes:
        raise WrongUsage("To say how long is kept and to erase are two things.", "give two commands")
    if forget and not yes:
        if invocation.out.json or not sys.stdin.isatty():
            raise WrongUsage("Erasing asks first, and nobody is here to answer.", "give --yes")
        if not click.confirm(f"Erase for good what was kept of {remote}?", err=True):
            raise CommonholdError("Nothing was erased.")
    with invocation.network() as network:
        if forget or changes:
            policy = network.forget(remote) if forget else network.history_policy(remote, days, space)
            invocation.out.answer(policy, _sentence(policy))
            return
        versions = network.history(remote)
    invocation.out.table(versions, HEADS, [_row(each) for each in versions], "Nothing is kept of it.")


def _row(version: Version) -> tuple[str, ...]:
    what = version.why if version.kind == "file" else f"{version.why} folder"
    return (version.version, local(version.until), size(version.size), what, version.person, version.path)


def _sentence(policy: HistoryPolicy) -> str:
    if not policy.days:
        return f"{policy.share} keeps nothing of what is overwritten or deleted."
    bounds = f"for {counted(policy.days, 'day')}, in {size(policy.bytes)} at most"
    now = f"{counted(policy.versions, 'version')}, {size(policy.kept)}"
    return f"{policy.share} keeps what is overwritten or deleted {bounds}; now it is {now}."
