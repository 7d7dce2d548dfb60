"""What rules say: decide(rules, subject, verb, door, ...) -> Decision. Pure: the clock is handed in.

Rules only allow, and each is enough by itself (union), with one exception: a `deny` of a person or
of a computer wins over every allow, and for a computer even over its being the owner's. A granted
verb grants what it includes; so a denied verb denies what includes it, else `write` would hand
out the `read` that was denied.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from commonhold.authority.authority import (
    EVERY_SHARE,
    INCLUDES,
    Decision,
    Door,
    Rule,
    Standing,
    Subject,
    Verb,
    doing,
)
from commonhold.names import PersonId

MEMBERS = "members"
GUESTS = "guests"
GROUP = "group:"
ADMINS = "admins"  # the group that may govern a server's doors

Groups = Mapping[str, frozenset[PersonId]]


class Index:
    """Rules by whom and where they speak of, so that a decision reads those few that can matter.

    Made when the book changes. With 1,000 rules a decision that reads them all takes longer than the
    disk takes for a small file.
    """

    def __init__(self, rules: Iterable[Rule], groups: Groups) -> None:
        self._rules: dict[tuple[str, str], list[tuple[int, Rule]]] = {}
        self._groups: dict[str, list[str]] = {}
        for place, rule in enumerate(rules):
            self._rules.setdefault((rule.who, rule.door), []).append((place, rule))
        for name, persons in groups.items():
            for person in persons:
                self._groups.setdefault(person, []).append(GROUP + name)

    def about(self, subject: Subject, door: Door) -> list[Rule]:
        """The rules that name this subject, or people whom it is one of, at this door; in the order given."""
        person, computer = subject.person or "", subject.computer or ""
        whose = (person, computer, GUESTS if subject.guest else MEMBERS, *self._groups.get(person, ()))
        where = {door.id, EVERY_SHARE} if door.kind == "share" else {door.id}
        found = [each for who in whose for at in where for each in self._rules.get((who, at), ())]
        found.sort(key=_place)
        return [rule for _, rule in found]


def _place(found: tuple[int, Rule]) -> int:
    return found[0]


def decide(
    rules: Sequence[Rule],
    subject: Subject,
    verb: Verb,
    door: Door,
    *,
    now: datetime,
    groups: Groups,
    network: str = "",
    keeper: str = "the owner",
) -> Decision:
    """Whether `subject` may do `verb` at `door`.

    `now` is an aware datetime; `groups` the persons of each group by its name. `network` (its name)
    and `keeper` ("tower's owner ann", who keeps these rules) are words of the answer only.
    """
    if (outside := outsider(subject, network)) is not None:
        return outside
    if subject.pass_id is not None:
        return Decision(allowed=False, reason="a pass opens what it says, and no rule adds to it")
    if (deny := denied(rules, subject, verb, door, now)) is not None:
        listing = verb is not Verb.LIST and decide(rules, subject, Verb.LIST, door, now=now, groups=groups).allowed
        return _denial(deny, subject, verb, door, keeper=keeper, may_list=listing)
    if owns(subject, door):
        return Decision(allowed=True, reason=f"{subject} is the owner of {door.name}")
    allowing = [rule for rule in rules if _allows(rule, subject, verb, door, groups) and in_force(rule, now)]
    if allowing:
        # Whoever is named is told so, and not that everybody may: some doors make a difference (lender/lend.py).
        rule = min(allowing, key=lambda each: each.who != subject.person)
        back = f"{keeper} can take that back: {command('deny', rule.who_name, rule.verb, rule.door_name)}"
        return Decision(
            allowed=True, reason=f"the rule “{rule}” lets {subject} {doing(verb, door)}", rule=rule, hint=back
        )
    return _unruled(subject, verb, door, keeper)


def outsider(subject: Subject, network: str = "") -> Decision | None:
    """The refusal of whoever is no member, at any door; None for members."""
    where = f"the network {network}" if network else "the network"
    if subject.standing is Standing.MEMBER:
        return None
    if subject.standing is Standing.REMOVED:
        whose = f"{subject.person_name}'s computer " if subject.person_name else ""
        return Decision(
            allowed=False,
            reason=f"{whose}{subject.computer_name or 'this computer'} was removed from {where}",
            hint="ask somebody of the network for a code, and join again with a new home: a removed key stays out",
        )
    return Decision(
        allowed=False, reason="only computers of the network may knock here", hint="join it first: commonhold join CODE"
    )


def owns(subject: Subject, door: Door) -> bool:
    return door.owner is not None and subject.person == door.owner


def denied(rules: Iterable[Rule], subject: Subject, verb: Verb, door: Door, now: datetime) -> Rule | None:
    """The deny in force that stands against this person, or this computer, here.

    One of every share comes first: it reads the same for a share that is not there.
    """
    standing = (
        rule
        for rule in rules
        if rule.effect == "deny"
        and names(rule, subject)
        and concerns(rule.door, door)
        and rule.verb in INCLUDES.get(verb, ())
        and in_force(rule, now)
    )
    return min(standing, key=lambda rule: rule.door != EVERY_SHARE, default=None)


def names(rule: Rule, subject: Subject) -> bool:
    """Whether the rule names this very person or computer."""
    return rule.who in {subject.person, subject.computer}


def concerns(where: str, door: Door) -> bool:
    """Whether a rule for `where` (an id, or every share) speaks of this door."""
    return where == door.id or (where == EVERY_SHARE and door.kind == "share")


def in_force(rule: Rule, now: datetime) -> bool:
    return rule.until is None or now < rule.until


def belongs(who: str, subject: Subject, groups: Groups) -> bool:
    """Whether a rule for `who` means this subject. Computers cannot be allowed: who uses one acts as its person."""
    if who == MEMBERS:
        return not subject.guest
    if who == GUESTS:
        return subject.guest
    if who.startswith(GROUP):
        return subject.person in groups.get(who.removeprefix(GROUP), frozenset())
    return who == subject.person


def _allows(rule: Rule, subject: Subject, verb: Verb, door: Door, groups: Groups) -> bool:
    """A door that is not there is opened by no rule: else who may read every share but one would find that one out."""
    return (
        rule.effect == "allow"
        and bool(door.id)
        and concerns(rule.door, door)
        and verb in INCLUDES.get(rule.verb, ())
        and belongs(rule.who, subject, groups)
    )


def _unruled(subject: Subject, verb: Verb, door: Door, keeper: str) -> Decision:
    """The same for a door that exists and for one that does not."""
    return Decision(
        allowed=False,
        reason=f"no rule lets {subject} {doing(verb, door)}",
        hint=f"ask {keeper}, who can type: {command('allow', str(subject), verb, door.name)}",
    )


def _denial(deny: Rule, subject: Subject, verb: Verb, door: Door, *, keeper: str, may_list: bool) -> Decision:
    """Refused by a deny. One that speaks of this share alone is told only to those who may list it."""
    hidden = door.kind == "share" and deny.door != EVERY_SHARE and not may_list
    return Decision(
        allowed=False,
        reason=f"the rule “{deny}” stands against it",
        rule=deny,
        hint=f"ask {keeper}, who can type: {command('allow', deny.who_name, deny.verb, deny.door_name)}",
        told=_unruled(subject, verb, door, keeper) if hidden else None,
    )


def command(effect: str, who: str, verb: Verb, door: str) -> str:
    """What to type, so that it can be pasted."""
    return f"commonhold {effect} {shlex.quote(who)} {verb} {shlex.quote(door)}"
