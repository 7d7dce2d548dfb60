"""What a guest put into its folder to mislead the node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from commonhold.compute.lender import guest
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.names import SharePath


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("the owner's")
    room = tmp_path / "room"
    (room / "work" / "1-1").mkdir(parents=True)
    return room


@pytest.fixture
def folder(room: Path) -> Path:
    return room / "work" / "1-1"


def left(room: Path, *without: str) -> list[str]:
    with guest.inside(room, "work", "1-1") as descriptor:
        return [str(path) for path in guest.left(descriptor, frozenset(without))]


def test_new_files_are_found_in_all_folders_and_inputs_are_not(room: Path, folder: Path):
    (folder / "a" / "b").mkdir(parents=True)
    for name in ("a/b/deep", "top", "input"):
        (folder / name).write_text("x")
    (folder / "a" / "input").write_text("not the input: another file of that name")
    assert left(room, "input") == ["a/b/deep", "a/input", "top"]


def test_links_pipes_and_devices_are_left_where_they_are(room: Path, folder: Path):
    (folder / "link").symlink_to("../../../secret")
    (folder / "folder").symlink_to("../../..")
    os.mkfifo(folder / "pipe")
    assert left(room) == []
    with guest.inside(room, "work", "1-1") as descriptor:
        for name in ("link", "pipe", "folder/secret"):
            with pytest.raises(CommonholdError):
                guest.take(descriptor, SharePath.parse(name))


def test_a_tasks_folder_that_is_a_link_is_not_entered(room: Path, folder: Path):
    folder.rmdir()
    folder.symlink_to("../..")
    with pytest.raises(CommonholdError), guest.inside(room, "work", "1-1"):
        pass


def test_what_is_fetched_replaces_a_link_and_does_not_follow_it(room: Path, folder: Path, tmp_path: Path):
    (folder / "input").symlink_to("../../../secret")
    staged = tmp_path / "staged"
    staged.write_text("fetched")
    with guest.inside(room, "work", "1-1") as descriptor:
        guest.put(staged, descriptor, "input")
    assert (folder / "input").read_text() == "fetched"
    assert (tmp_path / "secret").read_text() == "the owner's"


def test_too_deep_and_too_many_are_refused(room: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guest, "MOST_FILES", 3)
    for number in range(4):
        (folder / str(number)).touch()
    with pytest.raises(WrongUsage, match="more than 3"):
        left(room)
    folder.joinpath(*["d"] * (guest.DEEPEST + 1)).mkdir(parents=True)
    with pytest.raises(WrongUsage, match="too deep"):
        left(room, "0", "1", "2", "3")


def test_a_name_that_no_share_can_hold_is_refused(room: Path, folder: Path):
    (folder / "a\nb").touch()
    with pytest.raises(WrongUsage):
        left(room)


def test_a_file_is_read_as_it_is(room: Path, folder: Path):
    (folder / "a").mkdir()
    (folder / "a" / "b").write_bytes(b"bytes")
    with guest.inside(room, "work", "1-1") as descriptor, guest.take(descriptor, SharePath.parse("a/b")) as file:
        assert file.read() == b"bytes"
