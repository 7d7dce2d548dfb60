"""Finding computers: announcements on the local network (mDNS, RFC 6762 and 6763), and addresses remembered.

Nothing that is heard is trusted: an address is a place to try, and who answers there, TLS says.
Announced are the computer's fingerprint, its network's first digits, its addresses, and the number of an open
invitation; no names. zeroconf is loaded when it is first needed (0.1 s), in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import msgspec

from commonhold.errors import WrongUsage
from commonhold.names import Address, Fingerprint
from commonhold.transaction import transaction

if TYPE_CHECKING:
    from zeroconf import ServiceInfo, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

SERVICE = "_commonhold._tcp.local."
SHORT = 16  # digits of a fingerprint or network id that name an instance: 64 bits, to find by and not to trust
MOST_ADDRESSES = 8  # of one computer
MOST_INVITATIONS = 8  # open numbers in one announcement
MOST_ASKED = 256  # computers that one search asks for details at a time
LARGEST_INVITATION = 9999
ANSWER_TIME = 1000  # ms for the details of one computer
LEAVING = 2.0  # seconds for taking the announcement back
OTHERS = 0.25  # seconds that a search goes on after its first find: two networks may have invitations of one number

_log = logging.getLogger("commonhold.discovery")


class Heard(msgspec.Struct, frozen=True):
    """What a computer, or somebody in its name, announces."""

    fingerprint: Fingerprint
    network: str  # the first digits of its network's id
    invitations: frozenset[int]
    addresses: tuple[Address, ...]


def understand(properties: Mapping[bytes, bytes | None], hosts: Iterable[str], port: int | None) -> Heard | None:
    """An announcement, when it is well formed and not larger than ours are; else nothing."""
    try:
        words = {key.decode("ascii"): (value or b"").decode("ascii") for key, value in properties.items()}
        fingerprint = Fingerprint(words["id"])
        invitations = frozenset(int(number) for number in words.get("invite", "").split(",") if number)
        addresses = tuple(Address(str(ip_address(host)), int(port or 0)) for host in hosts)
    except (KeyError, ValueError, WrongUsage):
        return None
    addresses = tuple(address for address in addresses if _reachable(address))[:MOST_ADDRESSES]
    if not addresses or len(invitations) > MOST_INVITATIONS:
        return None
    if any(not 0 <= number <= LARGEST_INVITATION for number in invitations):
        return None
    return Heard(fingerprint, words.get("net", "")[:SHORT], invitations, addresses)


def _reachable(address: Address) -> bool:
    host = ip_address(address.host)
    return 0 < address.port < 65536 and not (host.is_multicast or host.is_unspecified or host.is_link_local)


class Discovery:
    """This computer's announcement, and hearing those of others.

    `addresses` are those that it listens on, one port for all (an announcement holds one); a client,
    which has none, announces nothing. `interfaces` are the local addresses to speak on; none means
    all interfaces. `on_heard(fingerprint, addresses)` hears of each computer that announces itself
    in this network's name, and again when it has moved.
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        network_id: str,
        addresses: Sequence[Address],
        interfaces: Sequence[str] = (),
        on_heard: Callable[[Fingerprint, Sequence[Address]], object] = lambda fingerprint, addresses: None,
    ) -> None:
        self._fingerprint, self._network_id = fingerprint, network_id
        self._on_heard = on_heard
        self._addresses = tuple(addresses)
        self._interfaces = tuple(interfaces)
        self._invitations: tuple[int, ...] = ()
        self._multicast: AsyncZeroconf | None = None
        self._starting: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._repeating: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Announce this computer, in the background: that takes a second, and some networks have no multicast."""
        self._starting = asyncio.create_task(self._start())

    async def _start(self) -> None:
        try:
            self._multicast = await _multicast(self._interfaces)
            self._listening = asyncio.create_task(self._listen(self._multicast))
            if not self._addresses:
                return
            # "Cooperating": no search for another holder of this instance name, who could keep us from announcing.
            said = await self._multicast.async_register_service(self._service(), cooperating_responders=True)
        except _network_errors() as error:
            _log.warning("Computers on this network cannot be found by themselves: %s", error)
        else:
            self._repeat(said)

    async def _listen(self, multicast: AsyncZeroconf) -> None:
        async for heard in _listen(multicast):
            if heard.network == self._network_id[:SHORT] and heard.fingerprint != self._fingerprint:
                self._on_heard(heard.fingerprint, heard.addresses)

    def _repeat(self, said: Awaitable[None]) -> None:
        """Announcements are said three times over a second (RFC 6762, 8.3); nobody needs to wait for that.

        What an older one still had to say would be out of date.
        """
        if self._repeating is not None:
            self._repeating.cancel()
        self._repeating = asyncio.ensure_future(said)

    async def set_invitations(self, numbers: Iterable[int]) -> None:
        """Announce these open invitations instead of the ones before; when this returns, a search finds them."""
        self._invitations = tuple(sorted(numbers))
        if self._starting is not None:
            await asyncio.shield(self._starting)
        if self._multicast is not None and self._addresses:
            with contextlib.suppress(*_network_errors()):
                self._repeat(await self._multicast.async_update_service(self._service()))

    def _service(self) -> ServiceInfo:
        from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415 - loaded late: see the top

        port = self._addresses[0].port if self._addresses else 0
        name = self._fingerprint[:SHORT]
        return AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            server=f"{name}.local.",
            port=port,
            parsed_addresses=[address.host for address in self._addresses if address.port == port],
            properties={
                "id": str(self._fingerprint),
                "net": self._network_id[:SHORT],
                "invite": ",".join(map(str, self._invitations[:MOST_INVITATIONS])),
            },
        )

    async def find_computer(
        self,
        fingerprint: Fingerprint,
        timeout: float,  # noqa: ASYNC109 - ends with nothing, and not with an error
    ) -> list[Address]:
        """Where that computer says it is, within `timeout` seconds; nothing when it is not heard."""
        if self._starting is not None:
            await asyncio.wait([self._starting], timeout=timeout)
        if self._multicast is None:
            return []
        heard = await _details(self._multicast.zeroconf, f"{fingerprint[:SHORT]}.{SERVICE}", int(timeout * 1000))
        return list(heard.addresses) if heard and heard.fingerprint == fingerprint else []

    async def close(self) -> None:
        """Take the announcement back."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])
        if self._repeating is not None:
            self._repeating.cancel()
        if self._multicast is not None:
            multicast, self._multicast = self._multicast, None
            await _leave(multicast)


async def find_inviter(
    number: int,
    timeout: float = 3.0,  # noqa: ASYNC109 - ends with what was found, and not with an error
    interfaces: Sequence[str] = (),
) -> list[Address]:
    """Where the invitation of this number is open, for a newcomer; searches for `timeout` seconds at most."""
    return await _search(lambda heard: number in heard.invitations, timeout, interfaces)


async def find_announced(
    fingerprint: Fingerprint,
    timeout: float = 3.0,  # noqa: ASYNC109 - ends with what was found, and not with an error
    interfaces: Sequence[str] = (),
) -> list[Address]:
    """Where that computer says it is, for a newcomer that knows whom it looks for."""
    return await _search(lambda heard: heard.fingerprint == fingerprint, timeout, interfaces)


async def _search(
    wanted: Callable[[Heard], bool],
    timeout: float,  # noqa: ASYNC109 - ends with what was found, and not with an error
    interfaces: Sequence[str],
) -> list[Address]:
    found: dict[Address, None] = {}
    try:
        multicast = await _multicast(interfaces)
    except _network_errors() as error:
        _log.warning("Computers on this network cannot be found by themselves: %s", error)
        return []
    try:
        async with asyncio.timeout(timeout) as limit:
            async for heard in _listen(multicast):
                if wanted(heard):
                    found |= dict.fromkeys(heard.addresses)
                    soon = asyncio.get_running_loop().time() + OTHERS
                    limit.reschedule(min(limit.when() or soon, soon))
    except TimeoutError:
        pass
    finally:
        await _leave(multicast)
    return list(found)


async def _listen(multicast: AsyncZeroconf) -> AsyncIterator[Heard]:
    """Every computer that announces itself, and again when its announcement changes; without an end."""
    from zeroconf import ServiceStateChange  # noqa: PLC0415 - loaded late: see the top
    from zeroconf.asyncio import AsyncServiceBrowser  # noqa: PLC0415

    answers: asyncio.Queue[Heard] = asyncio.Queue()
    asking: set[asyncio.Task[None]] = set()  # side by side: one that never answers must not hold up the others

    async def ask(name: str) -> None:
        if heard := await _details(multicast.zeroconf, name, ANSWER_TIME):
            answers.put_nowait(heard)

    def on_change(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is not ServiceStateChange.Removed and len(asking) < MOST_ASKED:
            task = asyncio.create_task(ask(name))
            asking.add(task)
            task.add_done_callback(asking.discard)

    browser = AsyncServiceBrowser(multicast.zeroconf, SERVICE, handlers=[on_change])
    try:
        while True:
            yield await answers.get()
    finally:
        for task in asking:
            task.cancel()
        await browser.async_cancel()


async def _details(zeroconf: Zeroconf, name: str, milliseconds: int) -> Heard | None:
    from zeroconf import BadTypeInNameException  # noqa: PLC0415 - loaded late: see the top
    from zeroconf.asyncio import AsyncServiceInfo  # noqa: PLC0415

    try:
        details: AsyncServiceInfo = AsyncServiceInfo(SERVICE, name)
        if not await details.async_request(zeroconf, milliseconds):
            return None
    except BadTypeInNameException:
        return None
    return understand(details.properties, details.parsed_addresses(), details.port)


async def _multicast(interfaces: Sequence[str]) -> AsyncZeroconf:
    await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
    from zeroconf import InterfaceChoice, IPVersion  # noqa: PLC0415 - loaded late: see the top
    from zeroconf.asyncio import AsyncZeroconf  # noqa: PLC0415

    return AsyncZeroconf(interfaces=list(interfaces) or InterfaceChoice.All, ip_version=IPVersion.V4Only)


async def _leave(multicast: AsyncZeroconf) -> None:
    with contextlib.suppress(TimeoutError, *_network_errors()):
        async with asyncio.timeout(LEAVING):
            await multicast.async_unregister_all_services()
    await multicast.async_close()


def _network_errors() -> tuple[type[Exception], ...]:
    """What a network without multicast, or without any interface, raises."""
    from zeroconf import Error  # noqa: PLC0415 - loaded late: see the top

    return (OSError, Error)


class AddressBook:
    """Where computers were, in the node's SQLite state: at most eight addresses of each, newest first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE IF NOT EXISTS known_addresses (fingerprint TEXT, host TEXT, port INTEGER,"
            " seen REAL,"  # seconds since 1970 when the computer itself answered there; NULL: only heard
            " told INTEGER,"  # counts up with every mention
            " PRIMARY KEY (fingerprint, host, port)) WITHOUT ROWID"
        )

    def remember(self, fingerprint: Fingerprint, addresses: Sequence[Address], seen: datetime | None = None) -> None:
        """Note `addresses`, best first; `seen` is when the computer answered there, None when they are hearsay.

        Hearsay never pushes out an address where the computer was seen.
        """
        when = seen.timestamp() if seen else None
        connection = self._connection
        with transaction(connection):
            (told,) = connection.execute("SELECT coalesce(max(told), 0) FROM known_addresses").fetchone()
            connection.executemany(
                "INSERT INTO known_addresses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET told = excluded.told, seen = coalesce(max(seen, excluded.seen), seen, excluded.seen)",
                [
                    (fingerprint, address.host, address.port, when, told + len(addresses) - place)
                    for place, address in enumerate(addresses)
                ],
            )
            connection.executemany(
                "DELETE FROM known_addresses WHERE fingerprint = ? AND host = ? AND port = ?",
                [(fingerprint, *address) for address in self._all(fingerprint)[MOST_ADDRESSES:]],
            )

    def addresses(self, fingerprint: Fingerprint) -> tuple[Address, ...]:
        """Where to try: where it was seen last comes first."""
        return tuple(self._all(fingerprint))

    def seen(self, fingerprint: Fingerprint) -> datetime | None:
        """When that computer last answered."""
        query = "SELECT max(seen) FROM known_addresses WHERE fingerprint = ?"
        (when,) = self._connection.execute(query, (fingerprint,)).fetchone()
        return datetime.fromtimestamp(when, UTC) if when is not None else None

    def _all(self, fingerprint: Fingerprint) -> list[Address]:
        query = "SELECT host, port FROM known_addresses WHERE fingerprint = ? ORDER BY seen DESC NULLS LAST, told DESC"
        return [Address(host, port) for host, port in self._connection.execute(query, (fingerprint,))]
