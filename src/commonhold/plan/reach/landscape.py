"""What opens what: keys, passwords, computers, rules and shares as a graph, and what is reached in it. *Pure.*

Edges are what somebody can do next: act as the person whose key they hold, open what a rule lets that person open, say
rules where they keep them, take what lies on a computer's disk, admit a computer in anybody's name as a guard. Which
rule opens what is not written here a second time: each site brings its own `judge`, the real authority over a copy of
its rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import product
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from commonhold.authority.authority import COMPUTE, Decision, Door, Rule, Standing, Subject, Verb
from commonhold.authority.rules import ADMINS, GROUP, Groups, belongs, concerns, names
from commonhold.names import Fingerprint, PersonId

Decide = Callable[[Subject, Verb, Door], Decision]
Judge = Callable[[Sequence[Rule], Groups], Decide]
NEWCOMER = Fingerprint("0" * 64)  # a computer that a guard admits tomorrow


class Power(StrEnum):
    """What is reached at a door."""

    OPEN = "open"  # any verb
    READ = "read"
    DESTROY = "destroy"
    FORGET = "forget"  # erase the versions


VERBS = {
    Verb.LIST: (Power.OPEN,),
    Verb.ADD: (Power.OPEN,),
    Verb.READ: (Power.OPEN, Power.READ),
    Verb.WRITE: (Power.OPEN, Power.READ, Power.DESTROY),
}


class Pile(NamedTuple):
    """Files that lie in the same shares of one computer: of folders shared within one another in several."""

    doors: frozenset[str]  # ids of the shares
    files: int
    bytes: int


class Site(msgspec.Struct, frozen=True):
    """A computer whose doors are known. `walled`: a sandbox keeps guests from its owner's files."""

    computer: str  # its fingerprint
    name: str
    owner: PersonId
    doors: tuple[Door, ...]
    piles: tuple[Pile, ...]
    rules: tuple[Rule, ...]
    groups: Groups
    judge: Judge
    compute: Door | None = None  # while it lends
    walled: bool = True

    @property
    def everything(self) -> tuple[Door, ...]:
        """Its shares, and where its rules are said."""
        return *self.doors, self.compute or Door("compute", COMPUTE, COMPUTE, self.owner)


class Credential(NamedTuple):
    """What lets somebody act as a person. A password opens files; where rules are said (`governs`) it takes a key.

    `guard`: what it signs admits computers.
    """

    name: str
    kind: str  # "key", "password", "recovery key"
    subjects: tuple[Subject, ...]
    governs: bool = True
    guard: bool = False


class Holds(msgspec.Struct, frozen=True):
    """Somebody has this computer in their hands, or its account."""

    computer: str


class Shows(msgspec.Struct, frozen=True):
    """Somebody has this credential."""

    name: str


class Acts(msgspec.Struct, frozen=True):
    subject: Subject
    governs: bool


class Keeps(msgspec.Struct, frozen=True):
    """Somebody says the rules there."""

    computer: str


class May(msgspec.Struct, frozen=True):
    power: Power
    computer: str
    door: str


Position: TypeAlias = Holds | Shows | Acts | Keeps | May
Edge: TypeAlias = tuple[str, Position]  # the words of the step, and where it leads
Touches: TypeAlias = Callable[[Subject, Door], bool]


class Reach(NamedTuple):
    """All that follows from one start: the steps of a shortest way to each position."""

    ways: Mapping[Position, tuple[str, ...]]

    def has(self, power: Power, site: Site, pile: Pile) -> bool:
        return any(May(power, site.computer, door) in self.ways for door in pile.doors)

    def gone(self, site: Site, pile: Pile) -> bool:
        """Whether it can be destroyed so that no version is left: both at one and the same door."""
        both = (May(Power.DESTROY, site.computer, door) in self.ways for door in pile.doors)
        kept = (May(Power.FORGET, site.computer, door) in self.ways for door in pile.doors)
        return Holds(site.computer) in self.ways or any(map(all, zip(both, kept, strict=True)))


class Landscape:
    """`lying`: which credentials (by name) whoever holds a computer has, its own key and whoever is signed on there.

    `persons` are all of the network: a guard can admit a computer in the name of each. Of the `unknown` computers
    nobody said which doors there are.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        credentials: Sequence[Credential],
        lying: Mapping[str, Sequence[str]],
        persons: Mapping[PersonId, str],
        unknown: Collection[str] = (),
        *,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.sites = {site.computer: site for site in sites}
        self.credentials = {each.name: each for each in credentials}
        self.lying, self.persons, self.unknown = lying, persons, tuple(unknown)
        self.names = {site.computer: site.name for site in sites} | dict(names or {})
        self._decides: dict[str, Decide] = {}
        self._known: dict[tuple[str, str, Acts], tuple[Edge, ...]] = {}
        # Of a variant: what it is a variant of, which site is another one, and whom that touches at which door.
        self._before: Landscape | None = None
        self._other: Site | None = None
        self._touches: Touches = _nobody

    def without_rule(self, site: Site, rule: Rule) -> Landscape:
        """As if that rule had not been said."""

        def touches(who: Subject, door: Door) -> bool:
            spoken = concerns(rule.door, door) or rule.effect == "deny"  # who is denied anything says no rules
            return spoken and (names(rule, who) or belongs(rule.who, who, site.groups))

        return self._but(replace(site, rules=tuple(each for each in site.rules if each.id != rule.id)), touches)

    def without_membership(self, site: Site, group: str, person: PersonId) -> Landscape:
        """As if that person were not in that group."""
        groups = {**site.groups, group: site.groups[group] - {person}}
        return self._but(replace(site, groups=groups), lambda who, _: who.person == person)

    def _but(self, site: Site, touches: Touches) -> Landscape:
        """With another site in the place of that one; what it does not touch is answered as it was before."""
        sites = [site if each.computer == site.computer else each for each in self.sites.values()]
        known = tuple(self.credentials.values())
        other = Landscape(sites, known, self.lying, self.persons, self.unknown, names=self.names)
        other._before, other._other, other._touches = self, site, touches
        return other

    def differs(self, before: Reach) -> bool:
        """Whether what was reached before may be reached otherwise now: only by somebody whom the change touches."""
        if self._other is None:
            return False
        doors = self._other.everything
        subjects = [each.subject for each in before.ways if isinstance(each, Acts)]
        return any(self._touches(subject, door) for subject in subjects for door in doors)

    def decide(self, site: Site, subject: Subject, verb: Verb, door: Door) -> Decision:
        """What that site's authority says."""
        return self._judged(site)(subject, verb, door)

    def _judged(self, site: Site) -> Decide:
        """Asked for when it is needed: a variant needs that of one site."""
        if site.computer not in self._decides:
            self._decides[site.computer] = site.judge(site.rules, site.groups)
        return self._decides[site.computer]

    def reach(self, start: Position) -> Reach:
        """Breadth first, so that each way is a shortest one."""
        ways: dict[Position, tuple[str, ...]] = {start: ()}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for words, there in self._edges(here):
                if there not in ways:
                    ways[there] = (*ways[here], words) if words else ways[here]
                    waiting.append(there)
        return Reach(ways)

    def _edges(self, here: Position) -> Iterator[Edge]:
        match here:
            case Holds(computer):
                if (site := self.sites.get(computer)) is not None:
                    yield from self._all_of(site, f"what lies on {site.name}", Power)
                yield from ((f"{name}, there", Shows(name)) for name in self.lying.get(computer, ()))
            case Shows(name):
                yield from self._as_whom(self.credentials[name])
            case Acts():
                for site in self.sites.values():
                    for door in site.everything:
                        yield from self._met(site, here, door)
            case Keeps(computer):
                site = self.sites[computer]
                yield from self._all_of(site, "says a rule", Power)
                if site.compute is not None and not site.walled:
                    yield "runs there without walls", Holds(computer)
            case May():
                pass

    def _as_whom(self, credential: Credential) -> Iterator[Edge]:
        for subject in credential.subjects:
            yield "", Acts(subject, credential.governs)
        if credential.guard:
            for person, name in self.persons.items():
                subject = Subject(standing=Standing.MEMBER, computer=NEWCOMER, person=person, person_name=name)
                yield f"admits a computer of {name}'s", Acts(subject, True)

    def _met(self, site: Site, who: Acts, door: Door) -> Sequence[Edge]:
        """What they may do there: found out once, and for all variants that do not touch it."""
        before = self._before
        if before is not None and not (site is self._other and self._touches(who.subject, door)):
            return before._met(before.sites[site.computer], who, door)
        key = site.computer, door.id, who
        if (met := self._known.get(key)) is None:
            find = self._at_share if door.kind == "share" else self._at_computer
            met = self._known[key] = tuple(find(site, who, door, self._judged(site)))
        return met

    def _at_share(self, site: Site, who: Acts, door: Door, decide: Decide) -> Iterator[Edge]:
        subject = who.subject
        for verb, powers in VERBS.items():
            decision = decide(subject, verb, door)
            if decision.allowed:
                words = _words(decision, subject, site)
                yield from ((words, May(power, site.computer, door.id)) for power in powers)
        if decide(subject, Verb.GOVERN, door).allowed:
            yield _keeping(subject, site), May(Power.FORGET, site.computer, door.id)

    def _at_computer(self, site: Site, who: Acts, door: Door, decide: Decide) -> Iterator[Edge]:
        subject = who.subject
        if site.compute is not None and (run := decide(subject, Verb.RUN, door)).allowed:
            yield _words(run, subject, site), May(Power.OPEN, site.computer, door.id)
            if who.governs and not site.walled and _named(run, subject, site):
                yield f"{_words(run, subject, site)}, runs there without walls", Holds(site.computer)
        if who.governs and decide(subject, Verb.GOVERN, door).allowed:
            yield _keeping(subject, site), Keeps(site.computer)

    def _all_of(self, site: Site, words: str, powers: Collection[Power] | type[Power]) -> Iterator[Edge]:
        for door, power in product(site.doors, powers):
            yield words, May(power, site.computer, door.id)
        if site.compute is not None:
            yield words, May(Power.OPEN, site.computer, site.compute.id)


def _nobody(_subject: Subject, _door: Door) -> bool:
    return False


def _named(run: Decision, subject: Subject, site: Site) -> bool:
    """Without walls only the owner's jobs run, and those of persons whom a rule names (compute/lender/lend.py)."""
    return subject.person == site.owner or (run.rule is not None and run.rule.who == subject.person)


def _words(decision: Decision, subject: Subject, site: Site) -> str:
    rule = decision.rule
    if rule is None:
        return _keeping(subject, site)
    return f"{f'group {rule.who_name}: ' if rule.who.startswith(GROUP) else ''}“{rule}” at {site.name}"


def _keeping(subject: Subject, site: Site) -> str:
    return f"owns {site.name}'s doors" if subject.person == site.owner else f"group {ADMINS} of {site.name}"
