"""`commonhold invite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import counted, local

if TYPE_CHECKING:
    from commonhold.answers import JoiningCode


@declare("invite", "commonhold invite", "commonhold invite --person ann --minutes 60", "commonhold invite --uses 5")
@click.option("--person", metavar="NAME", help="Whose computer will join.  [default: whoever joins says]")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=10, show_default=True, help="How long it lives.")
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True, help="How many computers may use it.")
def command(invocation: Invocation, person: str | None, minutes: float, uses: int) -> None:
    """The code opens nothing but the way in; what the newcomer may do, rules say."""
    with invocation.network() as network:
        invitation = network.invite(person=person, minutes=minutes, uses=uses)
    invocation.out.answer(invitation, *_lines(invitation))


def _lines(invitation: JoiningCode) -> list[str]:
    code = invitation.code
    whose = f" of {invitation.person}" if invitation.person else ""
    lines = ["", f"    {code}", "", f"On the other computer{whose}:  commonhold join {code}"]
    if invitation.addresses:
        lines.append("Where that finds nobody, one of:")
        lines += [f"    commonhold join {code}@{address}" for address in invitation.addresses]
    lines.append(f"The code is for {counted(invitation.uses, 'computer')} and ends at {local(invitation.expires)}.")
    return lines
