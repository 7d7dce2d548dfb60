"""What one change would do: the words of a command, carried out on copies. No rule is said, and nobody is removed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace as remade
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from commonhold.authority.authority import COMPUTE, Door, Standing, Subject
from commonhold.authority.roster import Roster
from commonhold.authority.supposed import supposed
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.names import Fingerprint, PersonId
from commonhold.node.desk import EVERY_SHARE_NAME, Desk
from commonhold.node.premises import Premises

WORDS = "allow bob write photos; deny members read tower:photos; group add admins bob; remove bob"


class Supposition(NamedTuple):
    """How things would be, and what would be said of it."""

    known: list[Premises]
    roster: Roster
    said: str


class Supposing:
    """Reads a change. A door without a computer is one of `desk`'s, or at a client one of the server's."""

    def __init__(self, known: Sequence[Premises], roster: Roster, desk: Desk, now: Callable[[], datetime]) -> None:
        self._known, self._roster, self._desk, self._now = known, roster, desk, now

    def suppose(self, change: str) -> Supposition:
        """Raises WrongUsage for what is no such change, NotFound and Conflict as the command itself does."""
        match _words(change):
            case ["allow" | "deny" as effect, who, verb, *door] if door:
                return self._rule(effect, who, verb, " ".join(door))
            case ["group", "add" | "remove" as what, group, person]:
                return self._group(what, group, person)
            case ["remove", member]:
                return self._remove(member)
        raise WrongUsage(f"“{change}” is no change that could be tried.", WORDS)

    def _rule(self, effect: str, who: str, verb: str, door: str) -> Supposition:
        computer, colon, name = door.partition(":")
        site = self._site(computer) if colon else self._own()
        desk = self._desk_of(site)
        wish = (*desk.whom(who, verb), _door(site, name if colon else door))
        keeper = Subject(standing=Standing.MEMBER, computer=site.computer, person=site.owner)
        ruling = desk.write(keeper, "allow" if effect == "allow" else "deny", *wish, None)
        return self._with(replace(site, rules=desk.book.list()), ruling.done)

    def _group(self, what: str, name: str, who: str) -> Supposition:
        """At this computer, as the command."""
        site = self._own()
        book = self._desk_of(site).book
        person = self._roster.find_person(who)
        if person is None:
            raise NotFound(f"There is no person “{who}” in the network {self._roster.network}.", "commonhold members")
        if what == "add":
            book.join(name, person)
        else:
            book.leave(name, person)
        said = f"{self._roster.persons[person]} {'is' if what == 'add' else 'is not'} in the group {name}."
        return self._with(replace(site, groups=book.groups(), rules=book.list()), said)

    def _remove(self, name: str) -> Supposition:
        roster = self._roster
        computer, person = roster.find(name), roster.find_person(name)
        if computer is None and person is None:
            raise NotFound(
                f"There is no computer or person “{name}” in the network {roster.network}.", "commonhold members"
            )
        leaving = {computer} if computer is not None else set(roster.computers_of(PersonId(person or "")))
        gone = {member.fingerprint for member in leaving}
        if gone & roster.guards:
            raise Conflict(f"“{name}” guards the network, and leaves by another way.", "commonhold guard remove")
        without = remade(
            roster,
            members={known: member for known, member in roster.members.items() if known not in gone},
            persons={known: each for known, each in roster.persons.items() if computer is not None or known != person},
            removed=roster.removed | gone,
        )
        known = [
            replace(site, accounts=tuple(each for each in site.accounts if each.person in without.persons))
            for site in self._known
            if site.computer not in gone
        ]
        names = ", ".join(sorted(member.name for member in leaving)) or "no computer"
        return Supposition(known, without, f"{name} is not in the network any more, with {names}.")

    def _with(self, site: Premises, said: str) -> Supposition:
        known = [site if each.computer == site.computer else each for each in self._known]
        return Supposition(known, self._roster, said)

    def _desk_of(self, site: Premises) -> Desk:
        """A desk over a copy of that computer's rules: words mean there what they mean at the real one."""
        keeper = supposed(
            self._roster, site.rules, site.groups, owner=site.owner, computer=site.computer, now=self._now
        )
        real = self._desk
        return Desk(
            lambda: self._roster,
            keeper.book,
            real.shares,
            keeper,
            site.owner,
            site.computer,
            real.by_password,
            lambda *_, **__: None,
        )

    def _own(self) -> Premises:
        """This computer; where it has no doors, the only one that has told its own: a client's server."""
        only = self._known[0].computer if len(self._known) == 1 else self._desk.here
        return self._find(only)

    def _site(self, name: str) -> Premises:
        member = self._roster.find(name)
        if member is None:
            raise NotFound(f"There is no computer {name} in the network {self._roster.network}.", "commonhold members")
        return self._find(member.fingerprint)

    def _find(self, computer: Fingerprint) -> Premises:
        found = next((each for each in self._known if each.computer == computer), None)
        if found is None:
            member = self._roster.members.get(computer)
            raise NotFound(
                f"The rules of {member.name if member else 'this computer'} are not known here.",
                "ask its owner: commonhold expose, typed there",
            )
        return found


def _words(change: str) -> list[str]:
    """As a shell splits them; where an apostrophe is none of its quotes, as they stand."""
    try:
        return shlex.split(change)
    except ValueError:
        return change.split(maxsplit=3)


def _door(site: Premises, name: str) -> Door:
    if name == COMPUTE:
        return Door("compute", COMPUTE, COMPUTE, site.owner)
    if name == EVERY_SHARE_NAME:
        return Door("share", "*", EVERY_SHARE_NAME, site.owner)
    found = next((each for each in site.shares if each.name.casefold() == name.casefold()), None)
    if found is None:
        raise NotFound(f"No folder is shared as “{name}” there.", "commonhold status")
    return found
