"""`commonhold invite`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from commonhold.cli.admitting import admit_by_asking
from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.measures import Number
from commonhold.cli.output import counted, local
from commonhold.errors import WrongUsage

if TYPE_CHECKING:
    from commonhold.answers import JoiningCode

DAY = 24 * 60.0  # minutes


@declare(
    "invite",
    "commonhold invite",
    "commonhold invite --person ann --minutes 60",
    "commonhold invite --uses 5 --yes",
    "commonhold invite --file nas.invitation",
    "commonhold invite --withdraw 7",
)
@click.option("--person", metavar="NAME", help="Whose computer will join.  [default: whoever joins says]")
@click.option("--minutes", type=Number(min=0.1), help="How long it lives.  [default: 10, a file's a day]")
@click.option("--uses", type=click.IntRange(min=1), default=1, show_default=True, help="How many computers may use it.")
@click.option("--yes", is_flag=True, help="Do not ask: admit whoever has the code, and return at once.")
@click.option("--file", metavar="FILE", help="Write the invitation into a new file, for a machine without a keyboard.")
@click.option("--withdraw", type=click.IntRange(1, 9999), metavar="NUMBER", help="End the invitation of that number.")
def command(
    invocation: Invocation,
    *,
    person: str | None,
    minutes: float | None,
    uses: int,
    yes: bool,
    file: str | None,
    withdraw: int | None,
) -> None:
    """The code opens nothing but the way in; what the newcomer may do, rules say.

    On a terminal it waits for the newcomer, shows its names and the four words of its key, and asks whether to admit
    it: compare the words with those on its screen where it matters. A no, or Ctrl-C, ends the code. With --yes, with
    --json, or without a terminal, whoever has the code is admitted.
    """
    if withdraw is not None:
        _withdraw(invocation, withdraw)
    elif file is not None:
        if uses != 1:
            raise WrongUsage("A file admits one computer.", "make a file for each")
        _write(invocation, file, person, minutes or DAY)
    else:
        asks = not yes and invocation.out.terminal and sys.stdin.isatty()
        with invocation.network() as network:
            invitation = network.invite(person=person, minutes=minutes or 10, uses=uses, ask=asks)
            invocation.out.answer(invitation, *_lines(invitation))
            if invocation.out.terminal:
                invocation.out.qr(_typed(invitation))
            if asks:
                admit_by_asking(network, invocation.out, invitation)


def _withdraw(invocation: Invocation, number: int) -> None:
    with invocation.network() as network:
        network.withdraw(number)
    invocation.out.answer({"number": number, "open": False}, f"The invitation number {number} is withdrawn.")


def _write(invocation: Invocation, file: str, person: str | None, minutes: float) -> None:
    with invocation.network() as network:
        written = network.invite_file(file, person, minutes)
    whose = f" of {written.person}" if written.person else ""
    invocation.out.answer(
        written,
        f"{written.file} admits one computer{whose}, until {local(written.expires)}. Whoever has it is let in: carry it"
        " there yourself.",
        f"There:  commonhold join --file {written.file.rpartition('/')[2]}",
    )


def _typed(invitation: JoiningCode) -> str:
    """What is typed on the other computer, wherever it is."""
    return f"{invitation.code}@{invitation.addresses[0]}" if invitation.addresses else invitation.code


def _lines(invitation: JoiningCode) -> list[str]:
    code = invitation.code
    whose = f" of {invitation.person}" if invitation.person else ""
    lines = ["", f"    {code}", "", f"On the other computer{whose}:  commonhold join {code}"]
    if invitation.addresses:
        lines.append("Where that finds nobody, one of:")
        lines += [f"    commonhold join {code}@{address}" for address in invitation.addresses]
    lines.append(f"The code is for {counted(invitation.uses, 'computer')} and ends at {local(invitation.expires)}.")
    return lines
