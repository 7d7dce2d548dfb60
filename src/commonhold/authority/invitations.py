"""The open invitations, in SQLite: a try or a use is on the disk before anybody is answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from commonhold.errors import Conflict, WrongUsage
from commonhold.identity.code import CODE_WORDS, LONG_NUMBERS, MORE_WORDS, NUMBERS, AnyCode, Code, LongCode, code_of
from commonhold.names import PersonId

TRIES = 3
LONG_TRIES = 1000  # of 256 bits no guess is right: these bound the work, and three strangers' messages spoil no file
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
    person TEXT,
    asks INTEGER NOT NULL  -- whether the inviter is asked about each newcomer
) STRICT
"""


class Invitation(msgspec.Struct, frozen=True):
    """One open invitation; `tries` and `uses` are what is left."""

    id: int
    code: AnyCode
    tries: int
    uses: int
    expires: datetime
    person: PersonId | None
    asks: bool


class Ledger:
    """Draws codes and counts their tries and uses, each in one statement that commits by itself."""

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], datetime], random_bytes: Callable[[int], bytes]
    ) -> None:
        self._connection, self._clock, self._random_bytes = connection, clock, random_bytes
        connection.execute(_TABLE)
        columns = {row[1] for row in connection.execute("PRAGMA table_info(invitations)")}
        if "asks" not in columns:  # a state of version 0.1.0
            connection.execute("ALTER TABLE invitations ADD COLUMN asks INTEGER NOT NULL DEFAULT 0")
        # Whoever was to be asked is not there after a restart: nobody could be admitted by these any more.
        connection.execute("DELETE FROM invitations WHERE asks AND tries > 0")

    def draw(
        self, person: PersonId | None, minutes: float, uses: int, *, asks: bool = False, long: bool = False
    ) -> Invitation:
        """A new code under a free number; `long`: one for a file. Raises WrongUsage, Conflict when none is free.

        While an invitation's tries were used up, and for the one after it, codes have three words.
        """
        if not SHORTEST <= minutes <= LONGEST:
            raise WrongUsage("A code lives for six seconds at least and a day at most.", "--minutes 10")
        if not 1 <= uses <= MOST_USES:
            raise WrongUsage(f"A code admits between 1 and {MOST_USES} computers.", "--uses 1")
        guessed = bool(self._connection.execute("SELECT 1 FROM invitations WHERE tries <= 0 AND uses > 0").fetchone())
        expires = self._clock() + timedelta(minutes=minutes)
        self._connection.execute(
            "DELETE FROM invitations WHERE uses <= 0 OR expires <= ?", (self._clock().timestamp(),)
        )
        number = self._free(LONG_NUMBERS if long else NUMBERS)
        code: AnyCode
        if long:
            code = LongCode.draw(number, self._random_bytes)
        else:
            code = Code.draw(number, self._random_bytes, MORE_WORDS if guessed else CODE_WORDS)
        drawn = self._connection.execute(
            "INSERT INTO invitations (number, code, tries, uses, expires, person, asks) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, str(code), LONG_TRIES if long else TRIES, uses, expires.timestamp(), person, asks),
        )
        return self._read("id = ?", drawn.lastrowid or 0)[0]

    def _free(self, numbers: range) -> int:
        """Drawn, not the lowest: the number is announced, and two networks in one house should not share it."""
        taken = {number for (number,) in self._connection.execute("SELECT number FROM invitations")}
        free = [number for number in numbers if number not in taken]
        if not free:
            raise Conflict(f"{len(numbers)} invitations are open already.", "wait until some are over")
        return free[int.from_bytes(self._random_bytes(4)) % len(free)]

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

    def give_back(self, invitation: Invitation) -> None:
        """The try of somebody who knew the code."""
        most = LONG_TRIES if isinstance(invitation.code, LongCode) else TRIES
        self._connection.execute("UPDATE invitations SET tries = min(tries + 1, ?) WHERE id = ?", (most, invitation.id))

    def find(self, known: int) -> Invitation | None:
        """That one, if it can still admit somebody who has proven the code: its tries do not matter any more."""
        found = self._read("id = ?", known)
        return found[0] if found and found[0].uses > 0 and found[0].expires > self._clock() else None

    def numbered(self, number: int) -> Invitation | None:
        """The one of that number, likewise."""
        found = self._read("number = ?", number)
        return self.find(found[0].id) if found else None

    def withdraw(self, known: int) -> None:
        """One whose tries were used up is dead already, and stays: the next code has three words because of it."""
        self._connection.execute("DELETE FROM invitations WHERE id = ? AND tries > 0", (known,))

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
        """Codes that are burnt or over leave the disk. Those that were guessed at stay until the next one is drawn."""
        self._connection.execute(
            "DELETE FROM invitations WHERE uses <= 0 OR (expires <= ? AND tries > 0)", (self._clock().timestamp(),)
        )

    def _read(self, which: str, value: float) -> tuple[Invitation, ...]:
        clause = f"SELECT id, code, tries, uses, expires, person, asks FROM invitations WHERE {which} ORDER BY number"  # noqa: S608 - `which` is one of the texts above
        return tuple(
            Invitation(
                id=known,
                code=code_of(code),
                tries=tries,
                uses=uses,
                expires=datetime.fromtimestamp(expires, self._clock().tzinfo),
                person=PersonId(person) if person else None,
                asks=bool(asks),
            )
            for known, code, tries, uses, expires, person, asks in self._connection.execute(clause, (value,))
        )
