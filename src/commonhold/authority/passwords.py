"""Passwords: what may be one, and Argon2id, one hash at a time, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import base64
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from commonhold.errors import TooManyTries, WrongUsage

T = TypeVar("T")
SHORTEST = 10  # characters
VARIED = 5  # different characters
LONGEST = 1000  # bytes: it has to fit into a header, in base64, with the name
# OWASP's password storage cheat sheet; 30 ms and 19 MiB here.
TIME, MEMORY, LANES = 2, 19 * 1024, 1
SALT, DIGEST = 16, 32  # bytes
# About a second of work. Whoever was right from that address before finds room when strangers have taken theirs.
MOST_WAITING = 32


def normalized(text: str) -> str:
    """One spelling of what looks the same, however a keyboard makes it (RFC 8265, 4.2.2)."""
    return unicodedata.normalize("NFC", text)


def require_good(password: str, person: str) -> str:
    """The password as it is hashed. Raises WrongUsage, naming the rule and not the password."""
    password = normalized(password)
    rules = (
        (len(password) < SHORTEST, f"it has fewer than {SHORTEST} characters"),
        (len(set(password)) < VARIED, f"it has fewer than {VARIED} different characters"),
        (len(password.encode(errors="replace")) > LONGEST, f"it is longer than {LONGEST} bytes"),
        (any(unicodedata.category(each) in {"Cc", "Cs"} for each in password), "it has control characters"),
        (password.casefold().replace(person.casefold(), "") == "", "it is the person's name"),
    )
    if trouble := next((sentence for broken, sentence in rules if broken), ""):
        raise WrongUsage(f"That cannot be a password: {trouble}.", "four words that have nothing to do with each other")
    return password


class Passwords:
    """Hashes and compares. `hashed` counts the hashes since the start."""

    def __init__(self) -> None:
        self.hashed = 0
        self._hasher = PasswordHasher(TIME, MEMORY, LANES, DIGEST, SALT, type=Type.ID)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        # Nobody's password has this hash: comparing with it costs what comparing with somebody's does.
        salt, digest = (base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (SALT, DIGEST))
        self._nobody = f"$argon2id$v=19$m={MEMORY},t={TIME},p={LANES}${salt}${digest}"

    async def hash(self, password: str) -> str:
        """For the disk. Raises TooManyTries when too many wait."""
        return await self._one_at_a_time(lambda: self._hasher.hash(password), MOST_WAITING)

    async def compare(self, stored: str | None, password: str, *, trusted: bool = False) -> bool:
        """Whether that is the password; without a stored hash it is not, and costs the same.

        Raises TooManyTries when too many wait: more may for `trusted`.
        """
        room = MOST_WAITING if trusted else MOST_WAITING // 2

        def compared() -> bool:
            try:
                return self._hasher.verify(stored or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False

        return await self._one_at_a_time(compared, room)

    def outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)

    async def _one_at_a_time(self, work: Callable[[], T], room: int) -> T:
        if self._waiting >= room:
            raise TooManyTries("Too many people are signing in at this moment.", "try again", retry_after=1)
        self._waiting += 1
        self.hashed += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
