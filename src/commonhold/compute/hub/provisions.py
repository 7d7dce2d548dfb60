"""Wheels over HTTP: to the hub, from whoever submits there, and from the hub to the lenders of its sessions."""

from __future__ import annotations

import asyncio

from aiohttp import web

from commonhold.authority.authority import Subject
from commonhold.authority.gate import SUBJECT
from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.hub.outfitting import Outfitting
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import Inquiry
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import Conflict, Refused, WrongUsage
from commonhold.names import PersonId
from commonhold.transport import document, json_answer

MOST_AT_ONCE = 8  # wheels that one person sends at a time


class Provisions:
    """A hub's and a lender's routes. What a person may send here is for the jobs that they may run here."""

    def __init__(self, outfitting: Outfitting, lending: Lending) -> None:
        self._outfitting = outfitting
        self._lending = lending
        self._announced: dict[PersonId, frozenset[str]] = {}  # digests of the last that each spoke of
        self._coming: dict[PersonId, dict[str, int]] = {}  # by digest: bytes that were still to come when it began

    def to_hub(self) -> list[web.RouteDef]:
        return [
            web.post("/environments", self._announce),
            web.put(r"/environments/{sha256:[0-9a-f]{64}}", self._take),
        ]

    def between_computers(self) -> list[web.RouteDef]:
        return [
            web.post("/sessions/environment", self._prepare),
            web.get(r"/sessions/{session}/wheels/{sha256:[0-9a-f]{64}}", self._give),
        ]

    async def _announce(self, request: web.Request) -> web.Response:
        """Environment -> a list of Lacking: what must still be sent."""
        environment = await document(request, Environment)
        environment.check()
        person, house = self._house(request)
        self._announced[person] = frozenset(wheel.sha256 for wheel in environment.wheels)
        return json_answer(await asyncio.to_thread(house.lacking, environment))

    async def _take(self, request: web.Request) -> web.Response:
        """The rest of a wheel, from byte `?from=` on, to `?size=`. 409 while it comes already."""
        person, house = self._house(request)
        start, size = (request.query.get(each, "") for each in ("from", "size"))
        if not (start.isdecimal() and size.isdecimal() and len(start + size) < 30):
            raise WrongUsage("A wheel is sent from a byte on, to its size.")
        wheel = Wheel("wheel", request.match_info["sha256"], int(size))
        coming = self._coming.setdefault(person, {})
        if wheel.sha256 in coming:
            raise Conflict("It is being sent already.", "try again in a moment")
        if len(coming) >= MOST_AT_ONCE:
            raise Conflict(f"{MOST_AT_ONCE} packages are being sent already.", "try again in a moment")
        coming[wheel.sha256] = wheel.size - int(start)
        try:
            # Room for all of them together: each of several that come at once would else have the same.
            spared = self._announced.get(person, frozenset()) | coming.keys()
            await asyncio.to_thread(house.make_room, sum(coming.values()), spared)
            await self._receive(request, house, wheel, int(start))
        finally:
            del coming[wheel.sha256]
        return web.Response(status=204)

    async def _receive(self, request: web.Request, house: Wheelhouse, wheel: Wheel, start: int) -> None:
        with await asyncio.to_thread(house.begin, wheel, start) as file:
            async for piece in request.content.iter_any():
                start += len(piece)
                if start > wheel.size:
                    raise WrongUsage("There is more of it than was said.")
                await asyncio.to_thread(file.write, piece)
            await asyncio.to_thread(house.finish, wheel, file)

    def _house(self, request: web.Request) -> tuple[PersonId, Wheelhouse]:
        """Whose, and theirs. Raises Refused to who may not run here."""
        subject: Subject = request[SUBJECT]
        if subject.person is None:
            raise Refused("Only people have jobs.")
        self._lending.require_right(subject)
        return subject.person, self._outfitting.wheelhouses.of(subject.person)

    async def _prepare(self, request: web.Request) -> web.Response:
        """Inquiry -> Equipped."""
        inquiry, subject = await document(request, Inquiry), request[SUBJECT]
        if inquiry.person != subject.person:
            raise Refused("A session is for the person of the computer that asks.")
        return json_answer(await self._outfitting.prepare(subject, inquiry))

    async def _give(self, request: web.Request) -> web.FileResponse:
        """A wheel of a session's environment, or with Range the rest of it."""
        found = request.match_info
        return web.FileResponse(
            self._outfitting.wheel(found["session"], found["sha256"], request[SUBJECT].computer),
            headers={"Content-Type": "application/octet-stream"},
        )
