"""One file from another computer to the local disk: resumed if it broke before, verified, never seen half."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

import aiohttp

from commonhold.errors import Changed, Damaged, Unreachable, WrongUsage
from commonhold.files import webdav
from commonhold.files.used.origin import Origin
from commonhold.files.used.part import Arrived, Part, save
from commonhold.files.used.remote import Remote, etag_of
from commonhold.names import SharePath

T = TypeVar("T")
SMALL = 256 * 1024  # bytes up to which a file is taken into memory
CHUNK = 2**20
TRIES = 4  # a connection that breaks, or a file that changes, this often in one transfer ends it


class Fetch:
    """One file on its way here; `moved(bytes)` hears of progress (less than nothing when bytes count no more), and
    `sized(bytes)` how large the file is, as soon as that is known.
    """

    def __init__(
        self,
        there: Remote,
        path: SharePath,
        target: Path,
        threads: Executor,
        moved: Callable[[int], None],
        sized: Callable[[int], None] | None = None,
        computer: str = "",
    ) -> None:
        """`computer`: the name of this one, under which a local file stays that would be destroyed (`kept`)."""
        self._there, self._path, self._target = there, path, target
        self._threads = threads
        self._moved, self._sized = moved, sized
        self._counted = 0
        self._part: Part | None = None
        self._arrived = Arrived(computer=computer)
        self.kept: Path | None = None

    async def run(self, size: int | None = None) -> int:
        """Fetch it; its size. `size` is what a listing said: small files leave no parts to go on with.

        Raises what the other computer reports, Unreachable (what has arrived stays for the next time),
        Damaged, and what the local disk answers.
        """
        if size is None or size > SMALL:
            self._part = await self._run(Part.resume, self._target)
        try:
            for tries_left in reversed(range(TRIES)):
                had = self._size()
                try:
                    return await self._attempt()
                except Unreachable:  # once more, but only if this try came further: else the other computer is gone
                    if not tries_left or self._size() <= had:
                        raise
                except Changed:
                    if not tries_left:
                        raise
            raise AssertionError("the last try returns or raises")
        except BaseException:
            self._count(0)
            raise
        finally:
            if self._part:
                await self._run(self._part.close)

    async def _attempt(self) -> int:
        part, path = self._part, self._path
        headers = {"Range": f"bytes={part.size}-", "If-Range": f'"{part.etag}"'} if part else None
        async with self._there.request("GET", path, headers, ok=(405, 416)) as answer:
            expected = webdav.parse_digest(answer.headers.get("Repr-Digest"))
            if answer.status == 405:
                raise WrongUsage(f"“{str(path) or self._there.share}” is a folder.", "copy it and all in it with -r")
            if answer.status in {200, 206}:
                self._arrived = self._arrived._replace(modified=_modified(answer), origin=self._origin(answer))
            if answer.status == 200:
                await self._discard()
                size = answer.content_length
                self._tell(size)
                if size is not None and size <= SMALL and expected:
                    return await self._small(answer, expected)
                part = self._part = await self._run(Part.begin, self._target, etag_of(answer))
            elif part is None or not _goes_on(answer, part):
                await self._discard()
                raise Damaged(f"{self._there.peer.name} sent another part of “{path}” than was asked for.", "try again")
            if answer.status == 206:
                self._tell(part.size + (answer.content_length or 0))
            if answer.status != 416:  # else the part was whole already
                await self._receive(answer, part)
        await self._verify(part, expected)
        self.kept = await self._run(part.finish, self._arrived)
        return part.size

    async def _small(self, answer: aiohttp.ClientResponse, expected: bytes) -> int:
        data = b"".join([piece async for piece in self._there.pieces(answer)])
        if hashlib.sha256(data).digest() != expected:
            raise self._damaged()
        self.kept = await self._run(save, self._target, data, self._arrived)
        self._count(len(data))
        return len(data)

    async def _receive(self, answer: aiohttp.ClientResponse, part: Part) -> None:
        """Write and hash in a thread what came before, while the next comes in; when it breaks, keep what came."""
        writing = asyncio.ensure_future(self._run(part.write, b""))
        gathered = bytearray()
        try:
            async for piece in self._there.pieces(answer):
                gathered += piece
                if len(gathered) >= CHUNK:
                    await writing
                    self._count(part.size)
                    writing = asyncio.ensure_future(self._run(part.write, gathered))
                    gathered = bytearray()
        finally:
            await writing
            await self._run(part.write, gathered)
            self._count(part.size)

    async def _verify(self, part: Part, expected: bytes | None) -> None:
        try:
            right = (expected or await self._there.digest(self._path, part.etag)) == part.sha256
        except Changed:
            await self._discard()
            raise
        if not right:
            await self._discard()
            raise self._damaged()

    def _damaged(self) -> Damaged:
        return Damaged(f"“{self._path}” arrived damaged; nothing was changed.", "get it again")

    async def _discard(self) -> None:
        if self._part:
            await self._run(self._part.discard)
            self._part = None
        self._count(0)

    def _origin(self, answer: aiohttp.ClientResponse) -> Origin:
        there = self._there
        return Origin(str(there.peer.fingerprint), str(there.share), str(self._path), etag_of(answer))

    def _tell(self, size: int | None) -> None:
        if self._sized and size is not None:
            self._sized(size)

    def _size(self) -> int:
        return self._part.size if self._part else 0

    def _count(self, size: int) -> None:
        self._moved(size - self._counted)
        self._counted = size

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


def _modified(answer: aiohttp.ClientResponse) -> int | None:
    """When the file there was changed, in nanoseconds; HTTP's dates are in seconds."""
    moment = webdav.parse_date(answer.headers.get("Last-Modified"))
    return int(moment.timestamp()) * 10**9 if moment else None


def _goes_on(answer: aiohttp.ClientResponse, part: Part) -> bool:
    """Whether the answer is what comes after the part, or says that nothing does."""
    if answer.status == 416:
        return answer.headers.get("Content-Range") == f"bytes */{part.size}"
    span = webdav.content_range(answer.headers.get("Content-Range"))
    return span is not None and span[0] == part.size and span[1] == span[2] and etag_of(answer) == part.etag
