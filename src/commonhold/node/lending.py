"""On which terms this computer's owner lends its processors, and who computes on them now."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from typing import Literal

import msgspec
import psutil
from aiohttp import web
from msgspec.structs import asdict, replace

from commonhold.answers import Guest, LendingNow
from commonhold.authority.authority import Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.compute.lender.bounds import amount
from commonhold.compute.terms import Hours
from commonhold.errors import Damaged, Refused, WrongUsage
from commonhold.home import Home, LendingTerms, WhenToLend
from commonhold.node.desk import Desk
from commonhold.node.processors import Processors
from commonhold.transport import document, json_answer

LEAST_MEMORY, LEAST_DISK = 256 * 2**20, 16 * 2**20  # bytes: with less no task runs
ALL_DAY = "always"


class LendWish(msgspec.Struct, frozen=True):
    """What is to change: the body of POST /api/lending. None leaves a term as it is, 0 is its default."""

    when: WhenToLend | None = None
    cores: int | None = None
    memory: int | None = None
    disk: int | None = None
    hours: str | None = None  # `19-7`, or `always`
    who: tuple[str, ...] = ()  # may run here from now on


class LendDesk:
    """`processors` are none on a client of a server."""

    def __init__(self, home: Home, desk: Desk, processors: Callable[[], Processors | None]) -> None:
        """Raises Damaged for terms in the settings that mean nothing."""
        settings = home.settings()
        self.terms: LendingTerms = settings.lend
        self._computer = settings.computer
        self._home = home
        self._desk = desk
        self._processors = processors
        self._changing = asyncio.Lock()
        try:
            if self.terms.hours:
                Hours.parse(self.terms.hours)
        except WrongUsage as error:
            raise Damaged(f"{home.settings_file} is damaged: {error.sentence}", error.hint) from error

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/api/lending", self._show), web.post("/api/lending", self._change)]

    def guests(self) -> tuple[Guest, ...]:
        """Whose sessions compute here now, the owner's own too; the longest there first."""
        if (processors := self._processors()) is None:
            return ()
        lending = processors.lending
        return tuple(
            Guest(
                person=stay.subject.person_name,
                computer=stay.subject.computer_name,
                commands=tuple(stay.commands.values()),
                since=stay.since,
                state="frozen" if stay.frozen is not None else self._state(lending.is_owner(stay.subject)),
            )
            for stay in lending.stays
        )

    def _state(self, owners: bool) -> Literal["running", "ending"]:
        """Where nothing is lent any more, a guest may be there for a moment yet."""
        return "ending" if self.terms.when == "never" and not owners else "running"

    async def _show(self, request: web.Request) -> web.Response:
        """-> LendingNow."""
        self._require_lender(request[SUBJECT])
        return json_answer(await self._now())

    async def _change(self, request: web.Request) -> web.Response:
        """LendWish -> LendingNow, once it is on the disk."""
        subject: Subject = request[SUBJECT]
        self._require_lender(subject)
        wish = await document(request, LendWish)
        whom = [self._desk.whom(who, Verb.RUN) for who in wish.who]
        async with self._changing:
            changed = self._changed(wish)
            if changed != self.terms:
                await asyncio.to_thread(self._keep, changed)
                self.terms = changed
                if (processors := self._processors()) is not None:
                    processors.lending.changed()
                self._desk.record("lending", by=str(subject), **asdict(changed))
        for each in whom:
            self._desk.allow(subject, *each, self._desk.compute)
        return json_answer(await self._now())

    def _require_lender(self, subject: Subject) -> None:
        if self._processors() is None:
            raise Refused(
                f"{self._computer} is a client: it lends nothing.",
                "the server's owner says there what it lends: commonhold lend",
            )
        self._desk.require_keeper(subject)

    def _changed(self, wish: LendWish) -> LendingTerms:
        """Raises WrongUsage for what this computer does not have, or what would let no task run."""
        named = {term: value for term, value in asdict(wish).items() if term != "who" and value is not None}
        if wish.hours is not None:
            named["hours"] = "" if wish.hours == ALL_DAY else str(Hours.parse(wish.hours))
        _bound(wish.cores, 1, os.cpu_count() or 1, str, " cores")
        _bound(wish.memory, LEAST_MEMORY, psutil.virtual_memory().total, amount, " of memory")
        _bound(wish.disk, LEAST_DISK, shutil.disk_usage(self._home.folder).total, amount, " of disk")
        return replace(self.terms, **named)

    def _keep(self, terms: LendingTerms) -> None:
        self._home.save_settings(replace(self._home.settings(), lend=terms))

    async def _now(self) -> LendingNow:
        reason = sandbox = use = rank = ""
        if (processors := self._processors()) is not None:
            precedence, sandbox = processors.lending.precedence, processors.kind
            rank = processors.lending.back_row.rank
            reason, use = await precedence.look(), precedence.use
        rules = self._desk.book.list(self._desk.compute.id)
        return LendingNow(
            **asdict(self.terms),
            computer=self._computer,
            lends=not reason,
            reason=reason,
            use=use,
            sandbox=sandbox,
            precedence=rank,
            people=tuple(dict.fromkeys(rule.who_name for rule in rules if rule.effect == "allow")),
            guests=self.guests(),
        )


def _bound(wanted: int | None, least: int, most: int, said: Callable[[int], str], what: str) -> None:
    """0 names no bound."""
    if wanted and not least <= wanted <= most:
        raise WrongUsage(
            f"This computer can lend between {said(least)} and {said(most)}{what}.",
            "`default` for all cores, half of the memory, half of what is free on the disk",
        )
