"""Having this computer's record witnessed, by every guard that can be found; and asking what they have seen."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

import msgspec
from aiohttp import web

from commonhold.authority import lines
from commonhold.authority.audit import Audit
from commonhold.authority.facts import FactStore
from commonhold.authority.witness import ADDRESS, MOST_LINES, Sighting, Telling, checked
from commonhold.errors import CommonholdError, Conflict, Refused, Unreachable
from commonhold.home import Home
from commonhold.identity.envelope import Envelope
from commonhold.names import Fingerprint
from commonhold.transport import Caller, Peer, json_answer
from commonhold.wire import convert

FIRST = 5.0  # seconds after the start: greetings have found the guards by then
EVERY = 600.0  # seconds
AT_THE_END = 1.0  # seconds that stopping the node waits for it
TURNS = 3  # times that a guard may ask for another beginning

log = logging.getLogger(__name__)


class Heads:
    """The side of the computer whose record it is. What guards signed it keeps in its home, beside the record."""

    def __init__(
        self,
        audit: Audit,
        home: Home,
        facts: FactStore,
        own: Fingerprint,
        caller: Caller,
        peers: Callable[[], list[Peer]],
    ) -> None:
        self._audit, self._path, self._kept = audit, home.audit, home.heads
        self._facts, self._own, self._caller, self._peers = facts, own, caller, peers
        self._told: dict[Fingerprint, int] = {}  # how far each guard has signed since this node started

    def routes(self) -> list[web.RouteDef]:
        """For the gateway."""
        return [web.get("/api/sightings", self._show)]

    async def watch(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            await self.tell()
            await asyncio.sleep(EVERY)

    async def tell(self) -> None:
        """Tell every guard what it has not seen yet; who does not answer is told the next time."""
        await asyncio.gather(*(self._tell_quietly(peer) for peer in self._guards()))

    async def tell_at_the_end(self) -> None:
        """While the node stops: what was done a moment ago should not stay unseen until the next start."""
        try:
            async with asyncio.timeout(AT_THE_END):
                await self.tell()
        except TimeoutError:
            log.info("no guard has seen the end of the record yet")

    async def seen(self) -> list[Sighting]:
        """What the guards that answer have seen. Raises Unreachable when none does, though there are some."""
        guards = self._guards()
        answers = await asyncio.gather(*map(self._ask, guards), return_exceptions=True)
        found = [each for each in answers if isinstance(each, list)]
        for trouble in answers:
            if isinstance(trouble, BaseException) and not isinstance(trouble, CommonholdError):
                raise trouble
        if guards and not found:
            raise Unreachable("No guard answers that could have seen this record.")
        return [sighting for each in found for sighting in each]

    def _guards(self) -> list[Peer]:
        guards = self._facts.roster.guards
        return [peer for peer in self._peers() if peer.fingerprint in guards and peer.addresses]

    async def _tell_quietly(self, peer: Peer) -> None:
        try:
            await self._tell(peer)
        except CommonholdError as error:
            log.info("%s has not witnessed the record: %s", peer.name, error.sentence)

    async def _tell(self, peer: Peer) -> None:
        after = self._told.get(peer.fingerprint)
        if after == self._audit.head[0]:
            return
        for _ in range(TURNS):
            try:
                while True:
                    telling = await asyncio.to_thread(self._telling, after)
                    await self._have_signed(peer, telling)
                    after = self._told[peer.fingerprint] = telling.after + len(telling.lines)
                    if telling.lines and len(telling.lines) < MOST_LINES:
                        return
                    if after == self._audit.head[0]:
                        return
            except Conflict as error:
                if not isinstance(after := error.more.get("number"), int):
                    raise
        raise Conflict(f"{peer.name} and this computer do not agree where the record goes on.")

    async def _have_signed(self, peer: Peer, telling: Telling) -> None:
        envelope = convert(await self._caller.ask(peer, "POST", ADDRESS, telling), Envelope)
        head = checked(envelope, peer.fingerprint, peer.certificate.spki, self._facts.network_id, self._own)
        if (head.after, head.lines) != (telling.after, telling.lines):
            raise Refused(f"{peer.name} has signed something else.")
        if head.lines:
            await asyncio.to_thread(self._keep, envelope)

    def _telling(self, after: int | None) -> Telling:
        """What comes after that line; nothing yet for a guard of which is not known how far it has seen."""
        if after is None:
            return Telling(0, lines.BEFORE_ALL, ())
        self._audit.sync()  # what a power cut could still take must not have been seen
        found = lines.hashes(self._path, max(after - 1, 0))
        if after == 0:
            return Telling(0, lines.BEFORE_ALL, tuple(found[:MOST_LINES]))
        at = found[0] if found else None
        return Telling(after, at, tuple(found[1 : MOST_LINES + 1]))

    def _keep(self, envelope: Envelope) -> None:
        descriptor = os.open(self._kept, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(envelope.encoded() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    async def _ask(self, peer: Peer) -> list[Sighting]:
        found: list[Sighting] = []
        while True:
            answer = await self._caller.ask(peer, "GET", f"{ADDRESS}?beyond={found[-1].id if found else 0}")
            try:
                more = convert(answer, list[Sighting])
            except msgspec.ValidationError as error:
                raise Conflict(f"{peer.name} answered something that is no list of heads.") from error
            if not more or more[-1].id <= (found[-1].id if found else 0):
                return found
            found += [msgspec.structs.replace(each, by=peer.name) for each in more]

    async def _show(self, _request: web.Request) -> web.Response:
        return json_answer(await self.seen())
