"""One person's session: a scheduler in a sandbox here, and the workers that lenders start for it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from commonhold.authority.authority import Subject
from commonhold.compute.certificates import Papers, SessionAuthority
from commonhold.compute.channel import SCHEDULER
from commonhold.compute.edition import cure
from commonhold.compute.hub.outfitting import Outfitting
from commonhold.compute.hub.seating import ANSWERS_WITHIN, Seating
from commonhold.compute.hub.seats import Seat, Seats
from commonhold.compute.lender.bounds import OWN
from commonhold.compute.lender.lend import Lending
from commonhold.compute.lender.warden import Ward
from commonhold.compute.papers import Farewell, Needs, Rest
from commonhold.compute.relay import Switch, Switchboard, Wire
from commonhold.compute.said import Listening, Piece, within_bounds
from commonhold.compute.sandbox import Sandbox
from commonhold.errors import CommonholdError, NotFound, Unreachable
from commonhold.names import Fingerprint
from commonhold.transport import Caller
from commonhold.trees import erase

log = logging.getLogger(__name__)

AT_ONCE = 500  # tasks in one message to the scheduler
PATIENCE_WITH_FUNCTIONS = 60.0  # seconds: a function in C may keep its whole process from speaking


class SessionListener(Protocol):
    """Hears what happens in sessions (cluster.Cluster)."""

    def changed(self, session: Session, changes: list[dict[str, Any]]) -> None: ...
    def note(self, session: Session, sentence: str) -> None: ...
    def seated(self, session: Session, seat: Seat) -> None: ...
    def gone(self, session: Session, seat: Seat) -> None: ...
    async def left(self, session: Session, seat: Seat, keys: list[str], farewell: Farewell | None) -> None: ...
    def lost(self, session: Session) -> None: ...


class Session:
    """Open it, seat lenders (`seating`), submit; `listener` hears what becomes of tasks and lenders."""

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        computer: tuple[str, Fingerprint],
        lending: Lending,
        switchboard: Switchboard,
        caller: Caller,
        outfitting: Outfitting,
        now: datetime,
        silence: float,
        listener: SessionListener,
        needs: Needs,
    ) -> None:
        """`silence`: seconds after which a worker that says nothing counts as lost."""
        self.id = secrets.token_hex(16)
        self.subject = subject
        self.seats = Seats(computer, lending.person_of)
        self.callers: dict[str, Fingerprint] = {}  # processes of its person's own, and at which computers they run
        self.over = asyncio.Event()
        self.switch = Switch(self._elsewhere, self._computers, is_hub=True, mesh=needs.call_cores > 0)
        self._issuer = SessionAuthority(self.id, now)
        self._needs, self._outfitting = needs, outfitting
        self._environment: Path | None = None
        kept = self.seats, self._issuer, self.switch, lending, caller, outfitting
        self.seating = Seating(self.id, subject, *kept, self, needs)
        self._patience = max(silence, PATIENCE_WITH_FUNCTIONS) if needs.call_cores else silence
        self._numbers = itertools.count(1)
        self._folder = folder / self.id
        self._name, self._here = computer
        self._switchboard = switchboard
        self._lending = lending
        self._caller = caller
        self._listener = listener
        self._ready = asyncio.Event()
        self._box: Sandbox | None = None
        self._lending = lending
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[list[Farewell]] | None = None

    async def open(self) -> None:
        """Start the scheduler; it takes half a second to be ready, in which lenders can be asked.

        Raises Unreachable when the code was replaced since this node started.
        """
        if trouble := self._lending.edition.trouble(self._name):
            raise Unreachable(trouble, cure(self._name))
        self._switchboard.switches[self.id] = self.switch
        room = self._folder / "room"
        room.mkdir(parents=True, mode=0o700)
        self._environment = await self._outfitting.own(self.subject, self._needs)
        self._box = await Sandbox.start(room, self._hear, environment=self._environment)
        papers = self._issuer.issue(SCHEDULER)
        orders = {"me": SCHEDULER, "computer": self._name, "patience": self._patience, **papers._asdict()}
        # A guest's may compute, too: Dask opens there what is sent to it.
        self._box.channel.tell("orders", **orders, nice=not self._lending.is_owner(self.subject))
        self.switch.attach(SCHEDULER, *self._box.streams)
        self._watching = asyncio.create_task(self._watch(self._box))

    def _computers(self) -> frozenset[Fingerprint]:
        """Whose nodes may bring streams."""
        return frozenset([*(seat.fingerprint for seat in self.seats.seated()), *self.callers.values()])

    def admit(self, computer: Fingerprint) -> tuple[str, Papers]:
        """A process of its person's own takes part from now on, at that computer: its name, and its papers."""
        name = f"c{next(self._numbers)}"
        self.callers[name] = computer
        return name, self._issuer.issue(name)

    async def _watch(self, box: Sandbox) -> None:
        serving = asyncio.create_task(box.channel.serve())
        ward = self._lending.warden.watch(Ward(box, self._folder, 1, lambda *_: None, self.subject, OWN))
        try:
            await box.wait()
        finally:
            serving.cancel()
            self._lending.warden.release_soon(ward)
        if not self.over.is_set():
            self.over.set()
            self._listener.lost(self)

    @asynccontextmanager
    async def _elsewhere(self, target: str) -> AsyncIterator[Wire]:
        seat = self.seats.find(target)
        if seat is None or seat.peer is None:
            raise NotFound("There is no such participant.")
        async with self._caller.socket(seat.peer, f"/sessions/{self.id}/relay/{target}") as wire:
            yield wire

    async def submit(
        self, specs: Iterable[dict[str, Any]], retries: int, cores: int, memory: int, on: list[str] | None
    ) -> None:
        """Give tasks to the scheduler. Raises Unreachable when it ends meanwhile."""
        await self.ready()
        assert self._box is not None  # noqa: S101 - open() came first
        orders, wish = iter(specs), {"retries": retries, "cores": cores, "memory": memory, "on": on}
        while part := list(itertools.islice(orders, AT_ONCE)):
            await self._box.channel.ask("submit", specs=part, **wish)

    async def said(self, seat: Seat, job: int, asked: Listening) -> list[Piece]:
        """What is new of a job's tasks that run there; of a lender that cannot say it, nothing."""
        stay = self.id, seat.participant
        with suppress(CommonholdError, TimeoutError, msgspec.ValidationError):
            if seat.peer is None:
                return await self._lending.stays.find(*stay).said(job, asked)
            async with asyncio.timeout(ANSWERS_WITHIN):
                path = f"/sessions/{'/'.join(stay)}/jobs/{job}/said"
                return within_bounds(await self._caller.ask(seat.peer, "POST", path, asked))
        return []

    async def ready(self) -> None:
        """Until the scheduler listens, or has ended."""
        ready, over = asyncio.create_task(self._ready.wait()), asyncio.create_task(self.over.wait())
        await asyncio.wait({ready, over}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        over.cancel()

    async def cancel(self, keys: list[str]) -> None:
        if self._box is not None:
            with suppress(CommonholdError):
                await self._box.channel.ask("cancel", keys=keys)

    async def _hear(self, what: str, words: dict[str, Any]) -> None:
        """What the scheduler tells."""
        if what == "ready":
            self._ready.set()
        elif what == "changes":
            changes = words["changes"]
            for change in changes:
                keys, silent = list(change.get("keys", ())), bool(change.get("silent"))
                self.seating.moved(str(change.get("joined", "")), str(change.get("left", "")), keys, silent)
            self._listener.changed(self, [change for change in changes if "key" in change])

    # What the seating tells (seating.SeatingListener)

    def note(self, sentence: str) -> None:
        self._listener.note(self, sentence)

    def seated(self, seat: Seat) -> None:
        self._listener.seated(self, seat)

    def gone(self, seat: Seat) -> None:
        self._listener.gone(self, seat)

    async def left(self, seat: Seat, keys: list[str], farewell: Farewell | None) -> None:
        await self._listener.left(self, seat, keys, farewell)

    async def rest(self, seat: Seat, rest: Rest) -> None:
        """What its lender has decided on is told to the scheduler, which has taken it in when this returns."""
        if self._box is not None:
            seconds = rest.seconds if rest.state == "frozen" else 0.0
            await self._box.channel.ask("rest", who=seat.participant, state=rest.state, seconds=seconds)

    async def close(self) -> list[Farewell]:
        """End everything, here and at the lenders. -> What those say of their last tasks. May be called again."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return await asyncio.shield(self._closing)

    async def _close(self) -> list[Farewell]:
        self.over.set()
        if self._box is not None:
            self.switch.detach(SCHEDULER)
            self._box.kill()
        farewells = await self.seating.close()
        self._switchboard.switches.pop(self.id, None)
        await self.switch.close()
        if self._watching is not None:
            await self._watching
        self._outfitting.leave(self._environment)
        await asyncio.to_thread(erase, self._folder)
        return farewells
