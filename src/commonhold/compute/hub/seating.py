"""Brings lenders into one session, tells them what its jobs may touch, and lets them go."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import msgspec

from commonhold.authority.authority import Subject
from commonhold.compute.certificates import SessionAuthority
from commonhold.compute.hub.outfitting import Outfitting
from commonhold.compute.hub.seats import Seat, Seats
from commonhold.compute.lender.lend import Lending, NearHub
from commonhold.compute.papers import PYTHON, Accepted, Farewell, Inquiry, JobPapers, Needs, Offer, Rest
from commonhold.compute.relay import Switch
from commonhold.errors import CommonholdError, Damaged, NotFound, Refused, Unreachable
from commonhold.names import Fingerprint
from commonhold.transport import Caller, Peer

OTHERS_WITHIN = 1.0  # seconds that a job waits for further lenders once one has accepted
APPEARS_WITHIN = 30.0  # seconds until a lender's worker must have found the scheduler: a cold disk takes seven
ANSWERS_WITHIN = 10.0  # seconds that anybody is waited for who is asked
FAREWELL_WITHIN = 1.0  # seconds that a lender is waited for whose worker is gone: its tasks wait, too
COMES_BACK_WITHIN = 5.0  # seconds until a process that a function ended must have been replaced (workforce.py)
MOST_RETURNS = 5  # how often one lender is asked at once for a new worker, while no task ends


class SeatingListener(Protocol):
    """Hears who takes part (session.Session)."""

    def note(self, sentence: str) -> None: ...
    def seated(self, seat: Seat) -> None: ...
    def gone(self, seat: Seat) -> None: ...
    async def left(self, seat: Seat, keys: list[str], farewell: Farewell | None) -> None: ...
    async def rest(self, seat: Seat, rest: Rest) -> None: ...


class Seating:
    """The lenders of one session, in `seats`. `switch` is the hub's own."""

    def __init__(
        self,
        session: str,
        subject: Subject,
        seats: Seats,
        issuer: SessionAuthority,
        switch: Switch,
        lending: Lending,
        caller: Caller,
        outfitting: Outfitting,
        listener: SeatingListener,
        needs: Needs,
    ) -> None:
        self.seats = seats
        self._session = session
        self._subject = subject
        self._issuer = issuer
        self._switch = switch
        self._lending = lending
        self._caller = caller
        self._listener = listener
        self._needs = needs
        self._outfitting = outfitting
        if needs.environment is not None:
            outfitting.offer(session, subject, needs.environment, seats.invited)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._over = False
        self.progress = False  # whether a task has ended since the last worker was lost

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
        await self._taken_in([seat for seat in seats if seat.willing], patient)
        for seat, task in asking.items():
            if not task.done():
                self._spawn(self._take_in_late(seat, task))
        return [seat for seat in seats if seat.accepted]

    async def _taken_in(self, willing: list[Seat], patient: bool) -> None:
        """Give them their papers. Those that must fetch an environment first hold nobody up, once one has it."""
        pending = {self._spawn(self._take_in(seat)) for seat in willing}
        while pending and not any(seat.accepted for seat in willing):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*done)  # raises a fault of ours
        if pending:
            at_once = self._needs.environment is not None and not patient
            await asyncio.wait(pending, timeout=OTHERS_WITHIN if at_once else None)

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
                seat.willing = await self._lending.consider(self._subject, Inquiry(**self._asked(seat)))
            else:
                seat.peer = self._lending.peer(seat.fingerprint)  # one that was removed meanwhile is asked no more
                inquiry = Inquiry(**self._asked(seat))
                seat.willing = _accepted(await self._ask(seat.peer, "POST", "/sessions/inquiry", inquiry))
        except CommonholdError as error:
            self._refused(seat, error)

    async def _take_in(self, seat: Seat) -> None:
        """Give it its papers. Nobody else's computer comes into the session of one that cannot confine it."""
        async with seat.turn:
            if seat.accepted is not None or seat.willing is None:
                return
            try:
                inquiry = Inquiry(**self._asked(seat))
                await self._outfitting.equip(seat.peer, self._subject, inquiry, self._listener.note)
                company = self.seats.company()
                await self._lending.require_company([self._lending.person_of(seat.fingerprint)])
                self.seats.require_known(seat)
                papers = self._issuer.issue(seat.participant)._asdict()
                offer = Offer(**self._asked(seat), **papers, company=company)
                if seat.peer is None:
                    accepted = await self._lending.lend(self._subject, offer, self._near(seat))
                else:
                    if seat.lingers:
                        await self._dismiss(seat)
                    accepted = _accepted(await self._ask(seat.peer, "POST", "/sessions", offer))
            except CommonholdError as error:
                seat.lingers = seat.lingers or isinstance(error, Unreachable)  # only its answer may be lost
                self._refused(seat, error)
                return
            seat.accepted, seat.refusal, seat.denied, seat.company = accepted, "", False, company
            seat.stays, seat.leaving = seat.stays + 1, False
            self._await(seat, APPEARS_WITHIN)
        self._listener.seated(seat)

    def _await(self, seat: Seat, seconds: float) -> None:
        seat.joined.clear()
        self._spawn(self._appears(seat, seconds))

    async def _appears(self, seat: Seat, seconds: float) -> None:
        """Nobody waits for a lender that said yes and never came."""
        stay = seat.stays
        try:
            await asyncio.wait_for(seat.joined.wait(), seconds)
        except TimeoutError:
            if seat.stays == stay:  # else it was asked anew since, and has time anew
                self._left(seat, [], silent=True)

    def _asked(self, seat: Seat) -> dict[str, Any]:
        person = {"person": self._subject.person, "person_name": self._subject.person_name}
        about = {"session": self._session, "participant": seat.participant, **self._needs._asdict()}
        return about | {"python": PYTHON} | person

    def _refused(self, seat: Seat, error: CommonholdError) -> None:
        seat.willing = None
        seat.refusal = _refusal(seat.name, error)
        seat.denied = isinstance(error, Refused) and bool(error.more.get("reason"))
        self._listener.note(seat.refusal)

    async def papers(self, seat: Seat, job: int, papers: JobPapers) -> None:
        """Tell that lender what a job's tasks may touch; one that will not have it takes part no more."""
        try:
            if seat.peer is None:
                self._lending.papers(self._session, seat.participant, job, papers)
            else:
                await self._ask(seat.peer, "POST", f"{self._at(seat)}/jobs/{job}", papers)
        except CommonholdError as error:
            seat.accepted = None
            self._refused(seat, error)
            await self._dismiss(seat)

    async def forget(self, job: int) -> None:
        """A job is over: lenders end what still runs for it, and forget its papers."""
        await asyncio.gather(*(self._forget(seat, job) for seat in self.seats.seated()))

    async def _forget(self, seat: Seat, job: int) -> None:
        if seat.peer is None:
            self._lending.stays.forget(self._session, seat.participant, job)
        else:
            with suppress(CommonholdError):
                await self._ask(seat.peer, "DELETE", f"{self._at(seat)}/jobs/{job}")

    def _at(self, seat: Seat) -> str:
        return f"/sessions/{self._session}/{seat.participant}"

    async def _ask(self, peer: Peer, method: str, path: str, body: object = None) -> Any:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return await self._caller.ask(peer, method, path, body)
        except TimeoutError as error:
            raise Unreachable(f"{peer.name} does not answer.") from error

    def moved(self, joined: str, left: str, keys: list[str], silent: bool) -> None:
        """A worker's process has come to the scheduler, or gone with these tasks of ours; the other is nothing.

        `silent`: it has not been heard for too long.
        """
        if seat := self.seats.find(joined):
            seat.processes.add(joined)
            seat.joined.set()
        if seat := self.seats.find(left):
            seat.processes.discard(left)
            if not seat.processes and self._needs.call_cores and seat.accepted and not seat.leaving:
                self._await(seat, COMES_BACK_WITHIN)
            elif not seat.processes:
                self._left(seat, keys, silent=silent)

    def _near(self, seat: Seat) -> NearHub:
        return NearHub(self._switch, partial(self.rest, seat.participant, seat.fingerprint))

    async def rest(self, participant: str, computer: Fingerprint | None, rest: Rest) -> None:
        """Its lender freezes that worker, lets it go on, or gives its tasks back. Raises NotFound for another's."""
        seat = self.seats.find(participant)
        if seat is None or seat.fingerprint != computer:
            raise NotFound("There is no such participant.")
        if seat.accepted is not None:
            seat.leaving, came = rest.state == "leaving", bool(seat.processes)
            if rest.state == "frozen" and seat.noted != seat.stays:
                seat.noted = seat.stays
                self._listener.note(f"{seat.name} {rest.reason}: what runs there waits, for a minute at most.")
            await self._listener.rest(seat, rest)
            if seat.leaving and not came:  # its worker has not come yet, and will not
                self._left(seat, [], silent=False)

    def _left(self, seat: Seat, keys: list[str], *, silent: bool) -> None:
        if not self._over:
            self._spawn(self._leave(seat, seat.stays, keys, silent))

    async def _leave(self, seat: Seat, stay: int, keys: list[str], silent: bool) -> None:
        """Then it is asked for a new worker: perhaps only a task killed the last one."""
        async with seat.turn:
            took_part = seat.accepted is not None and seat.stays == stay
            farewell: Farewell | None = Farewell()
            if took_part:
                seat.accepted = seat.willing = None
                farewell = await self._dismiss(seat, lost=True)
                self._listener.note(_loss(seat.name, farewell, silent))
            await self._listener.left(seat, keys, farewell)
            if not took_part:
                return
            seat.returns = 1 if self.progress else seat.returns + 1
            self.progress = False
            if seat.returns <= MOST_RETURNS:
                await self._inquire(seat)
        await self._take_in(seat)
        if seat.accepted is None:
            self._listener.gone(seat)

    async def _dismiss(self, seat: Seat, *, lost: bool = False) -> Farewell | None:
        """Its stay is over. -> What it says of that; nothing when it is not there, or knows of no such stay."""
        if seat.peer is None:
            return await self._lending.stays.end(self._session, seat.participant, lost=lost)
        try:
            async with asyncio.timeout(FAREWELL_WITHIN):
                said = await self._caller.ask(seat.peer, "DELETE", self._at(seat) + ("?lost=1" if lost else ""))
            farewell = msgspec.convert(said, Farewell)
        except (TimeoutError, CommonholdError, msgspec.ValidationError):
            farewell = None
        seat.lingers = farewell is None
        return farewell

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> list[Farewell]:
        """All lenders are told that the session is over; what they say of their last tasks."""
        self._over = True
        self._outfitting.withdraw(self._session)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        said = await asyncio.gather(*(self._dismiss(seat) for seat in self.seats.seated()))
        return [farewell for farewell in said if farewell is not None]


def _loss(name: str, farewell: Farewell | None, silent: bool) -> str:
    """What people are told of a worker that is gone."""
    if farewell is not None and farewell.closed:
        return f"{name} {farewell.closed}: it gave its tasks back, and they run again elsewhere."
    if farewell is not None and farewell.status:
        how = f"was killed by signal {farewell.status - 128}" if farewell.status > 128 else "ended"
        how = f"was ended by its lender ({farewell.why.rstrip('.')})" if farewell.why else how
        return f"The worker on {name} {how}; the tasks that it ran run again, each alone."
    if silent:
        return f"{name} was given up, since it was silent for too long; its tasks run again elsewhere."
    return f"{name} was lost; its tasks run again elsewhere."


def _accepted(answer: object) -> Accepted:
    try:
        return msgspec.convert(answer, Accepted)
    except msgspec.ValidationError as error:
        raise Damaged("It answered something that is neither yes nor no.") from error


def _refusal(name: str, error: CommonholdError) -> str:
    if isinstance(error, Refused):
        return f"{name} refused: {error.sentence}"
    return f"{name} does not take part: {error.sentence}"
