"""This computer's processors for others: who may have them, on which terms, and what their tasks may touch."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import psutil

from commonhold.authority.authority import Door, Permit, Standing, Subject, Verb, permit
from commonhold.authority.watch import Watch
from commonhold.compute import fairness, sandbox
from commonhold.compute.departures import Departures
from commonhold.compute.papers import Accepted, Courier, Farewell, Inquiry, JobPapers, Offer
from commonhold.compute.relay import Switch, Switchboard, Wire
from commonhold.compute.stay import Stay
from commonhold.errors import CommonholdError, NotFound, Refused, Unreachable, WrongUsage
from commonhold.home import LendingTerms
from commonhold.names import Fingerprint, PersonId
from commonhold.transport import Caller, Peer
from commonhold.trees import erase

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # seconds between two looks whether hub and terms still hold; rights are watched
PATIENCE = 3  # looks without an answer from the hub: 15 s
SESSION_ID = 32  # hexadecimal digits

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


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
        record: Callable[..., None],
    ) -> None:
        """`folder` is for sessions' folders alone; `peer` raises NotFound for a stranger; `record` is the audit's."""
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
        self._record = record
        self._lent: dict[tuple[str, str], Stay] = {}
        self._watching: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[Any]] = set()
        self._departures = Departures()
        self._closed = False

    async def start(self) -> None:
        """Clear what a node that was killed left behind."""
        await asyncio.to_thread(erase, self._folder)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def close(self) -> None:
        """Nothing that others started runs here after this, and nothing new starts."""
        self._closed = True
        for session, participant in list(self._lent):
            await self.end(session, participant)
        await asyncio.gather(*self._ending)

    async def consider(self, subject: Subject, inquiry: Inquiry) -> Accepted:
        """What `lend` would answer now, without starting anything. Raises as it would."""
        kind = await sandbox.here()
        self._require(subject, inquiry, kind)
        return Accepted(self._cores(), str(kind))

    def require_right(self, subject: Subject) -> Permit:
        """Raise Refused unless this subject may run jobs here."""
        return permit(self._watch.authority(), subject, Verb.RUN, self._door)

    def _cores(self) -> int:
        return self._terms().cores or os.cpu_count() or 1

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

    async def lend(self, subject: Subject, offer: Offer, switch: Switch | None = None) -> Accepted:
        """Start a worker. Raises Refused with the rule's or the terms' reason, WrongUsage for a wrong Python.

        `switch` is the hub's own when hub and lender are one computer.
        """
        kind = await sandbox.here()
        key = offer.session, offer.participant
        await self._departures.gone(key)
        permitted = self._require(subject, offer, kind)
        await self.require_company(offer.company)
        terms = self._terms()
        folder = f"{offer.session}-{offer.participant}-{secrets.token_hex(4)}"  # an earlier stay's may still be cleared
        lent = Stay(self._folder / folder, permitted, offer.company, self._courier)
        if key in self._lent:
            raise WrongUsage("That session is here already.")
        hub = None if switch else subject.computer
        switch = switch or self._switch(offer.session, hub)
        self._lent[key] = lent
        lent.work = self._watch.begin(subject, f"session {offer.session}", lambda why: self._end_soon(*key, why))
        lent.work.hold(lent.permit)
        cores = self._cores()
        try:
            await asyncio.to_thread(lent.prepare)
            orders = _orders(self.computer, offer, cores, terms.memory)
            lent.box = await sandbox.Sandbox.start(lent.room, lent.answer, kind, orders["processes"] or 1)
            lent.box.channel.tell("orders", **orders)
            if self._lent.get(key) is not lent:  # ended while it started
                lent.box.kill()
                raise NotFound("That session is over.")
        except BaseException:
            await self.end(*key)
            raise
        for process, streams in zip(_processes(offer.participant, orders["processes"]), lent.box.streams, strict=True):
            switch.attach(process, streams)
        self._watching[key] = asyncio.create_task(self._attend(key, lent, hub))
        self._record("lent", **subject.words(), session=offer.session, sandbox=str(kind))
        return Accepted(cores, str(kind))

    def _require(self, subject: Subject, offer: Inquiry, kind: sandbox.Kind) -> Permit:
        permitted = self.require_right(subject)
        if self._closed:
            raise Refused(f"{self.computer} is stopping.")
        own = subject.person is not None and subject.person == self._door.owner
        if self._terms().when == "never" and not own:
            raise Refused(f"{self.computer} lends nothing now.", f"ask the owner of {self.computer}")
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
        if not 0 <= offer.call_cores <= self._cores():
            raise Refused(f"{self.computer} lends {self._cores()} cores, and each call needs {offer.call_cores}.")
        _require_room(self.computer, [lent.subject.person for lent in self._lent.values()], subject, own)
        return permitted

    def _switch(self, session: str, hub: Fingerprint | None) -> Switch:
        def elsewhere(target: str) -> AbstractAsyncContextManager[Wire]:
            return self._caller.socket(self.peer(hub or self._here), f"/sessions/{session}/relay/{target}")

        return self._switchboard.join(session, hub, elsewhere)

    async def _attend(self, key: tuple[str, str], lent: Stay, hub: Fingerprint | None) -> None:
        """Until the worker, the hub or the terms end; then nothing of the session stays."""
        assert lent.box is not None  # noqa: S101 - it was started before this
        ends: list[Awaitable[Any]] = [lent.box.wait(), lent.box.channel.serve(), self._holds(key[0], lent, hub)]
        tasks = [asyncio.ensure_future(each) for each in ends]
        *worker, _ = tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost = any(task.done() for task in worker)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._lent.get(key) is lent:
                self._watching.pop(key, None)
                await self.end(*key, lost=lost)

    async def _holds(self, session: str, lent: Stay, hub: Fingerprint | None) -> None:
        """Returns when the session may stay no longer."""
        silent = 0
        while silent < PATIENCE:
            await asyncio.sleep(LOOK_EVERY)
            if self._terms().when == "never" and lent.subject.person != self._door.owner:
                return
            try:
                await self.require_company(lent.company)
                if hub is not None:
                    await self._caller.ask(self.peer(hub), "GET", f"/sessions/{session}")
                silent = 0
            except Unreachable:
                silent += 1
            except CommonholdError:
                return  # its company is not wanted, the hub knows no such session any more, or we have no part in it

    def _end_soon(self, session: str, participant: str, why: Refused) -> None:
        """The right has ended: no task of theirs runs on, and nothing that they still have to store is taken."""
        log.info("session %s ends: %s", session, why.sentence)
        self._departures.refused((session, participant), self._lent[session, participant].permit)
        self._spawn(self.end(session, participant))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def end(self, session: str, participant: str, *, lost: bool = False) -> Farewell:
        """Kill that worker and remove its folder; of one that has ended already only what there is to say of it.

        `lost`: its hub says that it is gone.
        """
        key = session, participant
        if (lent := self._lent.pop(key, None)) is not None:
            self._departures.begin(key, lent.subject.computer, self._take_leave(key, lent, lost))
        return await self._departures.farewell(key)

    async def dismiss(self, session: str, participant: str, computer: Fingerprint | None, *, lost: bool) -> Farewell:
        """The same for the hub `computer`. Raises NotFound when it had no such stay here."""
        if not self._departures.was_of((session, participant), computer):
            self.stay(session, participant, computer)
        return await self.end(session, participant, lost=lost)

    async def _take_leave(self, key: tuple[str, str], lent: Stay, lost: bool) -> Farewell:
        if lent.work is not None:
            lent.work.close()
        switch = self._switchboard.switches.get(key[0])
        if switch is not None:
            switch.detach(key[1])
        farewell = await lent.farewell(lost=lost)
        if watching := self._watching.pop(key, None):
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        if switch is not None and not any(other[0] == key[0] for other in self._lent) and not switch.is_hub:
            self._switchboard.switches.pop(key[0], None)
            await switch.close()
        self._spawn(lent.clear())
        return farewell

    def papers(self, session: str, participant: str, job: int, papers: JobPapers) -> None:
        """What the tasks of a job may touch. Raises NotFound, and Refused when the right has ended meanwhile."""
        lent = self.stay(session, participant)
        self.require_right(lent.subject)  # a session stays warm longer than a right
        lent.learn(job, papers)

    def forget(self, session: str, participant: str, job: int) -> None:
        with suppress(NotFound):
            self.stay(session, participant).forget(job)

    def stay(self, session: str, participant: str, computer: Fingerprint | None = None) -> Stay:
        """That stay, of the hub `computer` if one is named. Raises NotFound; Refused when the right to it has ended."""
        lent = self._lent.get((session, participant))
        ended = self._departures.permit((session, participant))
        if lent is None and ended is not None and computer in {None, ended.subject.computer}:
            ended.require(Verb.RUN, self._door.id)
        if lent is None or (computer is not None and lent.subject.computer != computer):
            raise NotFound("That session is over.")
        return lent


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


def _orders(computer: str, offer: Offer, cores: int, memory: int) -> dict[str, Any]:
    """For functions a process for each call that can run at a time: Python itself computes on one core only."""
    return {
        "me": offer.participant,
        "authority": offer.authority,
        "certificate": offer.certificate,
        "key": offer.key,
        "computer": computer,
        "cores": cores,
        "memory": memory or psutil.virtual_memory().total // 2,
        "idle": True,
        "processes": cores // offer.call_cores if offer.call_cores else 0,
    }


def _processes(participant: str, count: int) -> list[str]:
    """What a session calls them."""
    return [f"{participant}.{number}" for number in range(count)] if count else [participant]


def _checked(session: str, participant: str) -> None:
    """They become a folder's name."""
    if len(session) != SESSION_ID or not session.isalnum() or not participant.isalnum() or len(participant) > 8:
        raise WrongUsage("That is no session.")
    if not (session + participant).isascii():
        raise WrongUsage("That is no session.")
