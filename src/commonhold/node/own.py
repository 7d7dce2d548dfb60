"""What the node does for its own person: the answers behind the gateway's /api/."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from commonhold import __version__
from commonhold.answers import KnownComputer, OpenInvitation, Place, Removal, SharedFolder, Status
from commonhold.authority import roster as rosters
from commonhold.authority.authority import Authority, Subject, Verb, permit
from commonhold.authority.exchange import TOLD_WITHIN, Exchange
from commonhold.errors import NotFound, WrongUsage
from commonhold.files.share import Share
from commonhold.files.shares import Shares
from commonhold.home import Settings
from commonhold.identity.code import four_words
from commonhold.identity.keys import Key
from commonhold.names import Fingerprint, PersonId, ShareName
from commonhold.node.desk import Desk
from commonhold.node.directory import Directory
from commonhold.node.guards import Guards
from commonhold.node.lending import LendDesk
from commonhold.node.local import OfferWish
from commonhold.node.people import People
from commonhold.node.quotas import QuotaDesk
from commonhold.transport import Peer


@dataclass(frozen=True)
class Own:
    """Everything that this person may ask of their own node; handed its parts by the node."""

    settings: Settings
    lends: LendDesk
    key: Key
    directory: Directory
    authority: Authority
    desk: Desk
    quotas: QuotaDesk
    shares: Shares
    invitations: Callable[[], tuple[OpenInvitation, ...]]
    people: People
    exchange: Exchange
    greet: Callable[[Sequence[Peer]], Awaitable[None]]
    gateway: Callable[[], str]
    catch_up: Callable[[], Awaitable[None]]  # ask for news, where none is pushed to
    sandbox: Callable[[], str]
    guards: Guards
    alarms: Callable[[], str]
    record: Callable[..., None]

    @property
    def subject(self) -> Subject:
        """This computer's person, at this computer."""
        return self.authority.who(self.key.fingerprint)

    def status(self) -> Status:
        roster = self.directory.roster
        here = roster.members.get(self.key.fingerprint) or roster.removed_members.get(self.key.fingerprint)
        if here is None:
            raise NotFound("This computer does not stand in its own network's roster.")
        return Status(
            network=roster.network,
            network_id=roster.network_id,
            shape=roster.shape,
            trusting=roster.trusting,
            computer=here.name,
            person=roster.persons.get(here.person, ""),
            role=self.directory.role(here),
            words=four_words(here.fingerprint),
            fingerprint=here.fingerprint,
            running=True,
            version=__version__,
            members=len(roster.members),
            listener=tuple(str(address) for address in self.directory.listening()),
            gateway=self.gateway(),
            pid=os.getpid(),
            jobs_at=self.settings.computer if roster.server is None else roster.members[roster.server].name,
            lend=self.lends.terms,
            guests=self.lends.guests(),
            sandbox=self.sandbox(),
            shares=tuple(self._offer(share) for share in self.shares.all()),
            quotas=self.quotas.limited(),
            invitations=self.invitations(),
            proposals=self.guards.open(),
            alarm=self.alarms(),
        )

    async def members(self) -> list[KnownComputer]:
        await self.catch_up()
        roster = self.directory.roster
        return sorted((self.directory.answer(m) for m in roster.members.values()), key=lambda m: m.computer.casefold())

    async def place(self, computer: str) -> Place:
        if self.directory.roster.find(computer) is None:
            await self.catch_up()
        return await self.directory.place(computer)

    async def remove(self, member: str) -> Removal:
        self.guards.permit()
        roster = self.directory.roster
        subject, name, computers = self._leaving(member)
        if subject in roster.guards:
            wish = await self.guards.leave(member)
            return Removal(computers=computers, told=wish.told, not_reached=wish.not_reached, wish=wish)
        leaving = [self.directory.peer_of(self.directory.member(each)) for each in computers]
        envelopes = rosters.remove(self.key, roster, subject)
        self.directory.facts.add(envelopes)
        self.record("removal", by=str(self.subject), who=name, computers=list(computers))
        # Their own nodes should know too, and say so in `status`: no other computer will answer them again.
        pushed, _ = await asyncio.gather(self.exchange.push(envelopes), self._told_quickly(leaving))
        names = {each.fingerprint: each.name for each in self.directory.roster.members.values()}
        return Removal(
            computers=computers,
            person=name if name not in computers else "",
            told=tuple(names.get(each, each) for each in pushed.told),
            not_reached=tuple(names.get(each, each) for each in pushed.not_reached),
        )

    async def _told_quickly(self, leaving: Sequence[Peer]) -> None:
        """A removed computer cannot hold up its removal by not answering."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.greet(leaving), TOLD_WITHIN)

    def permit_inviting(self, person: str | None) -> None:
        """Raise Refused where this computer's person may not invite, or may not invite a computer of that person."""
        self.guards.permit()
        if person is not None:
            self.people.require_no_guest(person)

    def _leaving(self, name: str) -> tuple[Fingerprint | PersonId, str, tuple[str, ...]]:
        """Whom a name means: a computer, or a person with all computers. -> (id, name, computers)."""
        roster = self.directory.roster
        if (computer := roster.find(name)) is not None:
            return computer.fingerprint, computer.name, (computer.name,)
        if (person := roster.find_person(name)) is not None:
            return person, roster.persons[person], tuple(m.name for m in roster.computers_of(person))
        raise NotFound(
            f"There is no computer or person “{name}” in the network {roster.network}.", "commonhold members"
        )

    async def offer(self, wish: OfferWish) -> SharedFolder:
        # Asked first, so that a client hears that it shares nothing before anything is done.
        permit(self.authority, self.subject, Verb.GOVERN, self.desk.everything)
        whom = self.desk.whom(wish.to, wish.verb) if wish.to and wish.verb else None
        if whom is not None and whom[2] is Verb.RUN:
            raise WrongUsage("Nothing runs at a share.", "list, read, add or write")
        share = self.shares.offer(Path(wish.folder), ShareName(wish.name) if wish.name else None)
        self.record("share", door=share.door.name, folder=str(share.root))
        if whom is not None:
            self.desk.allow(self.subject, *whom, share.door)
        return self._offer(share)

    async def withdraw(self, name: str) -> SharedFolder:
        permit(self.authority, self.subject, Verb.GOVERN, self.desk.everything)
        share = self.shares.withdraw(name)
        self.desk.book.forget(share.door.id)
        self.record("unshare", door=share.door.name)
        return SharedFolder(share.door.name, str(share.root), share.missing)

    def _offer(self, share: Share) -> SharedFolder:
        rules = tuple(str(rule) for rule in self.desk.book.list(share.door.id))
        return SharedFolder(share.door.name, str(share.root), share.missing, rules)
