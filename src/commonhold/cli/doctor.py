"""`commonhold doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.errors import CommonholdError, NodeNotRunning

if TYPE_CHECKING:
    from commonhold.answers import Trouble


@declare("doctor", "commonhold doctor", "commonhold --json doctor")
def command(invocation: Invocation) -> None:
    """Names every trouble of this computer with its cure, the gravest first. An alarm says that somebody may be acting
    against the network, a warning that something does not work, a note what could be better.

    Ends with 0 when there are notes at most, else with 1. When the node is down it looks at what lies on the disk.
    """
    try:
        with invocation.network() as network:
            found = network.doctor()
    except NodeNotRunning:
        from commonhold.node import checkup  # noqa: PLC0415 - late: for a node that is down only

        found = checkup.asleep(invocation.home)
    invocation.out.answer(found, *(_lines(found) or ["All is well."]))
    grave = [each for each in found if each.severity != "note"]
    if grave:
        more = f", and {len(grave) - 1} more" if len(grave) > 1 else ""
        raise CommonholdError(f"Not all is well: {grave[0].title[0].lower()}{grave[0].title[1:]}{more}.")


def _lines(found: list[Trouble]) -> list[str]:
    lines = []
    for each in found:
        lines += [f"{each.severity}: {each.text}", *([f"  cure: {each.cure}"] if each.cure else [])]
    return lines
