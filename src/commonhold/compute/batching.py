"""How many calls of one function travel together: as many as take a moment, by the times that were measured. Pure.

A batch costs some milliseconds on its way, a tiny call a few microseconds. Long calls go one by one, so that none
waits behind another while a processor is free.
"""

from __future__ import annotations

MOMENT = 0.25  # seconds that a batch should take
BUDGET = 1.0  # seconds after which a batch comes back with what it has not begun
LARGEST = 4 * 2**20  # bytes of arguments and results in one batch
MOST = 10_000  # calls in one batch
AHEAD = 2  # batches for each process: one runs, the next is there when it ends


class BatchPace:
    """Of one function. Nothing is known of it at first: its first calls travel alone."""

    def __init__(self, moment: float = MOMENT) -> None:
        self._moment = moment
        self._seconds = 0.0  # of a call, lately
        self._bytes = 0.0
        self._known = False

    def heed(self, calls: int, seconds: float, size: int) -> None:
        """So many calls took so long, with so many bytes of arguments and results."""
        share = 0.5 if self._known else 1.0
        self._seconds += (seconds / calls - self._seconds) * share
        self._bytes += (size / calls - self._bytes) * share
        self._known = True

    def size(self, waiting: int, processes: int) -> int:
        """How many of the waiting calls go together now. The last ones are divided among all processes."""
        if not self._known:
            return 1
        fit = min(self._moment / max(self._seconds, 1e-9), LARGEST / max(self._bytes, 1e-9), MOST)
        fair = -(-waiting // (AHEAD * processes))
        return max(1, min(int(fit), fair))
