"""How every part of the API asks: this computer's node over its gateway, other computers straight."""

from __future__ import annotations

from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from commonhold.answers import Place
from commonhold.errors import Damaged, Refused
from commonhold.home import Home
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.transport import Caller, LocalCaller, LoopThread, Peer
from commonhold.wire import convert

T = TypeVar("T")


class Asking:
    """The way to this computer's node and, with its key, to others. A context manager; `close` ends its connections."""

    def __init__(self, home: Home) -> None:
        card = home.gateway()
        self._computer = home.settings().computer
        key, certificate = Key.load(home.key), _certificate(home)
        self._loop = LoopThread()
        self._node = LocalCaller(card.url, card.secret, self._computer)
        self._caller = Caller(key, certificate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End all connections; the node goes on."""
        if self._loop.open:
            self._loop.run(self._caller.close())
            self._loop.run(self._node.close())
            self._loop.close()

    def _ask(self, method: str, path: str, body: object = None, *, answer: type[T]) -> T:
        return convert(self._loop.run(self._node.ask(method, path, body)), answer)

    async def _peer(self, computer: str) -> Peer:
        """Where that computer is and whom to expect; asked each time (1 ms), since it may move meanwhile."""
        place = convert(await self._node.ask("GET", f"/api/places/{quote(computer, safe='')}"), Place)
        if not place.shares:
            raise Refused(
                f"{place.computer} is a client: it shares nothing and opens no door.",
                "look for the files at the server",
            )
        return place.peer()


def _certificate(home: Home) -> Certificate:
    try:
        return Certificate.parse(home.certificate.read_bytes())
    except (OSError, Refused) as error:
        raise Damaged(f"{home.certificate} is damaged.", "commonhold down; commonhold up writes it anew") from error
