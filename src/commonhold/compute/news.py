"""Who watches a job hears each change of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from commonhold.compute.journal import Journal

Event = dict[str, Any]


class News:
    """`{"event": "job", "job": Job}`, `{"event": "task", …}` and `{"event": "note", …}`, to all who watch."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._watchers: dict[int, list[asyncio.Queue[Event | None]]] = {}

    def snapshot(self, number: int) -> Event:
        return {"event": "job", "job": msgspec.to_builtins(self._journal.job(number))}

    def tell(self, number: int, event: Event) -> None:
        for queue in self._watchers.get(number, ()):
            queue.put_nowait(event)

    def close(self) -> None:
        """The node ends: nothing more is told, of jobs that go on after it either."""
        for queue in (queue for queues in self._watchers.values() for queue in queues):
            queue.put_nowait(None)

    async def of(self, number: int) -> AsyncIterator[Event]:
        """The job as it is, then each change, until it has ended, or the node does. Raises NotFound."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        watchers = self._watchers.setdefault(number, [])
        watchers.append(queue)
        try:
            event: Event | None = self.snapshot(number)
            while event is not None:
                yield event
                if event["event"] == "job" and event["job"]["ended"] is not None:
                    return
                event = await queue.get()
        finally:
            watchers.remove(queue)
            if not watchers:
                self._watchers.pop(number, None)
