"""`commonhold members`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from commonhold.cli.command import command as declare
from commonhold.cli.invocation import Invocation
from commonhold.cli.output import local

if TYPE_CHECKING:
    from commonhold.answers import KnownComputer

HEADS = ("COMPUTER", "PERSON", "ROLE", "SEEN", "ADDRESS", "WORDS")


@declare("members", "commonhold members", "commonhold --json members")
def command(invocation: Invocation) -> None:
    """WORDS are the computer's key as four words: compare them by eye to know that it is the one you mean."""
    with invocation.network() as network:
        members = network.members()
    invocation.out.table(members, HEADS, [_row(member) for member in members], "The network has no members.")


def _row(member: KnownComputer) -> tuple[str, ...]:
    role = f"{member.role}, guard" if member.guard else member.role
    seen = "here" if member.here else local(member.seen)
    return (member.computer, member.person, role, seen, member.addresses[0] if member.addresses else "-", member.words)
