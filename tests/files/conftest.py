"""tower shares folders over its real door; laptop (bob's), desk (carol's) and tablet (ann's own) ask over real TLS."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web

from commonhold.authority.authority import ROOT, Door, Permit, Subject, Verb, permit
from commonhold.authority.events import check
from commonhold.authority.gate import gate
from commonhold.authority.visits import Visits
from commonhold.authority.watch import Watch
from commonhold.errors import NotFound, Refused
from commonhold.files.catalogue import Catalogue
from commonhold.files.quota import Payer, QuotaLedger
from commonhold.files.served.door import routes
from commonhold.files.served.fetching import Neighbours
from commonhold.files.share import Share
from commonhold.files.shares import Shares
from commonhold.files.used.remote import Remote
from commonhold.names import ShareName, SharePath
from commonhold.node.readings import Readings
from commonhold.transport import Address, Caller, Listener, Peer, problems

from ..authority.suite import ANN, BOB, CAROL, Casa, computer, fingerprint

PERSONS = {"laptop": BOB, "desk": CAROL, "tablet": ANN}


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}


def catalogue(file: str | Path = ":memory:") -> Catalogue:
    return Catalogue(sqlite3.connect(file, isolation_level=None, check_same_thread=False))


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Tower:
    """The sharing computer, its door, and the others as asking sides."""

    home: Path
    name: str = "tower"  # of the key that it shows
    casa: Casa = field(default_factory=lambda: Casa("peer"))
    events: list[tuple[str, dict]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shares = Shares(sqlite3.connect(":memory:", isolation_level=None), ANN, self.home / "state", catalogue())
        self.casa.authority.note = Visits(self._hear, computer("tower")[0].fingerprint)
        self.callers: dict[str, Caller] = {}
        self.locked: set[str] = set()  # what this door refuses, whatever the rules say
        self.unknown: set[str] = set()  # media types of a later version than this computer's
        self.others: dict[str, Peer] = {}  # whose files it may fetch

        @web.middleware
        async def lock(request: web.Request, handler: Any) -> web.StreamResponse:
            if request.path.rstrip("/") in self.locked:
                raise Refused("Nobody may look into it.")
            if request.content_type in self.unknown:
                raise web.HTTPMethodNotAllowed(request.method, [])
            return await handler(request)

        self.watch = Watch(lambda: self.casa.authority, self._hear)
        app = web.Application(middlewares=[problems, gate(self.watch), lock])
        self.ledger = QuotaLedger(self.home / "ledger.db", self.shares.weigh, self.casa.authority.keeper)
        neighbours = Neighbours(self.caller(self.name), self._find, fingerprint(self.name))
        kept = self.shares, lambda: self.casa.authority, self._hear, self.ledger, self._payer
        app.add_routes(routes(*kept, neighbours))
        app.add_routes(Readings(self.casa.passes, self.shares).routes())
        self.listener = Listener(app, *computer(self.name))

    def _payer(self, subject: Subject) -> Payer:
        given = self.casa.passes.find(subject.pass_id) if subject.pass_id else None
        person = given.person if given else subject.person
        return Payer(None if person == ANN else person, subject.person_name)

    def _find(self, fingerprint: str) -> Peer:
        if fingerprint not in self.others:
            raise NotFound("There is no such computer.")
        return self.others[fingerprint]

    def _hear(self, event: str, **words: object) -> None:
        check(event, words)
        self.events.append((event, words))

    async def open(self) -> None:
        self.listener.trust(self.casa.roster.anchors)
        await self.listener.start([Address("127.0.0.1", 0)])

    async def close(self) -> None:
        self.watch.close()
        for caller in self.callers.values():
            await caller.close()
        await self.listener.close()
        self.ledger.close()

    def cut(self, who: str) -> None:
        """Break what that computer asks; it may ask again."""
        for work in list(self.watch.running):
            if work.subject.computer == fingerprint(who):
                work.end(Refused("It broke."))

    def offer(self, name: str, **rights: Verb) -> Share:
        """Share a new folder of that name: `offer("photos", laptop=Verb.READ)`."""
        (self.home / name).mkdir(exist_ok=True)
        share = self.shares.offer(self.home / name, ShareName(name))
        for who, verb in rights.items():
            self.casa.allow(PERSONS[who], verb, share.door)
        return share

    @property
    def peer(self) -> Peer:
        key, certificate = computer(self.name)
        return Peer(self.name, key.fingerprint, certificate, self.listener.addresses)

    def caller(self, who: str) -> Caller:
        if who not in self.callers:
            self.callers[who] = Caller(*computer(who))
        return self.callers[who]

    def remote(self, who: str, share: str, pass_id: str = "") -> Remote:
        return Remote(self.caller(who), self.peer, share, pass_id)

    async def ask(self, who: str, method: str, path: str, data: bytes | None = None, **headers: str) -> Answer:
        """One request as it is, whatever the answer; `If_Match="…"` is a header."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        every = range(100, 600)
        async with self.caller(who).request(self.peer, method, path, headers=sent, data=data, ok=every) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
async def tower(tmp_path: Path) -> AsyncIterator[Tower]:
    made = Tower(tmp_path)
    await made.open()
    yield made
    await made.close()


@dataclass
class Folder:
    """A share without a network around it, and permits for it."""

    share: Share
    casa: Casa

    @property
    def root(self) -> Path:
        return self.share.root

    def permit(self, verb: Verb, path: str | SharePath = ROOT, who: str = "tower") -> Permit:
        at = SharePath.parse(path) if isinstance(path, str) else path
        return permit(self.casa.authority, self.casa.who(who), verb, self.share.door, at)

    def put(self, path: str, data: bytes, verb: Verb = Verb.WRITE, who: str = "tower"):
        upload = self.share.write(self.permit(verb, path, who), len(data))
        upload.write(data)
        return upload.commit()

    def read(self, path: str) -> bytes:
        file, _ = self.share.read(self.permit(Verb.READ, path))
        with file:
            return file.read()

    def names(self, path: str = "") -> set[str]:
        return {name for seen in self.share.list(self.permit(Verb.LIST, path)) for name in (*seen.files, *seen.folders)}

    def rubbish(self) -> list[Path]:
        """What uploads have left in our own folder."""
        return list((self.root / ".commonhold" / "tmp").rglob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    root = tmp_path / "photos"
    root.mkdir()
    casa = Casa("peer")
    share = Share(Door("share", "5a17" * 8, "photos", ANN), root, catalogue())
    casa.allow(CAROL, Verb.ADD, share.door)
    return Folder(share, casa)
