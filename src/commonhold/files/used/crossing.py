"""Files straight from one other computer to another: the second fetches them, and here it is only heard how far it is.

What cannot go that way goes through this computer: when one of the two is of an older version, when they do not reach
one another, or when the first does not let the second read though it lets this person.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, suppress

import msgspec

from commonhold.errors import CommonholdError, Damaged, Refused, Unreachable, from_problem
from commonhold.files.fetchwords import FETCH, MOST, READINGS, Fetched, FetchWish, FileWish, ReadingWish
from commonhold.files.used.carriers import OneByOne, Passer
from commonhold.files.used.remote import Remote
from commonhold.files.used.tally import Counts
from commonhold.files.used.together import each
from commonhold.files.used.tree import Errand, Manner
from commonhold.names import SharePath
from commonhold.transport import json_lines
from commonhold.wire import to_json

LONGEST_PATHS = 2**18  # bytes of all paths in one wish, at either end
REQUESTS = 2  # under way: the next files are asked for while the last of those before are stored
ALONE = 12  # files under way that go through this computer
PROLONG = 180.0  # seconds after which a pass is prolonged: it lasts three times as long
GOODBYE = 1.0  # seconds for a pass to be given back: else it ends by itself


class Crosser(Passer):
    """From a share (`here`) to another computer's (`there`)."""

    most = MOST

    def __init__(self, here: Remote, there: Remote, threads: Executor, counts: Counts, manner: Manner) -> None:
        super().__init__(here, there, threads, counts, manner)
        self._able = here.peer.fingerprint != there.peer.fingerprint  # as far as we know, they can
        self._requests = asyncio.Semaphore(1 if manner.limit else REQUESTS)  # the limit is for all that is under way
        self._singles = asyncio.Semaphore(ALONE)

    async def carry(self, jobs: Sequence[Errand]) -> None:
        fresh: list[Errand] = []

        async def look(job: Errand) -> None:
            if not await self._same(job):
                fresh.append(job)

        await each(jobs, look, ALONE)
        left: list[Errand] = []
        for group in self._split(fresh):
            left += await self._together(group)
        await each(left, self._alone, ALONE)

    async def landed(self, job: Errand) -> None:
        """It is on the disk there."""

    async def _same(self, job: Errand) -> bool:
        """Whether there is nothing to copy, or no way to know."""
        try:
            if not await self.known(job):
                return False
            self.counts.found_same(job.source.size)
        except Unreachable:
            raise
        except CommonholdError as error:
            self.counts.fail(self.where(job), error)
        return True

    async def _alone(self, job: Errand) -> None:
        async with self._singles:
            await OneByOne.carry(self, [job])

    def _split(self, jobs: Sequence[Errand]) -> Iterator[list[Errand]]:
        """In wishes that are not too large."""
        group: list[Errand] = []
        length = 0
        for job in jobs:
            more = len(job.source.path.encode()) + len(job.target.encode())
            if group and length + more > LONGEST_PATHS:
                yield group
                group, length = [], 0
            group.append(job)
            length += more
        if group:
            yield group

    async def _together(self, jobs: list[Errand]) -> list[Errand]:
        """Have them fetched; those that must go through this computer."""
        async with self._requests:
            if not self._able:
                return jobs
            group, trouble = _Group(jobs, self.counts), None
            try:
                await self._fetch(group)
            except Unreachable as broke:
                trouble = broke
            except CommonholdError:  # each goes through this computer, and hears there what is said of it
                self._able = False
            finally:
                group.forget()
            self._able = self._able and group.able
        await each(group.landed, self._arrived, ALONE)  # also when the rest of them is lost
        if trouble:
            raise trouble
        for job, error in group.failed:
            self.counts.fail(job.target, error)
        return [*group.again, *group.left.values()]

    async def _fetch(self, group: _Group) -> None:
        files = tuple(
            FileWish(job.source.path, job.source.etag, job.target, self.replaces(job)) for job in group.left.values()
        )
        async with self._pass([file.source for file in files]) as token:
            wish = FetchWish(self._here.peer.fingerprint, self._here.share, token, files, self.manner.limit)
            async with self.there.request("POST", SharePath(), {"Content-Type": FETCH}, to_json(wish)) as answer:
                async for line in json_lines(answer):
                    group.hear(_line(line))

    async def _arrived(self, job: Errand) -> None:
        try:
            await self.landed(job)
        except Unreachable:
            raise
        except CommonholdError as error:
            self.counts.fail(job.target, error)
            return
        self.counts.straight += 1
        self.counts.arrived(job.target, job.source.size)

    @asynccontextmanager
    async def _pass(self, paths: Sequence[str]) -> AsyncIterator[str]:
        """For the computer there, to read these files: its token. It lasts as long as the block, and the way here."""
        copy = secrets.token_hex(8)
        wish = ReadingWish(copy, self.there.peer.fingerprint, self._here.share, tuple(paths))
        token = str(await self._ask("POST", READINGS, wish))
        prolonging = asyncio.create_task(self._prolong(copy))
        try:
            yield token
        finally:
            prolonging.cancel()
            with suppress(CommonholdError, TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._ask("DELETE", f"{READINGS}/{copy}")

    async def _prolong(self, copy: str) -> None:
        while True:
            await asyncio.sleep(PROLONG)
            with suppress(CommonholdError):
                await self._ask("PUT", f"{READINGS}/{copy}")

    async def _ask(self, method: str, path: str, body: object = None) -> object:
        return await self._here.caller.ask(self._here.peer, method, path, body)


class _Group:
    """Files of one request, and what is heard of them."""

    def __init__(self, jobs: Sequence[Errand], counts: Counts) -> None:
        self.left = dict(enumerate(jobs))  # of which nothing certain was heard yet
        self.landed: list[Errand] = []
        self.failed: list[tuple[Errand, CommonholdError]] = []
        self.again: list[Errand] = []  # those that must go another way
        self.able = True  # as far as was heard, the two reach one another
        self._came = dict.fromkeys(self.left, 0)
        self._counts = counts

    def hear(self, told: Fetched) -> None:
        if (job := self.left.get(told.number)) is None:
            raise Damaged("The other computer answered for a file that was not asked for.")
        self._moved(told.number, told.bytes)
        if not told.status:
            return
        if told.failed is None:
            self.landed.append(self.left.pop(told.number))
            return
        self._moved(told.number, 0)
        del self.left[told.number]
        error = from_problem(told.failed, told.status)
        if told.elsewhere and not told.bytes:
            self.again.append(job)
            self.able = self.able and not isinstance(error, Refused | Unreachable)
        else:  # what was ended on the way does not come here by another
            self.failed.append((job, error))

    def forget(self) -> None:
        """What has come of files that did not land counts no more."""
        for number in self.left:
            self._moved(number, 0)

    def _moved(self, number: int, came: int) -> None:
        self._counts.moved(self.left[number].target)(came - self._came[number])
        self._came[number] = came


def _line(line: object) -> Fetched:
    try:
        return msgspec.convert(line, Fetched)
    except msgspec.ValidationError as error:
        raise Damaged("The other computer's answer can't be read.") from error
