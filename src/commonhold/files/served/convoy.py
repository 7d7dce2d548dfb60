"""Small uploads that come at the same time are stored together: one change of thread, one commit, few syncs for all.

While one group is on its way to the disk the next one gathers, so that a single upload waits for nobody, and many at
once cost little more than one. Each is whole or not there, as if it had come alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from commonhold.errors import Conflict
from commonhold.files.entry import Placed
from commonhold.files.gathered import Bundled, Gathered
from commonhold.files.quota import QuotaLedger, Storing
from commonhold.files.share import Share
from commonhold.names import SharePath

MOST = 64  # files that travel together
TURNS = 3  # of the loop that the first of a group waits: by then what came with it has been read and asked about
AT_ONCE = 2  # groups of one share under way: one waits for the disk while the other is written


class _Traveller(NamedTuple):
    file: Bundled
    storing: Storing
    arrived: asyncio.Future[None]


class Convoys:
    """On the event loop; disks are waited for in `threads`."""

    def __init__(self, threads: ThreadPoolExecutor, ledger: QuotaLedger) -> None:
        self._threads, self._ledger = threads, ledger
        self._waiting: dict[Share, list[_Traveller]] = {}
        self._under_way: dict[Share, int] = {}

    async def bring(self, share: Share, file: Bundled, storing: Storing) -> None:
        """Store it: when this returns it is on the disk, or `file.failed` says why not."""
        traveller = _Traveller(file, storing, asyncio.get_running_loop().create_future())
        waiting = self._waiting.setdefault(share, [])
        waiting.append(traveller)
        if len(waiting) == 1:
            self._send_after(share, TURNS)
        await traveller.arrived

    def _send_after(self, share: Share, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._send_after, share, turns - 1)
        else:
            self._send(share)

    def _send(self, share: Share) -> None:
        if self._under_way.get(share, 0) >= AT_ONCE or share not in self._waiting:
            return
        waiting = self._waiting.pop(share)
        group = waiting[:MOST]
        if len(waiting) > MOST:
            self._waiting[share] = waiting[MOST:]
        self._under_way[share] = self._under_way.get(share, 0) + 1
        task = asyncio.wrap_future(self._threads.submit(_store, share, self._ledger, group))
        task.add_done_callback(lambda done: self._arrived(share, group, done.exception()))

    def _arrived(self, share: Share, group: Sequence[_Traveller], error: BaseException | None) -> None:
        self._under_way[share] -= 1
        if not self._under_way[share]:
            del self._under_way[share]
        for _, _, arrived in group:
            if arrived.cancelled():
                continue
            if error is None:
                arrived.set_result(None)
            else:
                arrived.set_exception(error)
        self._send(share)


def _store(share: Share, ledger: QuotaLedger, group: Sequence[_Traveller]) -> None:
    files = [each.file for each in group]

    def missing(path: SharePath) -> None:
        raise Conflict(f"There is no folder “{path}” in {share.door.name} to put it in.", "make the folder first")

    with share.gather(missing) as gathered:
        gathered.open_folders(files)
        place(gathered, ledger, [(file, storing) for file, storing, _ in group if file.failed is None])


def place(gathered: Gathered, ledger: QuotaLedger, files: Sequence[tuple[Bundled, Storing]]) -> None:
    """Make these durable and give them their names, charged before and after, in one commit each."""
    gathered.write([file for file, _ in files])
    written = [(file, storing) for file, storing in files if file.failed is None]
    full = ledger.note_all([(storing, len(file.data), file.inode) for file, storing in written])
    for (file, _), trouble in zip(written, full, strict=True):
        file.failed = trouble
    try:
        gathered.hand_over([file for file, _ in written])
    finally:
        ledger.settle_all([(storing, _placed(file)) for file, storing in written], gathered.weigh)


def _placed(file: Bundled) -> list[Placed]:
    """What lies there now, for the ledger."""
    return [Placed(file.entry.path, file.entry.size, file.inode)] if file.entry else []
