"""Who could read or destroy what, from the rules as they are: here, and where others let this person know theirs.

A computer tells its doors, rules and groups to whoever keeps the rules there, and to nobody else; so what is not known
is named, and not guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from aiohttp import web
from msgspec.structs import replace

from commonhold.authority.authority import Permit, Subject, Verb, let_go, permit, refusal
from commonhold.authority.gate import SUBJECT
from commonhold.authority.roster import Roster
from commonhold.authority.statements import Member
from commonhold.compute.sandbox import Kind
from commonhold.errors import CommonholdError, Refused, Unreachable, WrongUsage
from commonhold.files.counting import Ahead, Counting
from commonhold.node.desk import Desk
from commonhold.node.directory import Directory
from commonhold.node.lending import LendDesk
from commonhold.node.people import People
from commonhold.node.premises import HasPassword, Lying, Premises, landscape
from commonhold.node.processors import Processors
from commonhold.node.supposing import Supposing
from commonhold.plan.reach.accidents import commons, harms
from commonhold.plan.reach.exposure import Exposure, Measure, WhatIf, exposure, pivots, shifts
from commonhold.transport import Caller, json_answer
from commonhold.wire import convert

MEASURES: dict[str, Measure] = {"files": "files", "bytes": "bytes"}
ANSWERED_WITHIN = 15.0  # seconds: who counts many files takes some


class _Known(NamedTuple):
    """`unknown` are the names of the computers that tell nothing, `warnings` sentences about what was told."""

    premises: list[Premises]
    unknown: list[str]
    warnings: list[str]


class Exposing:
    """Beside the desk of rules."""

    def __init__(
        self,
        desk: Desk,
        people: People,
        directory: Directory,
        caller: Caller,
        lends: LendDesk,
        processors: Callable[[], Processors | None],
    ) -> None:
        self._desk, self._people, self._directory, self._caller = desk, people, directory, caller
        self._lends, self._processors = lends, processors
        self._counting = asyncio.Lock()  # one walk through the disk at a time, whoever asks

    def routes(self) -> list[web.RouteDef]:
        """For the listener: whoever keeps the rules here."""
        return [web.get("/premises", self._tell)]

    def for_own(self, catch_up: Callable[[], Awaitable[None]]) -> list[web.RouteDef]:
        """For the gateway; `catch_up` asks for news where none is pushed to."""

        async def show(request: web.Request) -> web.Response:
            await catch_up()
            return await self._show(request)

        return [web.get("/api/exposure", show)]

    async def _tell(self, request: web.Request) -> web.Response:
        return json_answer(await self._premises(request[SUBJECT]))

    async def _premises(self, subject: Subject) -> Premises:
        """Raises Refused. Nothing is noted: who asks every computer what it lets be known touches no door."""
        decision = self._desk.authority.decide(subject, Verb.GOVERN, self._desk.compute)
        if not decision.allowed:
            raise refusal(decision, subject, Verb.GOVERN, self._desk.compute)
        shares, book, processors = self._desk.shares.all(), self._desk.book, self._processors()
        counting = Counting(shares)
        async with self._counting:
            while folders := counting.ahead():
                await asyncio.to_thread(counting.look, [(each, self._to_list(each)) for each in folders])
        return Premises(
            computer=self._desk.here,
            owner=self._desk.shares.owner,
            shares=tuple(share.door for share in shares),
            files=tuple(Lying(tuple(sorted(at)), files, counting.bytes[at]) for at, files in counting.files.items()),
            rules=book.list(),
            groups=book.groups(),
            accounts=tuple(HasPassword(each.person, each.guest) for each in self._people.with_account()),
            lends=processors is not None and self._lends.terms.when != "never",
            walled=processors is not None and processors.kind == Kind.BUBBLEWRAP,
            troubles=tuple(counting.troubles),
        )

    def _to_list(self, folder: Ahead) -> Permit:
        """The owner's own: what is told are numbers."""
        authority = self._desk.authority
        given = permit(authority, authority.who(self._desk.here), Verb.LIST, folder.share.door, folder.path)
        let_go(given)
        return given

    async def _show(self, request: web.Request) -> web.Response:
        by = request.query.get("by", "files")
        if by not in MEASURES:
            raise WrongUsage(f"“{by}” is nothing that is counted.", "files or bytes")
        known, roster = await self._known(request[SUBJECT]), self._directory.roster
        change, measure = request.query.get("what-if", ""), MEASURES[by]
        return json_answer(await asyncio.to_thread(self._found, known, roster, change, measure))

    def _found(self, known: _Known, roster: Roster, change: str, by: Measure) -> Exposure:
        """Seconds, where there are hundreds of rules and people."""
        now = self._desk.book.now
        land = landscape(known.premises, roster, known.unknown, now)
        found = replace(exposure(land, by, known.warnings), mistakes=harms(commons(land)))
        if not change:
            return replace(found, pivots=tuple(pivots(land, by)))
        supposition = Supposing(known.premises, roster, self._desk, now).suppose(change)
        after = exposure(landscape(supposition.known, supposition.roster, known.unknown, now), by)
        return replace(found, what_if=WhatIf(change, supposition.said, tuple(shifts(found, after))))

    async def _known(self, subject: Subject) -> _Known:
        """What may be known, of this computer and of every other that has doors."""
        roster = self._directory.roster
        doors = [member for member in roster.members.values() if self._directory.role(member) != "client"]
        found = _Known([], [], [])
        answers = await asyncio.gather(*(self._ask(each, subject) for each in doors))
        for member, answer in zip(doors, answers, strict=True):
            if isinstance(answer, Premises) and (answer.computer, answer.owner) == (member.fingerprint, member.person):
                found.premises.append(answer)
                found.warnings.extend(f"{member.name}: {trouble}" for trouble in answer.troubles)
                continue
            found.unknown.append(member.name)
            if isinstance(answer, CommonholdError) and not isinstance(answer, Refused):
                found.warnings.append(f"{member.name} does not tell its doors: {answer.sentence}")
        return found

    async def _ask(self, member: Member, subject: Subject) -> Premises | CommonholdError:
        try:
            if subject.person != member.person and self._directory.role(member) != "server":
                return Refused("Its rules are its owner's.")  # whoever tells them all the same has made them up
            if member.fingerprint == self._desk.here:
                return await self._premises(subject)
            async with asyncio.timeout(ANSWERED_WITHIN):
                peer = self._directory.peer_of(member)
                return convert(await self._caller.ask(peer, "GET", "/premises"), Premises)
        except CommonholdError as error:
            return error
        except (TimeoutError, msgspec.ValidationError) as error:
            return Unreachable(f"It gives no answer that is one ({type(error).__name__}).")
