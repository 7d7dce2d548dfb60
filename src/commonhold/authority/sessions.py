"""Sessions of people at a server's page: a random token, of which only the hash is kept, with an end."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from commonhold.authority.accounts import Account
from commonhold.names import PersonId

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
NOTED = timedelta(minutes=5)  # how exactly the disk knows when a session was last used
MOST = 50  # of one person; the oldest ends

_TABLE = """
CREATE TABLE IF NOT EXISTS session (
    id TEXT PRIMARY KEY,  -- SHA-256 of the token
    person TEXT NOT NULL, serial INTEGER NOT NULL,
    made REAL NOT NULL, used REAL NOT NULL  -- Unix time
) STRICT
"""


class SignIn(msgspec.Struct, frozen=True):
    """One session. `serial` is that of the account's password then."""

    id: str
    person: PersonId
    serial: int
    made: datetime
    used: datetime

    @property
    def until(self) -> datetime:
        return min(self.used + IDLE, self.made + LONGEST)


class Sessions:
    """The running sessions of this server; ended ones leave the disk."""

    def __init__(
        self, connection: sqlite3.Connection, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._connection, self._clock = connection, clock
        connection.execute(_TABLE)
        rows = connection.execute("SELECT id, person, serial, made, used FROM session ORDER BY made").fetchall()
        self._sessions = {each.id: each for each in map(_session, rows)}

    def begin(self, account: Account) -> tuple[str, SignIn]:
        """A new session: the token (43 characters, 256 random bits), which is told once, and what is kept of it."""
        now = self._clock()
        own = [each.id for each in self._sessions.values() if each.person == account.person]
        too_many = own[: max(0, len(own) - MOST + 1)]  # the oldest stand first
        self._end([*(each.id for each in self._sessions.values() if now >= each.until), *too_many])
        token = secrets.token_urlsafe(32)
        begun = SignIn(_hash(token), account.person, account.serial, now, now)
        self._write(begun)
        return token, begun

    def find(self, token: str) -> SignIn | None:
        """The session of that token, which has just been used."""
        found = self.running(_hash(token))
        if found is None:
            return None
        now = self._clock()
        used = msgspec.structs.replace(found, used=max(found.used, now))
        if now - found.used > NOTED:
            self._write(used)
        return used

    def running(self, known: str) -> SignIn | None:
        """The session of that id, unless it is over. A clock set back makes none longer than it may be."""
        found = self._sessions.get(known)
        return found if found is not None and found.made - IDLE < self._clock() < found.until else None

    def end(self, known: str) -> None:
        self._end([known])

    def end_all(self, person: PersonId) -> None:
        """For the accounts' `on_change`."""
        self._end([each.id for each in self._sessions.values() if each.person == person])

    def _end(self, over: Iterable[str]) -> None:
        ended = [(each,) for each in over if self._sessions.pop(each, None) is not None]
        if ended:
            self._connection.executemany("DELETE FROM session WHERE id = ?", ended)

    def _write(self, each: SignIn) -> None:
        row = (each.id, each.person, each.serial, each.made.timestamp(), each.used.timestamp())
        self._connection.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?)", row)
        self._sessions[each.id] = each


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _session(row: tuple[str, str, int, float, float]) -> SignIn:
    known, person, serial, made, used = row
    return SignIn(known, PersonId(person), serial, *(datetime.fromtimestamp(each, UTC) for each in (made, used)))
