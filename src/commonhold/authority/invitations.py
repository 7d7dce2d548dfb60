"""The open invitations, in SQLite: a try or a use is on the disk before anybody is answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from commonhold.errors import Conflict, WrongUsage
from commonhold.identity.code import NUMBERS, Code
from commonhold.names import PersonId

TRIES = 3
SHORTEST, LONGEST = 0.1, 24 * 60  # minutes; what is over before it is read is no code
MOST_USES = 100

_TABLE = """
CREATE TABLE IF NOT EXISTS invitations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- a number comes again, an id never
    number INTEGER NOT NULL UNIQUE,
    code TEXT NOT NULL,
    tries INTEGER NOT NULL,
    uses INTEGER NOT NULL,
    expires REAL NOT NULL,  -- Unix time
    person TEXT
) STRICT
"""


class Invitation(msgspec.Struct, frozen=True):
    """One open invitation; `tries` and `uses` are what is left."""

    id: int
    code: Code
    tries: int
    uses: int
    expires: datetime
    person: PersonId | None


class Ledger:
    """Draws codes and counts their tries and uses, each in one statement that commits by itself."""

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._connection, self._clock, self._random_bytes = connection, clock, random_bytes
        connection.execute(_TABLE)

    def draw(self, person: PersonId | None, minutes: float, uses: int) -> Invitation:
        """A new code under a free number. Raises WrongUsage, Conflict when all numbers are taken."""
        if not SHORTEST <= minutes <= LONGEST:
            raise WrongUsage("A code lives for six seconds at least and a day at most.", "--minutes 10")
        if not 1 <= uses <= MOST_USES:
            raise WrongUsage(f"A code admits between 1 and {MOST_USES} computers.", "--uses 1")
        self._forget()
        taken = {number for (number,) in self._connection.execute("SELECT number FROM invitations")}
        free = [number for number in NUMBERS if number not in taken]
        if not free:
            raise Conflict(f"{len(taken)} invitations are open already.", "wait until some are over")
        # Drawn, not the lowest: the number is announced, and two networks in one house should not share it.
        code = Code.draw(free[int.from_bytes(self._random_bytes(4)) % len(free)], self._random_bytes)
        expires = self._clock() + timedelta(minutes=minutes)
        self._connection.execute(
            "INSERT INTO invitations (number, code, tries, uses, expires, person) VALUES (?, ?, ?, ?, ?, ?)",
            (code.number, str(code), TRIES, uses, expires.timestamp(), person),
        )
        return next(each for each in self.open() if each.code == code)

    def open(self) -> tuple[Invitation, ...]:
        """Those that can still admit somebody."""
        return self._read("tries > 0 AND uses > 0 AND expires > ?", self._clock().timestamp())

    def take_try(self, number: int) -> Invitation | None:
        """Count a try; None when no open invitation has that number."""
        counted = self._connection.execute(
            "UPDATE invitations SET tries = tries - 1"
            " WHERE number = ? AND tries > 0 AND uses > 0 AND expires > ? RETURNING id",
            (number, self._clock().timestamp()),
        ).fetchall()
        return self._read("id = ?", counted[0][0])[0] if counted else None

    def give_back(self, known: int) -> None:
        """The try of somebody who knew the code."""
        self._connection.execute("UPDATE invitations SET tries = min(tries + 1, ?) WHERE id = ?", (TRIES, known))

    def burn(self, known: int) -> bool:
        """Take one use; whether there was one. The last one burns the code."""
        burnt = self._connection.execute(
            "UPDATE invitations SET uses = uses - 1 WHERE id = ? AND uses > 0 AND expires > ? RETURNING uses",
            (known, self._clock().timestamp()),
        ).fetchall()
        self._forget()
        return bool(burnt)

    def tries_left(self, known: int) -> int:
        return sum(invitation.tries for invitation in self._read("id = ?", known))

    def _forget(self) -> None:
        """Codes that are burnt or over leave the disk."""
        self._connection.execute(
            "DELETE FROM invitations WHERE uses <= 0 OR expires <= ?", (self._clock().timestamp(),)
        )

    def _read(self, which: str, value: float) -> tuple[Invitation, ...]:
        clause = f"SELECT id, code, tries, uses, expires, person FROM invitations WHERE {which} ORDER BY number"  # noqa: S608 - `which` is one of the texts above
        return tuple(
            Invitation(
                id=known,
                code=Code.parse(code),
                tries=tries,
                uses=uses,
                expires=datetime.fromtimestamp(expires, self._clock().tzinfo),
                person=PersonId(person) if person else None,
            )
            for known, code, tries, uses, expires, person in self._connection.execute(clause, (value,))
        )
