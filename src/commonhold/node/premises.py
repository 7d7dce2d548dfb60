"""What a computer tells those who keep its rules, so that they see what these open; and the graph made of it.

`Premises` goes from node to node. In plan/ the graph is pure; here its sites get their judge: the authority itself,
over a copy of the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from commonhold.authority.authority import COMPUTE, Door, Login, Rule, Standing, Subject
from commonhold.authority.keeper import knocking
from commonhold.authority.roster import Roster
from commonhold.authority.rules import Groups
from commonhold.authority.supposed import supposed
from commonhold.names import Fingerprint, PersonId
from commonhold.plan.reach.landscape import Credential, Decide, Landscape, Pile, Site

RECOVERY = "the recovery key"
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Lying(msgspec.Struct, frozen=True):
    """Files that lie in the same shares (by their ids)."""

    shares: tuple[str, ...]
    files: Number
    bytes: Number


class HasPassword(msgspec.Struct, frozen=True):
    """Somebody with an account."""

    person: PersonId
    guest: bool


class Premises(msgspec.Struct, frozen=True):
    """One computer's doors: shares, files, the rules in force, groups, accounts, and whether and how it lends.

    `troubles` are sentences about what could not be counted.
    """

    computer: Fingerprint
    owner: PersonId
    shares: tuple[Door, ...]
    files: tuple[Lying, ...]
    rules: tuple[Rule, ...]
    groups: dict[str, frozenset[PersonId]]
    accounts: tuple[HasPassword, ...]
    lends: bool
    walled: bool
    troubles: tuple[str, ...] = ()


def landscape(
    known: Sequence[Premises], roster: Roster, unknown: Sequence[str], now: Callable[[], datetime]
) -> Landscape:
    """The graph of these computers' doors, and of every key and password of the network."""
    keys = {member.fingerprint: f"{member.name}'s key" for member in roster.members.values()}
    credentials = [
        Credential(name, "key", (knocking(roster, computer),), guard=computer in roster.guards)
        for computer, name in keys.items()
    ]
    credentials += [_password(account, roster) for each in known for account in each.accounts]
    credentials.append(Credential(RECOVERY, "recovery key", (), guard=True))
    return Landscape(
        [_site(each, roster, now) for each in known if each.computer in roster.members],
        credentials,
        {computer: [name] for computer, name in keys.items()},
        roster.persons,
        unknown,
        names={member.fingerprint: member.name for member in roster.members.values()},
    )


def _password(account: HasPassword, roster: Roster) -> Credential:
    name = roster.persons.get(account.person, account.person)
    subject = Subject(
        standing=Standing.MEMBER, person=account.person, person_name=name, guest=account.guest, login=Login(0)
    )
    return Credential(f"{name}'s password", "password", (subject,), governs=False)


def _site(each: Premises, roster: Roster, now: Callable[[], datetime]) -> Site:
    def judge(rules: Sequence[Rule], groups: Groups) -> Decide:
        return supposed(roster, rules, groups, owner=each.owner, computer=each.computer, now=now).decide

    return Site(
        computer=each.computer,
        name=roster.members[each.computer].name,
        owner=each.owner,
        doors=each.shares,
        piles=tuple(Pile(frozenset(lying.shares), lying.files, lying.bytes) for lying in each.files),
        rules=each.rules,
        groups=each.groups,
        judge=judge,
        compute=Door("compute", COMPUTE, COMPUTE, each.owner) if each.lends else None,
        walled=each.walled,
    )
