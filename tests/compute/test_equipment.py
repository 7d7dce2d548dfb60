"""What a lender keeps of environments, and how one comes: from a source that may break off."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.compute.conftest import ANN, BOB, CAROL, guests_of
from tests.compute.packages import environment, wheel

from commonhold.compute import sandbox
from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.lender import equipment
from commonhold.compute.lender.equipment import Equipment
from commonhold.errors import NoSpace, Unreachable, WrongUsage


class Shop:
    """Wheels of a folder; `reads` tells which were asked for, from which byte on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reads: list[tuple[str, int]] = []
        self.breaks_at: int | None = None
        self.waits = False

    @asynccontextmanager
    async def read(self, wheel: Wheel, start: int) -> AsyncIterator[AsyncIterator[bytes]]:
        self.reads.append((wheel.name, start))

        async def pieces() -> AsyncIterator[bytes]:
            content = (self.folder / wheel.name).read_bytes()
            if self.waits:
                await asyncio.sleep(3600)
            yield content[start : self.breaks_at]
            if self.breaks_at is not None:
                raise Unreachable("The hub is gone.")

        yield pieces()


class Lender:
    """One with its equipment in a folder, and so many bytes for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "environments"
        self.shop = Shop(folder / "shop")
        self.most = 0
        self.equipment = Equipment(self.folder, "tower", CAROL, lambda: self.most)

    def offered(self, name: str, size: int = 10) -> Environment:
        content = f"version = {name!r}\n#".encode() + os.urandom(size // 2).hex().encode()
        return environment(wheel(self.shop.folder, name, files={f"{name}.py": content}))

    async def gets(self, made: Environment, person: str = ANN) -> None:
        async with asyncio.timeout(60):
            kind = await sandbox.here()
            while not (await self.equipment.prepare(person, made, kind, self.shop)).ready:
                pass

    async def enter(self, made: Environment, person: str = ANN) -> Path:
        return self.equipment.enter(person, made, await sandbox.here())

    def kept(self) -> int:
        return len(list(self.folder.glob("*/*-*/whole")))


@pytest.fixture
async def lender(tmp_path):
    lender = Lender(tmp_path)
    yield lender
    await lender.equipment.close()


async def test_one_is_unpacked_once_for_each_person(lender):
    made = lender.offered("helper")
    for person, reads in ((ANN, 1), (ANN, 1), (BOB, 2)):
        await lender.gets(made, person)
        assert len(lender.shop.reads) == reads
    places = [await lender.enter(made, person) for person in (ANN, BOB)]
    assert len(set(places)) == 2
    assert all((place / "bin" / "python").is_symlink() for place in places)
    # Nothing lies about but the two: no wheel, no folder in which one was unpacked.
    assert {each.name for each in lender.folder.glob("*/*")} == {"wheels", places[0].parent.name}
    assert not list(lender.folder.glob("*/wheels/*"))


async def test_many_who_ask_for_the_same_at_once_wait_for_one(lender):
    made = lender.offered("helper")
    await asyncio.gather(*(lender.gets(made) for _ in range(5)))
    assert len(lender.shop.reads) == 1


async def test_what_broke_off_goes_on_where_it_was(lender):
    made = lender.offered("helper", size=200_000)
    lender.shop.breaks_at = 50_000
    with pytest.raises(Unreachable, match="The hub is gone"):
        await lender.gets(made)
    lender.shop.breaks_at = None
    lender.equipment = Equipment(lender.folder, "tower", CAROL, lambda: 0)  # the lender's node began anew, too
    await lender.equipment.start()
    await lender.gets(made)
    assert [start for _, start in lender.shop.reads] == [0, 50_000]


async def test_what_is_not_used_for_longest_gives_way_and_what_is_in_use_stays(lender):
    first, second, third = (lender.offered(name, size=400_000) for name in ("first", "second", "third"))
    await lender.gets(first)
    one = int(next(lender.folder.glob("*/*-*/whole")).read_text())
    lender.most = 2 * (2 * one + equipment.UNPACKED * first.size + equipment.LITTLE)
    await lender.gets(second)
    used = await lender.enter(first)
    os.utime(used.parent, (1, 1))  # for long, but still
    lender.most = 2 * (int(1.5 * one) + equipment.UNPACKED * first.size + equipment.LITTLE)
    await lender.gets(third)
    assert (used / "pyvenv.cfg").is_file()
    with pytest.raises(Unreachable, match="not unpacked"):
        await lender.enter(second)
    lender.equipment.leave(used)
    os.utime(used.parent, (1, 1))
    await lender.gets(second)
    with pytest.raises(Unreachable, match="not unpacked"):
        await lender.enter(first)
    assert lender.kept() == 2
    assert lender.equipment.kept == sum(int(each.read_text()) for each in lender.folder.glob("*/*-*/whole"))


async def test_more_than_is_lent_is_refused_before_anything_is_fetched(lender):
    lender.most = 200_000
    with pytest.raises(NoSpace, match="tower has 100000 bytes for environments, and this one needs more"):
        await lender.gets(lender.offered("large", size=400_000))
    assert lender.shop.reads == []


async def test_what_guests_have_is_lent_and_what_the_owner_has_is_not(lender):
    """Of a lent disk that is small its owner still has all that is free, and guests lose nothing by it."""
    lender.most = 200_000
    large = lender.offered("large", size=400_000)
    await lender.gets(large, CAROL)
    assert lender.equipment.kept == 0
    lender.most = 2**28
    await lender.gets(lender.offered("small"), ANN)
    assert 0 < lender.equipment.kept < 2**26
    assert (await lender.enter(large, CAROL)).is_dir()


async def test_nobody_waits_for_one_that_nobody_asks_for_any_more(lender, monkeypatch):
    monkeypatch.setattr(equipment, "ANSWER_WITHIN", 0.05)
    monkeypatch.setattr(equipment, "FORGOTTEN_AFTER", 0.1)
    made = lender.offered("helper")
    lender.shop.waits = True
    kind = await sandbox.here()
    told = await lender.equipment.prepare(ANN, made, kind, lender.shop)
    assert (told.ready, told.left) == (False, made.size)
    async with asyncio.timeout(20):
        while list(lender.folder.glob("*/.*")):  # noqa: ASYNC110 - a folder sets no event
            await asyncio.sleep(0.05)
    lender.shop.waits = False
    monkeypatch.setattr(equipment, "FORGOTTEN_AFTER", 60)
    await lender.gets(made)  # and whoever asks again gets it


async def test_what_a_killed_node_left_half_done_is_cleared_and_what_is_whole_stays(lender):
    made = lender.offered("helper")
    await lender.gets(made)
    place = (await lender.enter(made)).parent
    half = place.with_name(place.name[:-4] + "0000")
    (half / "environment").mkdir(parents=True)
    (place.parent / ".0123" / "room").mkdir(parents=True)
    again = Equipment(lender.folder, "tower", CAROL, lambda: 0)
    await again.start()
    assert {each.name for each in place.parent.iterdir()} == {"wheels", place.name}


async def test_a_node_that_stops_leaves_nothing_running(lender):
    made = lender.offered("helper", size=2_000_000)
    lender.shop.waits = True
    asking = asyncio.create_task(lender.gets(made))
    while not lender.shop.reads:  # noqa: ASYNC110 - a list sets no event
        await asyncio.sleep(0.02)
    await lender.equipment.close()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert not list(lender.folder.glob("*/.*"))
    assert not guests_of(lender.folder)


def test_a_description_that_swells_takes_no_more_memory_than_it_may(tmp_path):
    """pip reads it whole; here with a tenth of the memory, so that it need not be large."""
    about = {
        "swollen-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: swollen\nVersion: 1.0\n\n" + " " * 4 * 10**8
    }
    made = wheel(tmp_path / "room" / "wheels", "swollen")
    with (
        zipfile.ZipFile(made) as old,
        zipfile.ZipFile(tmp_path / made.name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            new.writestr(name, about.get(name) or old.read(name))
    (tmp_path / made.name).replace(made)
    (tmp_path / "environment").mkdir()
    program = (
        "from pathlib import Path; from commonhold.compute.sandboxed import unpacking; unpacking.MEMORY //= 10;"
        f"print(unpacking.unpack(Path({str(tmp_path / 'room')!r}), Path({str(tmp_path / 'environment')!r}), 2**30))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    assert "The environment cannot be unpacked" in done.stdout
    assert not list((tmp_path / "environment").rglob("swollen.py"))


def test_a_lender_says_for_whom_an_environment_is(lender):
    made = lender.offered("helper")
    lender.equipment.require_fit(made)
    lender.equipment.require_fit(None)
    with pytest.raises(WrongUsage, match="tower runs Python"):
        lender.equipment.require_fit(Environment("3.7", made.machine, made.wheels))
    with pytest.raises(WrongUsage, match="is no wheel"):
        lender.equipment.require_fit(Environment(made.python, made.machine, (Wheel("x.txt", "0" * 64, 1),)))
