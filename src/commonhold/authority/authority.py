"""The question asked at every door, and the types of its answer.

    subject = authority.who(fingerprint, pass_id)
    permit = authority.permit(subject, Verb.READ, door, path)     # or raises Refused
    share.read(permit)

A `Permit` is the only key that opens anything, and only this file makes one: a door that forgot to
ask has nothing to open with. Three answers exist, `closed`, `peer` and `server`; no door knows
which it asks. A right may end while what it opened still runs: authority/watch.py cuts it then.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol, final

import msgspec

from commonhold.errors import Refused
from commonhold.names import Fingerprint, PersonId, SharePath

ROOT = SharePath()


class Verb(StrEnum):
    """What one may do at a door. The first five are the words of rules."""

    LIST = "list"
    READ = "read"
    ADD = "add"  # new files only: a drop-box
    WRITE = "write"  # also overwrite, rename, delete
    RUN = "run"
    GOVERN = "govern"  # say who may: the owner's, and the admins' of a server
    ADMIT = "admit"  # let computers in: the guards'


# A verb that is granted grants these too.
INCLUDES: dict[Verb, frozenset[Verb]] = {
    Verb.LIST: frozenset({Verb.LIST}),
    Verb.READ: frozenset({Verb.READ, Verb.LIST}),
    Verb.ADD: frozenset({Verb.ADD}),
    Verb.WRITE: frozenset({Verb.WRITE, Verb.ADD, Verb.READ, Verb.LIST}),
    Verb.RUN: frozenset({Verb.RUN}),
}


class Door(msgspec.Struct, frozen=True):
    """What rules speak of. Decisions rest on `id`; `name` is what people read."""

    kind: Literal["share", "compute", "job", "network"]
    id: str  # of a share: drawn when it is offered, so that a later share of the same name inherits no rule
    name: str
    owner: PersonId | None = None  # may do everything here


class Rule(msgspec.Struct, frozen=True):
    """One line: who, verb, door. `who` and `door` are ids or the words below; the names are for reading."""

    id: int
    who: str  # a PersonId, "members", "guests", or "group:NAME"
    who_name: str
    verb: Verb
    door: str  # Door.id, or EVERY_SHARE
    door_name: str
    effect: Literal["allow", "deny"] = "allow"
    until: datetime | None = None

    def __str__(self) -> str:
        end = f" until {self.until:%Y-%m-%d %H:%M}" if self.until else ""
        return f"{self.effect} {self.who_name} {self.verb} {self.door_name}{end}"


EVERY_SHARE = "*"
COMPUTE = "compute"


class Standing(StrEnum):
    MEMBER = "member"
    REMOVED = "removed"  # was one: its requests are answered with the sentence that says so
    STRANGER = "stranger"  # no member's certificate


class Login(msgspec.Struct, frozen=True):
    """By which password of a person (its account's serial), and in which session, if any. It ends with either."""

    serial: int
    session: str = ""  # its id, from which nobody can make its token


class Subject(msgspec.Struct, frozen=True):
    """Who knocks: a computer, acting for its person; under a pass it may do what the pass says and nothing else.

    Or, at a server, a person who came with a password instead of a computer.
    """

    standing: Standing
    computer: Fingerprint | None = None
    computer_name: str = ""
    person: PersonId | None = None
    person_name: str = ""
    guest: bool = False
    pass_id: str | None = None
    login: Login | None = None  # of a person without a computer

    def __str__(self) -> str:
        return self.person_name or self.computer_name or "a stranger"

    def words(self) -> dict[str, str]:
        """As a line of the record names it."""
        return {"person": self.person_name, "computer": self.computer_name}


class Decision(msgspec.Struct, frozen=True):
    """Allowed or refused, and why. `rule` is the deciding line, if one decided; `hint` says who can change it."""

    allowed: bool
    reason: str
    rule: Rule | None = None
    hint: str = ""
    told: Decision | None = None  # what the refused hears instead, where the reason would show that the door exists


_SEAL = object()


@final
class Permit:
    """Proof that the authority was asked and said yes: for this verb, at this door, at this path."""

    __slots__ = ("door", "ended", "path", "subject", "verb")

    def __init__(self, seal: object, subject: Subject, verb: Verb, door: Door, path: SharePath) -> None:
        if seal is not _SEAL:
            raise TypeError("only an authority makes permits")
        self.subject = subject
        self.verb = verb
        self.door = door
        self.path = path
        self.ended: Refused | None = None  # why, once the right has ended meanwhile

    def require(self, verb: Verb, door_id: str) -> None:
        """Raise Refused unless this permit holds still, is for that door and its verb includes that one."""
        if self.ended is not None:
            raise Refused(self.ended.sentence, self.ended.hint)
        if self.door.id != door_id or verb not in INCLUDES[self.verb]:
            raise Refused(f"A permit to {self.verb} {self.door.name} does not open this door.")


class Holder(Protocol):
    """What runs for somebody under permits (watch.Work)."""

    def hold(self, permit: Permit) -> None: ...

    def let_go(self, permit: Permit) -> None: ...


WORK: ContextVar[Holder | None] = ContextVar("commonhold.work", default=None)  # in which permits are asked for

Note = Callable[[Subject, Verb, Door, Decision], object]


def unnoted(_subject: Subject, _verb: Verb, _door: Door, _decision: Decision) -> None:
    """Where nobody keeps a record."""


class Authority(Protocol):
    """Who decides here. `closed`, `peer` and `server` answer; tests/authority/suite.py asks all three."""

    note: Note  # hears of every permit that was given or refused: the record's (authority.visits)

    def who(self, fingerprint: Fingerprint | None, pass_id: str | None = None) -> Subject:
        """Who presented this certificate (already verified by TLS), and under which pass, if any."""
        ...

    def decide(self, subject: Subject, verb: Verb, door: Door, path: SharePath = ROOT) -> Decision: ...

    def keeper(self) -> str:
        """Who can change what is decided here: "tower's owner ann"."""
        ...


@final
class Hearing:
    """One subject at one door, in one breath: for as long as nothing else runs here, the answer for a door holds for

    all its paths, since rules speak of doors. Only a pass speaks of paths, and is asked about each.
    """

    def __init__(self, authority: Authority, subject: Subject, door: Door) -> None:
        self._authority, self._subject, self._door = authority, subject, door
        self._decisions: dict[Verb, Decision] = {}
        self._noted: set[Verb] = set()

    def decide(self, verb: Verb, path: SharePath) -> Decision:
        if self._subject.pass_id is not None:
            return self._authority.decide(self._subject, verb, self._door, path)
        if (decision := self._decisions.get(verb)) is None:
            decision = self._decisions[verb] = self._authority.decide(self._subject, verb, self._door, path)
        return decision

    def permit(self, verb: Verb, path: SharePath) -> Permit:
        """As the function `permit`."""
        decision = self.decide(verb, path)
        if verb not in self._noted or self._subject.pass_id is not None:
            self._noted.add(verb)
            self._authority.note(self._subject, verb, self._door, decision)
        if not decision.allowed:
            raise refusal(decision, self._subject, verb, self._door)
        given = Permit(_SEAL, self._subject, verb, self._door, path)
        if (work := WORK.get()) is not None:
            work.hold(given)
        return given


def permit(authority: Authority, subject: Subject, verb: Verb, door: Door, path: SharePath = ROOT) -> Permit:
    """A permit, or Refused with the decision's reason and rule. The work that asks for it lasts as long as it holds.

    The sentence names what was asked, never whether it exists: somebody who may not list a share
    learns nothing from the answer.
    """
    return Hearing(authority, subject, door).permit(verb, path)


def let_go(given: Permit) -> None:
    """It is needed no more, though the work that asked for it goes on: a request of a hundred thousand files

    must not be asked about all that are done, at every look.
    """
    if (work := WORK.get()) is not None:
        work.let_go(given)


def refusal(decision: Decision, subject: Subject, verb: Verb, door: Door) -> Refused:
    """What the refused hears of a decision."""
    decision = decision.told or decision
    return Refused(
        f"{subject} may not {doing(verb, door)}: {decision.reason}.",
        decision.hint,
        reason=decision.reason,
        rule=str(decision.rule) if decision.rule else None,
    )


def doing(verb: Verb, door: Door) -> str:
    """The verb and the door as they stand in a sentence: "read photos", "add to inbox"."""
    between = {Verb.ADD: "to ", Verb.WRITE: "to ", Verb.RUN: "jobs on ", Verb.ADMIT: "anybody to "}.get(verb, "")
    said = "decide about" if verb is Verb.GOVERN else verb  # people say no rule with that verb
    return f"{said} {between}{door.name}"
