"""Newcomers that have proven the code and wait until the inviter has said yes or no. In memory.

A restart ends the waiting: whoever was to be asked has gone with it, and so has the invitation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from commonhold.errors import CommonholdError, Conflict, NotFound
from commonhold.identity.certificate import Certificate

if TYPE_CHECKING:
    from commonhold.identity.join import Confirmation  # late: 20 ms, which no command needs that only asks

MOST_WAITING = 100  # in all; each has proven its code
LOOK = 0.25  # seconds between looks whether the invitation is over


class InvitationNews(msgspec.Struct, frozen=True):
    """What happens at an invitation. Of a newcomer that asks: its id for the answer, its names and its key's words.

    `count` are the wrong codes from `address` so far, `tries` and `uses` what is left; `reason` says why it is over.
    """

    event: Literal["asks", "wrong code", "joined", "refused", "over"]
    newcomer: str = ""
    computer: str = ""
    person: str = ""
    known: bool = False  # the person belongs to the network already
    words: str = ""
    fingerprint: str = ""
    address: str = ""
    count: int = 0
    tries: int = 0
    uses: int = 0
    reason: str = ""


@dataclass(eq=False)
class Waiter:
    """One newcomer, and all that admitting it takes."""

    number: int
    invitation: int  # its id
    newcomer: Certificate
    confirmation: Confirmation
    question: InvitationNews
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: CommonholdError | None = None  # why it was not admitted

    def settle(self, trouble: CommonholdError | None = None) -> None:
        self.trouble = trouble
        self.settled.set()


class WaitingRoom:
    """Who waits at which invitation, and who listens to what happens there."""

    def __init__(self) -> None:
        self._waiters: dict[str, Waiter] = {}  # by the newcomer's id
        self._listeners: dict[int, set[asyncio.Queue[InvitationNews | None]]] = {}

    def enter(self, waiter: Waiter) -> None:
        """Raises Conflict when too many wait."""
        if len(self._waiters) >= MOST_WAITING:
            raise Conflict("Too many computers wait to be admitted.", "try again in a minute")
        self._waiters[waiter.question.newcomer] = waiter
        self.tell(waiter.invitation, waiter.question)

    def at(self, invitation: int) -> list[Waiter]:
        """Who waits there, in the order in which they came."""
        return [waiter for waiter in self._waiters.values() if waiter.invitation == invitation]

    def take(self, number: int, newcomer: str) -> Waiter:
        """That one leaves the room, to be settled. Raises NotFound."""
        waiter = self._waiters.get(newcomer)
        if waiter is None or waiter.number != number:
            raise NotFound("No such computer waits to be admitted.", "see what `commonhold invite` says")
        return self._waiters.pop(newcomer)

    def clear(self, invitation: int, trouble: CommonholdError) -> None:
        """All who still wait there hear why in vain."""
        for waiter in self.at(invitation):
            self._waiters.pop(waiter.question.newcomer).settle(trouble)
        self.tell(invitation, None)

    def tell(self, invitation: int, news: InvitationNews | None) -> None:
        """To all who listen; nothing means: look whether it is over."""
        for listener in self._listeners.get(invitation, ()):
            listener.put_nowait(news)

    def heard(self, invitation: int) -> bool:
        """Whether anybody listens."""
        return invitation in self._listeners

    @contextmanager
    def listen(self, invitation: int, over: Callable[[], str]) -> Iterator[AsyncIterator[InvitationNews]]:
        """Those who wait already, and all that happens from now on, until `over` gives a reason; then that."""
        queue: asyncio.Queue[InvitationNews | None] = asyncio.Queue()
        for waiter in self.at(invitation):
            queue.put_nowait(waiter.question)
        self._listeners.setdefault(invitation, set()).add(queue)
        try:
            yield _heard(queue, over)
        finally:
            self._listeners[invitation].discard(queue)
            if not self._listeners[invitation]:
                del self._listeners[invitation]


async def _heard(queue: asyncio.Queue[InvitationNews | None], over: Callable[[], str]) -> AsyncIterator[InvitationNews]:
    while not queue.empty() or not (reason := over()):
        try:
            async with asyncio.timeout(LOOK):
                news = await queue.get()
        except TimeoutError:
            continue
        if news is not None:
            yield news
    yield InvitationNews("over", reason=reason)
