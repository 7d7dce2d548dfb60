"""Networks that are only described, for exposure against their size and in either shape. *Pure.*

Each person has one computer and equally many files; a part of them is for nobody else, the rest is one shared folder.
In client-server all of it lies on a server, which belongs to its administrator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from commonhold.authority import rules as book
from commonhold.authority.authority import COMPUTE, Decision, Door, Rule, Standing, Subject, Verb
from commonhold.authority.rules import MEMBERS, Groups
from commonhold.errors import WrongUsage
from commonhold.names import Fingerprint, PersonId
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.reach.accidents import Commons, commons
from commonhold.plan.reach.exposure import Exposure, exposure
from commonhold.plan.reach.landscape import Credential, Decide, Landscape, Pile, Site

ADMINISTRATOR = PersonId("f" * 32)
SERVER = Fingerprint("f" * 64)
THEN = datetime(2026, 1, 1, tzinfo=UTC)  # no rule here has an end
MOST = 1000  # computers


@dataclass(frozen=True)
class Imagined:
    """`letting`: whom each person lets do `verb` in their shared folder. `guards`: how many computers admit others; of
    a server it is the one. `kept` is the part of the files that is for nobody else.

    `one_password`: the textbook's network, where who knows one password knows them all. `signed_on`: the
    administrator has stayed signed on at one client. Raises WrongUsage.
    """

    shape: Shape = Shape.PEER_TO_PEER
    computers: int = 10
    letting: Literal["trusting", "closed", "invited"] = "closed"
    colleagues: int = 3
    verb: Verb = Verb.READ
    files: int = 500
    kept: float = 0.4
    guards: int = 1
    one_password: bool = False
    signed_on: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.computers <= MOST:
            raise WrongUsage(f"computers = {self.computers} is out of bounds: 1 to {MOST}.")
        if not 0 <= self.colleagues < self.computers and self.letting == "invited":
            raise WrongUsage(f"colleagues = {self.colleagues} is out of bounds: fewer than there are computers.")
        if not 0 <= self.kept <= 1 or self.files < 0 or not 0 <= self.guards <= self.computers:
            raise WrongUsage("kept is a part from 0 to 1, and files and guards are counted.")

    def landscape(self) -> Landscape:
        """Its keys, computers, shares and rules."""
        numbers = range(self.computers)
        persons = {_person(each): f"person {each + 1}" for each in numbers}
        if self.shape is Shape.PEER_TO_PEER:
            sites = [
                _site(_computer(each), f"computer {each + 1}", _person(each), self._doors([each]), self._rules([each]))
                for each in numbers
            ]
        else:
            persons[ADMINISTRATOR] = "administrator"
            doors, rules = self._doors(numbers), self._rules(numbers)
            sites = [_site(SERVER, "server", ADMINISTRATOR, doors, rules)]
        keys: dict[str, list[str]] = {computer: [key.name] for computer, key in self._keys(persons)}
        if self.signed_on and self.shape is Shape.CLIENT_SERVER:
            keys[_computer(0)].append("server's key")
        names: dict[str, str] = {_computer(each): f"computer {each + 1}" for each in numbers}
        credentials = [key for _, key in self._keys(persons)]
        return Landscape(sites, credentials, keys, persons, names=names)

    def exposure(self) -> Exposure:
        return exposure(self.landscape())

    def _keys(self, persons: dict[PersonId, str]) -> Iterator[tuple[Fingerprint, Credential]]:
        peers = self.shape is Shape.PEER_TO_PEER
        for each in range(self.computers):
            whose = list(persons) if self.one_password else [_person(each)]
            subjects = tuple(_subject(_computer(each), person, persons[person]) for person in whose)
            guard = peers and each < self.guards
            yield _computer(each), Credential(f"computer {each + 1}'s key", "key", subjects, guard=guard)
        if not peers:
            subject = _subject(SERVER, ADMINISTRATOR, persons[ADMINISTRATOR])
            yield SERVER, Credential("server's key", "key", (subject,), guard=True)

    def _doors(self, numbers: Sequence[int]) -> list[tuple[Door, int]]:
        kept = round(self.files * self.kept)
        owners = [_person(each) if self.shape is Shape.PEER_TO_PEER else ADMINISTRATOR for each in numbers]
        halves = [((f"kept {each + 1}", kept), (f"shared {each + 1}", self.files - kept)) for each in numbers]
        return [
            (Door("share", name, name, owner), files)
            for owner, both in zip(owners, halves, strict=True)
            for name, files in both
        ]

    def _rules(self, numbers: Sequence[int]) -> list[Rule]:
        said: list[tuple[str, str, Verb, str]] = []
        for each in numbers:
            if self.shape is Shape.CLIENT_SERVER:
                name = f"person {each + 1}"
                said += [(_person(each), name, Verb.WRITE, f"{what} {each + 1}") for what in ("kept", "shared")]
            said += [(who, name, self.verb, f"shared {each + 1}") for who, name in self._let_in(each)]
        return [Rule(number, who, name, verb, door, door) for number, (who, name, verb, door) in enumerate(said, 1)]

    def _let_in(self, owner: int) -> list[tuple[str, str]]:
        if self.letting == "trusting":
            return [(MEMBERS, MEMBERS)]
        count = self.colleagues if self.letting == "invited" else 0
        others = [(owner + step) % self.computers for step in range(1, count + 1)]
        return [(_person(each), f"person {each + 1}") for each in others]


def _site(
    computer: Fingerprint, name: str, owner: PersonId, doors: Sequence[tuple[Door, int]], rules: Sequence[Rule]
) -> Site:
    def judge(said: Sequence[Rule], groups: Groups) -> Decide:
        by_door = book.Index(said, groups)

        def decide(subject: Subject, verb: Verb, door: Door) -> Decision:
            if verb is Verb.GOVERN:
                return Decision(allowed=subject.person == owner, reason="")
            return book.decide(by_door.about(subject, door), subject, verb, door, now=THEN, groups=groups)

        return decide

    return Site(
        computer=computer,
        name=name,
        owner=owner,
        doors=tuple(door for door, _ in doors),
        piles=tuple(Pile(frozenset({door.id}), files, files) for door, files in doors),
        rules=tuple(rules),
        groups={},
        judge=judge,
        compute=Door("compute", COMPUTE, COMPUTE, owner),
    )


def imagined_commons(shape: Shape, computers: int, opened: float = 0.3, *, naive: bool = False) -> Commons:
    """A network of which each person lets others change a folder of theirs, `opened` of all, and everybody run tasks.

    `naive` is the textbook's: everybody may change every folder, and nothing has versions; as many need each file.
    """
    colleagues = max(1, min(round(opened * computers), computers - 1))

    def imagined(letting: Literal["trusting", "invited"]) -> Landscape:
        return Imagined(shape, computers, letting, colleagues, Verb.WRITE).landscape()

    found = commons(imagined("trusting" if naive else "invited"), imagined("invited"), kept=not naive)
    people = frozenset(found.people) - {ADMINISTRATOR}  # who looks after the server works on nothing there
    shares = [each._replace(users=each.users & people) for each in found.shares]
    return found._replace(shares=shares, runners=dict.fromkeys(found.runners, people))


def _subject(computer: Fingerprint, person: PersonId, name: str) -> Subject:
    return Subject(standing=Standing.MEMBER, computer=computer, person=person, person_name=name)


def _person(number: int) -> PersonId:
    return PersonId(f"{number + 1:032x}")


def _computer(number: int) -> Fingerprint:
    return Fingerprint(f"{number + 1:064x}")
