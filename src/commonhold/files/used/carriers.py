"""Who copies one file after the other: from a share to the disk here, from here to a share, from share to share."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from commonhold.errors import Changed, CommonholdError, Damaged, Unreachable
from commonhold.files import webdav
from commonhold.files.disk import HERE, explained
from commonhold.files.used.conflict import names, sha256_of
from commonhold.files.used.fetch import Fetch
from commonhold.files.used.origin import Origin
from commonhold.files.used.remote import Remote, etag_of
from commonhold.files.used.send import Send
from commonhold.files.used.tally import Counts
from commonhold.files.used.tree import Errand, Manner
from commonhold.names import SharePath

T = TypeVar("T")


class OneByOne:
    """What all carriers have in common: each file by itself, and its failure is its own."""

    most = 1

    def __init__(self, there: Remote, threads: Executor, counts: Counts, manner: Manner) -> None:
        self.there, self.threads, self.counts, self.manner = there, threads, counts, manner

    async def carry(self, jobs: Sequence[Errand]) -> None:
        for job in jobs:
            try:
                if await self.known(job):
                    self.counts.found_same(job.source.size)
                else:
                    self.counts.arrived(self.where(job), await self.one(job))
            except Unreachable:
                raise
            except CommonholdError as error:
                self.counts.fail(self.where(job), error)

    def where(self, job: Errand) -> str:
        """How the file is called when something is told of it: by its path at the other computer."""
        return job.target

    async def known(self, job: Errand) -> bool:
        """Whether digests, where they are asked for, say that the target is the same."""
        before = job.before
        if not self.manner.checksum or before is None or (before.kind, before.size) != ("file", job.source.size):
            return False
        return await self.alike(job)

    async def alike(self, job: Errand) -> bool:
        """Whether both are of the same bytes."""
        raise NotImplementedError

    async def one(self, job: Errand) -> int:
        """Copy it; its size."""
        raise NotImplementedError

    async def local_digest(self, path: str) -> bytes:
        def digest() -> bytes:
            with explained(path, HERE):
                return sha256_of(Path(path))

        return await self.run(digest)

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, work, *arguments)


class Getter(OneByOne):
    """From a share to the disk here."""

    def where(self, job: Errand) -> str:
        return job.source.path

    async def alike(self, job: Errand) -> bool:
        there = await self.there.digest(SharePath.parse(job.source.path), job.source.etag)
        return there == await self.local_digest(job.target)

    async def one(self, job: Errand) -> int:
        path, target = SharePath.parse(job.source.path), Path(job.target)
        moved = self.counts.moved(job.source.path)
        fetching = Fetch(self.there, path, target, self.threads, moved, computer=self.manner.computer)
        size = await fetching.run(job.source.size)
        if fetching.kept:
            self.counts.keep(job.target, fetching.kept)
        return size


class Putter(OneByOne):
    """From the disk here to a share."""

    async def alike(self, job: Errand) -> bool:
        there = await self.there.digest(SharePath.parse(job.target), job.before.etag if job.before else "")
        return there == await self.local_digest(job.source.path)

    async def one(self, job: Errand) -> int:
        """What is there is replaced if it is what it was when we looked, and when this file was copied from there."""
        etag = job.before.etag if job.before and job.before.kind == "file" else ""
        if etag and await self._overtaken(job, etag):
            with suppress(Changed):  # once more, while its digest was asked for
                if await self.alike(job):
                    return job.source.size
            return await self._beside(job)
        try:
            return await self._send(job, SharePath.parse(job.target), etag)
        except Changed:
            if not self.manner.computer:
                raise
            return await self._beside(job)

    async def _overtaken(self, job: Errand, etag: str) -> bool:
        """Whether the file here came from there, and there is another one now."""
        known = await self.run(Origin.of, Path(job.source.path))
        place = str(self.there.peer.fingerprint), self.there.share, job.target
        return bool(self.manner.computer and known and known.names(*place) and known.etag != etag)

    async def _beside(self, job: Errand) -> int:
        """Send it under a name that says what it is: what somebody else has put there stays."""
        path = SharePath.parse(job.target)
        for name in names(path.name, self.manner.computer, datetime.now().astimezone()):
            try:
                size = await self._send(job, path.parent / name, "")
            except Changed:
                continue
            self.counts.keep(job.target, path.parent / name)
            return size
        raise AssertionError("names never end")

    async def _send(self, job: Errand, path: SharePath, etag: str) -> int:
        moved = self.counts.moved(job.target)
        return await Send(self.there, Path(job.source.path), path, self.threads, moved).run(etag)


class Passer(OneByOne):
    """From a share (`here`) to another (`there`), through this computer but not over its disk.

    What arrives is on the disk there, and its digest is that of what was read.
    """

    def __init__(
        self,
        here: Remote,
        there: Remote,
        threads: Executor,
        counts: Counts,
        manner: Manner,
    ) -> None:
        super().__init__(there, threads, counts, manner)
        self._here = here

    def replaces(self, job: Errand) -> str:
        """The etag of the file that this one takes the place of; empty: it takes none's."""
        return job.before.etag if job.before and job.before.kind == "file" else ""

    async def alike(self, job: Errand) -> bool:
        here = await self._here.digest(SharePath.parse(job.source.path), job.source.etag)
        return here == await self.there.digest(SharePath.parse(job.target), job.before.etag if job.before else "")

    async def one(self, job: Errand) -> int:
        source, path = SharePath.parse(job.source.path), SharePath.parse(job.target)
        before = self.replaces(job)
        hashing, size = hashlib.sha256(), job.source.size
        moved = self.counts.moved(job.target)
        async with self._here.request("GET", source, {"If-Match": f'"{job.source.etag}"'}) as answer:
            expected = webdav.parse_digest(answer.headers.get("Repr-Digest"))
            modified = webdav.parse_date(answer.headers.get("Last-Modified"))

            async def passing() -> AsyncIterator[bytes]:
                async for piece in self._here.pieces(answer):
                    hashing.update(piece)
                    moved(len(piece))
                    yield piece

            stamp = int(modified.timestamp()) * 10**9 if modified else None
            written = await self.there.write(path, passing(), size, before, modified=stamp)
            etag = etag_of(answer)
        digest = hashing.digest()
        expected = expected or await self._here.digest(source, etag)
        if written.sha256 != digest or expected not in {None, digest}:
            raise Damaged(f"“{path}” arrived damaged at {self.there.peer.name}.", "copy it again")
        return size


class Cloner(Passer):
    """From share to share of one computer, which copies by itself; where it can't, as Passer."""

    async def one(self, job: Errand) -> int:
        etag = self.replaces(job)
        source, path = SharePath.parse(job.source.path), SharePath.parse(job.target)
        if not await self._here.relocate("COPY", source, self.there.share, path, etag):
            return await super().one(job)
        self.counts.moved(job.target)(job.source.size)
        return job.source.size
