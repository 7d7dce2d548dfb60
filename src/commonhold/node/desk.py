"""The desk: where rules are said, listed and explained.

Its routes stand at the gateway (for this computer's own person) and at the listener (for whoever
the authority lets govern: `commonhold allow ann read tower:photos`, typed on another computer).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec.structs import replace

from commonhold.answers import Explanation, Ruling
from commonhold.authority import rules
from commonhold.authority.authority import (
    COMPUTE,
    EVERY_SHARE,
    Authority,
    Decision,
    Door,
    Rule,
    Standing,
    Subject,
    Verb,
    permit,
)
from commonhold.authority.book import RuleBook
from commonhold.authority.gate import SUBJECT
from commonhold.authority.roster import Roster
from commonhold.authority.rules import GROUP, GUESTS, MEMBERS
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.files.shares import Shares
from commonhold.names import JOB_SHARE, Fingerprint, PersonId, ShareName, SharePath
from commonhold.transport import document, json_answer

Record = Callable[..., None]
Effect = Literal["allow", "deny"]
SOMEBODY = PersonId("0" * 32)  # stands for any person of a group, when the group is asked about
SAYABLE = (Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE, Verb.RUN)
EVERY_SHARE_NAME = "every share"


class Saying(msgspec.Struct, frozen=True):
    """What somebody wants to be a rule: the body of POST /rules."""

    effect: Effect
    who: str
    verb: str
    door: str
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Desk:
    """Rules of this computer's doors, for those who may govern them."""

    def __init__(
        self,
        roster: Callable[[], Roster],
        book: RuleBook,
        shares: Shares,
        authority: Authority,
        owner: PersonId,
        here: Fingerprint,
        by_password: Callable[[PersonId], Subject | None],
        record: Record,
    ) -> None:
        """`by_password` gives a person who has an account as if that had let them in just now."""
        self.roster = roster
        self.book = book
        self.shares = shares
        self.authority = authority
        self.here = here
        self.by_password = by_password
        self.compute = Door(kind="compute", id=COMPUTE, name=COMPUTE, owner=owner)
        self.everything = Door(kind="share", id=EVERY_SHARE, name=EVERY_SHARE_NAME, owner=owner)
        self.record = record

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/rules", self._list),
            web.post("/rules", self._say),
            web.delete(r"/rules/{number:\d{1,18}}", self._strike),
            web.get("/explanation", self._explain),
        ]

    def door(self, name: str) -> Door:
        """The door of that name; a share that does not exist is a door that nobody but its owner finds missing."""
        if name == COMPUTE:
            return self.compute
        if name == EVERY_SHARE_NAME:
            return self.everything
        if (share := self.shares.find(name)) is not None:
            return share.door
        return self.shares.door(name if JOB_SHARE.fullmatch(name) else ShareName(name))

    def _as_typed(self, name: str) -> Door:
        """The door for an answer that must not tell whether it exists: the share's own spelling would."""
        door = self.door(name)
        return self.shares.door(ShareName(name)) if door.kind == "share" and door != self.everything else door

    def who(self, text: str) -> tuple[str, str]:
        """Whom a rule speaks of: (id or word, name). A computer can be denied by its name.

        Who left the network is found too while a rule names them, so that it can be taken back. Raises NotFound,
        and Conflict for a group whose name somebody took who joined later: a rule must not open doors to them instead.
        """
        if text in {MEMBERS, GUESTS}:
            return text, text
        roster = self.roster()
        person, group = roster.find_person(text), self.book.spelling(text.removeprefix(GROUP))
        if person is not None and group is not None:
            raise Conflict(
                f"“{text}” is a group here and also a person of the network.",
                f"write {GROUP}{group} for the group, or {person} for the person",
            )
        if person is not None:
            return person, roster.persons[person]
        if group is not None:
            return f"{GROUP}{group}", group
        if (member := roster.find(text)) is not None:
            return member.fingerprint, member.name
        for rule in self.book.list():
            if rule.who_name.casefold() == text.casefold():
                return rule.who, rule.who_name
        raise NotFound(f"There is nobody called “{text}” in the network {roster.network}.", "commonhold members")

    async def _list(self, request: web.Request) -> web.Response:
        name = request.query.get("door", "")
        door = self._existing(request[SUBJECT], name) if name else None
        if door is None:
            self.require_keeper(request[SUBJECT])
        return json_answer([_ruling(rule) for rule in self.book.list(door.id if door else None)])

    def require_keeper(self, subject: Subject) -> None:
        """Raise Refused unless this subject keeps the rules here."""
        permit(self.authority, subject, Verb.GOVERN, self.compute)

    def _existing(self, subject: Subject, name: str) -> Door:
        door = self.door(name)
        permit(self.authority, subject, Verb.GOVERN, self._as_typed(name))
        if not door.id:
            raise NotFound(f"No folder is shared as “{name}” here.", "commonhold status")
        return door

    async def _say(self, request: web.Request) -> web.Response:
        saying = await document(request, Saying)
        subject: Subject = request[SUBJECT]
        door = self._existing(subject, saying.door)
        return json_answer(self.write(subject, saying.effect, *self.whom(saying.who, saying.verb), door, saying.until))

    async def _strike(self, request: web.Request) -> web.Response:
        """Take one rule out of the book: what `allow` and `deny` cannot, who each leave a rule behind for a person."""
        subject: Subject = request[SUBJECT]
        self.require_keeper(subject)
        rule = self.book.remove(int(request.match_info["number"]))
        self.record("rule", by=str(subject), effect="struck", who=rule.who_name, verb=rule.verb, door=rule.door_name)
        return json_answer(replace(_ruling(rule), done=f"struck out “{rule}”."))

    def whom(self, who: str, verb: str) -> tuple[str, str, Verb]:
        """(id, name, verb) of what somebody typed. Raises NotFound, WrongUsage."""
        return (*self.who(who), _verb(verb))

    def allow(self, subject: Subject, who: str, name: str, verb: Verb, door: Door) -> Ruling:
        """A rule said together with a share."""
        return self.write(subject, "allow", who, name, verb, door, None)

    def write(
        self, subject: Subject, effect: Effect, who: str, name: str, verb: Verb, door: Door, until: datetime | None
    ) -> Ruling:
        """Say a rule. Raises WrongUsage, NotFound, Conflict, as the book does."""
        if effect == "deny" and who == self.here:
            raise WrongUsage(
                f"{name} is this computer itself: whoever uses it holds its folders anyway.",
                "name a person, or another",
            )
        say = self.book.allow if effect == "allow" else self.book.deny
        done = say(who, name, verb, door, until)
        self.record("rule", by=str(subject), effect=effect, who=name, verb=str(verb), door=door.name, until=until)
        return Ruling(name, str(verb), door.name, effect, f"{effect} {name} {verb} {door.name}", until, done)

    async def _explain(self, request: web.Request) -> web.Response:
        subject: Subject = request[SUBJECT]
        verb = _verb(request.query.get("verb", ""))
        name, _, text = request.query.get("door", "").partition("/")
        path = SharePath.parse(text)
        door, who = self._as_typed(name), request.query.get("who", "")
        oneself = self._oneself(subject, who) if subject.person != door.owner else None
        if oneself is None:  # of oneself one may always ask; who else there is, and in which group, is not told
            self._existing(subject, name)
            asked, decision = self._decision(who, verb, door, path)
        else:
            asked = self._hypothetical(oneself, who)
            decision = self.authority.decide(asked, verb, door, path)
            decision = decision.told or decision  # no more than the refusal itself would tell
        return json_answer(
            Explanation(
                who=str(asked),
                verb=str(verb),
                door=request.query.get("door", ""),
                allowed=decision.allowed,
                reason=decision.reason,
                rule=str(decision.rule) if decision.rule else None,
                hint=decision.hint,
            )
        )

    def _oneself(self, subject: Subject, who: str) -> Fingerprint | PersonId | None:
        """Who asks, or the computer of theirs, if that name means them: a computer may be called like somebody else.

        Groups are not looked at: whoever calls a computer like one would learn whether there is one.
        """
        roster = self.roster()
        if (person := roster.find_person(who)) is not None:
            return person if person == subject.person else None
        member = roster.find(who)
        return member.fingerprint if member is not None and member.person == subject.person else None

    def _decision(self, who: str, verb: Verb, door: Door, path: SharePath) -> tuple[Subject, Decision]:
        """What the person, or the computer, of that name would hear if it knocked now.

        `members`, `guests` and a group are somebody of these whom no rule names.
        """
        known, name = self.who(who)
        if known.startswith(GROUP):
            asked = Subject(standing=Standing.MEMBER, person=SOMEBODY, person_name=name)
            groups = {known.removeprefix(GROUP): frozenset({SOMEBODY})}
            return asked, rules.decide(
                self.book.rules(), asked, verb, door, now=self.book.now(), groups=groups, keeper=self.authority.keeper()
            )
        asked = self._hypothetical(known, name)
        return asked, self.authority.decide(asked, verb, door, path)

    def _hypothetical(self, who: str, name: str) -> Subject:
        roster = self.roster()
        for member in roster.members.values():
            if who in {member.fingerprint, member.person}:
                return self.authority.who(member.fingerprint)
        if who in roster.persons:
            unknown = Subject(standing=Standing.MEMBER, person=PersonId(who), person_name=name)
            return self.by_password(PersonId(who)) or unknown
        if who in {MEMBERS, GUESTS}:
            return Subject(standing=Standing.MEMBER, person_name=name, guest=who == GUESTS)
        return Subject(standing=Standing.REMOVED, person_name=name)


def _verb(text: str) -> Verb:
    if text not in SAYABLE:
        raise WrongUsage(f"“{text}” is no verb of rules.", "at a share: list, read, add, write; at compute: run")
    return Verb(text)


def _ruling(rule: Rule) -> Ruling:
    return Ruling(rule.who_name, str(rule.verb), rule.door_name, rule.effect, str(rule), rule.until, number=rule.id)
