"""Who is in the network and where: the roster says whom to expect, the address book where they were."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from commonhold.answers import KnownComputer, Place
from commonhold.authority.facts import FactStore
from commonhold.authority.roster import Roster
from commonhold.authority.statements import Member
from commonhold.discovery import AddressBook, Discovery
from commonhold.errors import NotFound
from commonhold.identity.code import four_words
from commonhold.names import Fingerprint
from commonhold.transport import Address, Peer

SEARCH = 1.5  # seconds of asking the local network for a computer that is at none of its remembered addresses
NOTED = timedelta(seconds=30)
LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Directory:
    """Finds computers by name or fingerprint; knows its own listener's addresses."""

    def __init__(self, facts: FactStore, book: AddressBook, own: Fingerprint) -> None:
        self.facts = facts
        self.book = book
        self.own = own
        self.listening: Callable[[], tuple[Address, ...]] = tuple
        self.discovery: Discovery | None = None
        self.on_found: Callable[[Peer], object] = lambda peer: None
        self._met: dict[Fingerprint, datetime] = {}

    def discover(self, network: str) -> None:
        """Announce this computer, if it has a door; hear where the others of the network with that id are."""
        addresses = self.listening()
        only_here = bool(addresses) and all(ipaddress.ip_address(address.host).is_loopback for address in addresses)
        hosts = [address.host for address in addresses] if only_here else ()
        self.discovery = Discovery(self.own, network, addresses, hosts, self.hear)
        self.discovery.start()

    def meet(self, peer: Peer) -> None:
        """That computer has just answered. Written down once in a while, since it may answer many times a second."""
        now = datetime.now(UTC)
        if now - self._met.get(peer.fingerprint, LONG_AGO) > NOTED:
            self._met[peer.fingerprint] = now
            self.book.remember(peer.fingerprint, peer.addresses[:1], now)

    def met(self, peer: Peer) -> bool:
        """Whether it answered since this node started."""
        return peer.fingerprint in self._met

    @property
    def roster(self) -> Roster:
        return self.facts.roster

    def member(self, name: str) -> Member:
        """The member of that name or fingerprint. Raises NotFound."""
        found = self.roster.find(name)
        if found is None:
            raise NotFound(f"There is no computer “{name}” in the network {self.roster.network}.", "commonhold members")
        return found

    def peer_of(self, member: Member) -> Peer:
        here = member.fingerprint == self.own
        return Peer(
            name=member.name,
            fingerprint=member.fingerprint,
            certificate=member.certificate,
            addresses=self.listening() if here else tuple(self.book.addresses(member.fingerprint)),
            seen=self.book.seen(member.fingerprint),
        )

    def peers(self) -> list[Peer]:
        """Every other computer."""
        return [self.peer_of(member) for member in self.roster.members.values() if member.fingerprint != self.own]

    def peer(self, fingerprint: Fingerprint) -> Peer:
        return self.peer_of(self.member(fingerprint))

    async def place(self, name: str) -> Place:
        """Where a computer is; asks the local network when no address is known."""
        member = self.member(name)
        peer = self.peer_of(member)
        if not peer.addresses and self.discovery is not None and member.fingerprint != self.own:
            self.book.remember(member.fingerprint, await self.discovery.find_computer(member.fingerprint, SEARCH), None)
            peer = self.peer_of(member)
        return Place(
            computer=member.name,
            fingerprint=member.fingerprint,
            certificate=member.certificate.der,
            addresses=tuple(str(address) for address in peer.addresses),
            seen=peer.seen,
            shares=self.role(member) != "client",
        )

    def role(self, member: Member) -> str:
        if self.roster.server is None:
            return "peer"
        return "server" if member.fingerprint == self.roster.server else "client"

    def answer(self, member: Member) -> KnownComputer:
        peer = self.peer_of(member)
        return KnownComputer(
            computer=member.name,
            person=self.roster.persons[member.person],
            role=self.role(member),
            guard=member.fingerprint in self.roster.guards,
            words=four_words(member.fingerprint),
            fingerprint=member.fingerprint,
            addresses=tuple(str(address) for address in peer.addresses),
            seen=peer.seen,
            here=member.fingerprint == self.own,
        )

    def hints(self) -> dict[str, list[str]]:
        """Addresses to pass on to other members: hints, since TLS proves who answers there."""
        known = {peer.fingerprint: [str(a) for a in peer.addresses] for peer in self.peers() if peer.addresses}
        if own := [str(address) for address in self.listening()]:
            known[self.own] = own
        return {str(fingerprint): addresses for fingerprint, addresses in known.items()}

    def learn(self, hints: dict[str, list[str]]) -> None:
        """Take in the hints of another member."""
        for text, addresses in hints.items():
            self.hear(text, [Address.parse(address) for address in addresses[:8]])

    def hear(self, text: str, addresses: Sequence[Address]) -> None:
        """Somebody says that a computer is there. Members only; `on_found` hears of those who were not known there."""
        member = self.roster.find(text)
        if member is not None and member.fingerprint != self.own and addresses:
            new = set(addresses) - set(self.book.addresses(member.fingerprint))
            self.book.remember(member.fingerprint, addresses, None)
            if new:
                self.on_found(self.peer_of(member))
