"""Addresses to pass on: to each computer only what it was not told before, so that a greeting is as small as its news.

Telling all addresses at each greeting made an idle network of 50 computers cost each five times what one of 5 did. So
two that greet first compare a digest of what each knows, and where that differs, as it does for long once a computer
has moved, each tells what has changed since it told the other last. That is remembered while this node runs; a
computer keeps what it hears on its disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from commonhold.names import Fingerprint

Addresses = dict[str, tuple[str, ...]]


class Untold(NamedTuple):
    """What one computer was not told yet; `digest` of all that is known here, and `serial`, by which it is told."""

    addresses: Addresses
    digest: str
    serial: int


class Whereabouts:
    """What `hints()` says, by when it became so."""

    def __init__(self, hints: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._hints = hints
        self._serial = 0
        self._since: dict[str, tuple[tuple[str, ...], int]] = {}
        self._told: dict[Fingerprint, int] = {}

    def all(self) -> Addresses:
        """In one order, so that two who know the same have one digest."""
        hints = self._hints()
        return {known: tuple(sorted(hints[known])) for known in sorted(hints)}

    def news(self, listener: Fingerprint) -> Untold:
        now = self.all()
        if now != {known: found for known, (found, _) in self._since.items()}:
            self._serial += 1
            self._since = {known: (found, self._became(known, found)) for known, found in now.items()}
        before = self._told.get(listener, 0)
        fresh = {known: found for known, (found, since) in self._since.items() if since > before}
        return Untold(fresh, hashlib.sha256(repr(now).encode()).hexdigest(), self._serial)

    def _became(self, known: str, found: tuple[str, ...]) -> int:
        before, since = self._since.get(known, ((), 0))
        return since if before == found else self._serial

    def told(self, listener: Fingerprint, news: Untold) -> None:
        """That computer knows these now."""
        self._told[listener] = news.serial
