"""One person's session: a scheduler in a sandbox here, and the workers that lenders start for it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from commonhold.authority.authority import Subject
from commonhold.compute.certificates import SessionAuthority
from commonhold.compute.channel import SCHEDULER
from commonhold.compute.lend import PYTHON, Lending
from commonhold.compute.papers import Accepted, Inquiry, JobPapers, Offer
from commonhold.compute.relay import Switch, Switchboard, Wire
from commonhold.compute.sandbox import Sandbox
from commonhold.compute.seats import Seat, Seats
from commonhold.errors import CommonholdError, Damaged, NotFound, Refused
from commonhold.names import Fingerprint
from commonhold.transport import Caller, Peer
from commonhold.trees import erase

log = logging.getLogger(__name__)

AT_ONCE = 500  # tasks in one message to the scheduler
OTHERS_WITHIN = 1.0  # seconds that a job waits for further lenders once one has accepted
APPEARS_WITHIN = 30.0  # seconds until a lender's worker must have found the scheduler: a cold disk takes seven
MOST_RETURNS = 5  # how often one lender is asked for a new worker after it lost one


class SessionListener(Protocol):
    """Hears what happens in sessions (cluster.Cluster)."""

    def changed(self, session: Session, changes: list[dict[str, Any]]) -> None: ...
    def note(self, session: Session, sentence: str) -> None: ...
    def seated(self, session: Session, seat: Seat) -> None: ...
    def gone(self, session: Session, seat: Seat) -> None: ...
    def lost(self, session: Session, why: str) -> None: ...


class Session:
    """Open it, seat lenders, submit; `listener` hears what becomes of tasks and lenders."""

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        computer: tuple[str, Fingerprint],
        lending: Lending,
        switchboard: Switchboard,
        caller: Caller,
        now: datetime,
        listener: SessionListener,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.subject = subject
        self.seats = Seats(computer, lending.person_of)
        self.over = asyncio.Event()
        self._folder = folder / self.id
        self._name, self._here = computer
        self._lending = lending
        self._switchboard = switchboard
        self._caller = caller
        self._authority = SessionAuthority(self.id, now)
        self._listener = listener
        self._ready = asyncio.Event()
        self._box: Sandbox | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Start the scheduler; it takes half a second to be ready, in which lenders can be asked."""
        self.switch = Switch(self._elsewhere, lambda: frozenset(seat.fingerprint for seat in self.seats.seated()), True)
        self._switchboard.switches[self.id] = self.switch
        room = self._folder / "room"
        room.mkdir(parents=True, mode=0o700)
        self._box = await Sandbox.start(room, self._hear)
        papers = self._authority.issue(SCHEDULER)
        self._box.channel.tell("orders", me=SCHEDULER, computer=self._name, **papers._asdict())
        self.switch.attach(SCHEDULER, self._box.streams)
        self._spawn(self._watch(self._box))

    async def _watch(self, box: Sandbox) -> None:
        serving = asyncio.create_task(box.channel.serve())
        await box.wait()
        serving.cancel()
        if not self.over.is_set():
            self.over.set()
            self._listener.lost(self, "The scheduler of this job ended.")

    @asynccontextmanager
    async def _elsewhere(self, target: str) -> AsyncIterator[Wire]:
        seat = self.seats.find(target)
        if seat is None or seat.peer is None:
            raise NotFound("There is no such participant.")
        async with self._caller.socket(seat.peer, f"/sessions/{self.id}/relay/{target}") as wire:
            yield wire

    async def invite(self, peers: Iterable[Peer], here: bool, patient: bool) -> list[Seat]:
        """Ask lenders that have no part yet; returns those asked now or before that accepted.

        `patient` waits for every answer; otherwise the slow ones may come later (`listener.seated`).
        """
        wanted: list[Peer | None] = [*peers, *([None] if here else [])]
        seats = [self.seats.of(peer) for peer in wanted]
        asking = {seat: self._spawn(self._inquire(seat)) for seat in seats if seat.accepted is None}
        if asking and (patient or not any(seat.accepted for seat in seats)):
            await self._answers(set(asking.values()), seats, patient)
        # Only now, when it is known who takes part: each is told.
        await asyncio.gather(*(self._take_in(seat) for seat in seats if seat.willing))
        for seat, task in asking.items():
            if not task.done():
                self._spawn(self._take_in_late(seat, task))
        return [seat for seat in seats if seat.accepted]

    async def _answers(self, pending: set[asyncio.Task[None]], seats: list[Seat], patient: bool) -> None:
        while pending and not any(seat.willing or seat.accepted for seat in seats):
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending:
            await asyncio.wait(pending, timeout=None if patient else OTHERS_WITHIN)

    async def _take_in_late(self, seat: Seat, inquiry: asyncio.Task[None]) -> None:
        await inquiry
        await self._take_in(seat)

    async def _inquire(self, seat: Seat) -> None:
        """Ask whether it would take part: it gets no papers before it says yes."""
        try:
            if seat.peer is None:
                seat.willing = await self._lending.consider(self.subject, Inquiry(**self._asked(seat)))
            else:
                seat.peer = self._lending.peer(seat.fingerprint)  # one that was removed meanwhile is asked no more
                inquiry = Inquiry(**self._asked(seat))
                seat.willing = _accepted(await self._caller.ask(seat.peer, "POST", "/sessions/inquiry", inquiry))
        except CommonholdError as error:
            self._refused(seat, error)

    async def _take_in(self, seat: Seat) -> None:
        """Give it its papers. Nobody else's computer comes into the session of one that cannot confine it."""
        async with seat.turn:
            if seat.accepted is not None or seat.willing is None:
                return
            try:
                company = self.seats.company()
                await self._lending.require_company([self._lending.person_of(seat.fingerprint)])
                self.seats.require_known(seat)
                papers = self._authority.issue(seat.participant)._asdict()
                offer = Offer(**self._asked(seat), **papers, company=company)
                if seat.peer is None:
                    accepted = await self._lending.lend(self.subject, offer, self.switch)
                else:
                    accepted = _accepted(await self._caller.ask(seat.peer, "POST", "/sessions", offer))
            except CommonholdError as error:
                self._refused(seat, error)
                return
            seat.accepted, seat.refusal, seat.company = accepted, "", company
            seat.joined.clear()
            self._spawn(self._appears(seat))
        self._listener.seated(self, seat)

    async def _appears(self, seat: Seat) -> None:
        """Nobody waits for a lender that said yes and never came."""
        try:
            await asyncio.wait_for(seat.joined.wait(), APPEARS_WITHIN)
        except TimeoutError:
            self._left(seat.participant)

    def _asked(self, seat: Seat) -> dict[str, Any]:
        person = {"person": self.subject.person, "person_name": self.subject.person_name}
        return {"session": self.id, "participant": seat.participant, "python": PYTHON, **person}

    def _refused(self, seat: Seat, error: CommonholdError) -> None:
        seat.willing = None
        seat.refusal = _refusal(seat.name, error)
        self._listener.note(self, seat.refusal)

    async def submit(self, specs: list[dict[str, Any]], retries: int, cores: int, on: list[str] | None) -> None:
        """Give tasks to the scheduler. Raises Unreachable when it ends meanwhile."""
        ready, over = asyncio.create_task(self._ready.wait()), asyncio.create_task(self.over.wait())
        await asyncio.wait({ready, over}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        over.cancel()
        assert self._box is not None  # noqa: S101 - open() came first
        for first in range(0, len(specs), AT_ONCE):
            part = specs[first : first + AT_ONCE]
            await self._box.channel.ask("submit", specs=part, retries=retries, cores=cores, on=on)

    async def cancel(self, keys: list[str]) -> None:
        if self._box is not None:
            with suppress(CommonholdError):
                await self._box.channel.ask("cancel", keys=keys)

    async def papers(self, seat: Seat, job: int, papers: JobPapers) -> None:
        """Tell that lender what a job's tasks may touch; one that will not have it takes part no more."""
        try:
            if seat.peer is None:
                self._lending.papers(self.id, seat.participant, job, papers)
            else:
                await self._caller.ask(seat.peer, "POST", f"{self._at(seat)}/jobs/{job}", papers)
        except CommonholdError as error:
            seat.accepted = None
            self._refused(seat, error)
            await self._dismiss(seat)

    async def forget(self, job: int) -> None:
        """A job is over: lenders forget its papers."""
        for seat in self.seats.seated():
            if seat.peer is None:
                self._lending.forget(self.id, seat.participant, job)
            else:
                with suppress(CommonholdError):
                    await self._caller.ask(seat.peer, "DELETE", f"{self._at(seat)}/jobs/{job}")

    def _at(self, seat: Seat) -> str:
        return f"/sessions/{self.id}/{seat.participant}"

    async def _hear(self, what: str, words: dict[str, Any]) -> None:
        """What the scheduler tells."""
        if what == "ready":
            self._ready.set()
        elif what == "changes":
            changes = words["changes"]
            for change in changes:
                if "left" in change:
                    self._left(str(change["left"]))
                if joined := self.seats.find(str(change.get("joined"))):
                    joined.joined.set()
            self._listener.changed(self, [change for change in changes if "key" in change])

    def _left(self, participant: str) -> None:
        seat = self.seats.find(participant)
        if seat is None or seat.accepted is None or self.over.is_set():
            return
        seat.accepted = seat.willing = None
        self._listener.note(self, f"{seat.name} was lost; its tasks run again elsewhere.")
        self._spawn(self._return(seat))

    async def _return(self, seat: Seat) -> None:
        """Ask a lender that lost its worker for a new one: perhaps only a task killed it."""
        async with seat.turn:
            await self._dismiss(seat)
            seat.returns += 1
            if seat.returns <= MOST_RETURNS:
                await self._inquire(seat)
        await self._take_in(seat)
        if seat.accepted is None:
            self._listener.gone(self, seat)
        if not self.seats.seated():
            self._listener.lost(self, "All computers that ran it were lost.")

    async def _dismiss(self, seat: Seat) -> None:
        if seat.peer is None:
            await self._lending.end(self.id, seat.participant)
        else:
            with suppress(CommonholdError):
                await self._caller.ask(seat.peer, "DELETE", self._at(seat))

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """End everything, here and at the lenders."""
        self.over.set()
        if self._box is not None:
            self.switch.detach(SCHEDULER)
            self._box.kill()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._dismiss(seat) for seat in self.seats.seated()))
        self._switchboard.switches.pop(self.id, None)
        await self.switch.close()
        if self._box is not None:
            await self._box.wait()
        await asyncio.to_thread(erase, self._folder)


def _accepted(answer: object) -> Accepted:
    try:
        return msgspec.convert(answer, Accepted)
    except msgspec.ValidationError as error:
        raise Damaged("It answered something that is neither yes nor no.") from error


def _refusal(name: str, error: CommonholdError) -> str:
    if isinstance(error, Refused):
        return f"{name} refused: {error.sentence}"
    return f"{name} does not take part: {error.sentence}"
