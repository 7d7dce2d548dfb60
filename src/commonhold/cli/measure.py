"""`commonhold measure`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.measures import Number
from commonhold.cli.output import counted, size
from commonhold.cli.progress import steps_progress
from commonhold.cli.scenarios import require_new, write_new
from commonhold.errors import NodeNotRunning, WrongUsage

if TYPE_CHECKING:
    from commonhold.answers import KnownComputer
    from commonhold.api import Network
    from commonhold.lab.measuring import Measuring
    from commonhold.plan.values.measured import Reached


@declare(
    "measure",
    "commonhold measure",
    "commonhold measure --only here",
    "commonhold measure --yes --seconds 2",
    "commonhold measure --only others --yes --save today.toml",
    "commonhold --json measure --yes",
)
@click.option("--only", type=click.Choice(["here", "others"]), help="Only this computer, or only the others.")
@click.option("--yes", is_flag=True, help="Do not ask before other people's computers are given work.")
@click.option("--seconds", type=Number(0.1, 60), default=4.0, show_default=True, help="For each probe, about.")
@click.option("--save", metavar="FILE", help="Keep what was found as a scenario's file, too.")
def command(invocation: Invocation, only: str | None, yes: bool, seconds: float, save: str | None) -> None:
    """How fast this network is: processor, disk and links, what reading, storing, listing and the start of a task cost
    whoever serves, and how an owner fares meanwhile. Takes a minute or so, and some 200 MB of disk until it ends.

    The others are asked for what you may do there, 16 MB each way at most, and nothing is left there. `advise` rests on
    what was found from then on; what was measured before Ctrl-C counts.
    """
    from commonhold.api.planning import keep, today  # noqa: PLC0415 - late: --help needs none of the node's libraries
    from commonhold.lab.measuring import Measuring  # noqa: PLC0415
    from commonhold.node.computer import ended_alike  # noqa: PLC0415
    from commonhold.plan.values.measured import written  # noqa: PLC0415

    if save is not None:
        require_new(save)  # not after a minute of work
    measuring = Measuring(invocation.home, today(), seconds)
    network = _network(invocation, must=only == "others")
    with network or nullcontext():
        members = network.members() if network else []
        server = next((each for each in members if each.role == "server"), None)
        wanted = [] if only == "here" else _wanted(invocation, members, yes, measuring, must=only == "others")
        with steps_progress(invocation.out) as say, ended_alike():
            measuring.say = say
            try:
                if network and wanted:
                    measuring.others(network, wanted, server.computer if server else "")
                if only != "others":
                    measuring.record(server=server is not None and server.here)
                    measuring.here()
            finally:
                if measuring.values:
                    keep(invocation.home, measuring.values, measuring.notes)
    if save is not None:
        write_new(save, written(measuring.values, measuring.notes))
    _tell(invocation, measuring)


def _network(invocation: Invocation, must: bool) -> Network | None:
    """None while the node is down, and nobody said that the others must be measured."""
    try:
        return invocation.network()
    except NodeNotRunning:
        if must:
            raise
        return None


def _wanted(
    invocation: Invocation, members: list[KnownComputer], yes: bool, measuring: Measuring, must: bool
) -> list[KnownComputer]:
    """The computers that are to be measured beside this one: others get work only when somebody agrees."""
    found = [each for each in members if not each.here and each.role != "client"]
    names = ", ".join(each.computer for each in found)
    if not found:
        if must:
            raise WrongUsage("There is no other computer that opens a door.", "commonhold measure --only here")
        if not members:
            measuring.notes.append("the others: this computer's node is not running")
        return []
    if yes:
        return found
    asked = not invocation.out.json and sys.stdin.isatty()
    if asked and click.confirm(f"Measure {names} as well, with up to 32 MB and half a minute of work each?", err=True):
        return found
    if must and not asked:
        raise WrongUsage("It asks before it gives others' computers work, and nobody is here.", "add --yes")
    if not asked:
        invocation.out.remark(f"Only this computer is measured: without --yes, nobody else is ({names}).")
    measuring.notes.append("the others: nobody said yes, so only this computer was measured")
    return []


def _tell(invocation: Invocation, measuring: Measuring) -> None:
    found = measuring.measurement()
    here = found.machine
    speed = f", {here.computation:.3g} s for a fixed computation" if here.computation else ""
    lines = [f"{here.computer}: {counted(here.cores, 'core')}, {size(here.memory)} of memory{speed}"]
    lines += [_line(each) for each in found.computers]
    lines += [f"  {each.sentence}" for each in found.values]
    lines += [f"not measured: {note}" for note in found.notes]
    kept = f"Kept in {invocation.home.measured}: commonhold advise rests on it from now on."
    lines += [kept if found.values else "Nothing was found that advice could rest on."]
    invocation.out.answer(found, *lines)


def _line(reached: Reached) -> str:
    said = [f"{reached.round_trip * 1000:.3g} ms there and back" if reached.round_trip else "not reached"]
    said += [f"{size(int(reached.sending))}/s to it"] if reached.sending else []
    said += [f"{size(int(reached.receiving))}/s from it"] if reached.receiving else []
    said += [f"{reached.speed:.3g} times as fast"] if reached.speed else []
    return f"{reached.computer}: {', '.join(said)}"
