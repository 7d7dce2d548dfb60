"""`commonhold quota`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.limits import computing, storing
from commonhold.cli.output import counted, size
from commonhold.cli.words import Size
from commonhold.errors import NotFound, WrongUsage
from commonhold.names import folded

if TYPE_CHECKING:
    from commonhold.answers import Quota
    from commonhold.api import Network

WHAT = ("bytes", "files", "cores", "memory", "jobs", "tasks")
HEADS = ("PERSON", "STORED", "LIMIT", "FILES", "LIMIT", "CORES", "MEMORY", "JOBS", "LIMIT", "TASKS", "LIMIT")


@declare(
    "quota",
    "commonhold quota",
    "commonhold quota bob",
    "commonhold quota bob --bytes 10GB --files 20000",
    "commonhold quota bob --cores 2 --memory 4GB --jobs 5 --tasks 1000",
    "commonhold quota bob --none",
)
@click.argument("person", required=False)
@click.option("--bytes", "octets", type=Size(), help="The most that may be stored: 500kB, 10GB, 2GiB.")
@click.option("--files", type=click.IntRange(0), metavar="N", help="The most files and folders.")
@click.option("--cores", type=click.IntRange(1), metavar="N", help="The most cores at a time, for commands.")
@click.option("--memory", type=Size(), help="The most memory of all that runs for them together.")
@click.option("--jobs", type=click.IntRange(0), metavar="N", help="The most unfinished jobs at a server.")
@click.option("--tasks", type=click.IntRange(0), metavar="N", help="The most tasks of these, running or waiting.")
@click.option("--none", is_flag=True, help="No limit any more.")
def command(
    invocation: Invocation,
    person: str | None,
    octets: int | None,
    files: int | None,
    cores: int | None,
    memory: int | None,
    jobs: int | None,
    tasks: int | None,
    none: bool,
) -> None:
    """Limits what one person may store at this computer's doors, results of jobs too, and have of its processors; in
    client-server at the server's. The owner has no limit. What was there before counts for nobody, and what is
    deleted counts no more. Beyond --cores tasks wait, beyond --memory the task that takes most of it ends; what is
    beyond the others is refused, with exit code 7. Whoever does not keep the rules sees only their own line.
    """
    named = {"bytes": octets, "files": files, "cores": cores, "memory": memory, "jobs": jobs, "tasks": tasks}
    changes = {what: most for what, most in named.items() if most is not None}
    if (none and changes) or ((none or changes) and person is None):
        raise WrongUsage("A quota is for one person: a limit, or none.", "commonhold quota bob --bytes 10GB")
    with invocation.network() as network:
        if person is not None and (none or changes):
            changed = _change(network, person, changes)
            invocation.out.answer(changed, *_sentence(changed).splitlines())
            return
        quotas = [each for each in network.quotas() if person is None or folded(each.person) == folded(person)]
        none_of = "Nobody has a quota, has stored anything that counts, or has an unfinished job."
        if person is not None and not quotas:
            none_of = f"{_known(network, person)}: no limit, nothing stored that counts, no unfinished job."
    rows = [_row(each) for each in quotas]
    invocation.out.table(quotas, HEADS, rows, none_of)


def _known(network: Network, person: str) -> str:
    """The beginning of a sentence about somebody of whom nothing is told. Raises NotFound when there is nobody."""
    name = next((each.person for each in network.persons() if folded(each.person) == folded(person)), None)
    if name is None:
        raise NotFound(
            f"There is no person “{person}” in the network {network.status().network}.", "commonhold members"
        )
    return f"There is nothing about {name} that you may see here"


def _change(network: Network, person: str, changes: dict[str, int]) -> Quota:
    """What is not named stays as it is; without any there is no limit."""
    if not changes:
        return network.set_quota(person)
    before = next((each for each in network.quotas() if folded(each.person) == folded(person)), None)
    kept = {what: getattr(before, f"most_{what}", None) for what in WHAT}
    return network.set_quota(person, **(kept | changes))


def _sentence(quota: Quota) -> str:
    most = storing(quota)
    said = f"at most {most}" if most else "as much as there is room for"
    sentence = f"{quota.person} may store {said}; {size(quota.bytes)} in {counted(quota.files, 'file')} are stored."
    most = computing(quota)
    has = f"{counted(quota.tasks, 'task')} of {counted(quota.jobs, 'job')} are unfinished"
    return f"{sentence}\n{quota.person} may compute with at most {most}; {has}." if most else sentence


def _row(quota: Quota) -> tuple[str, ...]:
    return (
        quota.person,
        size(quota.bytes),
        "-" if quota.most_bytes is None else size(quota.most_bytes),
        f"{quota.files:,}",
        _most(quota.most_files),
        _most(quota.most_cores),
        "-" if quota.most_memory is None else size(quota.most_memory),
        f"{quota.jobs:,}",
        _most(quota.most_jobs),
        f"{quota.tasks:,}",
        _most(quota.most_tasks),
    )


def _most(limit: int | None) -> str:
    return "-" if limit is None else f"{limit:,}"
