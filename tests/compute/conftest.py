"""A small town: computers with real keys, doors, TLS and rules, real sandboxes and real Dask, in one process."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import psutil
import pytest
import pytest_asyncio
from aiohttp import web
from msgspec.structs import replace
from tests.conftest import evened

from commonhold.authority import roster as rosters
from commonhold.authority.authority import COMPUTE, Door, Subject, Verb
from commonhold.authority.book import RuleBook
from commonhold.authority.gate import gate
from commonhold.authority.passes import Passes
from commonhold.authority.peer import PeerKeeper
from commonhold.authority.roster import Roster
from commonhold.authority.watch import Watch
from commonhold.compute import sandbox
from commonhold.compute.allowances import Allowances
from commonhold.compute.hub.cluster import Cluster
from commonhold.compute.hub.functions import Functions
from commonhold.compute.hub.means import Patience
from commonhold.compute.hub.opening import Opening
from commonhold.compute.hub.outfitting import Outfitting
from commonhold.compute.hub.provisions import Provisions
from commonhold.compute.hub.serve import Calls, Jobs, Loans, Rests, Streams
from commonhold.compute.job import Job, JobSpec, Task
from commonhold.compute.journal import Journal
from commonhold.compute.lender.equipment import Equipment
from commonhold.compute.lender.lend import Lending
from commonhold.compute.papers import RemoteFile
from commonhold.compute.relay import Switchboard
from commonhold.compute.wheels import Wheelhouses
from commonhold.errors import NotFound, Refused
from commonhold.home import LendingTerms
from commonhold.identity.certificate import self_signed
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, Fingerprint, NetworkName, PersonId, PersonName, SharePath
from commonhold.transport import Address, Caller, Listener, Peer, problems
from commonhold.trees import erase, weigh

ANN, BOB, CAROL = (PersonId(letter * 32) for letter in "abc")
OWNERS = {"tower": ANN, "laptop": BOB, "desk": CAROL}
TERMS = LendingTerms(cores=2, memory=2**30)
NAMES = {ANN: "ann", BOB: "bob", CAROL: "carol"}
HOSTS = {"tower": "127.0.0.41", "laptop": "127.0.0.42", "desk": "127.0.0.43"}


def now() -> datetime:
    return datetime.now(UTC)


class Shelves:
    """Courier, pass desk and job folders over the real files of all computers of the town.

    In the node these speak WebDAV; here a pass is checked against the real Passes of the computer
    that owns the file, as its door would.
    """

    def __init__(self, town: Town, lender: Computer) -> None:
        self.town = town
        self.lender = lender

    async def fetch(self, source: RemoteFile, pass_id: str, folder: Path, name: str) -> None:
        place = self._opened(source, pass_id, Verb.READ)
        if not place.is_file():
            raise NotFound(f"There is no {source.path}.")
        await asyncio.to_thread(shutil.copyfile, place, folder / name)

    async def store(self, file: BinaryIO, target: RemoteFile, pass_id: str) -> None:
        place = self._opened(target, pass_id, Verb.ADD)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(await asyncio.to_thread(file.read))
        self.town.stored.append(target.path)
        self.town.on_stored(self.lender, target.path)

    def _opened(self, file: RemoteFile, pass_id: str, verb: Verb) -> Path:
        owner = self.town.by_fingerprint(file.computer)
        path = SharePath.parse(file.path)
        subject = owner.authority.who(self.lender.fingerprint, pass_id)
        decision = owner.authority.decide(subject, verb, owner.door(file.share), path)
        if not decision.allowed:
            raise Refused(f"{subject} may not {verb} {file.share}: {decision.reason}.")
        return owner.shelf(file.share).joinpath(*path.parts)

    async def issue(
        self,
        subject: Subject,
        computer: Fingerprint,
        lender: Fingerprint,
        job: str,
        share: str,
        verb: Verb,
        paths: list[str],
        folder: str | None,
        until: datetime,
    ) -> str:
        owner = self.town.by_fingerprint(computer)
        asked = owner.authority.who(subject.computer)
        listed: Any = frozenset(map(SharePath.parse, paths)) if folder is None else SharePath.parse(folder)
        return owner.passes.issue(asked, lender, f"job {job}", owner.door(share), verb, paths=listed, until=until)

    async def void(self, job: str) -> None:
        for owner in self.town.computers.values():
            owner.passes.void(f"job {job}", owner.authority.who(self.lender.fingerprint))

    async def revoke(self, subject: Subject, job: str, computer: Fingerprint, lender: Fingerprint | None) -> None:
        owner = self.town.by_fingerprint(computer)
        owner.passes.void(f"job {job}", owner.authority.who(subject.computer), lender)

    async def make(self, job: int, owner: PersonId) -> Path:
        folder = self.lender.shelf(f".job-{job}")
        folder.mkdir()
        return folder

    async def drop(self, job: int) -> tuple[int, int]:
        found = weigh(self.lender.shelf(f".job-{job}"))
        erase(self.lender.shelf(f".job-{job}"))
        return found


async def _answered(asked: Computer, what: str) -> None:
    """Before an answer leaves: nothing happens to it."""


class Computer:
    even = False  # its guests weigh as much as everybody else here

    def __init__(self, town: Town, name: str, folder: Path) -> None:
        self.town, self.name = town, name
        self.key = town.keys[name]
        self.certificate = town.certificates[name]
        self.fingerprint = self.key.fingerprint
        self.owner = OWNERS[name]
        self.folder = folder / name
        self.folder.mkdir()
        self.book = RuleBook(sqlite3.connect(":memory:", isolation_level=None))
        self.shares: list[str] = []
        self.passes = Passes(lambda: self.authority)
        self.authority = PeerKeeper(lambda: town.roster, self.book, self.passes, self.owner, self.fingerprint)
        self.compute = Door(kind="compute", id=COMPUTE, name=COMPUTE, owner=self.owner)
        self.usual = self.terms = TERMS
        self.use = ""  # what shows that its owner uses it
        self.audit: list[str] = []
        self.patience = Patience(silence=3, waiting=5, soon=0.2, later=0.5, longest=1)
        self._build()

    def _build(self) -> None:
        self.caller = Caller(self.key, self.certificate)
        self.watch = Watch(lambda: self.authority, lambda event, **_: self.audit.append(event))
        self.book.on_change[:] = [self.watch.look]
        self.switchboard = Switchboard()
        shelves = Shelves(self.town, self)
        self.equipment = Equipment(self.folder / "environments", self.name, self.owner, lambda: self.terms.disk)
        state = sqlite3.connect(self.folder / "state.db", isolation_level=None)
        self.allowances = Allowances(state, self.owner, lambda: f"{self.name}'s owner")
        self.lending = Lending(
            self.folder / "lent",
            self.name,
            self.fingerprint,
            self.watch,
            self.compute,
            lambda: self.terms,
            self.caller,
            self.town.peer,
            shelves,
            self.switchboard,
            self.allowances,
            lambda event, **_: self.audit.append(event),
            self.equipment,
            lambda: self.use,
        )
        self.wheelhouses = Wheelhouses(self.folder / "wheels", self.owner)
        outfitting = Outfitting(self.lending, self.equipment, self.caller, self.wheelhouses)
        self.journal = Journal(state, now, lambda event, **_: self.audit.append(event))
        opening = Opening(
            self.folder / "sessions",
            (self.name, self.fingerprint),
            self.lending,
            self.switchboard,
            self.caller,
            lambda _: self.town.peers_of(self),
            self.town.find,
            now,
            self.patience.silence,
            outfitting,
        )
        self.cluster = Cluster(
            self.folder / "sessions",
            self.name,
            self.fingerprint,
            self.journal,
            self.watch,
            self.lending,
            opening,
            self.town.find,
            shelves,
            shelves,
            self.allowances,
            now,
            patience=self.patience,
        )
        self.functions = Functions(self.name, opening, self.lending, self.watch)
        self.heard: list[str] = []  # what other computers asked of this one

        @web.middleware
        async def hear(request: web.Request, handler: Any) -> web.StreamResponse:
            self.heard.append(f"{request.method} {request.path}")
            answer = await handler(request)
            await self.town.on_answer(self, self.heard[-1])
            return answer

        app = web.Application(middlewares=[problems, gate(self.watch), hear])
        jobs = Jobs(self.cluster, self.owner)
        streams = Streams(self.switchboard)
        app.add_routes([*jobs.routes(), *streams.routes(), *Loans(self.lending).routes()])
        app.add_routes(Rests(opening).routes())
        provisions = Provisions(outfitting, self.lending)
        app.add_routes([*Calls(self.functions, streams).routes(), *provisions.to_hub()])
        app.add_routes(provisions.between_computers())
        self.listener = Listener(app, self.key, self.certificate)

    async def open(self) -> None:
        await self.lending.start()
        if self.even:
            evened(os.getpid())
        await self.cluster.start()
        self.listener.trust(self.town.roster.anchors)
        await self.listener.start([Address(HOSTS[self.name], 0)])

    async def close(self) -> None:
        self.watch.close()
        await self.functions.close()
        await self.cluster.close()
        await self.lending.close()
        await self.equipment.close()
        await self.caller.close()
        await self.listener.close()

    @property
    def me(self) -> Subject:
        return self.authority.who(self.fingerprint)

    def shelf(self, share: str) -> Path:
        return self.folder / share

    def door(self, share: str) -> Door:
        kind = "job" if share.startswith(".job-") else "share"
        return Door(kind=kind, id=share, name=share, owner=self.owner)  # type: ignore[arg-type]

    def share(self, name: str, **files: str) -> None:
        self.shares.append(name)
        self.shelf(name).mkdir()
        for file, text in files.items():
            (self.shelf(name) / file.replace("_", ".")).write_text(text)

    def allow(self, person: str, verb: Verb, share: str | None = None) -> None:
        self.book.allow(person, NAMES.get(person, person), verb, self.door(share) if share else self.compute)

    def deny(self, person: str, verb: Verb) -> None:
        self.book.deny(person, NAMES.get(person, person), verb, self.compute)

    async def restart(self) -> None:
        """Its node ends, and another begins with what is on the disk."""
        await self.close()
        self._build()
        await self.open()

    async def tidy(self) -> None:
        """For the next test: its terms, no job, no share, and nothing that was heard. Sessions stay, as do rules."""
        self.use = ""
        if self.terms != self.usual:
            self.terms = self.usual
            self.lending.changed()
        for job in self.journal.jobs():
            if job.ended is None:
                await self.cluster.cancel(job.job)
            await self.cluster.forgetting.forget(job.job)
        for name in self.shares:
            erase(self.shelf(name))
        for kept in (self.shares, self.audit, self.heard):
            kept.clear()

    async def begin(self, command: str | tuple[str, ...], **spec: Any) -> int:
        job = await self.cluster.submit(self.me, JobSpec(command, **spec))
        await self.cluster.begin(job.job)
        return job.job

    def lends(self, **terms: Any) -> None:
        """Its owner says other terms."""
        self.terms = replace(self.terms, **terms)
        self.lending.changed()

    def worker(self) -> psutil.Process:
        """The program in the sandbox of a stay here, as the sandbox is seen from outside."""
        [stay] = self.lending.stays
        return _inside(stay.box.pid)

    def scheduler(self) -> psutil.Process:
        [opened] = [each.result() for each in self.cluster._sessions._opened.values()]
        return _inside(opened._box.pid)

    async def run(self, command: str | tuple[str, ...], **spec: Any) -> Job:
        """Submit, start, and wait for the end."""
        job = await self.cluster.submit(self.me, JobSpec(command, **spec))
        await self.cluster.begin(job.job)
        return await self.ended(job.job)

    async def ended(self, job: int) -> Job:
        async for _ in self.cluster.news.of(job):
            pass
        return self.journal.job(job)

    async def until(self, job: int, state: str, count: int = 1) -> list[Task]:
        """Until so many of its tasks are in that state."""
        async for _ in self.cluster.news.of(job):
            found = [task for task in self.journal.tasks(job) if task.state == state]
            if len(found) >= count:
                return found
        raise AssertionError(f"job {job} ended: {self.journal.job(job)}")


class Town:
    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.keys = {name: Key.generate() for name in (*names, "paper")}
        self.certificates = {name: self_signed(key, now()) for name, key in self.keys.items()}
        self.roster = self._roster(names)
        self.stored: list[str] = []  # each upload that a door took
        self.on_stored: Callable[[Computer, str], object] = lambda lender, path: None
        self.on_answer: Callable[[Computer, str], Awaitable[None]] = _answered
        self.computers = {name: Computer(self, name, folder) for name in names}

    def _roster(self, names: Sequence[str]) -> Roster:
        guard = self.keys["tower"]
        founding = rosters.found(
            key=guard,
            certificate=self.certificates["tower"],
            network=NetworkName("town"),
            shape="peer-to-peer",
            trusting=False,
            computer=ComputerName("tower"),
            person=PersonName("ann"),
            person_id=ANN,
            recovery=self.keys["paper"],
            now=now(),
        )
        roster = Roster.of(founding.id, [founding])
        for name in names[1:]:
            person = OWNERS[name]
            certificate = self.certificates[name]
            named = {"name": ComputerName(name), "person": person, "person_name": PersonName(NAMES[person])}
            facts = rosters.admit(guard, roster, certificate, **named)
            roster = roster.merged(facts)
        return roster

    def by_fingerprint(self, fingerprint: Fingerprint) -> Computer:
        return next(each for each in self.computers.values() if each.fingerprint == fingerprint)

    def peer(self, fingerprint: Fingerprint) -> Peer:
        there = self.by_fingerprint(fingerprint)
        return Peer(there.name, fingerprint, self.roster.members[fingerprint].certificate, there.listener.addresses)

    def peers_of(self, computer: Computer) -> list[Peer]:
        others = (each.fingerprint for each in self.computers.values() if each is not computer)
        return [self.peer(other) for other in others if other in self.roster.members]

    def find(self, name: str) -> Fingerprint:
        if (member := self.roster.find(name)) is None:
            raise NotFound(f"There is no computer called “{name}”.")
        return member.fingerprint


def _inside(outer: int) -> psutil.Process:
    process = psutil.Process(outer)
    while "bwrap" in process.name():
        [process] = process.children()
    return process


async def _town(folder: Path, *names: str) -> AsyncIterator[Town]:
    town = Town(folder, names)
    async with AsyncExitStack() as stack:
        for computer in town.computers.values():
            stack.push_async_callback(computer.close)
            await computer.open()
        yield town
    await nobody_left(folder)


async def nobody_left(folder: Path) -> None:
    """The kernel ends the inside of a sandbox a few milliseconds after its outside."""
    async with asyncio.timeout(10):
        while guests_of(folder):  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)


def guests_of(folder: Path) -> list[str]:
    """Command lines of sandboxed processes that were started for this folder."""
    listed = subprocess.run(["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True).stdout
    return [
        line for line in listed.splitlines() if "commonhold.compute.sandboxed.inside" in line and str(folder) in line
    ]


@pytest.fixture(scope="module", autouse=True)
def _guests_are_no_slower() -> Iterator[None]:
    Computer.even = True
    yield
    Computer.even = False


@pytest_asyncio.fixture(loop_scope="module")
async def alone(tmp_path: Path) -> AsyncIterator[Computer]:
    """ann's tower, in a network of its own."""
    async for town in _town(tmp_path, "tower"):
        yield town.computers["tower"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _warm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Computer]:
    async for town in _town(tmp_path_factory.mktemp("warm"), "tower"):
        yield town.computers["tower"]


@pytest_asyncio.fixture(loop_scope="module")
async def warm(_warm: Computer) -> AsyncIterator[Computer]:
    """ann's tower, in a network of its own, with the session in which the tests of this file run their tasks.

    A session costs two processes that load Dask: what says no other rules and needs no node of its own shares one.
    """
    yield _warm
    await _warm.tidy()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _unboxed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Computer]:
    async for town in _town(tmp_path_factory.mktemp("unboxed"), "tower"):
        yield town.computers["tower"]


@pytest_asyncio.fixture(loop_scope="module")
async def unboxed(_unboxed: Computer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Computer]:
    """The same without bubblewrap."""
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    yield _unboxed
    await _unboxed.tidy()


@pytest.fixture(params=["warm", "unboxed"])
def boxed(request: pytest.FixtureRequest) -> Any:
    """`warm`, with bubblewrap and without."""
    return request.getfixturevalue(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _lent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async for town in _town(tmp_path_factory.mktemp("lent"), "tower", "laptop", "desk"):
        town.computers["laptop"].allow(ANN, Verb.RUN)
        yield town


@pytest_asyncio.fixture(loop_scope="module")
async def lent(_lent: Town) -> AsyncIterator[Town]:
    """The town of the tests of this file, in which bob's laptop lends to ann: she has a session there, as in `warm`."""
    yield _lent
    _lent.on_stored = lambda lender, path: None
    for computer in _lent.computers.values():
        await computer.tidy()
    _lent.stored.clear()


@pytest_asyncio.fixture(loop_scope="module")
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """ann's tower, bob's laptop and carol's desk; nobody lends to anybody yet."""
    async for town in _town(tmp_path, "tower", "laptop", "desk"):
        yield town


needs_bubblewrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
as_root = os.getuid() == 0
