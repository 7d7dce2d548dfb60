"""The network and who belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from commonhold.answers import JoiningCode, JoiningFile, KnownComputer, Removal, Status
from commonhold.api.asking import Asking
from commonhold.authority.ticket import FORM, Blank, Ticket
from commonhold.authority.waiting import InvitationNews
from commonhold.authority.witness import Sighting
from commonhold.names import ComputerName, Fingerprint
from commonhold.wire import convert


class Membership(Asking):
    """This computer, the others, and how computers come and go."""

    def status(self) -> Status:
        """This computer, its node, what it shares and lends."""
        return self._ask("GET", "/api/status", answer=Status)

    def members(self) -> list[KnownComputer]:
        """Every computer of the network."""
        return self._ask("GET", "/api/members", answer=list[KnownComputer])

    def invite(self, person: str | None = None, minutes: float = 10, uses: int = 1, ask: bool = False) -> JoiningCode:
        """A code to join with. `person`: whose further computer it is for. Raises Refused unless this is a guard.

        With `ask` nobody is admitted before `decide`; the invitation ends with the last who follows its `newcomers`.
        """
        wish = {"person": person, "minutes": minutes, "uses": uses, "ask": ask}
        return self._ask("POST", "/api/invitations", wish, answer=JoiningCode)

    def invite_file(self, file: str | Path, person: str | None = None, minutes: float = 1440) -> JoiningFile:
        """A new file (0600) with which one computer joins, without a keyboard. Raises Conflict where one stands."""
        with Blank(Path(file).expanduser()) as blank:
            wish = {"person": person, "minutes": minutes, "long": True}
            drawn = self._ask("POST", "/api/invitations", wish, answer=JoiningCode)
            here = self.status()
            ticket = Ticket(
                form=FORM,
                network=here.network,
                inviter=Fingerprint(here.fingerprint),
                computer=ComputerName(here.computer),
                addresses=drawn.addresses,
                code=drawn.code,
                expires=drawn.expires,
                person=drawn.person,
            )
            try:
                blank.fill(ticket)
            except OSError:
                self.withdraw(drawn.number)
                raise
        return JoiningFile(str(blank.path.absolute()), drawn.number, drawn.expires, drawn.addresses, drawn.person)

    def newcomers(self, number: int, pause: float | None = None) -> Iterator[InvitationNews | None]:
        """What happens at an invitation, as it happens, until it is over. Raises NotFound.

        With `pause`, `None` when nothing happened for so many seconds.
        """
        return self._loop.iterate(self._news(number, pause))

    async def _news(self, number: int, pause: float | None) -> AsyncIterator[InvitationNews | None]:
        lines = self._node.stream("GET", f"/api/invitations/{number}/news")
        upcoming: asyncio.Future[Any] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.ensure_future(anext(lines))
                ready, _ = await asyncio.wait({upcoming}, timeout=pause)
                if not ready:
                    yield None
                    continue
                try:
                    news = convert(upcoming.result(), InvitationNews)
                except StopAsyncIteration:
                    return
                upcoming = None
                yield news
        finally:
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.wait({upcoming})
            await lines.aclose()

    def decide(self, number: int, newcomer: str, yes: bool) -> InvitationNews:
        """Admit a newcomer that waits at an invitation, or not; a no ends the invitation. Raises NotFound, Conflict."""
        path = f"/api/invitations/{number}/verdicts"
        return self._ask("POST", path, {"newcomer": newcomer, "yes": yes}, answer=InvitationNews)

    def withdraw(self, number: int) -> None:
        """End an invitation. Raises NotFound."""
        self._ask("DELETE", f"/api/invitations/{number}", answer=dict[str, int])

    def sightings(self) -> list[Sighting]:
        """What guards have seen of this computer's record. Raises Unreachable when there are some and none answers."""
        return self._ask("GET", "/api/sightings", answer=list[Sighting])

    def remove(self, member: str) -> Removal:
        """Remove a computer, or a person with all computers, for ever. Raises Refused, NotFound."""
        return self._ask("DELETE", f"/api/members/{quote(member, safe='')}", answer=Removal)
