"""A right that ends bites at once, at every computer in contact: four nodes, and a server.

`gus` has a computer, van, which downloads from, uploads to and computes on all the others when its right ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import CommonholdError, Refused, Unreachable
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Peer

from ..conftest import town, until

BOUND = 5.0  # seconds: promised
SLACK = 5.0  # for a machine that does other things besides
SMALL = os.urandom(2**20)  # of it a little is read before the right of somebody else ends, and the rest afterwards
NUMBERS = itertools.count(1)
OWNERS = {"tower": "ann", "laptop": "bob", "desk": "carol"}


def furnish(one):
    """Shared by this computer: a file too long to be read whole, a short one, and room for uploads."""
    folder = one.folder / "box"
    folder.mkdir()
    with (folder / "long").open("wb") as file:
        file.truncate(2**36)
    (folder / "short").write_bytes(SMALL)
    one.net.share(folder)
    one.box = folder


def let(one, person):
    one.net.allow(person, "write", "box")
    one.net.allow(person, "run", "compute")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower (a guard), laptop and desk, each of somebody else; who comes and goes is another matter."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        computers = [make(name, person) for name, person in OWNERS.items()]
        tower, *others = computers
        tower.create("casa")
        for one in others:
            one.join(tower)
        for one in computers:
            one.knows(*OWNERS)
            furnish(one)
            let(one, "carol")
        tower.make = make
        yield computers


def driven(network):
    """A fourth computer, of a gus, which may do everything everywhere; each time another."""
    number = next(NUMBERS)
    van = network[0].make(f"van{number}", f"gus{number}")
    van.join(network[0])
    for one in network:
        until(lambda one=one: van.name in {m.computer for m in one.net.members()}, f"{one.name} knows {van.name}")
        let(one, van.person)
    return van


@pytest.fixture
def van(network):
    """One that a test may remove."""
    van = driven(network)
    yield van
    van.down()


@pytest.fixture(scope="module")
def staying(network):
    """One from which tests take this and that; the last of them removes it."""
    return driven(network)


class Traffic:
    """What one computer does at several others, over connections of its own."""

    def __init__(self, who) -> None:
        self.who = who
        self.begun = 0
        self.caller = Caller(Key.load(who.home.key), Certificate.parse(who.home.certificate.read_bytes()))

    @staticmethod
    def peer(there) -> Peer:
        certificate = Certificate.parse(there.home.certificate.read_bytes())
        return Peer(there.name, certificate.fingerprint, certificate, (Address.parse(there.address),))

    async def download(self, there) -> None:
        """Slowly, until it breaks."""
        async with self.caller.request(self.peer(there), "GET", "/dav/box/long") as answer:
            self.begun += 1
            async for _ in answer.content.iter_any():
                await asyncio.sleep(0.05)

    async def upload(self, there) -> None:
        """Slowly, and for ever."""

        async def pieces() -> AsyncIterator[bytes]:
            self.begun += 1
            while True:
                yield b"x" * 2**16
                await asyncio.sleep(0.05)

        async with self.caller.request(self.peer(there), "PUT", f"/dav/box/{self.who.name}", data=pieces()):
            pass

    async def short(self, there, go_on: asyncio.Event) -> str:
        """Some of the short file, and the rest when somebody says so: its digest."""
        async with self.caller.request(self.peer(there), "GET", "/dav/box/short") as answer:
            digest = hashlib.sha256(await answer.content.readexactly(1000))
            self.begun += 1
            await go_on.wait()
            digest.update(await answer.content.read())
            return digest.hexdigest()

    async def refusal(self, there) -> str:
        """What its next request there hears."""
        with pytest.raises(Refused) as refused:
            await self.caller.ask(self.peer(there), "GET", "/dav/box/short")
        return refused.value.sentence


@asynccontextmanager
async def cut(traffic: Traffic, at, others=()):
    """Everything of `traffic` at `at` is under way; when the block has ended, it must be cut within the bound.

    What it has at `others` goes on.
    """
    ends: dict[str, float] = {}

    async def timed(name: str, work) -> None:
        with pytest.raises(Unreachable, match="broke"):
            await work
        ends[name] = time.monotonic()

    going = {
        name: asyncio.create_task(timed(name, work))
        for there in at
        for name, work in (
            (f"download from {there.name}", traffic.download(there)),
            (f"upload to {there.name}", traffic.upload(there)),
        )
    }
    apart = [asyncio.create_task(traffic.download(there)) for there in others]
    await eventually(lambda: traffic.begun == len(going) + len(apart))
    await eventually(lambda: all(uploading(one) for one in at))
    assert not ends
    clock = [0.0]
    yield clock
    began = clock[0] or time.monotonic()
    _, late = await asyncio.wait(going.values(), timeout=BOUND + SLACK)
    running = [name for name, task in going.items() if task in late]
    assert not running, f"still running after {BOUND + SLACK} s: {running}"
    for task in going.values():
        task.result()
    assert max(ends.values()) - began < BOUND + SLACK
    assert not any(task.done() for task in apart), "what nobody took back goes on"
    for task in (*apart, *late):
        task.cancel()
    await asyncio.gather(*apart, return_exceptions=True)
    await eventually(lambda: not any(uploading(one) for one in at))
    for one in at:
        assert not (one.box / traffic.who.name).exists(), "an upload that was cut changes nothing"


def uploading(one) -> list:
    workshop = one.box / ".commonhold" / "tmp"
    return list(workshop.iterdir()) if workshop.exists() else []


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)


def stays(one) -> list:
    """What runs here for somebody's jobs."""
    return list((one.home.folder / "lent").iterdir())


async def compute(van, at) -> int:
    """A job of van that runs at all of these."""
    job = (await asyncio.to_thread(van.net.run, "sleep 100", on="all", wait=False)).job
    await eventually(
        lambda: {task.computer for task in van.net.log(job) if task.state == "running"} >= {one.name for one in at}
    )
    return job


async def test_a_removal_ends_all_that_a_computer_does_at_every_other(network, van):
    tower, *_ = network
    carol = Traffic(network[2])
    traffic = Traffic(van)
    go_on = asyncio.Event()
    others = [asyncio.create_task(carol.short(there, go_on)) for there in network if there is not network[2]]
    await eventually(lambda: carol.begun == len(others))
    job = await compute(van, network)
    assert all(map(stays, network))
    async with cut(traffic, network) as clock:
        clock[0] = time.monotonic()
        removal = await asyncio.to_thread(tower.net.remove, van.name)
        assert set(removal.told) == set(OWNERS) - {"tower"}
    await eventually(lambda: not any(map(stays, network)))
    assert time.monotonic() - clock[0] < BOUND + SLACK, "its tasks are ended too"
    sentence = f"{van.person}'s computer {van.name} was removed from the network casa."
    for there in network:
        assert await traffic.refusal(there) == sentence
        recorded(there, van)
    ended = await asyncio.to_thread(van.net.follow, job)
    assert any(sentence in note for note in ended.notes), ended.notes
    go_on.set()
    whole = hashlib.sha256(SMALL).hexdigest()
    assert await asyncio.gather(*others) == [whole] * len(others), "others' transfers end right"
    await carol.caller.close()
    await traffic.caller.close()


def recorded(there, van):
    """What was cut stands in the record."""
    lines = [line for line in there.home.audit.read_text().splitlines() if '"cut"' in line and van.name in line]
    assert {"download" if '"GET /dav/box/long"' in line else "other" for line in lines} == {"download", "other"}


async def test_the_removal_of_a_person_ends_what_their_computer_does_at_every_other(network, van):
    traffic = Traffic(van)
    async with cut(traffic, network) as clock:
        clock[0] = time.monotonic()
        removal = await asyncio.to_thread(network[0].net.remove, van.person)
        assert set(removal.told) == set(OWNERS) - {"tower"}
    for there in network:  # a person who is gone has no name any more
        assert await traffic.refusal(there) == f"{van.name} was removed from the network casa."
        recorded(there, van)
    await traffic.caller.close()


CHANGES = {
    "a deny of the person": lambda tower, van: [tower.net.deny(van.person, verb, "box") for verb in ("read", "add")],
    "a deny of the computer": lambda tower, van: [tower.net.deny(van.name, verb, "box") for verb in ("read", "add")],
    "the rule taken back": lambda tower, van: tower.net.deny(van.person, "write", "box"),
    "an unshare": lambda tower, van: tower.net.unshare("box"),
}


@pytest.mark.parametrize("how", CHANGES)
async def test_what_one_owner_takes_back_ends_there_and_nowhere_else(network, staying, how):
    tower, laptop, _ = network
    traffic = Traffic(staying)
    try:
        async with cut(traffic, [tower], [laptop]):
            await asyncio.to_thread(CHANGES[how], tower, staying)
        with pytest.raises(CommonholdError):
            await traffic.caller.ask(traffic.peer(tower), "GET", "/dav/box/short")
    finally:
        await traffic.caller.close()
        if how == "an unshare":
            tower.net.share(tower.box)
            tower.net.allow("carol", "write", "box")
        if how == "a deny of the computer":
            tower.net.allow(staying.name, "write", "box")  # and back again: no rule names it any more
            tower.net.deny(staying.name, "write", "box")
        let(tower, staying.person)


async def test_the_end_of_a_rule_ends_what_it_opened(network, staying):
    tower, laptop, _ = network
    traffic = Traffic(staying)
    end = datetime.now(UTC) + timedelta(seconds=4)
    tower.net.allow(staying.person, "write", "box", until=end)
    async with cut(traffic, [tower], [laptop]) as clock:
        assert datetime.now(UTC) < end, "all of it ran before"
        clock[0] = time.monotonic() + (end - datetime.now(UTC)).total_seconds()
    assert "no rule lets" in await traffic.refusal(tower)
    await traffic.caller.close()


async def test_to_take_the_processors_back_ends_the_tasks_there_and_says_so(network, staying):
    tower, laptop, _ = network
    job = await compute(staying, network)
    began = time.monotonic()
    tower.net.deny(staying.person, "run", "compute")
    await eventually(lambda: not stays(tower))
    assert time.monotonic() - began < BOUND + SLACK
    assert stays(laptop)
    refused = f"tower refused: {staying.person} may not run jobs on compute"
    await eventually(lambda: any(task.state == "failed" and refused in task.problem for task in staying.net.log(job)))
    assert any(note.startswith(refused) for note in staying.net.job(job).notes)
    assert staying.net.job(job).running == len(network), "at all others, and its own computer, it goes on"
    staying.net.cancel(job)


async def test_a_computer_that_is_cut_off_serves_the_removed_one_until_it_hears(network, staying):
    """desk is down while the van is removed, and meets nobody when it is back; then tower comes, and tells it."""
    tower, laptop, desk = network
    traffic = Traffic(staying)
    for one in (desk, staying):  # its own node would hear of it, and tell desk when the two greet: a thief's would not
        one.down()
    tower.net.remove(staying.name)
    for one in (tower, laptop):
        one.down()
    desk.up()
    try:
        async with cut(traffic, [desk]):
            await asyncio.to_thread(tower.up)
    finally:
        laptop.up()
    which = f"{staying.person}'s computer {staying.name}"
    assert await traffic.refusal(desk) == f"{which} was removed from the network casa."
    await traffic.caller.close()


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """ann's server, and two clients that may do everything there."""
    with town(tmp_path_factory.mktemp("office")) as make:
        server, first, second = make("server", "ann"), make("client1", "bob"), make("client2", "carol")
        server.create("office", "client-server")
        furnish(server)
        for client in (first, second):
            client.join(server)
            let(server, client.person)
        yield server, first, second


@pytest.mark.parametrize("how", ["a deny", "a removal"])  # in this order: who was removed does not come back
async def test_a_server_ends_what_a_person_does_there_and_their_jobs(office, how):
    server, first, second = office
    traffic, other = Traffic(first), Traffic(second)
    go_on = asyncio.Event()
    reading = asyncio.create_task(other.short(server, go_on))
    await eventually(lambda: other.begun)
    job = await compute(first, [server])
    async with cut(traffic, [server]):
        if how == "a removal":
            await asyncio.to_thread(server.net.remove, "bob")
        else:
            await asyncio.to_thread(server.net.deny, "bob", "write", "box")
            await asyncio.to_thread(server.net.deny, "bob", "run", "compute")
    await eventually(lambda: not stays(server))
    with pytest.raises(Refused):
        await traffic.caller.ask(traffic.peer(server), "PUT", f"/dav/box/{first.name}")
    ended = await asyncio.to_thread(server.net.follow, job)
    assert ended.state == "failed"
    told = "client1 was removed from the network office" if how == "a removal" else "bob may not run jobs on compute"
    assert any(told in note for note in ended.notes), ended.notes
    go_on.set()
    assert await reading == hashlib.sha256(SMALL).hexdigest()
    if how == "a deny":
        let(server, "bob")
    await traffic.caller.close()
    await other.caller.close()
