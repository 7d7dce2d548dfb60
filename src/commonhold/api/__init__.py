"""The Python API: the same verbs as the commands.

    import commonhold

    with commonhold.connect() as net:
        for entry in net.ls("tower:photos"):
            print(entry.path, entry.size)
        net.get("tower:photos/a.jpg", ".")

Methods block and may be called from any thread. They raise the errors of `commonhold.errors`, one
sentence and one hint each. What concerns the network is asked of this computer's node; bytes go
straight between this process and the other computer.
"""

from __future__ import annotations

from pathlib import Path

from commonhold.api.computing import Computing
from commonhold.api.guarding import Guarding
from commonhold.api.history import History
from commonhold.api.keeping import Keeping
from commonhold.api.lending import Lends
from commonhold.api.people import Persons
from commonhold.api.planning import Planning
from commonhold.api.reaching import Reaching
from commonhold.home import Home

__all__ = ["Network", "connect"]


def connect(home: str | Path | Home | None = None) -> Network:
    """The network that this computer belongs to, through its running node.

    `home` defaults to $COMMONHOLD_HOME, else to the platform's folder. Raises NotFound when this
    computer has joined no network, NodeNotRunning when its node is down.
    """
    return Network(home if isinstance(home, Home) else Home.find(str(home) if home is not None else None))


class Network(History, Guarding, Keeping, Persons, Lends, Computing, Planning, Reaching):
    """One network, as this computer's person may use it. A context manager; `close` ends its connections."""
