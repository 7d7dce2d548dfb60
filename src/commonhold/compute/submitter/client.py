"""A Dask client of a session for functions, in a person's own process."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

from distributed import Client
from distributed.versions import VersionMismatchWarning

from commonhold.compute.certificates import Papers
from commonhold.compute.sandboxed.engine import security
from commonhold.compute.submitter.holding import Holding
from commonhold.compute.submitter.wires import WIRES

PATIENCE = 20  # looks in a second


class LentClient(Client):
    """`distributed.Client` over the processors that a session was lent; closing it lets the session go."""

    dashboard_link = ""  # Dask's own HTTP has no password, and is served nowhere (engine.py)

    def __init__(self, holding: Holding, set_as_default: bool) -> None:
        self.holding = holding
        papers = holding.papers
        secure = security(Papers(papers.authority, papers.certificate, papers.key))
        super().__init__(WIRES.add(holding), security=secure, set_as_default=set_as_default)  # type: ignore[no-untyped-call]

    async def _ensure_connected(self, timeout: Any = None) -> None:  # noqa: ASYNC109 - Dask's own
        """Dask compares what is installed at both ends. Functions bring their own packages along, or are told of it."""
        with warnings.catch_warnings():
            if not self._set_as_default:
                warnings.simplefilter("ignore", VersionMismatchWarning)
            await super()._ensure_connected(timeout)  # type: ignore[no-untyped-call]

    async def _reconnect(self) -> None:
        """The connection to the scheduler broke. It ended with its session, so there is nothing to come back to."""
        for _ in range(PATIENCE):  # until the hub has said why
            if self.holding.trouble is not None:
                break
            await asyncio.sleep(1 / PATIENCE)
        why = self.holding.trouble.sentence if self.holding.trouble else "The connection to the scheduler broke."
        for state in self.futures.values():
            state.cancel(reason="scheduler-connection-lost", msg=why)
        self.futures.clear()
        await self._close()

    async def _close(self, fast: bool = False) -> Any:
        if self.status == "closed":
            return
        idle = all(state.status != "pending" for state in self.futures.values())
        await super()._close(fast)
        WIRES.remove(self.holding)
        await asyncio.to_thread(self.holding.release, idle)
