"""Quotas of this computer's doors: set by whoever keeps the rules, seen by everybody of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from commonhold.answers import Quota
from commonhold.authority.authority import Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.authority.passes import Passes
from commonhold.errors import NotFound, WrongUsage
from commonhold.files.quota import Limit, Payer, QuotaLedger
from commonhold.names import PersonId
from commonhold.node.desk import Desk
from commonhold.transport import document, json_answer

MOST = 2**62  # what SQLite's integers hold, with room for sums


class QuotaWish(msgspec.Struct, frozen=True):
    """How much somebody may store from now on: the body of POST /quotas. None is no limit."""

    person: str
    bytes: int | None = None
    files: int | None = None

    def __post_init__(self) -> None:
        if any(each is not None and not 0 <= each < MOST for each in (self.bytes, self.files)):
            raise WrongUsage("A quota is a number of bytes or of files.", "--bytes 10GB --files 10000")


class QuotaDesk:
    """Beside the desk of rules; keeps the ledger of what was stored here, and by whom."""

    def __init__(self, state: Path, desk: Desk, passes: Passes) -> None:
        self._desk, self._passes = desk, passes
        self.ledger = QuotaLedger(state, desk.shares.weigh, desk.authority.keeper)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/quotas", self._list), web.post("/quotas", self._set)]

    @property
    def charging(self) -> tuple[QuotaLedger, Callable[[Subject], Payer]]:
        """What the door of files needs to charge what is stored there."""
        return self.ledger, self.payer

    def payer(self, subject: Subject) -> Payer:
        """Whom to charge: under a pass the submitter of the job; of the owner's own nothing is counted."""
        given = self._passes.find(subject.pass_id) if subject.pass_id else None
        person = given.person if given else subject.person
        name = self._desk.roster().persons.get(person, "") if person else ""
        return Payer(person if person != self._desk.shares.owner else None, name or str(subject))

    async def _list(self, request: web.Request) -> web.Response:
        subject: Subject = request[SUBJECT]
        keeps = self._desk.authority.decide(subject, Verb.GOVERN, self._desk.compute).allowed
        if not keeps and subject.person is None:
            self._desk.require_keeper(subject)
        persons = self.ledger.persons() if keeps else {PersonId(subject.person or "")}
        return json_answer(sorted(map(self._quota, persons), key=lambda quota: quota.person.casefold()))

    async def _set(self, request: web.Request) -> web.Response:
        wish = await document(request, QuotaWish)
        subject: Subject = request[SUBJECT]
        self._desk.require_keeper(subject)
        roster = self._desk.roster()
        person = roster.find_person(wish.person)
        if person is None:
            raise NotFound(f"There is no person “{wish.person}” in the network {roster.network}.", "commonhold members")
        if person == self._desk.shares.owner:
            raise WrongUsage(f"{roster.persons[person]} owns these doors, and has no quota at them.")
        self.ledger.set_limit(person, Limit(wish.bytes, wish.files))
        self._desk.record("quota", by=str(subject), who=roster.persons[person], bytes=wish.bytes, files=wish.files)
        return json_answer(self._quota(person))

    def _quota(self, person: PersonId) -> Quota:
        name = self._desk.roster().persons.get(person, person)
        return Quota(name, *self.ledger.used(person), *self.ledger.limit(person))
