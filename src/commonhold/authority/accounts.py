"""Accounts of a server: a password for a person of the roster, with an end for guests.

What stands here is the present: whoever holds an answer of a minute ago asks `holds` again. Whether a
person exists the roster says; a removed person's account goes with it.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from commonhold.authority.passwords import Passwords, normalized, require_good
from commonhold.authority.roster import Roster
from commonhold.authority.tries import Tries, Try, place_of
from commonhold.errors import TooManyTries
from commonhold.names import PersonId, folded

V = TypeVar("V")
MEMORY = 600.0  # seconds in which a password that was right is known without hashing
MOST_REMEMBERED = 4096
LOOK_EVERY = 1.0  # seconds between looks for guests whose end has come

_TABLE = """
CREATE TABLE IF NOT EXISTS account (
    person TEXT PRIMARY KEY,
    hash TEXT NOT NULL,  -- Argon2id, PHC string
    until REAL,  -- Unix time; of guests only
    serial INTEGER NOT NULL  -- grows with every new password: what the old one opened is over
) STRICT
"""


class Account(msgspec.Struct, frozen=True):
    """One person's password. `until` makes the person a guest."""

    person: PersonId
    hash: str
    until: datetime | None
    serial: int

    @property
    def guest(self) -> bool:
        return self.until is not None


class Accounts:
    """The accounts of this server. Each callback in `on_change` gets the person whose account is not what it was:

    a new password, an end that has come, a removal.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        roster: Callable[[], Roster],
        record: Callable[..., None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.on_change: list[Callable[[PersonId], None]] = []
        self.passwords = Passwords()
        self._connection, self._roster, self._record, self._clock = connection, roster, record, clock
        connection.execute(_TABLE)
        self._tries = Tries(connection, clock)
        rows = connection.execute("SELECT person, hash, until, serial FROM account").fetchall()
        self._accounts = {account.person: account for account in map(_account, rows)}
        self._over = {account.person for account in self._accounts.values() if self._ended(account)}
        self._secret = secrets.token_bytes(32)
        self._right: dict[bytes, tuple[PersonId, int, float]] = {}
        self._wrong: dict[bytes, float] = {}
        self._comparing: dict[bytes, asyncio.Task[Account | None]] = {}

    def find(self, person: PersonId | None) -> Account | None:
        """The account of a person, ended or not."""
        return self._accounts.get(person) if person is not None else None

    def present(self, person: PersonId | None) -> Account | None:
        """The account of a person who belongs, while it lasts."""
        account = self.find(person)
        if account is None or self._ended(account) or account.person not in self._roster().persons:
            return None
        return account

    def _ended(self, account: Account) -> bool:
        return account.until is not None and self._clock() >= account.until

    # -- changing

    async def hashed(self, password: str, person: str) -> str:
        """A password for `put`. Raises WrongUsage for one that is too weak, TooManyTries."""
        return await self.passwords.hash(require_good(password, person))

    def put(self, person: PersonId, hashed: str, until: datetime | None) -> Account:
        """Make an account, or give it a new password, which ends what the old one opened. On the disk at the return."""
        before = self.find(person)
        account = Account(person, hashed, until, before.serial + 1 if before else 1)
        self._write(account)
        self._over.discard(person)
        self._changed(person)
        return account

    def roster_changed(self, roster: Roster) -> None:
        """For the roster's `on_change`: accounts of persons who were removed go."""
        for person in [person for person in self._accounts if person not in roster.persons]:
            self._connection.execute("DELETE FROM account WHERE person = ?", (person,))
            del self._accounts[person]
            self._changed(person)

    async def watch(self) -> None:
        """Notice, until cancelled, when a guest's end has come."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for account in list(self._accounts.values()):
                if self._ended(account) and account.person not in self._over:
                    self._over.add(account.person)
                    self._record("account ended", person=self._roster().persons.get(account.person, ""))
                    self._changed(account.person)

    def _write(self, account: Account) -> None:
        until = account.until.timestamp() if account.until else None
        row = (account.person, account.hash, until, account.serial)
        self._connection.execute("INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?)", row)
        self._accounts[account.person] = account

    def _changed(self, person: PersonId) -> None:
        self._right = {key: kept for key, kept in self._right.items() if kept[0] != person}
        self._wrong.clear()  # what was wrong may be right now
        for callback in self.on_change:
            callback(person)

    # -- comparing

    async def check(self, name: str, password: str, remote: str | None) -> Account | None:
        """The account that this name and password open; None when they open none, whatever the reason.

        Right ones are remembered for ten minutes, so that a program that sends them with each request costs
        one hash; so are wrong ones, since the same wrong one again is no further guess: a drive that goes on with
        an old password locks nobody out. Raises TooManyTries.
        """
        name, password, now = folded(name), normalized(password), time.monotonic()
        key = hmac.digest(self._secret, f"{name}\n{password}".encode(errors="replace"), "sha256")
        person, serial, until = self._right.get(key, (None, 0, 0.0))
        if now < until and (account := self.present(person)) is not None and account.serial == serial:
            return account
        place = place_of(remote)
        key_here = hmac.digest(key, place.encode(), "sha256")
        if now < self._wrong.get(key_here, 0.0):
            return None
        task = self._comparing.get(key_here)
        if task is None:  # many at once of one program are one try
            task = asyncio.get_running_loop().create_task(self._compare(name, password, place, key, key_here))
            self._comparing[key_here] = task
            task.add_done_callback(lambda _: self._comparing.pop(key_here, None))
        return await asyncio.shield(task)

    async def _compare(self, name: str, password: str, place: str, key: bytes, key_here: bytes) -> Account | None:
        taken = self._tries.take(name, place)
        before = self.find(self._named(name))
        right = await self._hash_once(before, password, taken)
        # Asked again: a removal or a new password may have come while the hash was made.
        account = self.present(before.person) if before is not None else None
        if not right or account is None or account != before:
            _remember(self._wrong, key_here, time.monotonic() + MEMORY)
            whose = self._roster().persons.get(before.person, "") if before is not None else ""
            self._record("wrong password", person=whose, address=place)
            return None
        self._tries.right(taken)
        _remember(self._right, key, (account.person, account.serial, time.monotonic() + MEMORY))
        if self.passwords.outdated(account.hash):
            renewed = await self.passwords.hash(password)
            if self.find(account.person) == account:
                self._write(msgspec.structs.replace(account, hash=renewed))
        return account

    async def _hash_once(self, account: Account | None, password: str, taken: Try) -> bool:
        try:
            return await self.passwords.compare(account.hash if account else None, password, trusted=taken.trusted)
        except TooManyTries:
            self._tries.give_back(taken)
            raise

    def _named(self, name: str) -> PersonId | None:
        """By name only: an id, which the roster would find too, would have an allowance of its own."""
        return next((person for person, known in self._roster().persons.items() if folded(known) == name), None)

    def close(self) -> None:
        for task in self._comparing.values():
            task.cancel()
        self.passwords.close()


def _remember(memory: dict[bytes, V], key: bytes, value: V) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > MOST_REMEMBERED:
        del memory[next(iter(memory))]


def _account(row: tuple[str, str, float | None, int]) -> Account:
    person, hashed, until, serial = row
    end = datetime.fromtimestamp(until, UTC) if until is not None else None
    return Account(PersonId(person), hashed, end, serial)
