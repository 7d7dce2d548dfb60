"""How often somebody may guess a password: a growing delay for each address and each account, on the disk.

A try is counted before it is made, so that many at once are as many as one after the other, and a
restart gives none back. Whoever was right at some address before has an allowance of their own there, so
that a stranger's guesses elsewhere do not lock a person out; and an address's count does not go down by
being right, so that nobody with an account guesses another's for ever.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from commonhold.errors import TooManyTries
from commonhold.transaction import transaction

# Wrong tries before the first wait. An address may be that of a whole office.
FREE = {"account": 5, "here": 5, "address": 20}
LONGEST_WAIT = 900.0  # seconds: 96 guesses a day at one account, from however many addresses
FORGOTTEN = 24 * 3600.0  # seconds after the last wrong try
TRUSTED = 90 * 24 * 3600.0  # seconds in which an address where somebody was right is known as theirs
MOST_ROWS = 20_000  # those with the fewest tries go first, the oldest of them: no rubbish washes a count away
SWEEP = 64  # tries between two looks for what is forgotten

_TABLES = """
CREATE TABLE IF NOT EXISTS wrong_try (
    kind TEXT NOT NULL, whom TEXT NOT NULL, wrong INTEGER NOT NULL, last REAL NOT NULL,  -- Unix time
    PRIMARY KEY (kind, whom)
) STRICT;
CREATE TABLE IF NOT EXISTS right_place (
    whom TEXT PRIMARY KEY, last REAL NOT NULL
) STRICT;
"""
Count = tuple[str, str]  # kind, whom


class Try(NamedTuple):
    """A try that was counted, and where. `trusted`: this person was right at this address before."""

    counts: tuple[Count, ...]
    here: str
    trusted: bool


class Tries:
    """Counts tries, each on the disk when `take` returns."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> None:
        self._connection, self._clock = connection, clock
        self._until_sweep = 0
        connection.executescript(_TABLES)

    def take(self, name: str, address: str) -> Try:
        """Count a try for an account (its name, folded; of nobody too) from a place (`place_of`).

        Raises TooManyTries with `retry_after` in seconds; that try is neither counted nor to be made.
        """
        now = self._clock().timestamp()
        here, whom = _hidden(f"{name}\n{address}"), _hidden(name)
        trusted = self._is_trusted(here, now)
        counts: tuple[Count, ...] = (("here", here),) if trusted else (("account", whom), ("address", address))
        wait = max(self._wait(count, now) for count in counts)
        if wait > 0:
            seconds = math.ceil(wait)
            sentence = f"There were too many wrong tries: the next one counts in {seconds} s."
            raise TooManyTries(sentence, "wait that long", retry_after=seconds)
        with transaction(self._connection):
            self._sweep(now)
            for kind, each in counts:
                self._connection.execute(
                    "INSERT INTO wrong_try VALUES (?, ?, 1, ?) ON CONFLICT (kind, whom)"
                    " DO UPDATE SET wrong = iif(last < ?, 1, wrong + 1), last = excluded.last",
                    (kind, each, now, now - FORGOTTEN),
                )
        return Try(counts, here, trusted)

    def right(self, taken: Try) -> None:
        """That try was right: it is given back, and the account's count ends."""
        with transaction(self._connection):
            for kind, each in taken.counts:
                if kind == "address":
                    self._connection.execute(
                        "UPDATE wrong_try SET wrong = max(wrong - 1, 0) WHERE kind = ? AND whom = ?", (kind, each)
                    )
                else:
                    self._connection.execute("DELETE FROM wrong_try WHERE kind = ? AND whom = ?", (kind, each))
            now = self._clock().timestamp()
            self._connection.execute("INSERT OR REPLACE INTO right_place VALUES (?, ?)", (taken.here, now))

    def give_back(self, taken: Try) -> None:
        """That try was not made after all."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE wrong_try SET wrong = max(wrong - 1, 0) WHERE kind = ? AND whom = ?", taken.counts
            )

    def _is_trusted(self, here: str, now: float) -> bool:
        row = self._connection.execute("SELECT last FROM right_place WHERE whom = ?", (here,)).fetchone()
        return row is not None and now - row[0] < TRUSTED

    def _wait(self, count: Count, now: float) -> float:
        """Seconds. A clock that was set back makes nobody wait longer than the delay is."""
        row = self._connection.execute(
            "SELECT wrong, last FROM wrong_try WHERE kind = ? AND whom = ?", count
        ).fetchone()
        over = row[0] - FREE[count[0]] if row else -1
        if over < 0 or now - row[1] > FORGOTTEN:
            return 0.0
        delay = min(2.0 ** min(over, 20), LONGEST_WAIT)
        return float(delay - max(0.0, now - row[1]))

    def _sweep(self, now: float) -> None:
        self._until_sweep -= 1
        if self._until_sweep > 0:
            return
        self._until_sweep = SWEEP
        self._connection.execute("DELETE FROM wrong_try WHERE last < ?", (now - FORGOTTEN,))
        self._connection.execute("DELETE FROM right_place WHERE last < ?", (now - TRUSTED,))
        for table, first in (("wrong_try", "wrong DESC, "), ("right_place", "")):
            self._connection.execute(
                f"DELETE FROM {table} WHERE rowid IN"  # noqa: S608 - one of the two above
                f" (SELECT rowid FROM {table} ORDER BY {first}last DESC LIMIT -1 OFFSET ?)",
                (MOST_ROWS,),
            )


def place_of(remote: str | None) -> str:
    """Where a request comes from, as tries are counted: an IPv4 address, or an IPv6 network of one household (/64)."""
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return remote or ""
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def _hidden(text: str) -> str:
    """People type passwords where names belong: what strangers type is not kept as it is."""
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16).hexdigest()
