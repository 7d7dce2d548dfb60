"""The rule book: the rules and groups of this computer's owner, in SQLite.

What is said last counts: to allow somebody takes back what was denied to the very same, and the
other way round. The rules are read once and kept, since every request asks for them and only the
book changes them.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace

from commonhold.authority.authority import COMPUTE, INCLUDES, Door, Rule, Subject, Verb, doing
from commonhold.authority.rules import GROUP, GUESTS, MEMBERS, Index, concerns, in_force
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.names import GroupName, PersonId
from commonhold.transaction import transaction

TABLES = """
CREATE TABLE IF NOT EXISTS rule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that the record stays readable
    effect TEXT NOT NULL, who TEXT NOT NULL, who_name TEXT NOT NULL,
    verb TEXT NOT NULL, door TEXT NOT NULL, door_name TEXT NOT NULL,
    until TEXT,  -- RFC 3339, UTC
    UNIQUE (effect, who, verb, door)
);
CREATE TABLE IF NOT EXISTS membership (name TEXT NOT NULL, person TEXT NOT NULL, PRIMARY KEY (name, person));
"""
COLUMNS = "id, effect, who, who_name, verb, door, door_name, until"
SAYABLE: dict[str, frozenset[Verb]] = {
    "share": INCLUDES[Verb.WRITE],
    "compute": frozenset({Verb.RUN}),
}
Effect: TypeAlias = Literal["allow", "deny"]
PERSON = re.compile(r"[0-9a-f]{32}")
COMPUTER = re.compile(r"[0-9a-f]{64}")


class RuleBook:
    """Rules: who, verb, door, until. Groups: names for some persons."""

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.on_change: list[Callable[[], None]] = []  # called once it is on the disk
        self._db = connection
        self.now = now
        self._db.executescript(TABLES)
        self._rules: tuple[Rule, ...] | None = None
        self._groups: dict[str, frozenset[PersonId]] | None = None
        self._index: Index | None = None

    # Reading

    def rules(self) -> tuple[Rule, ...]:
        """All rules, ended ones too, in the order in which they were said."""
        if self._rules is None:
            rows = self._db.execute(f"SELECT {COLUMNS} FROM rule ORDER BY id")  # noqa: S608 - a constant
            self._rules = tuple(_rule(row) for row in rows)
        return self._rules

    def about(self, subject: Subject, door: Door) -> Sequence[Rule]:
        """Those of `rules` that can decide about this subject at this door, in the same order."""
        if self._index is None:
            self._index = Index(self.rules(), self.groups())
        return self._index.about(subject, door)

    def against(self, computer: str | None) -> Sequence[Rule]:
        """Those of `rules` that name this computer, which can only be denied something."""
        return [rule for rule in self.rules() if rule.who == computer]

    def list(self, door: str | None = None) -> tuple[Rule, ...]:
        """The rules in force; of one door (its id): those that speak of it, rules for every share too."""
        now = self.now()
        asked = None if door is None else Door(kind="compute" if door == COMPUTE else "share", id=door, name="")
        return tuple(
            rule for rule in self.rules() if in_force(rule, now) and (asked is None or concerns(rule.door, asked))
        )

    def groups(self) -> dict[str, frozenset[PersonId]]:
        """The persons of each group, by its name. A group is there while somebody is in it."""
        if self._groups is None:
            groups: dict[str, set[PersonId]] = {}
            for name, person in self._db.execute("SELECT name, person FROM membership ORDER BY name"):
                groups.setdefault(name, set()).add(PersonId(person))
            self._groups = {name: frozenset(persons) for name, persons in groups.items()}
        return self._groups

    # Saying who may

    def allow(self, who: str, who_name: str, verb: Verb, door: Door, until: datetime | None = None) -> str:
        """Let `who` (a PersonId, "members", "guests", "group:NAME") do `verb` at `door`. Returns what was done.

        Denials of the very same that would stand against it are taken back; for a computer
        (Fingerprint) that is all that can be done. Raises WrongUsage, NotFound (no such group).
        """
        wish = self._wish("allow", who, who_name, verb, door, until=until)
        lifted = [rule for rule in self._same_place("deny", wish) if rule.verb in INCLUDES[verb]]
        if COMPUTER.fullmatch(who) and not lifted:
            raise WrongUsage(f"“{who_name}” is a computer, and rules let people in.", "name the person who uses it")
        same = self._same(wish)
        with self._writing():
            for rule in lifted:
                self._delete(rule)
            if not COMPUTER.fullmatch(who):
                self._insert(wish)
        return self._allowed(wish, door, lifted, same)

    def deny(self, who: str, who_name: str, verb: Verb, door: Door, until: datetime | None = None) -> str:
        """Take back what allows exactly this; a person or a computer is denied it besides. Returns what was done.

        Such a denial wins over what members or groups may. With an end, it suspends: what allowed it
        before does so again after `until`. Raises WrongUsage; NotFound (no such group); Conflict where
        nothing could be taken back and another rule goes on allowing it.
        """
        wish = self._wish("deny", who, who_name, verb, door, until=until)
        personal = _is_personal(who) and who != door.owner
        if who == door.owner and (until is not None or self._same(replace(wish, effect="allow")) is None):
            raise WrongUsage(f"{who_name} is the owner of {door.name}, and may do everything there.")
        if until is not None and not personal:
            raise WrongUsage("Only a person or a computer can be denied something for a time.")
        taken = self._same(replace(wish, effect="allow")) if until is None else None
        broader = None if _is_personal(who) else self._broader(wish, taken)
        if broader is not None and taken is None:
            raise Conflict(
                f"{who_name} may {doing(verb, door)} by another rule: “{broader}”.",
                f"take that back: commonhold deny {shlex.quote(broader.who_name)} {broader.verb} "
                + shlex.quote(broader.door_name),
            )
        with self._writing():
            if taken is not None:
                self._delete(taken)
            if personal:
                self._insert(wish)
        return _denied(wish, door, taken, broader, personal=personal)

    def remove(self, rule_id: int) -> Rule:
        """Strike one rule out. Raises NotFound."""
        found = next((rule for rule in self.rules() if rule.id == rule_id), None)
        if found is None:
            raise NotFound(f"There is no rule {rule_id}.", "commonhold rules")
        with self._writing():
            self._delete(found)
        return found

    def forget(self, door_id: str) -> int:
        """Strike out all rules of a door that is no more. Returns how many there were."""
        with self._writing():
            return self._db.execute("DELETE FROM rule WHERE door = ?", (door_id,)).rowcount

    # Groups

    def join(self, group: str, *persons: PersonId) -> str:
        """Put persons into a group, made if need be; how its name is written. Raises WrongUsage for no name."""
        name = self.spelling(group) or GroupName(group)
        with self._writing():
            rows = [(name, person) for person in persons]
            self._db.executemany("INSERT OR IGNORE INTO membership VALUES (?, ?)", rows)
        return name

    def leave(self, group: str, *persons: PersonId) -> tuple[Rule, ...]:
        """Take persons out of a group, all when none is named. Raises NotFound.

        With its last person a group ends, and its rules with it (they are returned): a later group of
        the same name is another one, and must not find doors open that nobody remembers.
        """
        name = self.spelling(group)
        if name is None or not self.groups()[name].issuperset(persons):
            raise NotFound(f"That person is not in a group “{group}”.", "commonhold group list")
        with self._writing():
            return self._take_out(name, persons or self.groups()[name])

    def part(self, person: PersonId) -> tuple[str, ...]:
        """Take whoever left the network out of every group. Returns which these were."""
        inside = tuple(name for name, persons in self.groups().items() if person in persons)
        if inside:
            with self._writing():
                for name in inside:
                    self._take_out(name, (person,))
        return inside

    def _take_out(self, group: str, persons: Collection[PersonId]) -> tuple[Rule, ...]:
        rows = [(group, person) for person in persons]
        self._db.executemany("DELETE FROM membership WHERE name = ? AND person = ?", rows)
        if self._db.execute("SELECT 1 FROM membership WHERE name = ? LIMIT 1", (group,)).fetchone():
            return ()
        orphans = tuple(rule for rule in self.rules() if rule.who == GROUP + group)
        for rule in orphans:
            self._delete(rule)
        return orphans

    def spelling(self, group: str) -> str | None:
        """How the group is written here; capitals do not matter."""
        return next((name for name in self.groups() if name.casefold() == group.casefold()), None)

    # Inside

    def _wish(self, effect: Effect, who: str, who_name: str, verb: Verb, door: Door, *, until: datetime | None) -> Rule:
        """The rule that is to be said; raises for what no rule can say."""
        if verb not in SAYABLE.get(door.kind, ()):
            raise WrongUsage(
                f"No rule can say “{doing(verb, door)}”.", "at a share: list, read, add, write; at compute: run"
            )
        if not door.id:
            raise NotFound(f"No folder is shared as “{door.name}” here.")
        if until is not None and until <= self.now():
            raise WrongUsage("That time is over already.", "give a time to come, such as --until 3d")
        if who.startswith(GROUP):
            spelling = self.spelling(who.removeprefix(GROUP))
            if spelling is None:
                raise NotFound(f"There is no group “{who.removeprefix(GROUP)}” here.", "commonhold group list")
            who = GROUP + spelling
        elif who not in {MEMBERS, GUESTS} and not _is_personal(who):
            raise WrongUsage(f"“{who}” is nobody that a rule can speak of.", "a person, a group, members or guests")
        end = until.astimezone(UTC) if until else None
        return Rule(0, who, who_name, verb, door.id, door.name, effect, end)

    def _same_place(self, effect: Effect, wish: Rule) -> Iterator[Rule]:
        """The rules in force for the same who and door."""
        now = self.now()
        place = (effect, wish.who, wish.door)
        return (rule for rule in self.rules() if (rule.effect, rule.who, rule.door) == place and in_force(rule, now))

    def _same(self, wish: Rule) -> Rule | None:
        return next((rule for rule in self._same_place(wish.effect, wish) if rule.verb == wish.verb), None)

    def _standing(self, effect: Effect, whose: Collection[str], wish: Rule) -> Iterator[Rule]:
        """The rules in force that speak of this door, of any of these."""
        return (rule for rule in self.list(wish.door) if rule.effect == effect and rule.who in whose)

    def _broader(self, wish: Rule, but: Rule | None) -> Rule | None:
        """Another rule that lets these people do it all the same."""
        whose = {wish.who, MEMBERS} if wish.who.startswith(GROUP) else {wish.who}
        return next(
            (rule for rule in self._standing("allow", whose, wish) if rule != but and wish.verb in INCLUDES[rule.verb]),
            None,
        )

    def _allowed(self, wish: Rule, door: Door, lifted: Sequence[Rule], same: Rule | None) -> str:
        parts = [f"took back “{rule}”" for rule in lifted]
        if not COMPUTER.fullmatch(wish.who):
            said = f"{wish.who_name} may {doing(wish.verb, door)}{_end(wish)}"
            parts.append(f"{said}, as before" if same is not None and same.until == wish.until else said)
        against = [rule for rule in self._standing("deny", {wish.who}, wish) if rule.verb in INCLUDES[wish.verb]]
        parts += [f"but “{rule}” still stands against it" for rule in against]
        return _sentence(parts)

    def _insert(self, wish: Rule) -> None:
        """The same rule is not doubled: what is said last sets its end."""
        self._db.execute(
            "INSERT INTO rule (effect, who, who_name, verb, door, door_name, until) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (effect, who, verb, door) DO UPDATE SET"
            " until = excluded.until, who_name = excluded.who_name, door_name = excluded.door_name",
            (wish.effect, wish.who, wish.who_name, wish.verb, wish.door, wish.door_name, _ending(wish)),
        )

    def _delete(self, rule: Rule) -> None:
        self._db.execute("DELETE FROM rule WHERE id = ?", (rule.id,))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All or nothing; ended rules are swept out on the way, and what was kept in memory is read again."""
        try:
            with transaction(self._db):
                self._db.execute("DELETE FROM rule WHERE until <= ?", (_stored(self.now()),))
                yield
        finally:
            self._rules = self._groups = self._index = None
        for callback in self.on_change:
            callback()


def _rule(row: tuple[Any, ...]) -> Rule:
    number, effect, who, who_name, verb, door, door_name, until = row
    end = datetime.fromisoformat(until) if until else None
    return Rule(number, who, who_name, Verb(verb), door, door_name, effect, end)


def _stored(time: datetime) -> str:
    """Of one length, so that SQLite compares times as text."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _ending(rule: Rule) -> str | None:
    return _stored(rule.until) if rule.until else None


def _is_personal(who: str) -> bool:
    return bool(PERSON.fullmatch(who) or COMPUTER.fullmatch(who))


def _denied(wish: Rule, door: Door, taken: Rule | None, broader: Rule | None, *, personal: bool) -> str:
    what = doing(wish.verb, door)
    parts = [f"took back “{taken}”"] if taken else []
    if personal:
        parts.append(f"{wish.who_name} may not {what}{_end(wish)}, whatever members and groups may")
    elif broader:
        parts.append(f"but “{broader}” still allows it")
    elif wish.who == door.owner:
        parts.append(f"{wish.who_name} is the owner of {door.name}, and may do everything there")
    elif not taken:
        parts.append(f"no rule let {wish.who_name} {what}, so there was nothing to take back")
    return _sentence(parts)


def _end(wish: Rule) -> str:
    return f" until {wish.until:%Y-%m-%d %H:%M} UTC" if wish.until else ""


def _sentence(parts: Sequence[str]) -> str:
    return "; ".join(parts) + "."


def copied(rules: Iterable[Rule], groups: Mapping[str, Collection[PersonId]], now: Callable[[], datetime]) -> RuleBook:
    """A book of these in memory, for the thread that asks for it: what is said there is said nowhere else."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    book = RuleBook(connection, now)
    rows = [
        (each.id, each.effect, each.who, each.who_name, str(each.verb), each.door, each.door_name, _ending(each))
        for each in rules
    ]
    connection.executemany(f"INSERT INTO rule ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - a constant
    members = [(name, person) for name, persons in groups.items() for person in persons]
    connection.executemany("INSERT INTO membership VALUES (?, ?)", members)
    return book
