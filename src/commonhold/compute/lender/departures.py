"""The last stays that have ended here: their hubs hear how they ended, and why, when it was a right."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from commonhold.authority.authority import Permit
from commonhold.compute.papers import Farewell
from commonhold.names import Fingerprint

REMEMBERED = 32

Key = tuple[str, str]  # session and participant


class Departures:
    """A stay that comes under the same key replaces what was known."""

    def __init__(self) -> None:
        self._farewells: dict[Key, tuple[Fingerprint | None, asyncio.Task[Farewell]]] = {}
        self._permits: dict[Key, Permit] = {}

    def begin(self, key: Key, hub: Fingerprint | None, leaving: Coroutine[Any, Any, Farewell]) -> None:
        """That stay of `hub` takes its leave now."""
        self._farewells.pop(key, None)
        self._farewells[key] = hub, asyncio.create_task(leaving)
        while len(self._farewells) > REMEMBERED:
            del self._farewells[next(iter(self._farewells))]

    async def farewell(self, key: Key) -> Farewell:
        """What there is to say of that stay, once it has ended; nothing of one that nobody remembers."""
        _, leaving = self._farewells.get(key, (None, None))
        return await asyncio.shield(leaving) if leaving else Farewell()

    def was_of(self, key: Key, hub: Fingerprint | None) -> bool:
        """Whether that was a stay of `hub`."""
        return key in self._farewells and self._farewells[key][0] == hub

    async def gone(self, key: Key) -> None:
        """Until nothing is left of that stay, which another one replaces."""
        if leaving := self._farewells.pop(key, None):
            await asyncio.wait({leaving[1]})

    def refused(self, key: Key, permit: Permit) -> None:
        """The right to that stay has ended."""
        self._permits[key] = permit
        while len(self._permits) > REMEMBERED:
            del self._permits[next(iter(self._permits))]

    def permit(self, key: Key) -> Permit | None:
        """Of a stay whose right has ended."""
        return self._permits.get(key)
