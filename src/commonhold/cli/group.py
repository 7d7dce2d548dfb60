"""`commonhold group`."""

from __future__ import annotations

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import WrongUsage


@declare(
    "group",
    "commonhold group add choir ann bob",
    "commonhold group remove choir bob",
    "commonhold group remove choir",
    "commonhold group add admins carol",
    "commonhold group list",
)
@click.argument("action", type=click.Choice(("add", "remove", "list")), default="list")
@click.argument("group", required=False)
@click.argument("persons", nargs=-1, metavar="[PERSON]...")
def command(invocation: Invocation, action: str, group: str | None, persons: tuple[str, ...]) -> None:
    """Rules can speak of a group as of a person: commonhold allow choir read photos. Groups are those of this
    computer's rules; in client-server they are the server's, and the group `admins` keeps rules and members there
    with its owner. A group without persons ends, and its rules with it.
    """
    if action == "list":
        _list(invocation, group)
        return
    if group is None or (action == "add" and not persons):
        raise WrongUsage(f"`group {action}` needs more words.", f"commonhold group {action} GROUP PERSON")
    with invocation.network() as network:
        changed = network.group_add(group, *persons) if action == "add" else network.group_remove(group, *persons)
    inside = f"In {changed.group}: {', '.join(changed.persons)}."
    lines = [inside if changed.persons else f"The group {changed.group} is no more."]
    lines += [f"Its rule “{rule}” ended with it." for rule in changed.ended]
    invocation.out.answer(changed, *lines)


def _list(invocation: Invocation, group: str | None) -> None:
    with invocation.network() as network:
        groups = [each for each in network.groups() if group is None or each.group.casefold() == group.casefold()]
    rows = [(each.group, ", ".join(each.persons)) for each in groups]
    invocation.out.table(groups, ("GROUP", "PERSONS"), rows, "There are no groups: commonhold group add GROUP PERSON")
