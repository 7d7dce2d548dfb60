"""`commonhold quota`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import counted, size
from commonhold.cli.words import Size
from commonhold.errors import WrongUsage

if TYPE_CHECKING:
    from commonhold.answers import Quota
    from commonhold.api import Network

HEADS = ("PERSON", "STORED", "LIMIT", "FILES", "LIMIT")


@declare(
    "quota",
    "commonhold quota",
    "commonhold quota bob",
    "commonhold quota bob --bytes 10GB --files 20000",
    "commonhold quota bob --none",
)
@click.argument("person", required=False)
@click.option("--bytes", "octets", type=Size(), help="The most that may be stored: 500kB, 10GB, 2GiB.")
@click.option("--files", type=click.IntRange(0), metavar="N", help="The most files and folders.")
@click.option("--none", is_flag=True, help="No limit any more.")
def command(invocation: Invocation, person: str | None, octets: int | None, files: int | None, none: bool) -> None:
    """Limits what one person may store at this computer's doors, results of jobs too; in client-server at the
    server's. The owner has no limit. What was there before counts for nobody, and what is deleted counts no more.
    Whoever does not keep the rules sees only their own line.
    """
    changes = octets is not None or files is not None
    if (none and changes) or ((none or changes) and person is None):
        raise WrongUsage("A quota is for one person: a limit, or none.", "commonhold quota bob --bytes 10GB")
    with invocation.network() as network:
        if person is not None and (none or changes):
            changed = _change(network, person, octets, files, none)
            invocation.out.answer(changed, _sentence(changed))
            return
        quotas = [each for each in network.quotas() if person is None or each.person.casefold() == person.casefold()]
    rows = [_row(each) for each in quotas]
    invocation.out.table(quotas, HEADS, rows, "Nobody has a quota, or has stored anything that counts.")


def _change(network: Network, person: str, octets: int | None, files: int | None, none: bool) -> Quota:
    """What is not named stays as it is."""
    if none:
        return network.set_quota(person)
    before = next((each for each in network.quotas() if each.person.casefold() == person.casefold()), None)
    if before is not None:
        octets = before.most_bytes if octets is None else octets
        files = before.most_files if files is None else files
    return network.set_quota(person, octets, files)


def _sentence(quota: Quota) -> str:
    limits = [] if quota.most_bytes is None else [size(quota.most_bytes)]
    limits += [] if quota.most_files is None else [counted(quota.most_files, "file")]
    said = f"at most {' in '.join(limits)}" if limits else "as much as there is room for"
    return f"{quota.person} may store {said}; {size(quota.bytes)} in {counted(quota.files, 'file')} are stored."


def _row(quota: Quota) -> tuple[str, ...]:
    most = "-" if quota.most_bytes is None else size(quota.most_bytes)
    most_files = "-" if quota.most_files is None else f"{quota.most_files:,}"
    return (quota.person, size(quota.bytes), most, f"{quota.files:,}", most_files)
