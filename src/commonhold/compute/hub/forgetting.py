"""Lets go what is kept of a job, when its person says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from commonhold.compute.job import Forgotten, Job
from commonhold.compute.journal import Journal
from commonhold.compute.papers import JobFolders
from commonhold.errors import Conflict


class Forgetting:
    """Of one hub. `clearing` is what is still done for a job that has just ended."""

    def __init__(
        self, journal: Journal, folders: JobFolders, clearing: Callable[[int], asyncio.Task[None] | None]
    ) -> None:
        self._journal, self._folders, self._clearing = journal, folders, clearing
        self._going: set[int] = set()

    async def forget(self, number: int) -> Forgotten:
        """All of it: its folder, what its tasks said, and that it was.

        Raises Conflict for one that has not ended, and CommonholdError when its folder cannot be removed.
        """
        self.require_ended(number)
        self._going.add(number)
        try:
            if clearing := self._clearing(number):
                await asyncio.wait({clearing})
            room = await self._folders.drop(number)
            while self._journal.shed(number):  # noqa: ASYNC110 - others have their turn between two portions
                await asyncio.sleep(0)
            self._journal.forget(number, *room)
        finally:
            self._going.discard(number)
        return Forgotten(number, *room)

    def require_ended(self, number: int) -> Job:
        """The job. Raises Conflict when it has not ended, or is just being forgotten."""
        job = self._journal.job(number)
        if job.ended is None:
            raise Conflict(f"Job {number} has not ended yet.", f"commonhold cancel {number}")
        if number in self._going:
            raise Conflict(f"Job {number} is just being forgotten.", "commonhold jobs")
        return job
