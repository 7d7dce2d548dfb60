"""Keeping in touch: greetings after the start, comparing rosters with two others now and then, taking leave."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from commonhold.authority.exchange import Exchange
from commonhold.errors import CommonholdError, NotAdmitted, Refused
from commonhold.names import Fingerprint
from commonhold.node.directory import Directory
from commonhold.transport import Peer

# Seconds between greetings after the start. At once: others must know where this computer is before a job sends
# them back here. Again: who had not heard of a newcomer then, has by now.
GREETINGS = (0.0, 0.5, 2.0, 8.0)
ROUND = 60.0  # seconds between comparing rosters with others
COMPARED = 2  # computers each round, so that the cost for each stays flat

log = logging.getLogger(__name__)


class Contact:
    """This node's conversations with the others that nobody asked for."""

    def __init__(self, exchange: Exchange, directory: Directory, has_door: Callable[[], bool]) -> None:
        self._exchange, self._directory, self._has_door = exchange, directory, has_door
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: dict[Fingerprint, str] = {}  # who refused the last greeting, and how

    def begin(self) -> None:
        self._directory.on_found = lambda peer: self.start(self.greet([peer]))  # so that it was seen once
        self.start(self._keep_in_touch())

    def heard(self, peer: Peer, digest: str) -> None:
        """For the caller's `on_digest`."""
        self._directory.meet(peer)
        self._exchange.heard(peer, digest)

    def findable(self) -> list[Peer]:
        return [peer for peer in self._directory.peers() if peer.addresses]

    async def catch_up(self) -> None:
        """A client has no door at which it could be told the news: it asks its server when somebody wants to know."""
        if not self._has_door():
            await self.greet(self.findable())

    async def greet(self, peers: Sequence[Peer]) -> None:
        """Swap news with these; who does not answer is logged, not raised."""

        async def one(peer: Peer) -> None:
            try:
                await self._exchange.greet(peer)
                self._refused.pop(peer.fingerprint, None)
            except CommonholdError as error:
                if isinstance(error, Refused) and not isinstance(error, NotAdmitted):  # who has not heard yet, will
                    self._refused[peer.fingerprint] = error.sentence
                log.info("%s was not greeted: %s", peer.name, error.sentence)

        await asyncio.gather(*(one(peer) for peer in peers if peer.addresses))

    def turned_away(self) -> str:
        """What members say who refuse to talk to this computer: a computer that was removed while it was off hears of
        it in no other way, since whoever removed it shows it nothing any more.
        """
        known = [peer for peer in self._directory.peers() if peer.fingerprint in self._refused]
        return " ".join(f"{peer.name} says: {self._refused[peer.fingerprint]}" for peer in known)

    async def _keep_in_touch(self) -> None:
        for pause in GREETINGS:
            await asyncio.sleep(pause)
            await self.greet([peer for peer in self._directory.peers() if not self._directory.met(peer)])
        while True:
            await asyncio.sleep(ROUND)
            peers = self.findable()
            await self.greet(random.sample(peers, min(COMPARED, len(peers))))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else, until `close`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
