"""Brings the wheels of an environment to the hub that needs them: what is there is not sent, what broke off goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.submitter.holding import Hub
from commonhold.compute.wheels import CHUNK, Lacking, Wheelhouse
from commonhold.errors import Conflict, Unreachable
from commonhold.wire import convert

TRIES = 3  # after a connection broke
COMES_FREE_WITHIN = 20.0  # seconds: the hub may not have noticed yet that an earlier try broke


class Shipping:
    """From this computer's `house`. `watch` hears how far it is."""

    def __init__(self, hub: Hub, house: Wheelhouse, watch: Callable[[dict[str, Any]], object] | None) -> None:
        self._hub, self._house, self._watch = hub, house, watch
        self._done = 0
        self._total = 0

    async def run(self, environment: Environment) -> None:
        """Raises Unreachable when the connection breaks again and again; the next time it goes on from there."""
        tries = 0
        while lacking := await self._lacking(environment):
            try:
                await self._send(environment, lacking)
            except Unreachable:
                tries += 1
                if tries >= TRIES:
                    raise
                await asyncio.sleep(tries)

    async def lacking(self, environment: Environment) -> int:
        """Bytes that must be sent still."""
        have = {each.sha256: each.have for each in await self._lacking(environment)}
        return sum(wheel.size - have[wheel.sha256] for wheel in environment.wheels if wheel.sha256 in have)

    async def _lacking(self, environment: Environment) -> list[Lacking]:
        return convert(await self._hub.ask("POST", "/environments", environment), list[Lacking])

    async def _send(self, environment: Environment, lacking: list[Lacking]) -> None:
        starts = {each.sha256: each.have for each in lacking}
        wheels = [wheel for wheel in environment.wheels if wheel.sha256 in starts]
        self._total = sum(wheel.size for wheel in wheels)
        self._done = sum(starts.values())
        for wheel in wheels:
            await self._send_one(wheel, starts[wheel.sha256])

    async def _send_one(self, wheel: Wheel, start: int) -> None:
        path = f"/environments/{wheel.sha256}?from={start}&size={wheel.size}"
        loop = asyncio.get_running_loop()
        end, done = loop.time() + COMES_FREE_WITHIN, self._done
        while True:
            self._done = done
            try:
                async with self._hub.request("PUT", path, data=self._pieces(wheel, start)):
                    return
            except Conflict:
                if loop.time() > end:
                    raise
                await asyncio.sleep(1)

    async def _pieces(self, wheel: Wheel, start: int) -> AsyncIterator[bytes]:
        with await asyncio.to_thread(self._house.file(wheel).open, "rb") as file:
            file.seek(start)
            while piece := await asyncio.to_thread(file.read, CHUNK):
                yield piece
                self._done += len(piece)
                if self._watch is not None:
                    words = {"doing": "sending packages", "done_bytes": self._done, "total_bytes": self._total}
                    self._watch({"event": "environment", **words})
