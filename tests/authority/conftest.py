"""Computers of one network, with real keys, real SQLite and real TLS between them on 127.0.0.1."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from commonhold.authority.admission import Admission
from commonhold.authority.events import check
from commonhold.authority.exchange import Exchange
from commonhold.authority.facts import FactStore
from commonhold.authority.inviting import Invitations
from commonhold.authority.proposals import Proposals
from commonhold.authority.roster import admit, found
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import recovery_key, recovery_words
from commonhold.identity.envelope import Envelope
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName
from commonhold.transport import Address, Caller, Knock, Listener, Peer, problems

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN = PersonId("a" * 32)


class Computer:
    """One computer: its state on disk, its door, and the parts under test."""

    def __init__(self, name: str, state: Path, network_id: str = "", founding: tuple[Envelope, ...] = ()) -> None:
        self.name = name
        self.key = Key.generate()
        self.certificate = self_signed(self.key, NOON)
        self.now = NOON
        self.events: list[tuple[str, dict[str, object]]] = []
        self.learnt: dict[str, list[str]] = {}
        self.others: list[Computer] = []
        self.knocks: list[Knock] = []
        self.path = state
        self.caller = Caller(self.key, self.certificate)
        self.listener: Listener | None = None
        if not founding:
            founding = (self.founding(),)
            network_id = founding[0].id
        self.connection = sqlite3.connect(state, isolation_level=None)
        self.facts = FactStore(self.connection, network_id)
        self.facts.add(founding)
        self.proposals = Proposals(self.connection, self.facts)
        self.exchange = Exchange(self.facts, self.proposals, self.caller, self.peers, self.hints, self.learnt.update)
        self.caller.on_digest = self.exchange.heard
        self.open_invitations()

    def founding(self) -> Envelope:
        return found(
            key=self.key,
            certificate=self.certificate,
            network=NetworkName("home"),
            shape="peer-to-peer",
            trusting=False,
            computer=ComputerName(self.name),
            person=PersonName("ann"),
            person_id=ANN,
            recovery=recovery_key(recovery_words(bytes(16))),
            now=NOON,
        )

    def open_invitations(self) -> None:
        """As when the node starts."""
        self.admission = Admission(
            self.connection, self.key, self.facts, self.hints, self.record, clock=lambda: self.now
        )
        self.invitations = Invitations(self.admission)

    def record(self, event: str, **words: object) -> None:
        check(event, words)
        self.events.append((event, words))

    def pass_time(self, **how_much: float) -> None:
        self.now += timedelta(**how_much)

    def peers(self) -> list[Peer]:
        return [other.peer for other in self.others if other.key.fingerprint in self.facts.roster.members]

    def hints(self) -> dict[str, list[str]]:
        return {str(self.key.fingerprint): [str(address) for address in self.addresses]}

    @property
    def addresses(self) -> tuple[Address, ...]:
        return self.listener.addresses if self.listener else ()

    @property
    def peer(self) -> Peer:
        return Peer(self.name, self.key.fingerprint, self.certificate, self.addresses)

    async def open(self) -> None:
        app = web.Application(middlewares=[problems])
        app.add_routes([*self.admission.routes(), *self.exchange.routes()])
        app.on_response_prepare.append(self.exchange.stamp)
        self.listener = Listener(app, self.key, self.certificate)
        self.facts.on_change.append(lambda roster: self.listener.trust(roster.anchors))
        self.listener.trust(self.facts.roster.anchors)
        await self.listener.start([Address("127.0.0.1", 0)])

    def knock(self) -> Knock:
        knock = Knock(self.addresses[0])
        self.knocks.append(knock)
        return knock

    async def close(self) -> None:
        await self.exchange.close()
        await self.caller.close()
        await asyncio.gather(*(knock.close() for knock in self.knocks))
        if self.listener:
            await self.listener.close()
        self.connection.close()


@pytest.fixture
async def tower(tmp_path) -> AsyncIterator[Computer]:
    """The founder of a network, its door open."""
    computer = Computer("tower", tmp_path / "tower.db")
    await computer.open()
    yield computer
    await computer.close()


@pytest.fixture
async def member(tower, tmp_path) -> AsyncIterator[Callable[..., Computer]]:
    """Makes further members, who know the founding only; the tower knows them all."""
    async with AsyncExitStack() as stack:

        async def make(name: str) -> Computer:
            founding = tower.facts.roster.envelopes
            made = Computer(name, tmp_path / f"{name}.db", tower.facts.network_id, founding)
            stack.push_async_callback(made.close)
            facts = admit(tower.key, tower.facts.roster, made.certificate, name=ComputerName(name), person=ANN)
            tower.facts.add(facts)
            made.facts.add(facts)
            await made.open()
            await tower.listener.trusted()
            made.others.append(tower)
            tower.others.append(made)
            return made

        yield make
