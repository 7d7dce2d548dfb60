"""Carries a job's files between this computer and the doors that own them, and gets the passes for it.

Everything goes through a door, this computer's own too: the door's authority sees each request, with
the pass, and no shortcut exists that could forget to ask.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from aiohttp import web

from commonhold.authority.authority import Door, Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.authority.passes import Passes
from commonhold.compute.papers import LARGEST, RemoteFile
from commonhold.errors import Changed, CommonholdError, Conflict, Damaged, NotFound, Refused
from commonhold.files import webdav
from commonhold.files.shares import Shares
from commonhold.files.used.remote import Remote, etag_of
from commonhold.names import Fingerprint, PersonId, SharePath
from commonhold.transport import Caller, Peer, document, json_answer
from commonhold.trees import erase, weigh

CHUNK = 2**20
SMALL = 2**20  # bytes of an output that is sent from memory
THREADS = 4  # that read and write the staging area's files

Find = Callable[[Fingerprint], Peer]


class DoorCourier:
    """A lender's: fetches inputs and stores outputs under passes, never under the lender's own rights."""

    def __init__(self, caller: Caller, find: Find) -> None:
        self._caller = caller
        self._find = find
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="courier")

    async def fetch(self, source: RemoteFile, pass_id: str, folder: Path, name: str) -> None:
        """Copy a remote file to `folder/name`, with the time of its last change (`gzip` and `tar` write it down)."""
        there = self._there(source, pass_id)
        path = SharePath.parse(source.path)
        digest = hashlib.sha256()
        run = asyncio.get_running_loop().run_in_executor
        with (folder / name).open("xb", buffering=0) as file:
            async with there.request("GET", path) as answer:
                etag, expected = etag_of(answer), webdav.parse_digest(answer.headers.get("Repr-Digest"))
                modified = webdav.parse_date(answer.headers.get("Last-Modified"))
                async for piece in answer.content.iter_chunked(CHUNK):
                    digest.update(piece)
                    await run(self._threads, file.write, piece)
            if (expected or await there.digest(path, etag)) != digest.digest():
                raise Damaged(f"“{path}” arrived damaged.", "run it again")
            if modified is not None:
                os.utime(file.fileno(), (modified.timestamp(), modified.timestamp()))

    async def store(self, file: BinaryIO, target: RemoteFile, pass_id: str) -> None:
        """Copy an open file to `target`; folders on the way are made, an output of an earlier run is replaced.

        What is there already to the last byte stays as it is: its first run stored it, and was lost before it could
        say so. Where the job may only add, the door puts what has a taken name beside it, under a number.
        """
        there = self._there(target, pass_id)
        path = SharePath.parse(target.path)
        try:
            await self._write(there, path, file, "")
        except Changed:
            etag = (await there.stat(path)).etag
            if await there.digest(path, etag) != await self._digest(file):
                await self._write(there, path, file, etag)
        except (NotFound, Conflict):
            await self._make_folders(there, path.parent)
            await self._write(there, path, file, "")

    async def _make_folders(self, there: Remote, folder: SharePath) -> None:
        """From the bottom up until one exists: a pass opens nothing above the job's own folder."""
        missing = []
        while folder.parts:
            try:
                await there.mkdir(folder, exist_ok=True)
                break
            except (NotFound, Conflict):
                missing.append(folder)
                folder = folder.parent
        for each in reversed(missing):
            await there.mkdir(each, exist_ok=True)

    async def _write(self, there: Remote, path: SharePath, file: BinaryIO, etag: str) -> None:
        run = asyncio.get_running_loop().run_in_executor
        size = os.fstat(file.fileno()).st_size
        file.seek(0)
        if size <= SMALL:
            data = await run(self._threads, file.read, SMALL + 1)
            digest = hashlib.sha256(data).digest()
            found, _ = await there.write(path, data, len(data), etag, digest)
        else:
            hashing = hashlib.sha256()
            found, _ = await there.write(path, self._pieces(file, hashing.update), size, etag)
            digest = hashing.digest()
        if found is not None and found != digest:
            raise Damaged(f"“{path}” was stored damaged.", "run it again")

    async def _digest(self, file: BinaryIO) -> bytes:
        hashing = hashlib.sha256()
        file.seek(0)
        async for _ in self._pieces(file, hashing.update):
            pass
        return hashing.digest()

    async def _pieces(self, file: BinaryIO, count: Callable[[bytes], None]) -> AsyncIterator[bytes]:
        run = asyncio.get_running_loop().run_in_executor
        while piece := await run(self._threads, file.read, CHUNK):
            count(piece)
            yield piece

    def _there(self, file: RemoteFile, pass_id: str) -> Remote:
        if not pass_id:
            raise Refused("The job has no pass for that.")
        return Remote(self._caller, self._find(file.computer), file.share, pass_id)


class PassWish(msgspec.Struct, frozen=True):
    """POST /passes: what a submitter's node asks a door for."""

    lender: Fingerprint
    job: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}\Z")]
    share: str
    verb: Verb
    until: Annotated[datetime, msgspec.Meta(tz=True)]
    paths: tuple[str, ...] = ()
    folder: str | None = None


class DoorDesk:
    """Passes: given out for this computer's doors (`routes`), and asked of others' for the jobs run here."""

    def __init__(self, passes: Passes, shares: Shares, caller: Caller, find: Find, here: Fingerprint) -> None:
        self._passes, self._shares, self._caller, self._find, self._here = passes, shares, caller, find, here
        self._asked: dict[str, list[tuple[Subject, Fingerprint]]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/passes", self._post), web.delete(r"/passes/{job:\d{1,9}}", self._delete)]

    async def issue(
        self,
        subject: Subject,
        computer: Fingerprint,
        lender: Fingerprint,
        job: str,
        share: str,
        verb: Verb,
        paths: list[str],
        folder: str | None,
        until: datetime,
    ) -> str:
        """A pass for that lender from the door of `computer`. Raises Refused without such a right there."""
        self._asked.setdefault(job, []).append((subject, computer))
        wish = PassWish(lender, job, share, verb, until, tuple(paths), folder)
        if computer == self._here:
            return self._give(subject, wish)
        return str(await self._caller.ask(self._find(computer), "POST", "/passes", wish))

    async def void(self, job: str) -> None:
        asked = self._asked.pop(job, [])
        for subject, computer in dict.fromkeys(asked):
            if computer == self._here:
                self._passes.void(_purpose(job), subject)
        others = {computer for _, computer in asked if computer != self._here}
        asking = [self._caller.ask(self._find(computer), "DELETE", f"/passes/{job}") for computer in others]
        await asyncio.gather(*map(_quietly, asking))  # a door that is gone forgets them at their end

    async def revoke(self, subject: Subject, job: str, computer: Fingerprint, lender: Fingerprint | None) -> None:
        """The job's passes for that lender (None: for all) open nothing more at the door of `computer`."""
        if computer == self._here:
            self._passes.void(_purpose(job), subject, lender)
        else:
            query = f"?lender={lender}" if lender else ""
            await self._caller.ask(self._find(computer), "DELETE", f"/passes/{job}{query}")

    def _give(self, subject: Subject, wish: PassWish) -> str:
        paths = frozenset(map(SharePath.parse, wish.paths))
        within = SharePath.parse(wish.folder) if wish.folder is not None else None
        door = self._shares.door(wish.share)
        wanted, purpose = paths if within is None else within, _purpose(wish.job)
        return self._passes.issue(subject, wish.lender, purpose, door, wish.verb, paths=wanted, until=wish.until)

    async def _post(self, request: web.Request) -> web.Response:
        return json_answer(self._give(request[SUBJECT], await document(request, PassWish, LARGEST)))

    async def _delete(self, request: web.Request) -> web.Response:
        named = request.query.get("lender")
        lender = Fingerprint(named) if named else None
        self._passes.void(_purpose(request.match_info["job"]), request[SUBJECT], lender)
        return web.Response(status=204)


def _purpose(job: str) -> str:
    return f"job {job}"


async def _quietly(asking: Awaitable[object]) -> None:
    try:
        await asking
    except CommonholdError:
        return


class HomeFolders:
    """The folders of jobs, in the home, each offered as `.job-N` to its person."""

    def __init__(self, folder: Path, shares: Shares) -> None:
        self._folder, self._shares = folder, shares

    async def make(self, job: int, owner: PersonId) -> Path:
        folder = self._folder / str(job)
        await asyncio.to_thread(self._make, folder)
        self._offer(job, folder, owner)
        return folder

    async def drop(self, job: int) -> tuple[int, int]:
        self._shares.drop_job(f".job-{job}")
        return await asyncio.to_thread(self._drop, self._folder / str(job))

    def _drop(self, folder: Path) -> tuple[int, int]:
        found = weigh(folder)
        erase(folder)
        if folder.exists():
            raise CommonholdError(f"Not all of the folder of job {folder.name} can be removed.", f"look at {folder}")
        above = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(above)  # what is acknowledged is gone, after a power cut too
        finally:
            os.close(above)
        return found

    def _make(self, folder: Path) -> None:
        for name in ("in", "out"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def _offer(self, job: int, folder: Path, owner: PersonId) -> None:
        door = Door(kind="job", id=f"job-{job}", name=f".job-{job}", owner=owner)
        self._shares.add_job(f".job-{job}", folder, door)

    def restore(self, owners: dict[int, PersonId]) -> None:
        """After a restart: what earlier jobs left can still be fetched."""
        for job, owner in owners.items():
            if (self._folder / str(job)).is_dir():
                self._offer(job, self._folder / str(job), owner)
