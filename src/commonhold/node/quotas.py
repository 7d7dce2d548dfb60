"""Quotas of this computer's doors: set by whoever keeps the rules, seen by everybody of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from aiohttp import web
from msgspec import structs

from commonhold.answers import Quota
from commonhold.authority.authority import Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.authority.passes import Passes
from commonhold.compute.allowances import LEAST_MEMORY, Allowance
from commonhold.errors import NotFound, WrongUsage
from commonhold.files.quota import Limit, Payer, QuotaLedger
from commonhold.names import PersonId
from commonhold.node.desk import Desk
from commonhold.node.processors import Processors
from commonhold.transport import document, json_answer

MOST = 2**62  # what SQLite's integers hold, with room for sums


class QuotaWish(msgspec.Struct, frozen=True):
    """How much somebody may have from now on: the body of POST /quotas. None is no limit."""

    person: str
    bytes: int | None = None
    files: int | None = None
    cores: int | None = None
    memory: int | None = None
    jobs: int | None = None
    tasks: int | None = None

    def __post_init__(self) -> None:
        if any(each is not None and not 0 <= each < MOST for each in (self.bytes, self.files, self.jobs, self.tasks)):
            raise WrongUsage("A quota is a number of bytes, files, jobs or tasks.", "--bytes 10GB --files 10000")
        if self.cores is not None and not 1 <= self.cores < MOST:
            raise WrongUsage("Whoever may run has one core at least.", "commonhold deny WHO run compute")
        if self.memory is not None and not LEAST_MEMORY <= self.memory < MOST:
            raise WrongUsage("Whoever may run has 256 MiB of memory at least: some of it goes to what runs the tasks.")

    @property
    def allowance(self) -> Allowance:
        return Allowance(self.cores, self.memory, self.jobs, self.tasks)


class QuotaDesk:
    """Beside the desk of rules; keeps the ledger of what was stored here, and by whom.

    `processors` keep how much of them each may have; a client has none.
    """

    def __init__(self, state: Path, desk: Desk, passes: Passes, processors: Processors | None) -> None:
        self._desk, self._passes, self._processors = desk, passes, processors
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
        return json_answer(self._quotas(self._known() if keeps else {PersonId(subject.person or "")}))

    def _known(self) -> set[PersonId]:
        """Everybody who has a limit, has stored something, or has an unfinished job; but the owner."""
        known = self.ledger.persons()
        if self._processors is not None:
            known |= self._processors.allowances.persons() | self._processors.cluster.journal.busy()
        return known - {self._desk.shares.owner}

    def limited(self) -> tuple[Quota, ...]:
        """Of everybody who has a limit."""
        return tuple(quota for quota in self._quotas(self._known()) if limits(quota))

    def _quotas(self, persons: Iterable[PersonId]) -> list[Quota]:
        return sorted(map(self._quota, persons), key=lambda quota: quota.person.casefold())

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
        if self._processors is not None:
            self._processors.allow(person, wish.allowance)
        said = structs.asdict(wish)
        del said["person"]
        self._desk.record("quota", by=str(subject), who=roster.persons[person], **said)
        return json_answer(self._quota(person))

    def _quota(self, person: PersonId) -> Quota:
        name = self._desk.roster().persons.get(person, person)
        stored = Quota(name, *self.ledger.used(person), *self.ledger.limit(person))
        if self._processors is None:
            return stored
        may, has = self._processors.allowances.of(person), self._processors.unended(person)
        limits = {f"most_{what}": most for what, most in structs.asdict(may).items()}
        return structs.replace(stored, jobs=has.jobs, tasks=has.tasks, **limits)


def limits(quota: Quota) -> bool:
    """Whether it limits anything."""
    stored = (quota.most_bytes, quota.most_files)
    computed = (quota.most_cores, quota.most_memory, quota.most_jobs, quota.most_tasks)
    return any(each is not None for each in (*stored, *computed))
