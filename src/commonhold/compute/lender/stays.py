"""All stays on this lender, from when they come until nothing is left of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

from commonhold.authority.authority import Verb
from commonhold.compute.lender.departures import Departures, Key
from commonhold.compute.lender.stay import Stay
from commonhold.compute.papers import Farewell
from commonhold.compute.relay import Switchboard
from commonhold.errors import NotFound, Refused, WrongUsage
from commonhold.names import Fingerprint

log = logging.getLogger(__name__)


class Stays:
    """By session and participant."""

    def __init__(self, switchboard: Switchboard) -> None:
        self._switchboard = switchboard
        self._here: dict[Key, Stay] = {}
        self._watching: dict[Key, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[Any]] = set()
        self._departures = Departures()

    def __iter__(self) -> Iterator[Stay]:
        return iter(list(self._here.values()))

    def items(self) -> list[tuple[Key, Stay]]:
        return list(self._here.items())

    def __len__(self) -> int:
        return len(self._here)

    async def close(self) -> None:
        """End them all."""
        for session, participant in list(self._here):
            await self.end(session, participant)
        await asyncio.gather(*self._ending)

    async def room_for(self, key: Key) -> None:
        """Until nothing is left of an earlier one under that key."""
        await self._departures.gone(key)

    def add(self, key: Key, stay: Stay) -> None:
        """It begins. Raises WrongUsage when there is one under that key."""
        if key in self._here:
            raise WrongUsage("That session is here already.")
        self._here[key] = stay

    def has(self, key: Key, stay: Stay) -> bool:
        """Whether it has not ended."""
        return self._here.get(key) is stay

    def attend(self, key: Key, stay: Stay, holds: Coroutine[Any, Any, None]) -> None:
        """See it to its end: when its worker ends, or `holds` returns."""
        self._watching[key] = asyncio.create_task(self._attend(key, stay, holds))

    async def _attend(self, key: Key, stay: Stay, holds: Coroutine[Any, Any, None]) -> None:
        assert stay.box is not None  # noqa: S101 - it was started before this
        ends: list[Awaitable[Any]] = [stay.box.wait(), stay.box.channel.serve(), holds]
        tasks = [asyncio.ensure_future(each) for each in ends]
        *worker, _ = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = any(task.done() for task in worker)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.has(key, stay):
                self._watching.pop(key, None)
                await self.end(*key, lost=lost)

    def refuse(self, key: Key, why: Refused) -> None:
        """Its right has ended: no task of theirs runs on, and nothing that they still have to store is taken."""
        log.info("session %s ends: %s", key[0], why.sentence)
        self._departures.refused(key, self._here[key].permit)
        self._spawn(self.end(*key))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def end(self, session: str, participant: str, *, lost: bool = False) -> Farewell:
        """Kill that worker and remove its folder; of one that has ended already only what there is to say of it.

        `lost`: its hub says that it is gone.
        """
        key = session, participant
        if (stay := self._here.pop(key, None)) is not None:
            stay.over.set()
            self._departures.begin(key, stay.subject.computer, self._take_leave(key, stay, lost))
        return await self._departures.farewell(key)

    async def dismiss(self, session: str, participant: str, computer: Fingerprint | None, *, lost: bool) -> Farewell:
        """The same for the hub `computer`. Raises NotFound when it had no such stay here."""
        if not self._departures.was_of((session, participant), computer):
            self.find(session, participant, computer)
        return await self.end(session, participant, lost=lost)

    async def _take_leave(self, key: Key, stay: Stay, lost: bool) -> Farewell:
        if stay.work is not None:
            stay.work.close()
        switch = self._switchboard.switches.get(key[0])
        if switch is not None:
            switch.detach(key[1])
        farewell = await stay.farewell(lost=lost)
        if watching := self._watching.pop(key, None):
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if switch is not None and not any(other[0] == key[0] for other in self._here) and not switch.is_hub:
            self._switchboard.switches.pop(key[0], None)
            await switch.close()
        self._spawn(stay.clear())
        return farewell

    def forget(self, session: str, participant: str, job: int) -> None:
        """That job is over, if that stay is not."""
        with suppress(NotFound):
            self.find(session, participant).forget(job)

    def find(self, session: str, participant: str, computer: Fingerprint | None = None) -> Stay:
        """That stay, of the hub `computer` if one is named. Raises NotFound; Refused when the right to it has ended."""
        stay = self._here.get((session, participant))
        ended = self._departures.permit((session, participant))
        if stay is None and ended is not None and computer in {None, ended.subject.computer}:
            ended.require(Verb.RUN, ended.door.id)
        if stay is None or (computer is not None and stay.subject.computer != computer):
            raise NotFound("That session is over.")
        return stay
