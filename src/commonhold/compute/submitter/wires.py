"""How a person's own process reaches the schedulers of its sessions: as an outlet of comm.py's `hold://`.

    hold://SESSION-c1.p0

A process may hold several sessions at a time, and one twice, so its addresses begin with the session's number and its
own name there. It listens nowhere: everything that Dask has to tell it comes over the streams that it opened.
"""

from __future__ import annotations

import socket

from distributed.comm.registry import backends

from commonhold.compute.channel import SCHEDULER
from commonhold.compute.sandboxed.comm import SCHEME, HoldBackend
from commonhold.compute.submitter.holding import Holding


class Wires:
    """The outlet of this process; one for all sessions, since Dask knows one for each scheme."""

    me = "c0"

    def __init__(self) -> None:
        self._holdings: dict[str, Holding] = {}

    def add(self, holding: Holding) -> str:
        """The address of its scheduler, from now on."""
        backends[SCHEME] = HoldBackend(self)
        self._holdings[holding.name] = holding
        return f"{SCHEME}://{holding.name}.{SCHEDULER}"

    def connect(self, target: str) -> socket.socket:
        name, _, process = target.partition(".")
        holding = self._holdings.get(name)
        if holding is None:
            raise OSError("that session is over")
        return holding.connect(process)

    def remove(self, holding: Holding) -> None:
        self._holdings.pop(holding.name, None)


WIRES = Wires()
