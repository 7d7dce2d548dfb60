"""A computer that this process founds or lets join, whose node it starts and ends: one of several on one machine."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from commonhold.api import Network, connect
from commonhold.errors import CommonholdError
from commonhold.home import Home
from commonhold.node import background, founding
from commonhold.transport import DEFAULT_PORT


class Computer:
    """Its home, its node, and its person's view of the network. It listens at `address`, and is found at `found_at`."""

    def __init__(self, folder: Path, computer: str, person: str, address: str, found_at: str = "") -> None:
        self.name = computer
        self.person = person
        self.address = address
        self.found_at = found_at or address
        self.folder = folder
        self.home = Home(folder / "home")
        self.net: Network = None  # type: ignore[assignment] # from `create` or `join` on
        self.pid = 0

    def create(self, network: str, shape: str = "peer-to-peer", trusting: bool = False) -> None:
        founding.create(self.home, network, shape, trusting, self.person, self.name, [self.address])
        self._begin()

    def join(self, inviter: Computer) -> None:
        """By a code that the inviter's computer prints, at its address."""
        code = inviter.net.invite().code
        founding.join(self.home, f"{code}@{inviter.found_at}", self.person, self.name, [self.address])
        self._begin()

    def _begin(self) -> None:
        if self.found_at != self.address:
            self.home.save_settings(replace(self.home.settings(), found_at=(self.found_at,)))
        self.up()

    def up(self) -> None:
        background.start(self.home)
        self.net = connect(self.home)
        self.pid = self.net.status().pid

    def down(self) -> None:
        if self.net is not None:
            self.net.close()
        if background.running(self.home):
            background.stop(self.home)


def free_address(number: int, ports: Sequence[int] = (DEFAULT_PORT, 0)) -> str:
    """127.0.0.2, .3 and so on where the platform has them, else 127.0.0.1; a port that is free now, 0 is any."""
    for host in (f"127.0.0.{number + 2}", "127.0.0.1"):
        for port in ports:
            with socket.socket() as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trial.bind((host, port))
                except OSError:
                    continue
                return f"{host}:{trial.getsockname()[1]}"
    raise CommonholdError("This machine has no free port on loopback.")


@contextmanager
def ended_alike() -> Iterator[None]:
    """Within, SIGTERM and a closed terminal are what Ctrl-C is: by themselves they would leave the nodes running."""
    heeded = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) != signal.SIG_IGN]  # nohup
    before = [signal.signal(each, signal.default_int_handler) for each in heeded]
    try:
        yield
    finally:
        for number, handler in zip(heeded, before, strict=True):
            signal.signal(number, handler)
