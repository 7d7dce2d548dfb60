"""What every authority has in common: who knocks, and what the owner of the doors lets them do.

The order in which things are asked is the order of precedence: standing (removed computers and
strangers stop here), a login that is over, a pass (which opens what it says and nothing else), a
deny, ownership, rules.
Governing and admitting are no matter of rules: they are the owner's (and a server's admins').
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from commonhold.authority import rules
from commonhold.authority.authority import (
    ROOT,
    Decision,
    Door,
    Note,
    Rule,
    Standing,
    Subject,
    Verb,
    doing,
    unnoted,
)
from commonhold.authority.book import RuleBook
from commonhold.authority.passes import Pass, Passes
from commonhold.authority.roster import Roster
from commonhold.names import Fingerprint, PersonId, SharePath

MOST_TOLD = 1024  # decisions that are kept


class _Told(NamedTuple):
    """A decision, and what it was made from; `until` something may end."""

    roster: Roster
    said: tuple[Rule, ...]
    until: datetime | None
    decision: Decision

    def holds(self, roster: Roster, said: tuple[Rule, ...], now: datetime) -> bool:
        return self.roster is roster and self.said is said and (self.until is None or now < self.until)


def knocking(roster: Roster, fingerprint: Fingerprint | None, pass_id: str | None = None) -> Subject:
    """Who showed this certificate. A member's computer acts for its person."""
    standing = Standing.MEMBER
    member = roster.members.get(fingerprint) if fingerprint else None
    if fingerprint is None or (member is None and fingerprint not in roster.removed):
        return Subject(standing=Standing.STRANGER)
    if member is None:
        standing, member = Standing.REMOVED, roster.removed_members.get(fingerprint)
    if member is None:
        return Subject(standing=standing, computer=fingerprint)
    return Subject(
        standing=standing,
        computer=fingerprint,
        computer_name=member.name,
        person=member.person,
        person_name=roster.persons.get(member.person, ""),
        pass_id=pass_id if standing is Standing.MEMBER else None,
    )


class Keeper(ABC):
    """The doors of one computer, kept by `owner` by the rules in `book`.

    At a server people may come with a password or in a session: `holds` says whether what let them in still would.
    """

    def __init__(
        self,
        roster: Callable[[], Roster],
        book: RuleBook,
        passes: Passes,
        owner: PersonId,
        computer: Fingerprint,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        holds: Callable[[Subject], bool] = lambda subject: False,
    ) -> None:
        self.roster = roster
        self.book = book
        self.passes = passes
        self.owner = owner
        self.computer = computer
        self.now = now
        self.holds = holds
        self.note: Note = unnoted
        self._told: dict[tuple[Subject, Verb, Door], _Told] = {}

    def who(self, fingerprint: Fingerprint | None, pass_id: str | None = None) -> Subject:
        return knocking(self.roster(), fingerprint, pass_id)

    def decide(self, subject: Subject, verb: Verb, door: Door, path: SharePath = ROOT) -> Decision:
        outside = rules.outsider(subject, self.roster().network)
        if outside is not None:
            return outside
        if subject.login is not None and not self.holds(subject):
            return Decision(allowed=False, reason="what let this person in is over", hint="sign in again")
        if subject.pass_id is not None:
            return self._under_pass(subject, verb, door, path)
        if verb in {Verb.GOVERN, Verb.ADMIT}:
            return self._govern(subject, verb, door)
        return self._by_rules(subject, verb, door)

    @abstractmethod
    def capacity(self, subject: Subject) -> str:
        """As what this subject may say who may, here: "the owner of tower"; nothing when it may not."""

    def _by_rules(self, subject: Subject, verb: Verb, door: Door) -> Decision:
        """The same answer as long as all that it was made from is the same: each rule, group and member, and no end."""
        now, roster, said = self.now(), self.roster(), self.book.rules()
        told = self._told.get((subject, verb, door))
        if (
            told is not None
            and told.roster is roster
            and told.said is said
            and (told.until is None or now < told.until)
        ):
            return told.decision
        about = self.book.about(subject, door)
        words = {"network": roster.network, "keeper": self.keeper()}
        decision = rules.decide(about, subject, verb, door, now=now, groups=self.book.groups(), **words)
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        ends = [rule.until for rule in about if rule.until is not None and rule.until > now]
        self._told[subject, verb, door] = _Told(roster, said, min(ends, default=None), decision)
        return decision

    def _govern(self, subject: Subject, verb: Verb, door: Door) -> Decision:
        name, hint = self.name(), f"ask {self.keeper()}"
        if verb is Verb.ADMIT and self.computer not in self.roster().guards:
            return Decision(allowed=False, reason=f"{name} is no guard of the network", hint="ask a guard's owner")
        # A stolen computer that its owner has denied anything here must not take that back.
        deny = next(
            (rule for rule in self.book.against(subject.computer) if self._denied_computer(rule, subject)), None
        )
        if deny is not None:
            return Decision(allowed=False, reason=f"the rule “{deny}” stands against it", rule=deny, hint=hint)
        if capacity := self.capacity(subject):
            return Decision(allowed=True, reason=f"{subject} is {capacity}")
        return Decision(allowed=False, reason=f"{subject} does not keep the doors of {name}", hint=hint)

    def _denied_computer(self, rule: Rule, subject: Subject) -> bool:
        return (
            rule.effect == "deny" and rule.who == subject.computer != self.computer and rules.in_force(rule, self.now())
        )

    def _under_pass(self, bearer: Subject, verb: Verb, door: Door, path: SharePath) -> Decision:
        """What the pass says, while the one who asked for it may do it, and while no deny names the bearer."""
        given = self.passes.find(bearer.pass_id or "")
        trouble = given.trouble(bearer, verb, door, path) if given else "that pass is over, or was never given out here"
        if given is None or trouble:
            return Decision(allowed=False, reason=trouble, hint="whoever asked for it can begin again")
        deny = rules.denied(self.book.about(bearer, door), bearer, verb, door, self.now())
        if deny is not None:
            return Decision(allowed=False, reason=f"the rule “{deny}” stands against it", rule=deny)
        return self._as_asker(given, bearer, verb, door)

    def _as_asker(self, given: Pass, bearer: Subject, verb: Verb, door: Door) -> Decision:
        asker = self.who(given.computer)
        right = self.decide(asker, given.verb, door)
        right = right.told or right
        if asker.person != given.person or not right.allowed:
            reason = f"the pass of {given.purpose} is void, since {right.reason}"
            return Decision(allowed=False, reason=reason, rule=right.rule, hint=right.hint)
        reason = f"a pass of {asker}'s {given.purpose} lets {bearer.computer_name} {doing(verb, door)}"
        return Decision(allowed=True, reason=reason, rule=right.rule)

    def name(self) -> str:
        here = self.roster().members.get(self.computer)
        return here.name if here else "this computer"

    def keeper(self) -> str:
        """Whom to ask: "tower's owner ann"."""
        owner = self.roster().persons.get(self.owner, "")
        return f"{self.name()}'s owner {owner}".rstrip()
