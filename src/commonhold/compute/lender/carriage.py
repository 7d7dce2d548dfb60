"""Files on their way for the tasks of one stay: fetched for them, and stored from them.

A store goes on when its worker dies: the door may have the file already, and a hub that did not hear of it would have
the task run again. `settle` waits for it, before the hub is told how the stay ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from commonhold.errors import CommonholdError, NotFound

MOST_FORGOTTEN = 1_000  # jobs of which it is remembered that they are over


class Carriage:
    """By job and task."""

    def __init__(self) -> None:
        self._carrying: dict[int, set[asyncio.Task[Any]]] = {}
        self._forgotten: dict[int, None] = {}
        self._stopped: dict[str, str] = {}  # tasks that were to end: why

    async def fetch(self, job: int, key: str, work: Coroutine[Any, Any, None]) -> None:
        """Do it, unless the job is over before it is done, or nobody waits for it any more."""
        carrying = self._carry(job, key, work)
        try:
            await self._carried(job, key, carrying)
        finally:
            carrying.cancel()

    async def store(self, job: int, key: str, work: Coroutine[Any, Any, list[str]]) -> list[str]:
        """The same, but that it goes on when nobody waits for it any more."""
        stored: list[str] = await self._carried(job, key, asyncio.shield(self._carry(job, key, work)))
        return stored

    def _carry(self, job: int, key: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        carrying = asyncio.create_task(work, name=key)
        self._carrying.setdefault(job, set()).add(carrying)
        carrying.add_done_callback(lambda _: self._arrived(job, carrying))
        return carrying

    def _arrived(self, job: int, carrying: asyncio.Task[Any]) -> None:
        if not carrying.cancelled():
            carrying.exception()  # nobody may wait for it
        carried = self._carrying.get(job, set())
        carried.discard(carrying)
        if not carried:
            self._carrying.pop(job, None)

    async def _carried(self, job: int, key: str, carrying: asyncio.Future[Any]) -> Any:
        try:
            return await carrying
        except asyncio.CancelledError:
            if why := self._stopped.pop(key, ""):
                raise CommonholdError(why) from None
            self.require(job)
            raise

    def stop(self, key: str, why: str) -> None:
        """That task takes too much: what is carried for it is not any more."""
        for carrying in self._of(None):
            if carrying.get_name() == key:
                self._stopped[key] = why
                carrying.cancel()

    def learn(self, job: int) -> None:
        """It has begun, perhaps again."""
        self._forgotten.pop(job, None)

    def forget(self, job: int) -> None:
        """It is over: nothing of it is carried any more."""
        self._forgotten[job] = None
        if len(self._forgotten) > MOST_FORGOTTEN:
            del self._forgotten[next(iter(self._forgotten))]
        for carrying in self._of(job):
            carrying.cancel()

    def over(self, job: int) -> bool:
        return job in self._forgotten

    def require(self, job: int) -> None:
        """Raise NotFound when it is over."""
        if self.over(job):
            raise NotFound(f"Job {job} is over.")

    async def settle(self, seconds: float) -> None:
        """For so long what is on its way may arrive; then nothing is carried any more."""
        if (left := self._of(None)) and seconds:
            await asyncio.wait(left, timeout=seconds)
        for carrying in (left := self._of(None)):
            carrying.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _of(self, job: int | None) -> list[asyncio.Task[Any]]:
        """All of that job; of every job for None."""
        jobs = [self._carrying.get(job, set())] if job is not None else list(self._carrying.values())
        return [carrying for carried in jobs for carrying in carried]
