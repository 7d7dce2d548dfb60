"""What `mv` does between two computers, and `rm`: nothing goes before it is certain that it may."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from commonhold.errors import CommonholdError, Unreachable, WrongUsage
from commonhold.files.entry import Entry
from commonhold.files.used.crossing import Crosser
from commonhold.files.used.globs import is_glob, named
from commonhold.files.used.remote import Remote
from commonhold.files.used.tally import Counts
from commonhold.files.used.together import all_of
from commonhold.files.used.tree import Errand
from commonhold.names import SharePath

AT_ONCE = 12  # deletes under way


class Mover(Crosser):
    """As Crosser; what has arrived, durably and with the right digest, goes at the source if it is still the same."""

    def replaces(self, job: Errand) -> str:
        return ""

    async def known(self, job: Errand) -> bool:
        if not await super().known(job):
            return False
        await self._leave(job)
        return True

    async def one(self, job: Errand) -> int:
        size = await super().one(job)
        await self._leave(job)
        return size

    async def landed(self, job: Errand) -> None:
        await self._leave(job)

    async def _leave(self, job: Errand) -> None:
        await self._here.remove(SharePath.parse(job.source.path), job.source.etag)


async def bare(here: Remote, folder: SharePath) -> bool:
    """Whether no file lies in a folder, at any depth. False when that cannot be seen."""
    try:
        async with aclosing(here.entries(folder)) as entries:
            async for entry in entries:
                if entry.kind == "file" or not await bare(here, SharePath.parse(entry.path)):
                    return False
    except Unreachable:
        raise
    except CommonholdError:
        return False
    return True


async def remove(there: Remote, path: SharePath, recursive: bool, counts: Counts) -> None:
    """Delete what `path` names or, as a glob, fits: a file, with `recursive` a folder and all in it, too.

    What is named by itself and fails raises its error; of what fits a glob it is counted.
    """
    counts.strict = not is_glob(path)
    if not path.parts:  # the other computer says why not
        await there.remove(path)
    next_one = asyncio.Lock()
    async with aclosing(named(there, path)) as entries:

        async def worker() -> None:
            while True:
                async with next_one:
                    entry = await anext(entries, None)
                if entry is None:
                    return
                await one(entry)

        async def one(entry: Entry) -> None:
            counts.expect(1, 0)
            try:
                if entry.kind != "file" and not recursive:
                    raise WrongUsage(f"“{entry.path}” is a folder.", "delete it and all that is in it with -r")
                await there.remove(SharePath.parse(entry.path), entry.etag if entry.kind == "file" else "")
                counts.removed += 1
            except Unreachable:
                raise
            except CommonholdError as error:
                counts.fail(entry.path, error)

        await all_of(*(worker() for _ in range(AT_ONCE)))
