"""What every method of the door does first: ask whether it may, before it looks whether anything exists."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from commonhold.authority.authority import Authority, Hearing, Permit, Subject, Verb, permit
from commonhold.authority.gate import SUBJECT
from commonhold.errors import NoSpace, NotFound
from commonhold.files.quota import Payer, QuotaLedger, Storing
from commonhold.files.share import Share
from commonhold.files.shares import Shares
from commonhold.names import SharePath

T = TypeVar("T")
COPIES = 2  # made at a time: others wait for them, and not whoever reads or writes
THREADS = 8  # that wait for disks: with 16 there were no more small durable writes a second


class Access:
    """`on_event(event, **words)` hears of overwrites and deletes, on the event loop.

    What is stored is charged in the `ledger` to the `payer` for who stores it.
    """

    def __init__(
        self,
        shares: Shares,
        authority: Callable[[], Authority],
        on_event: Callable[..., None],
        ledger: QuotaLedger,
        payer: Callable[[Subject], Payer],
    ) -> None:
        self.shares, self.authority = shares, authority
        self.ledger, self.payer = ledger, payer
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="files")
        self.slow_threads = ThreadPoolExecutor(COPIES, thread_name_prefix="copies")
        self._on_event = on_event

    def permit(self, request: web.Request, verb: Verb, name: str, path: SharePath) -> tuple[Share, Permit]:
        """Ask first, then look whether there is such a share. Raises Refused, NotFound."""
        return self.permit_for(request[SUBJECT], verb, name, path)

    def permit_for(self, subject: Subject, verb: Verb, name: str, path: SharePath) -> tuple[Share, Permit]:
        share = self.shares.find(name)
        given = permit(self.authority(), subject, verb, self.shares.door(name), path)
        if share is None:
            raise _no_share(name)
        return share, given

    def hearing(self, request: web.Request, name: str) -> Hearing:
        """For many paths of one share, asked for in one breath: not to be kept while anything is waited for."""
        return Hearing(self.authority(), request[SUBJECT], self.shares.door(name))

    def permit_to_store(self, request: web.Request, name: str, path: SharePath) -> tuple[Share, Permit, bool]:
        """As `permit`, and as `to_store`."""
        share = self.shares.find(name)
        given, unseen = to_store(self.hearing(request, name), path)
        if share is None:
            raise _no_share(name)
        return share, given, unseen

    def may(self, request: web.Request, verb: Verb, name: str, path: SharePath) -> bool:
        return self.authority().decide(request[SUBJECT], verb, self.shares.door(name), path).allowed

    def record(self, event: str, request: web.Request, **words: Any) -> None:
        subject: Subject = request[SUBJECT]
        self._on_event(event, **subject.words(), **words)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.wrap_future(self.threads.submit(work, *arguments))

    async def storing(
        self, request: web.Request, given: Permit, size: int | None, unseen: bool, files: int = 1
    ) -> Storing:
        """Room for what is to be stored, before a byte of it is read; unseen, for each folder too. Raises NoSpace."""
        if unseen:
            files += len(given.path.parts) - 1
        what = self.payer(request[SUBJECT]), given.door.id, str(given.path), size, files
        try:
            return self.ledger.begin(*what, unseen=unseen)
        except NoSpace:
            return await self.run(partial(self.ledger.begin_anew, *what, unseen=unseen))

    def room(self, request: web.Request, free: int) -> tuple[int, int]:
        """How many bytes whoever asks may still store here, where so many are free on the disk; and has stored."""
        person = self.payer(request[SUBJECT]).person
        if person is None:
            return free, 0
        used, most = self.ledger.used(person).bytes, self.ledger.limit(person).bytes
        return (free if most is None else min(free, max(most - used, 0))), used


def to_store(hearing: Hearing, path: SharePath) -> tuple[Permit, bool]:
    """To write if that is allowed, else to add: then nothing is replaced. True: nothing is told of what is there.

    Raises Refused. Whoever may write may list.
    """
    verb = Verb.WRITE if hearing.decide(Verb.WRITE, path).allowed else Verb.ADD
    given = hearing.permit(verb, path)
    return given, verb is Verb.ADD and not hearing.decide(Verb.LIST, path).allowed


def _no_share(name: str) -> NotFound:
    return NotFound(f"There is no share {name}.", "see the shares with: commonhold status")
