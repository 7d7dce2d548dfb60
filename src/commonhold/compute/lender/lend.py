"""This computer's processors for others: who may have them, on which terms, and what their tasks may touch."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from commonhold.authority.authority import Door, Permit, Standing, Subject, Verb, permit
from commonhold.authority.watch import Watch
from commonhold.compute import fairness, sandbox
from commonhold.compute.allowances import Allowances
from commonhold.compute.edition import Edition, cure
from commonhold.compute.lender import frost
from commonhold.compute.lender.backrow import BackRow
from commonhold.compute.lender.bounds import Lent, for_tasks, threads
from commonhold.compute.lender.departures import Key
from commonhold.compute.lender.equipment import Equipment
from commonhold.compute.lender.portions import Portions
from commonhold.compute.lender.precedence import Precedence
from commonhold.compute.lender.stay import Stay
from commonhold.compute.lender.stays import Stays
from commonhold.compute.lender.warden import Warden
from commonhold.compute.papers import PYTHON, Accepted, Courier, Inquiry, JobPapers, Offer, Rest
from commonhold.compute.relay import Switch, Switchboard, Wire
from commonhold.errors import CommonholdError, NotFound, Refused, Unreachable, WrongUsage
from commonhold.home import LendingTerms
from commonhold.names import Fingerprint, PersonId
from commonhold.transport import Caller, Peer
from commonhold.trees import erase

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # seconds between two looks whether hub and terms still hold; rights are watched
PATIENCE = 3  # looks without an answer from the hub: 15 s
HARDER = 1.25  # a worker's own limits are so much wider than those that the warden holds: it can say what happened
SESSION_ID = 32  # hexadecimal digits


class NearHub(NamedTuple):
    """A hub on the same computer."""

    switch: Switch
    tell: Callable[[Rest], Awaitable[None]]


class Lending:
    """Starts workers for hubs that may have them; hub and lender may be one computer."""

    def __init__(
        self,
        folder: Path,
        computer: str,
        fingerprint: Fingerprint,
        watch: Watch,
        door: Door,
        terms: Callable[[], LendingTerms],
        caller: Caller,
        peer: Callable[[Fingerprint], Peer],
        courier: Courier,
        switchboard: Switchboard,
        allowances: Allowances,
        record: Callable[..., None],
        equipment: Equipment,
        presence: Callable[[], str],
    ) -> None:
        """`folder` is for sessions' folders alone; `peer` raises NotFound for a stranger; `record` is the audit's.

        `presence` says what shows that somebody uses this computer.
        """
        self.computer = computer
        self._folder = folder
        self._here = fingerprint
        self._watch = watch
        self._door = door
        self._terms = terms
        self._caller = caller
        self.peer = peer
        self._courier = courier
        self._switchboard = switchboard
        self._allowances = allowances
        self._record = record
        self._equipment = equipment
        self.stays = Stays(switchboard)
        self.back_row = BackRow()
        self.edition = Edition()
        self.precedence = Precedence(self.stays, terms, door.owner, presence)
        self._keeping: asyncio.Task[None] | None = None
        self.portions = Portions(self._cores, allowances.cores, self._for_tasks_of)
        self.warden = Warden(computer, lambda: _bounds(terms(), equipment.kept), allowances.memory)
        self._closed = False

    async def start(self) -> None:
        """Clear what a node that was killed left behind."""
        if self._folder.exists() and any(self._folder.iterdir()):
            await asyncio.to_thread(frost.end_forgotten, self._folder)
        await asyncio.to_thread(erase, self._folder)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(self.back_row.open)
        self._keeping = asyncio.create_task(self.precedence.keep())

    async def close(self) -> None:
        """Nothing that others started runs here after this, and nothing new starts."""
        self._closed = True
        await self.precedence.give_all_back("is stopping")
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self.precedence.close()
        await self.stays.close()
        await asyncio.to_thread(self.warden.close)
        await asyncio.to_thread(self.back_row.close)

    def changed(self) -> None:
        """The owner has said other terms: they hold at once, for those too who are here."""
        self.portions.look()
        self.precedence.changed()

    async def consider(self, subject: Subject, inquiry: Inquiry) -> Accepted:
        """What `lend` would answer now, without starting anything. Raises as it would."""
        kind = await sandbox.here()
        self.require_right(subject)  # first: whoever has none moves nothing here
        await self.precedence.look()
        self._require(subject, inquiry, kind)
        return Accepted(self._cores_for(subject), str(kind), self._for_tasks_of(subject.person))

    def require_right(self, subject: Subject) -> Permit:
        """Raise Refused unless this subject may run jobs here."""
        return permit(self._watch.authority(), subject, Verb.RUN, self._door)

    def is_owner(self, subject: Subject) -> bool:
        """Whether that is whose computer this is, and no guest."""
        return subject.person is not None and subject.person == self._door.owner

    def _cores(self) -> int:
        return self._terms().cores or os.cpu_count() or 1

    def _cores_for(self, subject: Subject) -> int:
        """Those that this person may have, when nobody else wants them."""
        return self._allowances.cores(subject.person, self._cores())

    def _memory_for(self, person: PersonId | None) -> int:
        return self._allowances.memory(person, _bounds(self._terms(), 0).memory)

    def _for_tasks_of(self, person: PersonId | None) -> int:
        return for_tasks(self._memory_for(person))

    def person_of(self, computer: Fingerprint) -> PersonId | None:
        """Whose computer that is."""
        return self._watch.authority().who(computer).person

    async def require_company(self, persons: Iterable[PersonId | None]) -> None:
        """Raise Refused unless a session with computers of these persons may come here.

        Whoever takes part in a session can run programs wherever it runs (Dask knows no inner walls).
        A sandbox holds them; without one, only persons whom the owner named may come that way too.
        """
        if await sandbox.here() is sandbox.Kind.BUBBLEWRAP:
            return
        if not all(map(self._named, persons)):
            raise Refused(
                f"{self.computer} has no bubblewrap, and computes only with people whom its owner named.",
                f"install bubblewrap on {self.computer}",
            )

    def _named(self, person: PersonId | None) -> bool:
        """Whether that is the owner, or somebody who may run here by a rule of their own."""
        if person is not None and person == self._door.owner:
            return True
        knocking = Subject(standing=Standing.MEMBER, person=person)
        rule = self._watch.authority().decide(knocking, Verb.RUN, self._door).rule
        return rule is not None and rule.effect == "allow" and rule.who == person

    async def lend(self, subject: Subject, offer: Offer, near: NearHub | None = None) -> Accepted:
        """Start a worker. Raises Refused with the rule's or the terms' reason, WrongUsage for a wrong Python.

        `near` is the hub when hub and lender are one computer.
        """
        kind = await sandbox.here()
        key = offer.session, offer.participant
        self.require_right(subject)
        await self.stays.room_for(key)
        await self.precedence.look()
        permitted = self._require(subject, offer, kind)
        await self.require_company(offer.company)
        folder = f"{offer.session}-{offer.participant}-{secrets.token_hex(4)}"  # an earlier stay's may still be cleared
        kept = self._courier, self._equipment, self.warden, self.back_row
        lent = Stay(self._folder / folder, permitted, offer.company, *kept)
        hub = None if near else subject.computer
        switch = near.switch if near else self._switch(offer.session, hub)
        lent.elsewhere = hub is not None
        lent.tell = near.tell if near else partial(self._tell, key, subject.computer)
        self.stays.add(key, lent)
        lent.work = self._watch.begin(subject, f"session {offer.session}", lambda why: self.stays.refuse(key, why))
        lent.work.hold(lent.permit)
        cores = lent.cores = self._cores_for(subject)
        try:
            await asyncio.to_thread(lent.prepare)
            orders = _orders(self.computer, offer, cores, self._memory_for(subject.person), kind)
            environment = await lent.equip(offer.environment, kind)
            lent.box = await sandbox.Sandbox.start(lent.room, lent.answer, kind, orders["processes"] or 1, environment)
            lent.watch(cores, self.precedence.changed)
            lent.box.channel.tell("orders", **orders)
            if not self.stays.has(key, lent):  # ended while it started
                lent.box.kill()
                raise NotFound("That session is over.")
            lent.portion = self.portions.open(subject.person, cores, partial(_tell_cores, lent.box))
        except BaseException:
            await self.stays.end(*key)
            raise
        for process, streams in zip(_processes(offer.participant, orders["processes"]), lent.box.streams, strict=True):
            switch.attach(process, streams)
        self.stays.attend(key, lent, self._holds(key[0], lent, hub))
        lent.began = True
        self.precedence.changed()
        self._record("lent", **subject.words(), session=offer.session, sandbox=str(kind))
        return Accepted(cores, str(kind), orders["asked"])

    def _require(self, subject: Subject, offer: Inquiry, kind: sandbox.Kind) -> Permit:
        permitted = self.require_right(subject)
        if self._closed:
            raise Refused(f"{self.computer} is stopping.")
        if trouble := self.edition.trouble(self.computer):
            raise Refused(trouble, cure(self.computer))
        own = self.is_owner(subject)
        if (why := self.precedence.closed()) and not own:
            raise Refused(f"{self.computer} {why}.", f"ask the owner of {self.computer}")
        if kind is sandbox.Kind.LIMITS and not self._named(subject.person):
            raise Refused(
                f"{self.computer} has no bubblewrap, and lends only to people whom its owner named.",
                f"install bubblewrap on {self.computer}",
            )
        if offer.python != PYTHON:
            raise WrongUsage(
                f"{self.computer} runs Python {PYTHON}, the job's computer Python {offer.python}.",
                "install Commonhold under the same Python on both",
            )
        _checked(offer.session, offer.participant)
        self._equipment.require_fit(offer.environment)
        if not 0 <= offer.call_cores <= (cores := self._cores_for(subject)):
            raise Refused(f"{self.computer} lends {subject} {cores} cores, and each call needs {offer.call_cores}.")
        _require_room(self.computer, [lent.subject.person for lent in self.stays], subject, own)
        return permitted

    def _switch(self, session: str, hub: Fingerprint | None) -> Switch:
        def elsewhere(target: str) -> AbstractAsyncContextManager[Wire]:
            return self._caller.socket(self.peer(hub or self._here), f"/sessions/{session}/relay/{target}")

        return self._switchboard.join(session, hub, elsewhere)

    async def _tell(self, key: Key, hub: Fingerprint | None, rest: Rest) -> None:
        if hub is not None:
            await self._caller.ask(self.peer(hub), "POST", f"/sessions/{key[0]}/{key[1]}/rest", rest)

    async def _holds(self, session: str, lent: Stay, hub: Fingerprint | None) -> None:
        """Returns when the session may stay no longer."""
        silent = 0
        while silent < PATIENCE:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self.require_company(lent.company)
                if hub is not None:
                    await self._caller.ask(self.peer(hub), "GET", f"/sessions/{session}")
                silent = 0
            except Unreachable:
                silent += 1
            except CommonholdError:
                return  # its company is not wanted, the hub knows no such session any more, or we have no part in it

    def papers(self, session: str, participant: str, job: int, papers: JobPapers, size: int = 0) -> None:
        """What the tasks of a job may touch, in so many bytes of a stranger's.

        Raises NotFound, Refused when the right has ended meanwhile, and NoSpace for too many.
        """
        lent = self.stays.find(session, participant)
        self.require_right(lent.subject)  # a session stays warm longer than a right
        lent.learn(job, papers, size)


def _require_room(computer: str, persons: list[PersonId | None], subject: Subject, owner: bool) -> None:
    """Nobody takes all sessions for themselves. `persons` have one here, each; the owner waits for no room."""
    own = [person for person in persons if person == subject.person]
    if len(own) >= (most := fairness.MOST_OF_ONE):
        raise Refused(
            f"{computer} lends to {most} sessions of one person at a time, and {subject} has them.",
            "end programs that call functions, or try again in a minute",
        )
    if not fairness.has_room(Counter(own if owner else persons), subject.person):
        raise Refused(f"{computer} has lent all that it lends.", "try again later")


def _bounds(terms: LendingTerms, packages: int) -> Lent:
    """What all guests together may use; of the disk, what their environments have left."""
    disk = max(1, terms.disk - packages) if terms.disk else 0
    return Lent(terms.memory or psutil.virtual_memory().total // 2, disk)


def _orders(computer: str, offer: Offer, cores: int, memory: int, kind: sandbox.Kind) -> dict[str, Any]:
    """For functions a process for each call that can run at a time: Python itself computes on one core only."""
    return {
        "me": offer.participant,
        "authority": offer.authority,
        "certificate": offer.certificate,
        "key": offer.key,
        "computer": computer,
        "cores": cores,
        "memory": memory,
        "asked": for_tasks(memory),
        "data": int(memory * HARDER),
        "threads": int(threads(cores) * HARDER) if sandbox.counts_alone(kind) else 0,
        "idle": True,
        "processes": cores // offer.call_cores if offer.call_cores else 0,
    }


def _tell_cores(box: sandbox.Sandbox, cores: int) -> None:
    box.channel.tell("cores", cores=cores)


def _processes(participant: str, count: int) -> list[str]:
    """What a session calls them."""
    return [f"{participant}.{number}" for number in range(count)] if count else [participant]


def _checked(session: str, participant: str) -> None:
    """They become a folder's name."""
    if len(session) != SESSION_ID or not session.isalnum() or not participant.isalnum() or len(participant) > 8:
        raise WrongUsage("That is no session.")
    if not (session + participant).isascii():
        raise WrongUsage("That is no session.")
