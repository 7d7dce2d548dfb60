"""`commonhold members`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local

if TYPE_CHECKING:
    from commonhold.answers import KnownComputer, KnownPerson

HEADS = ("COMPUTER", "PERSON", "ROLE", "SEEN", "ADDRESS", "WORDS")


@declare("members", "commonhold members", "commonhold --json members")
def command(invocation: Invocation) -> None:
    """At a server, people who have an account and no computer stand at the end.

    WORDS are the computer's key as four words: compare them by eye to know that it is the one you mean."""
    with invocation.network() as network:
        members = network.members()
        others = [person for person in network.persons() if person.account and not person.computers]
    document = [*members, *map(_without_computer, others)]
    rows = [*map(_row, members), *map(_row_without_computer, others)]
    invocation.out.table(document, HEADS, rows, "The network has no members.")


def _without_computer(known: KnownPerson) -> KnownComputer:
    """A person with an account only, as a record of the same list."""
    from commonhold.answers import KnownComputer  # noqa: PLC0415 - late: --help needs no libraries

    role = "guest" if known.guest else "account"
    return KnownComputer(computer="", person=known.person, role=role, guard=False, words="", fingerprint="")


def _row_without_computer(known: KnownPerson) -> tuple[str, ...]:
    return ("-", known.person, f"guest until {local(known.until)}" if known.guest else "account", "-", "-", "-")


def _row(member: KnownComputer) -> tuple[str, ...]:
    role = f"{member.role}, guard" if member.guard else member.role
    seen = "here" if member.here else local(member.seen)
    return (member.computer, member.person, role, seen, member.addresses[0] if member.addresses else "-", member.words)
