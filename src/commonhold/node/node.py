"""The node: builds all parts of one computer and joins them. The only file that knows them all.

Here, and nowhere else outside authority/, the shape of the network chooses: who decides
at this computer's doors (`closed`, `peer`, `server`), whether it opens a door at all, and where
its person's jobs run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from types import TracebackType
from typing import Self

from aiohttp import web

from commonhold.authority.admission import Admission
from commonhold.authority.audit import Audit
from commonhold.authority.authority import Authority
from commonhold.authority.book import RuleBook
from commonhold.authority.clock import Timepiece
from commonhold.authority.closed import Closed
from commonhold.authority.exchange import Exchange
from commonhold.authority.facts import FactStore
from commonhold.authority.gate import gate
from commonhold.authority.inviting import Invitations
from commonhold.authority.passes import Passes
from commonhold.authority.peer import PeerKeeper
from commonhold.authority.proposals import Proposals
from commonhold.authority.roster import Roster
from commonhold.authority.server import ServerKeeper
from commonhold.authority.statements import Member
from commonhold.authority.visits import Visits
from commonhold.authority.watch import Watch
from commonhold.authority.witness import Witness
from commonhold.discovery import AddressBook
from commonhold.errors import Conflict, Damaged
from commonhold.files.catalogue import Catalogue
from commonhold.files.clearance import holder
from commonhold.files.served import door as dav
from commonhold.files.served.fetching import Neighbours
from commonhold.files.shares import Shares
from commonhold.home import GatewayCard, Home, Settings, write_private
from commonhold.identity.envelope import Envelope
from commonhold.identity.keys import Key
from commonhold.node import local
from commonhold.node.checkup import Checkup
from commonhold.node.chronicle import Chronicle, ClockWatch
from commonhold.node.contact import Contact
from commonhold.node.desk import Desk
from commonhold.node.directory import Directory
from commonhold.node.exposing import Exposing
from commonhold.node.founding import trust
from commonhold.node.groups import GroupDesk
from commonhold.node.guards import Guards
from commonhold.node.heads import Heads
from commonhold.node.inviting import Inviting
from commonhold.node.lending import LendDesk
from commonhold.node.own import Own
from commonhold.node.people import People
from commonhold.node.processors import Processors
from commonhold.node.quotas import QuotaDesk
from commonhold.node.recovery import Recovery
from commonhold.node.renewal import Renewal
from commonhold.node.state import disk_told, open_state
from commonhold.transport import (
    DEFAULT_PORT,
    STAMP,
    Address,
    Caller,
    Gateway,
    Listener,
    private_addresses,
    problems,
)
from commonhold.wire import to_json

log = logging.getLogger(__name__)


class Node:
    """One computer of a network, serving. An async context manager: inside it serves, after it nothing runs."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.settings = home.settings()
        self.key = Key.load(home.key)
        self.state = open_state(home.state)
        self.audit = Audit(home.audit)
        self.record = self.audit.record  # one line of it
        self.facts = FactStore(self.state, self.settings.network)
        self.facts.on_change.append(Chronicle(self.record, self.facts.roster).heard)
        self.clock = Timepiece(home.clock)
        self.book = RuleBook(self.state, self.clock.now)
        self.passes = Passes(lambda: self.authority, self.clock.now)
        here = _own_entry(home, self.key, self.facts.roster)
        self.person, self.certificate = here.person, here.certificate
        catalogue = Catalogue(open_state(home.files, any_thread=True))
        self.shares = Shares(self.state, self.person, home.folder, catalogue, self.clock.now)
        self.people = People(self.state, self.key, self.facts, lambda: self.authority, self.record, self.clock.now)
        self.directory = Directory(self.facts, AddressBook(self.state), self.key.fingerprint)
        self.authority, self.has_door = self._by_shape()
        self.authority.note = Visits(self.record, self.key.fingerprint)
        self.watch = Watch(lambda: self.authority, self.record)
        self.caller = Caller(self.key, self.certificate)
        directory = self.directory
        proposals = Proposals(self.state, self.facts)
        self.exchange = Exchange(self.facts, proposals, self.caller, directory.peers, directory.hints, directory.learn)
        self.contact = Contact(self.exchange, directory, lambda: self.has_door)
        self.admission = Admission(self.state, self.key, self.facts, directory.hints, self.record, clock=self.clock.now)
        self.inviting = Inviting(Invitations(self.admission), directory, self._permit_inviting)
        self.witness = Witness(self.state, self.key, self.facts, self.record)
        self.heads = Heads(self.audit, home, self.facts, self.key.fingerprint, self.caller, directory.peers)
        whose = self.person, self.key.fingerprint, self.people.by_password
        self.desk = Desk(self._roster, self.book, self.shares, self.authority, *whose, self.record)
        self.groups = GroupDesk(self.desk)
        self.lends = LendDesk(home, self.desk, lambda: self.processors)
        self.processors = self._processors() if self.has_door else None
        self.exposing = Exposing(self.desk, self.people, directory, self.caller, self.lends, lambda: self.processors)
        self.quotas = QuotaDesk(home.state, self.desk, self.passes, self.processors)
        self.guards = Guards(self.key, proposals, self.exchange, directory, self.authority, self.record)
        self.recovery = Recovery(self.key, self.facts, self.exchange, directory, self.record)
        self.checkup = Checkup(home, directory, self.shares, self.guards, self.has_door, self._confined, self._ailing)
        self.own = self._own()
        self.server = self.facts.roster.server
        self.becoming = asyncio.Event()  # set when a new charter makes this computer something else: begin anew
        self.gateway = Gateway()
        self.renewal = Renewal(home)
        self.listener: Listener | None = None

    def _roster(self) -> Roster:
        return self.facts.roster

    def _by_shape(self) -> tuple[Authority, bool]:
        """Who decides here, and whether this computer opens a door: the answer of the shape."""
        roster = self.facts.roster
        if roster.server is not None and roster.server != self.key.fingerprint:
            return Closed.client(self._roster, roster.members[roster.server].name), False
        kept = (self._roster, self.book, self.passes, self.person, self.key.fingerprint)
        if self.people.entrance is None:
            return PeerKeeper(*kept, now=self.clock.now), True
        return ServerKeeper(*kept, now=self.clock.now, holds=self.people.entrance.holds), True

    def _processors(self) -> Processors:
        return Processors(
            home=self.home,
            settings=self.settings,
            terms=lambda: self.lends.terms,
            state=self.state,
            watch=self.watch,
            passes=self.passes,
            shares=self.shares,
            directory=self.directory,
            desk=self.desk,
            caller=self.caller,
            # Whom to ask, beside this computer: in peer-to-peer everybody, a server nobody.
            lenders=lambda _: self.contact.findable() if self.facts.roster.server is None else [],
            record=self.record,
        )

    def _confined(self) -> tuple[str, str, str]:
        """-> (what holds other people's tasks here, how they give way to the owner, whether new code is there)."""
        return self.processors.confined() if self.processors else ("", "", "")

    def _ailing(self) -> tuple[str, str, str]:
        """-> (what witnesses say of others' records, what ails the server's certificate, who refuses this computer)."""
        return " ".join(self.witness.alarms()), self.renewal.trouble, self.contact.turned_away()

    def _own(self) -> Own:
        return Own(
            settings=self.settings,
            lends=self.lends,
            key=self.key,
            directory=self.directory,
            authority=self.authority,
            desk=self.desk,
            quotas=self.quotas,
            shares=self.shares,
            invitations=self.inviting.opened,
            people=self.people,
            exchange=self.exchange,
            greet=self.contact.greet,
            gateway=lambda: self.gateway.url,
            catch_up=self.contact.catch_up,
            sandbox=lambda: self._confined()[0],
            guards=self.guards,
            alarms=self.checkup.alarms,
            record=self.record,
        )

    def _permit_inviting(self, person: str | None) -> None:
        self.own.permit_inviting(person)

    async def __aenter__(self) -> Self:
        self.facts.on_change.append(self._members_changed)
        try:
            if self.processors is not None:
                await self.processors.start()
                await self._open_door(self.processors)
            self.directory.discover(self.settings.network)
            await self._open_gateway()
        except BaseException:
            await self.close()
            raise
        self._tidy(self.facts.roster)  # who was removed while this node was down
        self.caller.on_digest = self.contact.heard
        self.book.on_change.append(self.watch.look)
        self.passes.on_change.append(self.watch.look)
        self.shares.on_withdrawn += [self.watch.shut, self.quotas.ledger.forget]
        if self.people.entrance is not None:
            self.people.entrance.on_change.append(lambda _: self.watch.look())
        self.contact.begin()
        self.contact.start(self.clock.keep())
        self.contact.start(self.shares.keep_pruned())
        self.contact.start(self.people.watch())
        self.contact.start(self.heads.watch())
        self.contact.start(ClockWatch(self.record, self.audit.newest()).watch())
        self.contact.start(self.inviting.keep_announced())
        log.info(
            "%s serves at %s", self.settings.computer, ", ".join(map(str, self.directory.listening())) or "no door"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _open_door(self, processors: Processors) -> None:
        app = web.Application(
            middlewares=[problems, disk_told(self.home.folder), gate(self.watch, self.people.entrance)],
            client_max_size=2**20,
        )
        app.add_routes([*self.admission.routes(), *self.exchange.routes(), *self.witness.routes()])
        app.add_routes([*self.desk.routes(), *self.groups.routes(), *self.quotas.routes(), *self.exposing.routes()])
        neighbours = Neighbours(self.caller, self.directory.peer, self.key.fingerprint)
        app.add_routes(dav.routes(self.shares, lambda: self.authority, self.record, *self.quotas.charging, neighbours))
        app.add_routes(processors.between_computers())
        if self.facts.roster.server is not None:
            app.add_routes(processors.for_clients())
            app.add_routes([*self.people.governing(), *self.people.entering()])
        app.on_response_prepare.append(self.exchange.stamp)
        app[STAMP] = self.exchange.stamped
        self.listener = Listener(app, self.key, self.certificate)
        self.listener.trust(self.facts.roster.anchors, self.facts.roster.removed)
        named = tuple(Address.parse(text) for text in self.settings.listen)
        wanted = named or tuple(Address(host, DEFAULT_PORT) for host in private_addresses())
        try:
            await self.listener.start(wanted, next_free=not named)
        except Conflict as error:
            hint = f"end that program, or change “listen” in {self.home.settings_file}"
            raise Conflict(error.sentence, hint) from error
        if self.facts.roster.server is not None:
            await self.renewal.present(self.listener)
            self.contact.start(self.renewal.watch(self.listener))
        self.directory.listening = lambda: _found_at(self.settings, self.listener)
        self.admission.on_admitted.append(self._admitted)

    async def _open_gateway(self) -> None:
        secret = secrets.token_urlsafe(32)
        app = web.Application(
            middlewares=[
                problems,
                disk_told(self.home.folder),
                local.guard(secret, lambda: self.gateway.hosts, lambda: self.own.subject),
            ],
            client_max_size=2**24,
        )
        app.add_routes(local.routes(self.own))
        app.add_routes([*self.inviting.routes(), *self.heads.routes(), *self.lends.routes()])
        app.add_routes([*self.guards.routes(), *self.recovery.routes(), *self.checkup.routes()])
        app.add_routes([*self.desk.routes(), *self.groups.routes(), *self.quotas.routes()])
        up_to_date = self.contact.catch_up
        app.add_routes([*self.exposing.for_own(up_to_date), *self.people.governing(), *self.people.listing(up_to_date)])
        if self.processors is not None:
            app.add_routes(self.processors.for_own())
        await self.gateway.start(app)
        card = GatewayCard(url=self.gateway.url, secret=secret, pid=os.getpid())
        write_private(self.home.gateway_file, to_json(card))

    def _admitted(self, envelopes: tuple[Envelope, ...]) -> None:
        """A newcomer is in: the others hear of it, and its code's number is no longer announced."""
        self.exchange.push_soon(envelopes)
        self.contact.start(self.inviting.announce())

    def _tidy(self, roster: Roster) -> None:
        """Who was removed leaves the groups, and leaves nothing locked."""
        self.groups.tidy(roster)
        gone = {holder(each) for each in roster.gone if each not in roster.persons}
        self.shares.locks.forget(lambda lock: lock.holder in gone)

    def _members_changed(self, roster: Roster) -> None:
        """New members may knock; removed ones are cut off in the middle of whatever they do."""
        self._tidy(roster)
        if self.listener is not None:
            self.listener.trust(roster.anchors, roster.removed)
        self.watch.look()
        self.contact.start(self.caller.cut(roster.removed))
        if roster.server != self.server:
            if roster.trusting and not self.has_door and roster.server in {None, self.key.fingerprint}:
                trust(self.book, self.person)
            self.becoming.set()

    async def close(self) -> None:
        """End everything; the state on the disk is whole at any moment."""
        await self.contact.close()
        self.watch.close()
        await self.heads.tell_at_the_end()
        if self.processors is not None:
            await self.processors.close()
        await self.exchange.close()
        await self.gateway.close()
        if self.listener is not None:
            await self.listener.close()
        if self.directory.discovery is not None:
            await self.directory.discovery.close()
        await self.caller.close()
        self.people.close()
        self.home.gateway_file.unlink(missing_ok=True)
        self.clock.note()
        self.audit.close()
        self.quotas.ledger.close()
        self.shares.catalogue.close()
        self.state.close()


def _own_entry(home: Home, key: Key, roster: Roster) -> Member:
    """This computer as the roster has it, removed or not. A certificate that was lost is written anew."""
    found = roster.members.get(key.fingerprint) or roster.removed_members.get(key.fingerprint)
    if found is None:
        raise Damaged(f"The key in {home.key} is not the one that joined {roster.network}.", "put back that key")
    if not home.certificate.exists() or home.certificate.read_bytes() != found.certificate.der:
        write_private(home.certificate, found.certificate.der)
    return found


def _found_at(settings: Settings, listener: Listener | None) -> tuple[Address, ...]:
    """What others are told of where this computer answers."""
    if listener is None:
        return ()
    return tuple(Address.parse(text) for text in settings.found_at) or listener.addresses
