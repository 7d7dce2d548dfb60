"""How much of the disk a stay takes, whatever its guest made of its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commonhold.compute.lender.footprint import DEEPEST, Footprint, Measurer

from .conftest import as_root

KIB = 1024


@pytest.fixture
def stay(tmp_path: Path) -> Path:
    for folder in ("room/work/3-1-1/deep/er", "room/work/3-2-1", "room/tmp", "staging"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def filled(place: Path, size: int) -> None:
    place.write_bytes(os.urandom(size))


def taken(stay: Path) -> Footprint:
    return Measurer().measure(stay)


def test_each_task_has_what_is_in_its_folder_and_what_is_fetched_for_it(stay: Path):
    before = taken(stay)
    filled(stay / "room/work/3-1-1/deep/er/file", 400 * KIB)
    filled(stay / "staging/3-2-1-0a1b2c3d", 300 * KIB)
    filled(stay / "room/tmp/scratch", 200 * KIB)
    after = taken(stay)
    assert after.total - before.total == 900 * KIB
    assert {key: size - before.tasks[key] for key, size in after.tasks.items()} == {
        "3-1-1": 400 * KIB,
        "3-2-1": 300 * KIB,
    }
    assert not after.hidden


def test_a_file_of_several_names_is_there_once_and_holes_take_no_room(stay: Path):
    before = taken(stay)
    filled(stay / "room/work/3-1-1/file", 400 * KIB)
    for number in range(5):
        (stay / f"room/work/3-2-1/{number}").hardlink_to(stay / "room/work/3-1-1/file")
    with (stay / "room/tmp/hole").open("wb") as hole:
        hole.truncate(2**34)
    assert taken(stay).total - before.total == 400 * KIB


def test_no_link_leads_out(stay: Path, tmp_path_factory: pytest.TempPathFactory):
    before = taken(stay)
    outside = tmp_path_factory.mktemp("outside")
    filled(outside / "large", 900 * KIB)
    (stay / "room/work/3-1-1/link").symlink_to(outside)
    (stay / "room/work/3-3-1").symlink_to(outside)
    (stay / "room/work/3-1-1/file").symlink_to(outside / "large")
    assert taken(stay).total - before.total < 100 * KIB


@pytest.mark.skipif(as_root, reason="root may look at everything")
def test_a_folder_that_its_guest_closed_is_counted(stay: Path):
    before = taken(stay)
    filled(stay / "room/work/3-1-1/deep/file", 400 * KIB)
    (stay / "room/work/3-1-1/deep").chmod(0)
    after = taken(stay)
    assert (after.total - before.total, after.hidden) == (400 * KIB, False)


def test_folders_without_end_are_told_of(stay: Path):
    handle = os.open(stay / "room/work/3-1-1", os.O_RDONLY)
    for _ in range(DEEPEST + 2):
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)
    assert taken(stay).hidden


def test_of_what_is_gone_nothing_is_counted(tmp_path: Path):
    assert taken(tmp_path / "gone") == Footprint(0, {}, hidden=False)
