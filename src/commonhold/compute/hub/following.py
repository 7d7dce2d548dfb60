"""Tells what the tasks of one job say, as they say it: lenders are asked while somebody follows, and never else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator

from msgspec import structs

from commonhold.compute.hub.cluster import Cluster
from commonhold.compute.hub.news import Backlog
from commonhold.compute.job import ENDED, State, Task, parts_of
from commonhold.compute.said import STREAMS, Ear, FollowLine, Listening, Piece, Said, Stream

LISTEN_EVERY = 0.4  # seconds between two questions to lenders
AT_ONCE = 16  # tasks of which the texts are in memory


class TaskEars:
    """What was heard of one task that is out under `key`."""

    def __init__(self, key: str, task: Task) -> None:
        self.key = key
        self.task = task
        self._begin(0)

    def _begin(self, run: int) -> None:
        self._run = run
        self._ears: dict[Stream, Ear] = {stream: Ear() for stream in STREAMS}

    @property
    def place(self) -> tuple[int, int, int]:
        return self._run, self._ears["output"].place, self._ears["error"].place

    def take(self, piece: Piece) -> Iterable[FollowLine]:
        if piece.run != self._run:  # its command was begun anew
            self._begin(piece.run)
        return self._told(piece.stream, *self._ears[piece.stream].take(piece))

    def rest(self, ended: Task) -> Iterable[FollowLine]:
        """What of an ended task was not told yet."""
        self.task = ended
        for stream, kept in zip(STREAMS, (ended.output, ended.error), strict=True):
            yield from self._told(stream, *self._ears[stream].rest(kept))
        yield FollowLine(task=structs.replace(ended, output="", error=""))

    def _told(self, stream: Stream, text: str, left_out: int) -> Iterable[FollowLine]:
        task = self.task
        if text:
            yield FollowLine(said=Said(task.job, task.task, task.input, task.computer, stream, text, left_out))


class Following:
    """One person's. `task` 0 means all of the job's tasks."""

    def __init__(self, job: int, task: int, cluster: Cluster) -> None:
        self._job, self._task = job, task
        self._cluster = cluster
        self._journal = cluster.journal
        self._running: dict[int, TaskEars] = {}  # tasks of which something was heard
        self._ended: dict[int, None] = {}  # tasks that have ended since, and are not told yet
        self._over = False

    async def told(self) -> AsyncGenerator[list[FollowLine], None]:
        """First the tasks that have ended already, then each as it goes; the job last. Raises NotFound."""
        if self._task:
            self._journal.task(self._job, self._task)
        with self._cluster.news.watched(self._job) as backlog:
            self._over = self._journal.job(self._job).ended is not None
            async for group in self._before(backlog):
                yield group
            while not self._over and not backlog.closed:
                yield await self._listen()
                await backlog.wait(LISTEN_EVERY)
                self._hear(backlog)
                for group in self._endings():
                    yield group
            yield [FollowLine(task=self._journal.task(self._job, task)) for task in self._running]
            yield [FollowLine(job=self._journal.job(self._job))]

    async def _before(self, backlog: Backlog) -> AsyncIterator[list[FollowLine]]:
        """The tasks that had ended when it began, and those that end meanwhile."""
        last = 0
        while tasks := self._journal.ended_after(self._job, last, AT_ONCE):
            last = tasks[-1].task
            self._hear(backlog)
            meant = [task for task in tasks if self._task in {0, task.task}]
            for task in meant:
                self._ended.pop(task.task, None)
            yield [told for task in meant for told in self._rest(task)]
            await asyncio.sleep(0)

    def _hear(self, backlog: Backlog) -> None:
        for event in backlog.take():
            if event["event"] == "job":
                self._over = self._over or event["job"]["ended"] is not None
            elif event["event"] == "task" and self._task in {0, event["task"]} and event["state"] in ENDED:
                self._ended[event["task"]] = None

    def _endings(self) -> Iterator[list[FollowLine]]:
        ended, self._ended = list(self._ended), {}
        for first in range(0, len(ended), AT_ONCE):
            tasks = [self._journal.task(self._job, task) for task in ended[first : first + AT_ONCE]]
            yield [told for task in tasks for told in self._rest(task)]

    def _rest(self, task: Task) -> Iterable[FollowLine]:
        self._over = self._over or task.task == self._task
        ears = self._running.pop(task.task, None) or TaskEars("", task)
        return ears.rest(task)

    async def _listen(self) -> list[FollowLine]:
        """What running tasks have said since the last time."""
        heard = {ears.key: ears.place for ears in self._running.values()}
        told: list[FollowLine] = []
        for piece in await self._cluster.said(self._job, Listening(heard, self._task)):
            told += self._take(piece)
        return told

    def _take(self, piece: Piece) -> Iterable[FollowLine]:
        number = parts_of(piece.key)[1]
        ears = self._running.get(number)
        if ears is None or ears.key != piece.key:
            task = self._journal.task(self._job, number)
            if ears is not None:  # what ran it was lost
                yield FollowLine(task=structs.replace(ears.task, state=State.WAITING))
            ears = self._running[number] = TaskEars(piece.key, task)
        yield from ears.take(piece)
