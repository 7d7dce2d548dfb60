"""The owner comes first: while the terms of lending do not hold, nothing of a guest runs here.

What runs is frozen at once. When the terms hold again within a minute it goes on, as if nothing had been; else its
tasks are given back, to run elsewhere, and it is ended. Where the owner lends nothing any more, or less, it is
given back at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime
from typing import Any

from commonhold.compute.lender import frost
from commonhold.compute.lender.departures import Key
from commonhold.compute.lender.stay import Stay
from commonhold.compute.lender.stays import Stays
from commonhold.compute.papers import Rest
from commonhold.compute.terms import closed
from commonhold.errors import CommonholdError
from commonhold.home import LendingTerms
from commonhold.names import PersonId

log = logging.getLogger(__name__)

LOOK, REST = 0.3, 5.0  # seconds between two looks while somebody computes here, and while nobody does
AGAIN = 1.0  # seconds between two looks whether what is frozen is so still: each costs 9 ms
STIRS = 0.02  # seconds of processor that tell who goes on from who stops
HELD = 60.0  # seconds that a guest is kept frozen
DISMISSED_WITHIN = 2.0  # seconds that a hub has to come for what a computer that stops has to say
HUB_WITHIN = 0.4  # seconds that its hub has to take tasks back, before they are ended


class Precedence:
    """Of the owner over all guests of one computer; the owner's own stays are none."""

    def __init__(
        self,
        stays: Stays,
        terms: Callable[[], LendingTerms],
        owner: PersonId | None,
        look: Callable[[], str],
        held: float = HELD,
    ) -> None:
        """`look` says what shows that somebody uses this computer; it may block for a moment."""
        self.held = held  # seconds that a guest is kept frozen
        self.use = ""  # what showed it when we looked last
        self._stays = stays
        self._terms = terms
        self._owner = owner
        self._looking = look
        self._look_now: asyncio.Task[str] | None = None
        self._wake = asyncio.Event()
        self._telling: set[asyncio.Task[Any]] = set()

    def closed(self) -> str:
        """Why nothing is lent now, as what is said of this computer; by the last look at who uses it."""
        return closed(self._terms(), datetime.now().astimezone().time(), used=bool(self.use))

    async def look(self) -> str:
        """The same, by a look that is made now. Who asks while one looks hears what that saw: many cost no more."""
        if self._terms().when != "idle":
            self.use = ""
            return self.closed()
        if self._look_now is None:
            self._look_now = asyncio.create_task(asyncio.to_thread(self._looking))
            self._look_now.add_done_callback(self._looked)
        await asyncio.shield(self._look_now)
        return self.closed()

    def _looked(self, look: asyncio.Task[str]) -> None:
        self._look_now = None
        if not look.cancelled() and look.exception() is None:
            self.use = look.result()

    def changed(self) -> None:
        """Other terms, or another guest: look at once."""
        self._wake.set()

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._enforce(await self.look())
            except Exception:  # no error here may end what keeps the owner first
                log.exception("looking after guests")
                await asyncio.sleep(LOOK)

    def _pause(self) -> float | None:
        """None where nothing but other terms can change anything."""
        terms = self._terms()
        if (terms.when == "idle" or terms.hours) and any(self._guests()):
            return LOOK
        return REST if terms.when == "idle" else None

    def _guests(self) -> list[tuple[Key, Stay]]:
        return [each for each in self._stays.items() if each[1].subject.person != self._owner or self._owner is None]

    async def _enforce(self, why: str) -> None:
        self._vouch()
        await asyncio.gather(*(self._judge(key, stay, why) for key, stay in self._guests() if stay.began))

    def _vouch(self) -> None:
        """For those that are silent since they get no processor: the owner's own are, too."""
        for stay in self._stays:
            if stay.waits and stay.frozen is None and not stay.closed:
                self._spawn(self._tell(stay, Rest("waiting")))
            stay.waits = False

    async def _judge(self, key: Key, stay: Stay, why: str) -> None:
        terms, now = self._terms(), asyncio.get_running_loop().time()
        fewer = "lends fewer cores now" if terms.cores and stay.cores > terms.cores else ""
        if not (why or fewer):
            if stay.frozen is not None:
                await self._thaw(stay)
        elif fewer or terms.when == "never" or (stay.frozen is not None and now - stay.frozen >= self.held):
            await self._give_back(key, stay, why or fewer)
        elif stay.frozen is None or stay.stirred or now - stay.looked_at >= AGAIN:
            await self._freeze(key, stay, why)

    async def _freeze(self, key: Key, stay: Stay, why: str) -> None:
        """Again at each look: it may only just have begun, and a signal may have come from elsewhere.

        Once: what wakes a second time has seen to that itself.
        """
        if not await self._still(stay) or await self._stirs(stay) > 1:
            await self._give_back(key, stay, why)
            return
        stay.looked_at = asyncio.get_running_loop().time()
        if stay.frozen is None:
            stay.frozen = stay.looked_at
            log.info("session %s is frozen: this computer %s", key[0], why)
            self._spawn(self._tell(stay, Rest("frozen", why, self.held)))

    async def _stirs(self, stay: Stay) -> int:
        """How often it has moved since it was frozen. What it does in short moments adds up."""
        assert stay.box is not None  # noqa: S101 - it began
        spent = await asyncio.to_thread(frost.spent, stay.box.pid, stay.box.kind)
        if stay.frozen is None:
            stay.stirred, stay.spent = 0, spent
        elif sum(max(0.0, now - stay.spent.get(process, 0.0)) for process, now in spent.items()) > STIRS:
            stay.stirred, stay.spent = stay.stirred + 1, spent
        return stay.stirred

    async def _thaw(self, stay: Stay) -> None:
        stay.frozen = None
        assert stay.box is not None  # noqa: S101 - it began
        await asyncio.to_thread(frost.thaw, stay.box.pid, stay.box.kind)
        stay.hold_still(False)
        self._spawn(self._tell(stay, Rest("running")))

    async def _still(self, stay: Stay) -> bool:
        assert stay.box is not None  # noqa: S101 - it began
        stay.hold_still(True)
        return await asyncio.to_thread(frost.freeze, stay.box.pid, stay.box.kind)

    async def _give_back(self, key: Key, stay: Stay, why: str, comes: float = 0) -> None:
        """Frozen first: its hub takes the tasks of a worker that is alive, so that nobody is blamed for its end.

        `comes`: for how long the hub is waited for, to end the stay itself and hear what there is to say of it.
        """
        stay.closed = why
        if await self._still(stay):
            with suppress(TimeoutError):
                async with asyncio.timeout(HUB_WITHIN):
                    await self._tell(stay, Rest("leaving", why))
                async with asyncio.timeout(comes):
                    await stay.over.wait()
        log.info("session %s is given back: this computer %s", key[0], why)
        if self._stays.has(key, stay):
            await self._stays.end(*key)

    async def give_all_back(self, why: str) -> None:
        """To hubs elsewhere, which come for what there is to say of each: what was stored already is not run again."""
        elsewhere = [(key, stay) for key, stay in self._stays.items() if stay.began and stay.elsewhere]
        await asyncio.gather(*(self._give_back(key, stay, why, comes=DISMISSED_WITHIN) for key, stay in elsewhere))

    async def _tell(self, stay: Stay, rest: Rest) -> None:
        """A hub that does not hear it takes the silence for what it is after a while."""
        with suppress(CommonholdError):
            await stay.tell(rest)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        for task in list(self._telling):
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
