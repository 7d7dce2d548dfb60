"""Who watches a job hears each change of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from commonhold.compute.journal import Journal

Event = dict[str, Any]


class Backlog:
    """What one watcher has not taken yet; of a task only its last change, so that who reads slowly holds little."""

    def __init__(self) -> None:
        self._events: dict[object, Event] = {}
        self._some = asyncio.Event()
        self.closed = False  # nothing more comes

    def put(self, event: Event) -> None:
        about = event.get("task") or event.get("note") or "job"
        self._events.pop(about, None)
        self._events[about] = event
        self._some.set()

    def close(self) -> None:
        self.closed = True
        self._some.set()

    def take(self) -> list[Event]:
        """All of it, in the order in which it happened."""
        events, self._events = list(self._events.values()), {}
        if not self.closed:
            self._some.clear()
        return events

    async def wait(self, seconds: float | None = None) -> None:
        """Until there is something, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._some.wait()


class News:
    """`{"event": "job", "job": Job}`, `{"event": "task", …}` and `{"event": "note", …}`, to all who watch."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._watchers: dict[int, list[Backlog]] = {}

    def snapshot(self, number: int) -> Event:
        return {"event": "job", "job": msgspec.to_builtins(self._journal.job(number))}

    def tell(self, number: int, event: Event) -> None:
        for backlog in self._watchers.get(number, ()):
            backlog.put(event)

    def close(self) -> None:
        """The node ends: nothing more is told, of jobs that go on after it either."""
        for backlog in (backlog for backlogs in self._watchers.values() for backlog in backlogs):
            backlog.close()

    @contextmanager
    def watched(self, number: int) -> Iterator[Backlog]:
        """What happens from now on."""
        backlog = Backlog()
        watchers = self._watchers.setdefault(number, [])
        watchers.append(backlog)
        try:
            yield backlog
        finally:
            watchers.remove(backlog)
            if not watchers:
                self._watchers.pop(number, None)

    async def groups(self, number: int) -> AsyncIterator[list[Event]]:
        """The job as it is, then each change, until it has ended, or the node does. Raises NotFound."""
        with self.watched(number) as backlog:
            backlog.put(self.snapshot(number))
            over = False
            while not over and not backlog.closed:
                await backlog.wait()
                events = backlog.take()
                over = any(event["event"] == "job" and event["job"]["ended"] is not None for event in events)
                yield events

    async def of(self, number: int) -> AsyncIterator[Event]:
        """The same, one by one."""
        async for group in self.groups(number):
            for event in group:
                yield event
