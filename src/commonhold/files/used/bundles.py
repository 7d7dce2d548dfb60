"""Small files by the batch door of the other computer, many in one request; without one each goes by itself.

Every file is whole or not there, and its outcome is its own, as when it goes by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from commonhold.errors import Changed, CommonholdError, Damaged, Unreachable, from_problem
from commonhold.files.batch import ASKED, END, FILES, LARGEST, MAGIC, Answered, Asked, Given, Sent, Unpacking, pack
from commonhold.files.used.carriers import Getter, OneByOne, Putter
from commonhold.files.used.origin import Origin
from commonhold.files.used.part import Arrived, save_many
from commonhold.files.used.remote import Remote
from commonhold.files.used.send import open_source
from commonhold.files.used.sides import Item
from commonhold.files.used.tally import Counts
from commonhold.files.used.together import each
from commonhold.files.used.tree import Errand, Manner
from commonhold.names import SharePath
from commonhold.transport import json_lines

MOST = 400  # files of one request
MOST_BYTES = 4 * 2**20  # of one request, which is in memory
LONGEST_PATHS = 2**19  # bytes of all paths in one question
REQUESTS = 2  # under way: one is stored while the next is made
ALONE = 12  # files under way that go by themselves
TOGETHER = 200  # files that come to the local disk together


class Bundling(OneByOne):
    """What both directions have in common: which files go together, and the others by themselves."""

    most = MOST

    def __init__(self, there: Remote, threads: Executor, counts: Counts, manner: Manner) -> None:
        super().__init__(there, threads, counts, manner)
        self._requests, self._singles = asyncio.Semaphore(REQUESTS), asyncio.Semaphore(ALONE)
        self._able = True  # as far as we know, the other computer has such a door

    async def carry(self, jobs: Sequence[Errand]) -> None:
        alone = [job for job in jobs if not self._bundles(job)]
        small = [job for job in jobs if self._bundles(job)]
        for bundle in self._split(small):
            alone += await self._together(bundle)
        await each(alone, self._alone, ALONE)

    def _bundles(self, job: Errand) -> bool:
        return self._able and job.source.size <= LARGEST and not self.manner.checksum

    def _split(self, jobs: Sequence[Errand]) -> Iterator[list[Errand]]:
        """In requests that are not too large."""
        bundle: list[Errand] = []
        size = length = 0
        for job in jobs:
            size += job.source.size
            length += len(self.where(job).encode(errors="replace"))
            if bundle and (size > MOST_BYTES or length > LONGEST_PATHS):
                yield bundle
                bundle, size, length = [], job.source.size, len(self.where(job))
            bundle.append(job)
        if bundle:
            yield bundle

    async def _alone(self, job: Errand) -> None:
        async with self._singles:
            await OneByOne.carry(self, [job])

    async def _together(self, jobs: list[Errand]) -> list[Errand]:
        """Copy them by one request; those that must go by themselves."""
        if len(jobs) < 2 or not self._able:
            return jobs
        left = dict(enumerate(jobs))  # those of which nothing was heard yet
        async with self._requests:
            try:
                again = await self.bundle(left)
            except Unreachable:
                raise
            except CommonholdError as error:  # each asks for itself, and hears what is said of it
                self._able = self._able and error.status not in {404, 405, 415}
                again = []
        return [*again, *left.values()]

    async def bundle(self, left: dict[int, Errand]) -> list[Errand]:
        """Copy them, and take those whose outcome is known out of `left`. Those that must go by themselves."""
        raise NotImplementedError

    def fail(self, job: Errand, failed: dict[str, Any] | None, status: int) -> None:
        self.counts.fail(self.where(job), from_problem(failed, status))


class BundlePutter(Bundling, Putter):
    """From the disk here to a share."""

    async def bundle(self, left: dict[int, Errand]) -> list[Errand]:
        packed, alone = await self.run(self._pack, list(left.values()))
        left.clear()
        left.update(enumerate(each.job for each in packed))
        if not packed:
            return alone
        body = b"".join((MAGIC, *(each.frame for each in packed), END))
        async with self.there.request("POST", SharePath(), {"Content-Type": FILES}, body) as answer:
            async for line in json_lines(answer):
                answered = _line(line)
                if (job := left.pop(answered.number, None)) is None:
                    raise Damaged(f"{self.there.peer.name} answered for a file that was not sent.")
                if answered.status in {Changed.status, 413}:  # what that means is found out when it goes by itself
                    alone.append(job)
                elif answered.failed is not None:
                    self.fail(job, answered.failed, answered.status)
                else:
                    await self._stored(job, packed[answered.number].known, answered.etag)
        return alone

    async def _stored(self, job: Errand, known: Origin | None, etag: str) -> None:
        if known and etag:
            await self.run(_note, job.source, structs.replace(known, etag=etag))
        self.counts.moved(job.target)(job.source.size)
        self.counts.arrived(job.target, job.source.size)

    def _pack(self, jobs: Sequence[Errand]) -> tuple[list[_Packed], list[Errand]]:
        """The frames; and what must go by itself, or fails so."""
        packed, alone = [], []
        place = str(self.there.peer.fingerprint), str(self.there.share)
        for job in jobs:
            try:
                file, status, data = open_source(Path(job.source.path))
            except CommonholdError:
                alone.append(job)
                continue
            with file:
                known = Origin.of(file.fileno())
            known = known if known and known.names(*place, job.target) else None
            etag = job.before.etag if job.before and job.before.kind == "file" else ""
            if data is None or (known and etag and self.manner.computer and known.etag != etag):
                alone.append(job)
                continue
            modified = status.st_mtime_ns if -(2**31) * 10**9 <= status.st_mtime_ns < 2**63 else None
            digest = hashlib.sha256(data).digest()
            sent = Sent(job.target, len(data), digest, modified, etag, new=not etag)
            packed.append(_Packed(job, pack(sent, data), known))
        return packed, alone


class BundleGetter(Bundling, Getter):
    """From a share to the disk here."""

    async def bundle(self, left: dict[int, Errand]) -> list[Errand]:
        alone: list[Errand] = []
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
                    if len(come) >= TOGETHER:
                        await self._save(come)
                        come.clear()
                unpacking.finish()
        finally:
            await self._save(come)  # also when the rest of them is lost
        return alone

    async def _save(self, come: Sequence[tuple[Errand, Given, bytes]]) -> None:
        whole = []
        for job, given, data in come:
            if hashlib.sha256(data).digest() == given.sha256:
                whole.append((job, given, data))
            else:
                self.counts.fail(job.source.path, Damaged(f"“{job.source.path}” arrived damaged.", "get it again"))
        place = str(self.there.peer.fingerprint), str(self.there.share)
        files = []
        for job, given, data in whole:
            arrived = Arrived(given.modified, Origin(*place, job.source.path, given.etag), self.manner.computer)
            files.append((Path(job.target), data, arrived))
        for (job, _, data), kept in zip(whole, await self.run(save_many, files), strict=True):
            if isinstance(kept, CommonholdError):
                self.counts.fail(job.source.path, kept)
                continue
            if kept:
                self.counts.keep(job.target, kept)
            self.counts.moved(job.source.path)(len(data))
            self.counts.arrived(job.source.path, len(data))


class _Packed(NamedTuple):
    job: Errand
    frame: bytes
    known: Origin | None  # the local file is a copy of that one


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
