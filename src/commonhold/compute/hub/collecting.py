"""Jobs that wait for their inputs. Whoever brings these holds the job; one that nobody holds any more has stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from commonhold.authority.authority import Subject

ALONE = 30.0  # seconds that a new job waits for somebody to hold it
BEAT = 5.0  # seconds between two lines to who holds it: a line that reaches nobody ends the connection


class Collecting:
    """By number, with whose they are. `stopped` hears of one that nobody holds any more, after that it is none here."""

    def __init__(self, stopped: Callable[[int], None], alone: float = ALONE) -> None:
        self._stopped = stopped
        self._patience = alone
        self._jobs: dict[int, tuple[Subject, asyncio.Event]] = {}  # the event: it waits no more
        self._holders: Counter[int] = Counter()
        self._alone: dict[int, asyncio.TimerHandle] = {}

    def add(self, number: int, subject: Subject) -> None:
        self._jobs[number] = subject, asyncio.Event()
        self._alone[number] = asyncio.get_running_loop().call_later(self._patience, self._leave, number)

    def take(self, number: int) -> Subject | None:
        """Whose it is: it begins, or ends; None for one that does not wait here."""
        if handle := self._alone.pop(number, None):
            handle.cancel()
        subject, over = self._jobs.pop(number, (None, None))
        if over is not None:
            over.set()
        return subject

    async def held(self, number: int) -> AsyncGenerator[dict[str, object], None]:
        """A line now and then, for as long as it waits. Who reads them no more has let go."""
        if handle := self._alone.pop(number, None):
            handle.cancel()
        self._holders[number] += 1
        try:
            while number in self._jobs:
                yield {"event": "collecting", "job": number}
                with suppress(TimeoutError, KeyError):
                    async with asyncio.timeout(BEAT):
                        await self._jobs[number][1].wait()
        finally:
            self._holders[number] -= 1
            if not self._holders[number]:
                del self._holders[number]
                self._leave(number)

    def _leave(self, number: int) -> None:
        if self.take(number) is not None:
            self._stopped(number)

    def close(self) -> None:
        """The node ends: what waits here is stopped at its next start."""
        for number in list(self._jobs):
            self.take(number)
