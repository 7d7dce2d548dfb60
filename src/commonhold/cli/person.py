"""`commonhold person`."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local
from commonhold.cli.words import Until
from commonhold.errors import CommonholdError, WrongUsage

if TYPE_CHECKING:
    from commonhold.answers import KnownPerson

LONGEST = 4096  # bytes of a line with a password


@declare(
    "person",
    "commonhold person add ann",
    "commonhold person add gus --until 3d",
    "commonhold person passwd ann",
    "commonhold person remove gus --yes",
)
@click.argument("action", type=click.Choice(["add", "passwd", "remove"]))
@click.argument("name")
@click.option("--until", type=Until(), metavar="TIME", help="When a guest's account ends: 3d, or 2027-01-31T18:00.")
@click.option("--yes", is_flag=True, help="Do not ask before removing.")
def command(invocation: Invocation, action: str, name: str, until: datetime | None, yes: bool) -> None:
    """An account lets a person in without a computer of the network: with programs that speak WebDAV, at the server.

    The password is asked for, or read as one line of standard input; it is never an argument. An account with an end
    is a guest's: rules for `guests` speak of it, those for `members` do not. A new password ends what the old one
    opened. A person who is removed stays out for ever, with all computers.
    """
    if action == "remove":
        _remove(invocation, name, until, yes)
        return
    with invocation.network() as network:
        password = _asked(name)
        say = network.add_person if action == "add" else network.set_password
        known = say(name, password, until)
    invocation.out.answer(known, _line(known, action))


def _line(known: KnownPerson, action: str) -> str:
    end = f", as a guest until {local(known.until)}" if known.guest else ""
    if action == "add":
        whom = "guests" if known.guest else shlex.quote(known.person)
        return f"{known.person} has an account{end}. What it opens, rules say: commonhold allow {whom} read SHARE"
    return f"{known.person} has a new password{end}. What the old one opened is over."


def _remove(invocation: Invocation, name: str, until: datetime | None, yes: bool) -> None:
    if until is not None:
        raise WrongUsage("Who is removed is removed at once.", "leave --until out")
    if not yes:
        if invocation.out.json or not sys.stdin.isatty():
            hint = f"commonhold person remove {shlex.quote(name)} --yes"
            raise WrongUsage("Removing asks first, and nobody is here to answer.", hint)
        if not click.confirm(f"Remove {name} for ever, with all computers?", err=True):
            raise CommonholdError("Nobody was removed.")
    with invocation.network() as network:
        removal = network.remove_person(name)
    computers = f", with {', '.join(removal.computers)}," if removal.computers else ""
    invocation.out.answer(removal, f"{removal.person}{computers} is removed for ever.")


def _asked(name: str) -> str:
    """The password as a person types it now, twice, or one line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(f"Password for {name}", hide_input=True, confirmation_prompt="Once more", err=True))
    line = sys.stdin.buffer.readline(LONGEST).decode(errors="replace").rstrip("\r\n")
    if not line:
        raise WrongUsage("There is no password on standard input.", "type it on a terminal, or write it as one line")
    return line
