"""Addresses to pass on: to each computer only what it was not told before, so that a greeting is as small as its news.

Telling all addresses at each greeting made an idle network of 50 computers cost each five times what one of 5 did.
What was told is remembered while this node runs; a computer keeps what it hears on its disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from commonhold.names import Fingerprint

Addresses = dict[str, tuple[str, ...]]


class Whereabouts:
    """What `hints()` says, by when it became so."""

    def __init__(self, hints: Callable[[], Mapping[str, Sequence[str]]]) -> None:
        self._hints = hints
        self._serial = 0
        self._since: dict[str, tuple[tuple[str, ...], int]] = {}
        self._told: dict[Fingerprint, int] = {}

    def all(self) -> Addresses:
        return {known: tuple(found) for known, found in self._hints().items()}

    def news(self, listener: Fingerprint) -> tuple[Addresses, int]:
        """What that computer was not told yet, and the serial with which to say that it was (`told`)."""
        now = self.all()
        if now != {known: found for known, (found, _) in self._since.items()}:
            self._serial += 1
            self._since = {known: (found, self._became(known, found)) for known, found in now.items()}
        before = self._told.get(listener, 0)
        return {known: found for known, (found, since) in self._since.items() if since > before}, self._serial

    def _became(self, known: str, found: tuple[str, ...]) -> int:
        before, since = self._since.get(known, ((), 0))
        return since if before == found else self._serial

    def told(self, listener: Fingerprint, serial: int) -> None:
        self._told[listener] = serial
