"""A full disk: 507, the old content stays, nothing is left lying about, and with room made all works again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from ..conftest import town
from .rig import Rig, shelf
from .small_disk import EXT4, TMPFS, small_disk
from .wishes import Wish

PUT = 400_000  # bytes: more than is taken into memory


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("full")
    with town(folder) as make:
        yield Rig(make, folder)


def asked(rig: Rig, *wishes: Wish) -> list[int]:
    """The status of each, over one connection."""

    async def ask() -> list[int]:
        async with rig.program() as program:
            return [(await program.ask(wish)).status for wish in wishes]

    return asyncio.run(ask())


def put(name: str, size: int, chunked: bool = False) -> Wish:
    return Wish("PUT", name, {}, os.urandom(size), chunked=chunked)


@pytest.mark.parametrize("mounting", [TMPFS, EXT4], ids=["tmpfs", "ext4"])
def test_nothing_is_damaged_and_nothing_stays(rig: Rig, mounting: str):
    (rig.shared / "old").write_bytes(b"old")
    sizes = (PUT, PUT // 2 + 20_000)
    tries = [put(name, size, chunked) for name in ("old", "new") for size in sizes for chunked in (False, True)]
    with small_disk(rig.tower, rig.shared, mounting, "8M") as disk:
        disk.fill(leave=PUT // 2)
        assert asked(rig, *tries) == [507] * len(tries)
        assert (disk.folder / "old").read_bytes() == b"old"
        assert not (disk.folder / "new").exists()
        assert not list(disk.folder.glob(".commonhold/tmp/*"))
        assert asked(rig, Wish("GET", "old", {})) == [200]
        disk.empty()
        assert asked(rig, *tries[:2], *tries[-2:]) == [204, 204, 201, 204]
        assert (disk.folder / "old").read_bytes() == tries[1].body


def test_a_full_disk_of_the_nodes_own_state_makes_no_answer_untrue(rig: Rig):
    """Wherever it is found full: what is answered with 507 did not happen, and what happened is answered as done."""
    here = rig.shared / "here"
    here.mkdir()
    with small_disk(rig.tower, rig.tower.home.folder, TMPFS, "8M") as disk:
        seen = set()
        asked(rig, put("here/a", 10), put("here/b", 10))
        for leave in (0, 4096, 8192, 65536):
            for wish in (put("here/a", 10), put("here/a", PUT), put("here/b", 10), Wish("DELETE", "here/b", {})):
                before = shelf(here)
                disk.fill(leave)
                (status,) = asked(rig, wish)
                disk.empty()
                seen.add(status)
                name = wish.path.removeprefix("here/")
                after = before | {name: wish.body}
                if wish.method == "DELETE":
                    del after[name]
                assert status in {204, 507}
                assert shelf(here) == (before if status == 507 else after)
                assert not rig.rubbish()
            asked(rig, put("here/b", 10))
        assert seen == {204, 507}
