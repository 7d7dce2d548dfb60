"""Passes for another computer that fetches files straight from shares here, for somebody who copies them there."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from commonhold.authority.authority import Subject, Verb
from commonhold.authority.gate import SUBJECT
from commonhold.authority.passes import Passes
from commonhold.errors import NotFound
from commonhold.files.fetchwords import READINGS, ReadingWish
from commonhold.files.shares import Shares
from commonhold.names import SharePath
from commonhold.transport import document, json_answer

# How long a pass lasts after it was asked for or prolonged, by the clock here: who copies prolongs it as long as the
# copy takes, so that one that was forgotten is soon over.
LASTS = timedelta(minutes=10)
_COPY = READINGS + "/{copy:[0-9a-f]{16}}"


class Readings:
    """Gives out the passes, within the rights of who asks, and for exactly the files that are named."""

    def __init__(self, passes: Passes, shares: Shares) -> None:
        self._passes, self._shares = passes, shares

    def routes(self) -> list[web.RouteDef]:
        return [web.post(READINGS, self._give), web.put(_COPY, self._prolong), web.delete(_COPY, self._end)]

    async def _give(self, request: web.Request) -> web.Response:
        wish = await document(request, ReadingWish)
        subject: Subject = request[SUBJECT]
        token = self._passes.issue(
            subject,
            wish.bearer,
            _purpose(wish.copy),
            self._shares.door(wish.share),
            Verb.READ,
            paths=frozenset(map(SharePath.parse, wish.paths)),
            until=self._passes.now() + LASTS,
            handed=True,
        )
        return json_answer(token)

    async def _prolong(self, request: web.Request) -> web.Response:
        purpose, until = _purpose(request.match_info["copy"]), self._passes.now() + LASTS
        if not self._passes.prolong(purpose, request[SUBJECT], until):
            raise NotFound("That pass is over, or was never given out here.", "ask for another")
        return web.Response(status=204)

    async def _end(self, request: web.Request) -> web.Response:
        self._passes.void(_purpose(request.match_info["copy"]), request[SUBJECT])
        return web.Response(status=204)


def _purpose(copy: str) -> str:
    return f"copy {copy}"
