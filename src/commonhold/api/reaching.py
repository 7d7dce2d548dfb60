"""How far away other computers are, for this person: what a measurement asks of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import AsyncIterator

from commonhold.api.asking import Asking
from commonhold.errors import Damaged
from commonhold.files.used.remote import Remote
from commonhold.names import RemotePath

CHUNK = 2**20


class Reaching(Asking):
    """Sends what nobody keeps."""

    def send_for_nothing(self, where: str, size: int) -> float:
        """How many seconds so many bytes take to `COMPUTER:SHARE/PATH`, where this person may write.

        Nothing becomes of them, whatever happens: they come with the digest of other bytes, so that the other computer
        refuses at the end what it has received, keeps no version of it, and no unfinished upload. Raises Refused,
        Unreachable, NoSpace.
        """
        return self._loop.run(self._send_for_nothing(RemotePath.parse(where), size))

    async def _send_for_nothing(self, target: RemotePath, size: int) -> float:
        there = Remote(self._caller, await self._peer(target.computer), target.share)
        none = hashlib.sha256(os.urandom(32)).digest()
        began = time.perf_counter()
        try:
            await there.write(target.path, _noise(size), size, sha256=none)
        except Damaged:
            return time.perf_counter() - began
        raise Damaged(f"{there.peer.name} has kept what it should have refused: {target.path}.", "delete it")


async def _noise(size: int) -> AsyncIterator[bytes]:
    """Bytes that nothing on the way can make fewer."""
    noise = os.urandom(min(size, CHUNK))
    for sent in range(0, size, CHUNK):
        yield noise[: size - sent]
