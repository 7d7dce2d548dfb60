"""What this node's person does with invitations: draws them, is asked about newcomers, withdraws them.

And the announcing: the numbers of open invitations, and of no others, are known on the local network. Whatever ends
one (a use, a burn, a withdrawal, time alone), the next look takes its number back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import web

from commonhold.answers import JoiningCode, OpenInvitation
from commonhold.authority.inviting import Invitations
from commonhold.errors import WrongUsage
from commonhold.identity.code import NUMBERS
from commonhold.node.directory import Directory
from commonhold.transport import answer_lines, document, json_answer

LOOK = 1.0  # seconds between two looks at what is open, while anything is


class InvitationWish(msgspec.Struct, frozen=True):
    person: str | None = None
    minutes: float = 10
    uses: int = 1
    ask: bool = False
    long: bool = False

    def __post_init__(self) -> None:
        if not 0.1 <= self.minutes <= 24 * 60:
            raise WrongUsage("A code lives for six seconds at least and a day at most.", "--minutes 10")
        if not 1 <= self.uses <= 100:
            raise WrongUsage("A code admits between 1 and 100 computers.", "--uses 1")


class YesOrNo(msgspec.Struct, frozen=True):
    """The answer about one newcomer: whether to admit it."""

    newcomer: str
    yes: bool


class Inviting:
    """The gateway's routes for invitations. `permit(person)` raises Refused where we may not invite."""

    def __init__(self, invitations: Invitations, directory: Directory, permit: Callable[[str | None], None]) -> None:
        self._invitations, self._directory, self._permit = invitations, directory, permit
        self._announced: tuple[int, ...] = ()
        self._announcing = asyncio.Lock()
        self._drawn = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/invitations", self._invite),
            web.get(r"/api/invitations/{number:\d{1,4}}/news", self._news),
            web.post(r"/api/invitations/{number:\d{1,4}}/verdicts", self._decide),
            web.delete(r"/api/invitations/{number:\d{1,4}}", self._withdraw),
        ]

    def opened(self) -> tuple[OpenInvitation, ...]:
        roster = self._directory.roster
        return tuple(
            OpenInvitation(
                number=each.code.number,
                uses=each.uses,
                tries=each.tries,
                expires=each.expires,
                person=roster.persons.get(each.person, "") if each.person else "",
                asks=each.asks,
            )
            for each in self._invitations.open()
        )

    def announced(self) -> tuple[int, ...]:
        """The numbers that newcomers look for; an invitation's file says itself where to go."""
        return tuple(each.code.number for each in self._invitations.open() if each.code.number in NUMBERS)

    async def announce(self) -> None:
        """Tell the local network what is open now; when this returns, a search finds it."""
        async with self._announcing:
            open_now = self.announced()
            if open_now != self._announced and self._directory.discovery is not None:
                self._announced = open_now
                await self._directory.discovery.set_invitations(open_now)
        if open_now:
            self._drawn.set()

    async def keep_announced(self) -> None:
        """Look again while anything is announced; without an end."""
        while True:
            await self.announce()
            if not self._announced:
                self._drawn.clear()
                await self._drawn.wait()
            await asyncio.sleep(LOOK)

    async def _invite(self, request: web.Request) -> web.Response:
        wish = await document(request, InvitationWish)
        self._permit(wish.person)
        invitation = self._invitations.invite(wish.person, wish.minutes, wish.uses, asks=wish.ask, long=wish.long)
        await self.announce()
        return json_answer(
            JoiningCode(
                code=str(invitation.code),
                number=invitation.code.number,
                expires=invitation.expires,
                uses=wish.uses,
                addresses=tuple(str(address) for address in self._directory.listening()),
                person=wish.person or "",
            )
        )

    async def _news(self, request: web.Request) -> web.StreamResponse:
        """What happens, as it happens. An invitation that asks ends with whoever was to be asked."""
        self._permit(None)
        with self._invitations.news(_number(request)) as news:
            return await answer_lines(request, news)

    async def _decide(self, request: web.Request) -> web.Response:
        verdict = await document(request, YesOrNo)
        self._permit(None)
        return json_answer(self._invitations.decide(_number(request), verdict.newcomer, verdict.yes))

    async def _withdraw(self, request: web.Request) -> web.Response:
        self._permit(None)
        self._invitations.withdraw(_number(request))
        await self.announce()
        return json_answer({"number": _number(request)})


def _number(request: web.Request) -> int:
    return int(request.match_info["number"])
