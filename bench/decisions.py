"""Decisions: may somebody do something at a door, asked of a server with many persons, groups and rules.

The real keeper, book (SQLite in memory) and roster, without sockets: what a request pays for being asked about.
"""

from __future__ import annotations

import itertools
import random
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rows import Row

from commonhold.authority import roster as rosters
from commonhold.authority.authority import EVERY_SHARE, INCLUDES, Door, Subject, Verb
from commonhold.authority.book import RuleBook
from commonhold.authority.passes import Passes
from commonhold.authority.roster import Roster
from commonhold.authority.server import ServerKeeper
from commonhold.errors import CommonholdError
from commonhold.identity.certificate import self_signed
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName

PERSONS, SHARES, GROUPS, RULES = 200, 40, 50, 1000
ASKED = 20_000
CHANCE = random.Random(7)  # noqa: S311 - the same book in every run


def rows() -> list[Row]:
    keeper, subjects, doors = server()
    verbs = sorted(INCLUDES[Verb.WRITE])
    asked = [(CHANCE.choice(subjects), CHANCE.choice(verbs), CHANCE.choice(doors)) for _ in range(ASKED)]
    took = sorted(_microseconds(lambda question=question: keeper.decide(*question)) for question in asked)
    keeper.book.allow("members", "members", Verb.LIST, doors[0])
    first = _microseconds(lambda: keeper.decide(*asked[0]))
    allowed = sum(keeper.decide(*question).allowed for question in asked) * 100 // ASKED
    what = f"a decision of a server with {PERSONS} persons, {GROUPS} groups and {RULES:,} rules"
    return [
        Row(what, f"{statistics.median(took):.0f} µs, 99 of 100 ≤ {took[ASKED * 99 // 100]:.0f} µs", "≤ 50 µs"),
        Row("the first decision after its rules changed", f"{first / 1000:.1f} ms ({allowed} % are allowed)"),
    ]


def server() -> tuple[ServerKeeper, list[Subject], list[Door]]:
    """A keeper with a full book, people who knock, and the doors they knock at."""
    roster, ann = _roster()
    book = RuleBook(sqlite3.connect(":memory:", isolation_level=None))
    passes = Passes(lambda: keeper)
    (tower,) = roster.members
    keeper = ServerKeeper(lambda: roster, book, passes, ann, tower)
    member = keeper.who(tower)
    doors = [Door("share", f"{number:032x}", f"share-{number}", ann) for number in range(SHARES)]
    persons = [PersonId(secrets.token_hex(16)) for _ in range(PERSONS)]
    for number in range(GROUPS):
        book.join(f"group-{number}", *CHANCE.sample(persons, 12))
    whose = [*persons, *(f"group:group-{number}" for number in range(GROUPS)), "members"]
    every = Door("share", EVERY_SHARE, "every share", ann)
    while len(book.rules()) < RULES:
        who, door = CHANCE.choice(whose), CHANCE.choice([*doors, every])
        say = book.deny if who in persons and CHANCE.random() < 0.1 else book.allow
        try:
            say(who, who, CHANCE.choice(sorted(INCLUDES[Verb.WRITE])), door)
        except CommonholdError:
            continue
    subjects = [
        Subject(member.standing, tower, "tower", person, f"person-{number}")
        for number, person in zip(itertools.count(), persons, strict=False)
    ]
    return keeper, subjects, doors


def _roster() -> tuple[Roster, PersonId]:
    key, now, ann = Key.generate(), datetime.now(UTC), PersonId(secrets.token_hex(16))
    founding = rosters.found(
        key=key,
        certificate=self_signed(key, now),
        network=NetworkName("office"),
        shape="client-server",
        trusting=False,
        computer=ComputerName("tower"),
        person=PersonName("ann"),
        person_id=ann,
        recovery=Key.generate(),
        now=now,
    )
    return Roster.of(founding.id, [founding]), ann


def _microseconds(what: Callable[[], object]) -> float:
    began = time.perf_counter_ns()
    what()
    return (time.perf_counter_ns() - began) / 1000


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")  # noqa: T201 - what a bench is for
