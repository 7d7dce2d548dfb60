"""Small files by the batch door of the other computer, many in one request; without one each goes by itself.

Every file is whole or not there, and its outcome is its own, as when it goes by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import structs

from commonhold.errors import Changed, CommonholdError, Damaged, Unreachable, from_problem
from commonhold.files.batch import (
    ASKED,
    END,
    FILES,
    LARGEST,
    MAGIC,
    Answered,
    Asked,
    Given,
    Sent,
    Unpacking,
    begin,
    moment,
)
from commonhold.files.used.carriers import Getter, OneByOne, Putter
from commonhold.files.used.landing import Delivery, land
from commonhold.files.used.origin import Origin
from commonhold.files.used.part import Arrived
from commonhold.files.used.remote import Remote
from commonhold.files.used.sides import Item
from commonhold.files.used.tally import Counts
from commonhold.files.used.together import each
from commonhold.files.used.tree import Errand, Manner
from commonhold.names import SharePath
from commonhold.thrift import give_back
from commonhold.transport import json_lines

MOST = 400  # files of one request
MOST_BYTES = 2 * 2**20  # of one request, which is in memory
LONGEST_PATHS = 2**19  # bytes of all paths in one question
CHUNK = 256 * 1024  # bytes of it that are handed to the network at a time: what encrypts them has as many once more
REQUESTS = 2  # under way: one is stored while the next is made
ALONE = 12  # files under way that go by themselves
SOURCE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC  # a FIFO must not make us wait


class Bundling(OneByOne):
    """What both directions have in common: which files go together, and the others by themselves."""

    most = MOST

    def __init__(self, there: Remote, threads: Executor, counts: Counts, manner: Manner) -> None:
        super().__init__(there, threads, counts, manner)
        self._requests, self._singles = asyncio.Semaphore(REQUESTS), asyncio.Semaphore(ALONE)
        self._waiting: deque[Errand] = deque()  # until a request may go: few large ones are better than many small
        self._able = True  # as far as we know, the other computer has such a door

    async def carry(self, jobs: Sequence[Errand]) -> None:
        alone = [job for job in jobs if not self._bundles(job)]
        self._waiting.extend(job for job in jobs if self._bundles(job))
        while self._waiting:
            async with self._requests:
                alone += await self._together(self._next())
        await each(alone, self._alone, ALONE)

    def _bundles(self, job: Errand) -> bool:
        return self._able and job.source.size <= LARGEST and not self.manner.checksum

    def _next(self) -> list[Errand]:
        """Of those that wait, whoever brought them, as many as one request takes."""
        bundle: list[Errand] = []
        size = length = 0
        while self._waiting and len(bundle) < MOST:
            size += self._waiting[0].source.size
            length += len(self.where(self._waiting[0]).encode(errors="replace"))
            if bundle and (size > MOST_BYTES or length > LONGEST_PATHS):
                break
            bundle.append(self._waiting.popleft())
        return bundle

    async def _alone(self, job: Errand) -> None:
        async with self._singles:
            await OneByOne.carry(self, [job])

    async def _together(self, jobs: list[Errand]) -> list[Errand]:
        """Copy them by one request; those that must go by themselves."""
        if len(jobs) < 2 or not self._able:
            return jobs
        left = dict(enumerate(jobs))  # those of which nothing was heard yet
        try:
            again = await self.bundle(left)
        except Unreachable:
            raise
        except CommonholdError as error:  # each asks for itself, and hears what is said of it
            self._able = self._able and error.status not in {404, 405, 415}
            again = []
        finally:
            give_back()
        return [*again, *left.values()]

    async def bundle(self, left: dict[int, Errand]) -> list[Errand]:
        """Copy them, and take those whose outcome is known out of `left`. Those that must go by themselves."""
        raise NotImplementedError

    def fail(self, job: Errand, failed: dict[str, Any] | None, status: int) -> None:
        self.counts.fail(self.where(job), from_problem(failed, status))


class BundlePutter(Bundling, Putter):
    """From the disk here to a share."""

    async def bundle(self, left: dict[int, Errand]) -> list[Errand]:
        chunks, packed, alone = await self.run(self._pack, list(left.values()))
        left.clear()
        left.update(enumerate(job for job, _ in packed))
        if not packed:
            return alone
        headers = {"Content-Type": FILES, "Content-Length": str(sum(map(len, chunks)))}
        async with self.there.request("POST", SharePath(), headers, _one_by_one(chunks)) as answer:
            async for line in json_lines(answer):
                answered = _line(line)
                if (job := left.pop(answered.number, None)) is None:
                    raise Damaged(f"{self.there.peer.name} answered for a file that was not sent.")
                if answered.status in {Changed.status, 413}:  # what that means is found out when it goes by itself
                    alone.append(job)
                elif answered.failed is not None:
                    self.fail(job, answered.failed, answered.status)
                else:
                    if answered.etag and (known := packed[answered.number][1]):
                        await self.run(_note, job.source, structs.replace(known, etag=answered.etag))
                    self.counts.moved(job.target)(job.source.size)
                    self.counts.arrived(job.target, job.source.size)
        return alone

    def _pack(self, jobs: Sequence[Errand]) -> tuple[deque[bytes], list[tuple[Errand, Origin | None]], list[Errand]]:
        """The stream; whose files are in it, and what each is a copy of there; what must go by itself, or fails so."""
        pieces, packed, alone = [MAGIC], list[tuple[Errand, Origin | None]](), []
        chunks, size = deque[bytes](), 0
        place = str(self.there.peer.fingerprint), str(self.there.share)
        for job in jobs:
            if (read := _read(job.source.path)) is None:
                alone.append(job)
                continue
            data, modified, known = read
            known = known if known and known.names(*place, job.target) else None
            etag = job.before.etag if job.before and job.before.kind == "file" else ""
            if known and etag and self.manner.computer and known.etag != etag:
                alone.append(job)
                continue
            digest = hashlib.sha256(data).digest()
            pieces += begin(Sent(job.target, len(data), digest, moment(modified), etag, new=not etag)), data
            packed.append((job, known))
            if (size := size + len(data)) >= CHUNK:
                chunks.append(b"".join(pieces))
                pieces, size = [], 0
        chunks.append(b"".join([*pieces, END]))
        return chunks, packed, alone


class BundleGetter(Bundling, Getter):
    """From a share to the disk here."""

    async def bundle(self, left: dict[int, Errand]) -> list[Errand]:
        alone: list[Errand] = []
        size = 0
        unpacking, come = Unpacking(Given), list[tuple[Errand, Given, bytes]]()
        paths = [job.source.path for job in left.values()]
        headers, question = {"Content-Type": ASKED}, msgspec.json.encode(Asked(paths))
        try:
            async with self.there.request("POST", SharePath(), headers, question) as answer:
                async for piece in self.there.pieces(answer):
                    for given, data in unpacking.feed(piece):
                        if (job := left.pop(given.number, None)) is None:
                            raise Damaged(f"{self.there.peer.name} sent a file that was not asked for.")
                        if given.status == 413:  # it has grown
                            alone.append(job)
                        elif given.failed is not None:
                            self.fail(job, given.failed, given.status)
                        else:
                            come.append((job, given, data))
                            size += len(data)
                    if size >= MOST_BYTES:
                        await self._save(come)
                        come.clear()
                        size = 0
                unpacking.finish()
        finally:
            await self._save(come)  # also when the rest of them is lost
        return alone

    async def _save(self, come: Sequence[tuple[Errand, Given, bytes]]) -> None:
        files, jobs = [], []
        place, computer = (str(self.there.peer.fingerprint), str(self.there.share)), self.manner.computer
        for job, given, data in come:
            if (digest := hashlib.sha256(data).digest()) != given.sha256:
                self.counts.fail(job.source.path, Damaged(f"“{job.source.path}” arrived damaged.", "get it again"))
                continue
            arrived = Arrived(given.modified, Origin(*place, job.source.path, given.etag), computer)
            files.append(Delivery(job.target, data, digest, arrived))
            jobs.append(job)
        for job, file, kept in zip(jobs, files, await self.run(land, files), strict=True):
            if isinstance(kept, CommonholdError):
                self.counts.fail(job.source.path, kept)
                continue
            if kept:
                self.counts.keep(job.target, kept)
            self.counts.moved(job.source.path)(len(file.data))
            self.counts.arrived(job.source.path, len(file.data))


def _read(source: str) -> tuple[bytes, int, Origin | None] | None:
    """The bytes of a small file, when it was changed, and what it is a copy of; None when it must go by itself."""
    try:
        handle = os.open(source, SOURCE)
        try:
            before = os.fstat(handle)
            if not stat.S_ISREG(before.st_mode) or before.st_size > LARGEST:
                return None
            data = os.read(handle, before.st_size + 1)
            known = Origin.of(handle)
            after = os.fstat(handle)
        finally:
            os.close(handle)
    except OSError:
        return None
    whole = (len(data), after.st_size, after.st_mtime_ns) == (before.st_size, before.st_size, before.st_mtime_ns)
    return (data, before.st_mtime_ns, known) if whole else None


async def _one_by_one(chunks: deque[bytes]) -> AsyncIterator[bytes]:
    """What is sent is kept no longer."""
    while chunks:
        yield chunks.popleft()


def _line(line: object) -> Answered:
    try:
        return msgspec.convert(line, Answered)
    except msgspec.ValidationError as error:
        raise Damaged("The other computer's answer can't be read.") from error


def _note(source: Item, known: Origin) -> None:
    """That the local file is what is there now, unless it has changed meanwhile."""
    with suppress(OSError), open(source.path, "rb") as file:  # noqa: PTH123 - a name that may be no text
        status = os.fstat(file.fileno())
        if (status.st_size, int(status.st_mtime)) == (source.size, source.modified):
            known.note(file.fileno(), status)
