"""One person's mistake with everything that they may write: whatever it was, all of it comes back, to the last bit."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ..conftest import Computer, town

FILES = 60
Folder = dict[str, bytes]


def contents(folder: Path) -> Folder:
    """What lies in it, but for what is ours."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".commonhold" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def filled(folder: Path, chance: random.Random) -> Folder:
    for number in range(FILES):
        file = folder / f"{number % 5}" / ("über" * (number % 2)) / f"file {number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chance.randbytes(chance.choice([0, 1, 4_000, 200_000])))
    (folder / "empty").mkdir()
    return contents(folder)


def deletes_all(bob: Computer, _: Path) -> None:
    for entry in bob.net.ls("tower:photos"):
        bob.net.rm(f"tower:photos/{entry.path}", recursive=True)


def overwrites_all(bob: Computer, there: Path) -> None:
    """With as many bytes of the same length, as a program that encrypts in place."""
    ruined = bob.folder / "ruined"
    for path, content in contents(there).items():
        (ruined / path).parent.mkdir(parents=True, exist_ok=True)
        (ruined / path).write_bytes(bytes(each ^ 0x5A for each in content) or b"?")
    bob.net.put([f"{ruined}/{name.name}" for name in ruined.iterdir()], "tower:photos", recursive=True)


def encrypts_renames_and_deletes(bob: Computer, there: Path) -> None:
    """The usual way: each file overwritten, some called otherwise then, some deleted, and a note left everywhere."""
    overwrites_all(bob, there)
    for number, path in enumerate(sorted(contents(there))):
        if number % 3 == 0:
            bob.net.mv(f"tower:photos/{path}", f"tower:photos/{path}.locked")
        if number % 3 == 1:
            bob.net.rm(f"tower:photos/{path}")
    note = bob.folder / "READ ME.txt"
    note.write_text("pay")
    for folder in ("", "0/", "1/"):
        bob.net.put([str(note)], f"tower:photos/{folder}")
    bob.net.mv("tower:photos/2", "tower:photos/two")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with town(tmp_path_factory.mktemp("mistakes")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        yield tower, laptop


@pytest.fixture
def photos(network):
    tower, _ = network
    folder = tower.folder / "photos"
    folder.mkdir()
    before = filled(folder, random.Random(7))
    tower.net.share(folder, to="bob", verb="write")
    yield folder, before
    tower.net.forget("tower:photos")
    tower.net.unshare("photos")
    folder.rename(tower.folder / f"photos {time.time_ns()}")


@pytest.mark.parametrize("who", ["bob", "ann"])
@pytest.mark.parametrize("ruin", [deletes_all, overwrites_all, encrypts_renames_and_deletes])
def test_undo_brings_back_all_of_it_bit_by_bit_whoever_undoes(network, photos, ruin, who):
    (tower, laptop), (folder, before) = network, photos
    began = datetime.now(UTC)
    ruin(laptop, folder)
    assert contents(folder) != before
    started = time.monotonic()
    if who == "bob":
        undone = laptop.net.undo(since=began, where="tower:photos")
    else:
        undone = tower.net.undo(person="bob", since=began, where="tower:photos")
    print(f"{ruin.__name__}, undone by {who}: {len(undone)} changes in {time.monotonic() - started:.2f} s")
    assert [each.path for each in undone if not each.undone] == []
    assert contents(folder) == before
    assert (folder / "empty").is_dir()


def test_one_file_or_one_folder_alone_is_restored_as_it_was_then(network, photos):
    (_, laptop), (folder, before) = network, photos
    began = datetime.now(UTC)
    overwrites_all(laptop, folder)
    laptop.net.rm("tower:photos/1", recursive=True)
    for path in ("0/file 0.bin", "1"):
        started = time.monotonic()
        laptop.net.restore(f"tower:photos/{path}", at=began)
        print(f"{path}: restored in {time.monotonic() - started:.2f} s")
    assert (folder / "0/file 0.bin").read_bytes() == before["0/file 0.bin"]
    assert {path for path in contents(folder) if path.startswith("1/")} == {
        path for path in before if path.startswith("1/")
    }
