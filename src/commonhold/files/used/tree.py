"""Folders from one end to another: what is to be copied, what is the same already, what must go.

Those who look and those who copy work at the same time, with a spool between them. Nothing is ever held of all files;
of the target, at most the names of the folders that are looked at now.
"""

from __future__ import annotations

import asyncio
import time
import unicodedata
from collections.abc import AsyncIterable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple, Protocol

import msgspec

from commonhold.errors import CommonholdError, Conflict, NotFound, Refused, Unreachable, WrongUsage
from commonhold.files.used.ignoring import Ignoring
from commonhold.files.used.sides import Item, Side, within
from commonhold.files.used.spool import Spool
from commonhold.files.used.tally import Counts, Progress
from commonhold.files.used.together import all_of
from commonhold.names import SharePath, harmless

FOLDERS_AT_ONCE = 8  # that are looked into
LONG = 5_000  # names of a folder; of longer ones only one is held at a time
FRESH = 2  # seconds: what changed so lately may have changed again with the same time, in HTTP's whole seconds


class Manner(msgspec.Struct, frozen=True):
    """How to copy. `computer` is the name of this one: without it, a local file in the way is replaced, and what was

    changed at both ends is an error; with it, both stay.
    """

    recursive: bool = False
    checksum: bool = False  # what is the same is told by digests, not by size and time
    delete: bool = False  # what the source has not goes from the target
    dry_run: bool = False
    ignore: tuple[str, ...] | None = ()  # patterns beside the usual ones; None: nothing is left out
    limit: int | None = None  # bytes a second
    computer: str = ""
    progress: Callable[[Progress], None] | None = None


class Errand(msgspec.Struct, frozen=True, array_like=True):
    """One file to be copied; `before` is what the target has there."""

    source: Item
    target: str
    before: Item | None = None


class Top(NamedTuple):
    """What was named by the person, and where it goes; of a file also what is there."""

    source: Item
    target: str
    before: Item | None = None
    ignoring: Ignoring | None = None


class Carrier(Protocol):
    """Who copies files."""

    most: int  # jobs that it takes at a time

    async def carry(self, jobs: Sequence[Errand]) -> None:
        """Copy them, and count what became of each. Raises Unreachable only."""
        ...


class _Folder(NamedTuple):
    source: str
    target: str
    below: str  # the folder that was named: "", and what lies in it: "sub/"
    ignoring: Ignoring | None


class _Extra(msgspec.Struct, frozen=True, array_like=True):
    item: Item
    below: str


class Tree:
    """One copy of files and folders."""

    def __init__(
        self, source: Side, target: Side, carrier: Carrier, manner: Manner, counts: Counts, at_once: int
    ) -> None:
        self._source, self._target, self._carrier = source, target, carrier
        self._manner, self._counts, self._at_once = manner, counts, at_once
        self._jobs, self._extra = Spool(Errand), Spool(_Extra)
        self._folders: asyncio.LifoQueue[_Folder | None] = asyncio.LifoQueue()
        self._open = 0  # folders that nobody has finished
        self._long = asyncio.Lock()
        self._whole = True  # every folder of the source could be listed
        self._ignoring: Ignoring | None = None

    async def run(self, tops: AsyncIterable[Top]) -> None:
        """Copy. What fails is counted; raises Unreachable, and what keeps a folder that was named from

        being looked into.
        """
        try:
            await all_of(self._look(tops), *(self._carry() for _ in range(self._at_once)))
            self._extra.end()
            if self._manner.delete:
                await self._remove()
        finally:
            self._jobs.close()
            self._extra.close()

    async def _look(self, tops: AsyncIterable[Top]) -> None:
        async for top in tops:
            self._ignoring = top.ignoring
            if top.source.kind == "file":
                self._job(top.source, top.target, top.before)
                continue
            self._push(_Folder(top.source.path, top.target, "", top.ignoring))
            await all_of(*(self._walk() for _ in range(FOLDERS_AT_ONCE)))
            while not self._folders.empty():  # what told the walkers to end
                self._folders.get_nowait()
        self._jobs.end()

    def _push(self, folder: _Folder) -> None:
        self._open += 1
        self._folders.put_nowait(folder)

    async def _walk(self) -> None:
        while (folder := await self._folders.get()) is not None:
            await self._enter(folder)
            self._open -= 1
            if not self._open:
                for _ in range(FOLDERS_AT_ONCE):
                    self._folders.put_nowait(None)

    async def _enter(self, folder: _Folder) -> None:
        try:
            async with AsyncExitStack() as alone:
                new = False if self._manner.dry_run else await self._target.make(folder.target)
                there = {} if new else await self._there(folder.target, alone)
                await self._scan(folder, there)
                if self._manner.delete:
                    self._leave(folder, there)
        except Unreachable:
            raise
        except CommonholdError as error:
            if not folder.below and self._counts.alone:
                raise
            self._whole = False
            self._counts.fail(folder.source, error)

    async def _there(self, folder: str, alone: AsyncExitStack) -> dict[str, bytes]:
        """What the target has in that folder, by name; of a long one only when no other long one is held."""
        try:
            found = await self._names(folder, LONG)
            if found is None:  # nobody waits in the middle of an answer: its connection would be taken for dead
                await alone.enter_async_context(self._long)
                found = await self._names(folder)
            return found or {}
        except (Refused, NotFound):
            if not self._manner.dry_run and self._manner.delete:
                raise
            return {}  # whoever may only add replaces nothing; in a dry run nothing may be there

    async def _names(self, folder: str, most: int | None = None) -> dict[str, bytes] | None:
        """None when there are more than `most`."""
        found: dict[str, bytes] = {}
        async with aclosing(self._target.entries(folder)) as entries:
            async for item in entries:
                found[unicodedata.normalize("NFC", item.name)] = item.pack()
                if most is not None and len(found) > most:
                    return None
        return found

    async def _scan(self, folder: _Folder, there: dict[str, bytes]) -> None:
        found, spelled = False, set[int]()
        async for item in self._source.entries(folder.source):
            found = True
            name = unicodedata.normalize("NFC", item.name)
            if not (self._target.keeps_origins or name.isascii()):  # a share has one file where a disk may have two
                if hash(name) in spelled:
                    self._counts.fail(item.path, _twin(name))
                    continue
                spelled.add(hash(name))
            packed = there.pop(name, None)
            if folder.ignoring and folder.ignoring(folder.below + name, item.kind == "folder"):
                continue
            if item.kind in {"link", "device"}:
                self._counts.leave_out(item.path, link=item.kind == "link")
                continue
            before = Item.unpack(folder.target, name, packed) if packed else None
            target = before.path if before else within(folder.target, item.name)  # in the form that it has there
            if not harmless(item.name):
                try:
                    SharePath((item.name,))
                except WrongUsage as error:
                    self._counts.fail(item.path, error)
                    continue
            if item.kind == "folder":
                self._push(_Folder(item.path, target, f"{folder.below}{name}/", folder.ignoring))
            else:
                self._job(item, target, before)
        if not found and not folder.below and self._manner.delete:
            raise Conflict(
                f"{folder.source or 'The share'} is empty: nothing was deleted at the other end.",
                "if that is meant, delete what is there with rm -r",
            )

    def _leave(self, folder: _Folder, there: dict[str, bytes]) -> None:
        """Note what the source has not: it goes when all has been copied."""
        for name, packed in there.items():
            item = Item.unpack(folder.target, name, packed)
            ignored = folder.ignoring and folder.ignoring(folder.below + name, item.kind == "folder")
            if item.kind in {"file", "folder"} and not ignored:
                self._extra.put(_Extra(item, folder.below + name))

    def _job(self, item: Item, target: str, before: Item | None) -> None:
        self._counts.expect(1, item.size)
        if before is not None and not self._manner.checksum and self._same(item, before):
            self._counts.found_same(item.size)
        elif self._manner.dry_run:
            self._try(item, target, before)
        else:
            self._jobs.put(Errand(item, target, before))

    def _try(self, item: Item, target: str, before: Item | None) -> None:
        try:
            if before is None:
                self._target.foresee(target)
            self._counts.to_copy.append(target)
        except CommonholdError as error:
            self._counts.fail(item.path, error)

    def _same(self, item: Item, before: Item) -> bool:
        if item.etag and item.etag == before.etag:
            return True
        if before.kind != "file" or (before.etag and self._target.keeps_origins):
            return False  # a copy of what was there, and it is another now
        seen = (item.size, item.modified) == (before.size, before.modified)
        return seen and not time.time() - FRESH < item.modified < time.time() + FRESH

    async def _carry(self) -> None:
        while (job := await self._jobs.take()) is not None:
            jobs = [job]
            while len(jobs) < self._carrier.most and (more := self._jobs.take_now()) is not None:
                jobs.append(more)
            await self._carrier.carry(jobs)

    async def _remove(self) -> None:
        if not self._whole:
            trouble = Conflict(
                "Not all of the source could be listed, and so nothing was deleted.", "correct that first"
            )
            self._counts.fail("--delete", trouble)
            return
        while (extra := await self._extra.take()) is not None:
            try:
                await self._take_away(extra.item, extra.below)
            except Unreachable:
                raise
            except CommonholdError as error:
                self._counts.fail(extra.item.path, error)

    async def _take_away(self, item: Item, below: str) -> bool:
        """Remove it, but nothing that is left out of the copy; whether nothing is left of it."""
        if item.kind == "folder" and not await self._bare(item, below):
            async for inner in self._target.entries(item.path):
                if not self._left_out(inner, below):
                    await self._take_away(inner, f"{below}/{inner.name}")
            return False
        if self._manner.dry_run:
            self._counts.to_delete.append(item.path)
            return True
        await self._target.remove(item)
        self._counts.removed += 1
        return True

    async def _bare(self, folder: Item, below: str) -> bool:
        """Whether nothing in the folder is left out of the copy: then it may go as a whole."""
        async for inner in self._target.entries(folder.path):
            if self._left_out(inner, below):
                return False
            if inner.kind == "folder" and not await self._bare(inner, f"{below}/{inner.name}"):
                return False
        return True

    def _left_out(self, item: Item, below: str) -> bool:
        return bool(self._ignoring and self._ignoring(f"{below}/{item.name}", item.kind == "folder"))


def _twin(name: str) -> CommonholdError:
    return Conflict(
        f"Another file beside it is called “{name}” too, in other characters that look alike.",
        "give one of them another name",
    )
