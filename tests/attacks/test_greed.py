"""People who compute at one computer, and each would have more than their part, or another blamed for it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.compute.conftest import ANN, BOB, CAROL, Computer, Town, town  # noqa: F401 - a fixture
from tests.compute.packages import PYTHON, environment, wheel

from commonhold.authority.authority import Subject, Verb
from commonhold.compute import sandbox, wheels
from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.lender.bounds import Disk, Lent, Machine, Room, Unit, Use, eviction, verdicts
from commonhold.compute.lender.equipment import Equipment
from commonhold.compute.lender.portions import Portion, Portions
from commonhold.compute.papers import FunctionsWish
from commonhold.compute.wheels import Wheelhouse
from commonhold.errors import CommonholdError, Conflict, NoSpace, Unreachable
from commonhold.names import PersonId
from commonhold.transport import Caller

MIB, GIB = 2**20, 2**30


# Memory that tasks ask for: what a hub and a worker say of it is a stranger's word.


def lender(most: dict[PersonId, int] | None = None) -> Portions:
    """Lends 8 GiB, and 8 cores."""

    def memory(whose: PersonId | None) -> int:
        return (most or {}).get(whose, 8 * GIB) if whose else 8 * GIB

    return Portions(lambda: 8, lambda _, cores: cores, memory)


def asks(portion: Portion, key: str, memory: int, running: list[str]) -> None:
    portion.reserve(key, memory, lambda: running.append(key))


async def test_who_asks_for_more_memory_than_there_is_has_no_more_than_others():
    """It would else wait until nothing else runs, and let nobody by."""
    portions, running = lender({ANN: 4 * GIB}), list[str]()
    ann, bob = (portions.open(person, 8, lambda _: None) for person in (ANN, BOB))
    asks(ann, "1-1-1", 2**60, running)
    asks(ann, "1-2-1", 2**60, running)
    asks(bob, "2-1-1", 4 * GIB, running)
    assert running == ["1-1-1", "2-1-1"]


async def test_who_may_have_little_memory_has_no_more_of_it_in_several_sessions():
    portions, running = lender({ANN: GIB}), list[str]()
    for session in range(8):
        asks(portions.open(ANN, 8, lambda _: None), f"{session}-1-1", GIB, running)
    assert running == ["0-1-1"]
    asks(portions.open(BOB, 8, lambda _: None), "9-1-1", 7 * GIB, running)
    assert running == ["0-1-1", "9-1-1"], "nobody waits for what ann may not have"


async def test_tasks_that_are_none_take_no_place_and_no_time():
    """A worker that says without end that tasks of its wait for memory."""
    portions, running = lender(), list[str]()
    ann, bob = (portions.open(person, 8, lambda _: None) for person in (ANN, BOB))
    for number in range(100_000):
        asks(ann, f"1-{number}-1", GIB, [])
    asks(bob, "2-1-1", 4 * GIB, running)
    assert portions.reservations.count(ann) < 20
    ann.close()
    assert running == ["2-1-1"]


# Memory and disk that are taken: who divides it takes no less.

PLENTY = Machine(64 * GIB, 60 * GIB)


def holding(whose: str, memory: int) -> Use:
    return Use(units=(Unit(7, True, memory, 1),), whose=whose)


def test_who_divides_memory_among_several_sessions_has_nobody_else_blamed():
    uses = [holding("bob", 1500 * MIB), *(holding("ann", 1000 * MIB) for _ in range(8))]
    [verdict] = verdicts(uses, Lent(9 * GIB), PLENTY, "tower")
    assert uses[verdict.guest].whose == "ann"
    [verdict] = verdicts(uses, Lent(64 * GIB), Machine(16 * GIB, 100 * MIB), "tower")
    assert uses[verdict.guest].whose == "ann"


def test_who_divides_the_disk_among_several_sessions_has_nobody_else_blamed():
    rooms = [Room(3 * GIB, {"1-1-1": 3 * GIB}, "bob"), *(Room(2 * GIB, {"2-1-1": 2 * GIB}, "ann") for _ in range(8))]
    evicted = eviction(rooms, Lent(GIB, 18 * GIB), Disk(100 * GIB, 60 * GIB), "tower")
    assert evicted is not None
    assert rooms[evicted.guest].whose == "ann"


def test_guests_of_nobody_known_are_each_for_themselves():
    uses = [holding("bob", 1500 * MIB), *(holding("", 1000 * MIB) for _ in range(8))]
    [verdict] = verdicts(uses, Lent(9 * GIB), PLENTY, "tower")
    assert verdict.guest == 0


# Packages: at a hub, and at a lender whose hub lies.


class Hub:
    """Says that it has large wheels, sends so many bytes of each, and hangs up."""

    def __init__(self, sends: int) -> None:
        self.sends = sends
        self.open = 0
        self.go = asyncio.Event()

    @asynccontextmanager
    async def read(self, wheel: Wheel, start: int) -> AsyncIterator[AsyncIterator[bytes]]:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(self.sends // MIB):
                yield bytes(MIB)
            self.open += 1
            await self.go.wait()
            raise Unreachable("The hub is gone.")

        yield pieces()


def claimed(number: int, size: int) -> Environment:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return Environment(PYTHON, os.uname().machine, (Wheel(f"p{number}-1-py3-none-any.whl", digest, size),))


async def wants(equipment: Equipment, made: Environment) -> None:
    kind = await sandbox.here()
    while not (await equipment.prepare(ANN, made, kind, hub_of[equipment])).ready:
        pass


hub_of: dict[Equipment, Hub] = {}


@pytest.fixture
async def lying(tmp_path):
    """A lender that lends 400 MiB of its disk, so 200 MiB for environments, and the hub to which it listens."""
    found = Equipment(tmp_path / "environments", "tower", CAROL, lambda: 400 * MIB)
    found._folder.mkdir()
    hub_of[found] = Hub(20 * MIB)
    yield found, hub_of[found]
    await found.close()


def on_disk(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


async def test_a_hub_that_breaks_off_again_and_again_leaves_little_at_a_lender(lying):
    equipment, hub = lying
    hub.go.set()
    for number in range(12):
        with pytest.raises(Unreachable):
            await wants(equipment, claimed(number, 100 * MIB))
    assert on_disk(equipment._folder) <= 20 * MIB


async def test_a_hub_that_begins_many_at_once_gets_no_more_room_for_them(lying):
    equipment, hub = lying
    asked = [asyncio.create_task(wants(equipment, claimed(number, 30 * MIB))) for number in range(7)]
    refused, _ = await asyncio.wait(asked, timeout=2, return_when=asyncio.FIRST_EXCEPTION)
    assert any(isinstance(task.exception(), NoSpace) for task in refused)
    assert hub.open < 3
    for number in range(9):
        asked.append(asyncio.create_task(wants(equipment, claimed(10 + number, 0))))
    hub.go.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, CommonholdError) for each in answers)


async def test_a_wheel_of_empty_files_without_end_is_refused(tmp_path):
    """None of them has a byte, and each takes one of the disk's places for files."""
    path = wheel(tmp_path / "shop", "crowd")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(30_000):
            archive.writestr(f"crowd_{number}.py", b"")
    made = environment(path)
    equipment = Equipment(tmp_path / "environments", "tower", CAROL, lambda: 200 * MIB)

    class Shop(Hub):
        @asynccontextmanager
        async def read(self, wheel: Wheel, start: int) -> AsyncIterator[AsyncIterator[bytes]]:
            async def pieces() -> AsyncIterator[bytes]:
                yield path.read_bytes()[start:]

            yield pieces()

    hub_of[equipment] = Shop(0)
    equipment._folder.mkdir()
    with pytest.raises(NoSpace, match="bytes unpacked"):
        await wants(equipment, made)
    await equipment.close()


def test_wheels_of_one_byte_without_end_give_way_to_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "MOST_FILES", 20)
    house = Wheelhouse(tmp_path / "wheels")
    for number in range(60):
        content = str(number).encode()
        house.make_room(len(content))
        made = Wheel("x-1-py3-none-any.whl", hashlib.sha256(content).hexdigest(), len(content))
        with house.begin(made, 0) as file:
            file.write(content)
            house.finish(made, file)
    assert len(list((tmp_path / "wheels").iterdir())) == 20


async def sends(caller: Caller, towers: Town, number: int, size: int, go: asyncio.Event) -> None:
    """A wheel that begins, and comes no further."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 10
        await go.wait()

    hub = towers.peer(towers.computers["tower"].fingerprint)
    path = f"/environments/{hashlib.sha256(str(number).encode()).hexdigest()}?from=0&size={size}"
    async with caller.request(hub, "PUT", path, data=pieces()):
        pass


async def test_several_wheels_at_once_have_no_more_room_than_one_after_the_other(town, monkeypatch):  # noqa: F811
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    monkeypatch.setattr(wheels, "MOST_KEPT", 100 * MIB)
    go = asyncio.Event()
    first = asyncio.create_task(sends(laptop.caller, town, 1, 60 * MIB, go))
    house = tower.folder / "wheels" / BOB
    async with asyncio.timeout(20):
        while not list(house.glob("*.part")):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    with pytest.raises(NoSpace):
        await sends(laptop.caller, town, 2, 60 * MIB, go)
    more = [asyncio.create_task(sends(laptop.caller, town, number, 1000, go)) for number in range(3, 12)]
    async with asyncio.timeout(20):
        while not any(each.done() for each in more):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    with pytest.raises(Conflict, match="8 packages are being sent already"):
        await next(each for each in more if each.done())
    for each in (first, *more):
        each.cancel()
    await asyncio.gather(first, *more, return_exceptions=True)


# What may compute at a server without being a task: the scheduler of somebody's session opens what is sent to it.


async def scheduler_of(computer: Computer, subject: Subject) -> tuple[psutil.Process, AsyncIterator[object]]:
    held = computer.functions.hold(subject, FunctionsWish(PYTHON, on="tower"))
    await anext(held)
    [opened] = [each.result() for each in computer.functions._sessions._opened.values()]
    process = psutil.Process(opened._box.pid)
    while "bwrap" in process.name():
        [process] = process.children()
    return process, held


async def test_a_guests_scheduler_gives_way_to_the_owners_programs_and_counts_as_the_guests(town):  # noqa: F811
    tower = town.computers["tower"]
    tower.allow(BOB, Verb.RUN)
    bob = tower.authority.who(town.computers["laptop"].fingerprint)
    process, held = await scheduler_of(tower, bob)
    assert process.nice() == 19
    assert {ward.whose for ward in tower.lending.warden._wards} == {BOB}
    await held.aclose()
    process, held = await scheduler_of(tower, tower.me)
    assert process.nice() == 0
    await held.aclose()
