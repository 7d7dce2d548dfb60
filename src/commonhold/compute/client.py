"""A Dask client of a session for functions, in a person's own process."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Client

from commonhold.compute.certificates import Papers
from commonhold.compute.engine import security
from commonhold.compute.holding import Holding
from commonhold.compute.wires import WIRES


class LentClient(Client):
    """`distributed.Client` over the processors that a session was lent; closing it lets the session go."""

    dashboard_link = ""  # Dask's own HTTP has no password, and is served nowhere (engine.py)

    def __init__(self, holding: Holding, set_as_default: bool) -> None:
        self.holding = holding
        papers = holding.papers
        secure = security(Papers(papers.authority, papers.certificate, papers.key))
        super().__init__(WIRES.add(holding), security=secure, set_as_default=set_as_default)  # type: ignore[no-untyped-call]

    async def _close(self, fast: bool = False) -> Any:
        if self.status == "closed":
            return
        idle = all(state.status != "pending" for state in self.futures.values())
        await super()._close(fast)
        WIRES.remove(self.holding)
        await asyncio.to_thread(self.holding.release, idle)
