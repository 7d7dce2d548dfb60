"""How an environment comes to the lenders of a session: each fetches from the hub what it has not unpacked yet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from commonhold.authority.authority import Subject
from commonhold.compute import sandbox
from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.lender.equipment import Equipment, Source
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import Equipped, Inquiry, Needs
from commonhold.compute.wheels import CHUNK, Wheelhouse, Wheelhouses
from commonhold.errors import NotFound, Refused, Unreachable
from commonhold.names import Fingerprint, PersonId
from commonhold.transport import Caller, Peer
from commonhold.wire import convert

STUCK_AFTER = 1200.0  # seconds without a byte more: unpacking may take fifteen minutes
ANSWERS_WITHIN = 15.0  # seconds that a lender is waited for, which answers every five


class _Offered(NamedTuple):
    """What a session brings along, and whose computers may fetch it."""

    person: PersonId
    environment: Environment
    invited: Callable[[], frozenset[Fingerprint]]


class Outfitting:
    """This computer's part in it, as hub and as lender."""

    def __init__(self, lending: Lending, equipment: Equipment, caller: Caller, wheelhouses: Wheelhouses) -> None:
        self.wheelhouses = wheelhouses
        self._lending = lending
        self._equipment = equipment
        self._caller = caller
        self._offered: dict[str, _Offered] = {}

    # As hub

    def offer(
        self, session: str, subject: Subject, environment: Environment, invited: Callable[[], frozenset[Fingerprint]]
    ) -> None:
        """Until it is withdrawn, that session's lenders may fetch these wheels."""
        assert subject.person is not None  # noqa: S101 - only people have sessions
        self._offered[session] = _Offered(subject.person, environment, invited)

    def withdraw(self, session: str) -> None:
        self._offered.pop(session, None)

    async def require(self, subject: Subject, environment: Environment | None) -> None:
        """Raise NotFound when its wheels are not all here."""
        if environment is not None and subject.person is not None:
            await asyncio.to_thread(self.wheelhouses.of(subject.person).require, environment)

    async def own(self, subject: Subject, needs: Needs) -> Path | None:
        """The environment of a session's scheduler, in use until `leave`: Dask opens there what is sent to functions.

        Raises WrongUsage when it is for other computers than this.
        """
        if needs.environment is None or not needs.call_cores or subject.person is None:
            return None
        self._equipment.require_fit(needs.environment)
        kind, source = await sandbox.here(), _Here(self.wheelhouses.of(subject.person))
        while not (await self._equipment.prepare(subject.person, needs.environment, kind, source)).ready:
            pass
        return await asyncio.to_thread(self._equipment.enter, subject.person, needs.environment, kind)

    def leave(self, folder: Path | None) -> None:
        """That scheduler has ended."""
        if folder is not None:
            self._equipment.leave(folder)

    def wheel(self, session: str, sha256: str, computer: Fingerprint | None) -> Path:
        """One of that session's, for a computer that takes part or is asked to. Raises NotFound, Refused."""
        offered = self._offered.get(session)
        if offered is None:
            raise NotFound("That session is over.")
        if computer not in offered.invited():
            raise Refused("That session is for the computers that take part in it.")
        wheel = next((each for each in offered.environment.wheels if each.sha256 == sha256), None)
        house = self.wheelhouses.of(offered.person)
        if wheel is None or not house.has(wheel):
            raise NotFound("Its environment has no such wheel.")
        return house.file(wheel)

    async def equip(self, peer: Peer | None, subject: Subject, inquiry: Inquiry, note: Callable[[str], object]) -> None:
        """Until that lender (None: this computer) has the environment unpacked. Raises why it will not."""
        told, left, since = False, -1, time.monotonic()
        while inquiry.environment is not None:
            if peer is None:
                equipped = await self._prepare(subject, inquiry, _Here(self.wheelhouses.of(inquiry.person)))
            else:
                equipped = await self._asked(peer, inquiry)
            if equipped.ready:
                break
            if equipped.left != left:
                left, since = equipped.left, time.monotonic()
            if time.monotonic() - since > STUCK_AFTER:
                raise Unreachable("The environment does not get any further there.")
            if not told:
                name = peer.name if peer is not None else self._lending.computer
                note(f"{name} gets the environment first: {inquiry.environment.size / 1e6:.1f} MB.")
                told = True

    async def _asked(self, peer: Peer, inquiry: Inquiry) -> Equipped:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                return convert(await self._caller.ask(peer, "POST", "/sessions/environment", inquiry), Equipped)
        except TimeoutError as error:
            raise Unreachable(f"{peer.name} does not answer.") from error

    # As lender

    async def prepare(self, subject: Subject, inquiry: Inquiry) -> Equipped:
        """What a hub asks: how far its session's environment is here. Raises as `lend` would."""
        if subject.computer is None:
            raise Refused("A session comes from a computer.")
        hub = self._lending.peer(subject.computer)
        return await self._prepare(subject, inquiry, _AtHub(self._caller, hub, inquiry.session))

    async def _prepare(self, subject: Subject, inquiry: Inquiry, source: Source) -> Equipped:
        await self._lending.consider(subject, inquiry)
        if inquiry.environment is None:
            return Equipped(ready=True)
        return await self._equipment.prepare(inquiry.person, inquiry.environment, await sandbox.here(), source)


class _Here:
    """The wheels of a person whose hub is this computer."""

    def __init__(self, house: Wheelhouse) -> None:
        self._house = house

    @asynccontextmanager
    async def read(self, wheel: Wheel, start: int) -> AsyncIterator[AsyncIterator[bytes]]:
        try:
            file = await asyncio.to_thread(self._house.file(wheel).open, "rb")
        except FileNotFoundError:
            raise NotFound("Its environment has no such wheel.") from None

        async def pieces() -> AsyncIterator[bytes]:
            while piece := await asyncio.to_thread(file.read, CHUNK):
                yield piece

        with file:
            file.seek(start)
            yield pieces()


class _AtHub:
    """The wheels of a session, at its hub."""

    def __init__(self, caller: Caller, hub: Peer, session: str) -> None:
        self._caller, self._hub, self._session = caller, hub, session

    @asynccontextmanager
    async def read(self, wheel: Wheel, start: int) -> AsyncIterator[AsyncIterator[bytes]]:
        path = f"/sessions/{self._session}/wheels/{wheel.sha256}"
        async with self._caller.request(self._hub, "GET", path, headers={"Range": f"bytes={start}-"}) as answer:
            yield answer.content.iter_chunked(CHUNK)
