"""rclone carries a tree up and down, mirrors it, moves and copies in it, and asks what names may be."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from .conftest import PASSWORD, needs

pytestmark = needs("rclone")
NAMES = ("a.txt", "folder/été.txt", "folder/with spaces/b #1 & 100% [x].txt", "folder/empty", "雪/big.bin")


@pytest.fixture
def rclone(drive):
    """A command of rclone's for the share, which it calls `:webdav:`."""
    hidden = subprocess.run(
        ["rclone", "obscure", "-"], input=PASSWORD, capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
    how = ["--config", "", "--no-check-certificate", "--webdav-url", drive.url, "--webdav-vendor", "other"]

    def run(*words, code=0):
        return drive.run("rclone", *how, "--webdav-user", "bob", "--webdav-pass", hidden, *words, code=code)

    return run


@pytest.fixture
def tree(tmp_path):
    """Files of every kind of name, one of them large."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * number * (100_000 if name.endswith(".bin") else 1))
    return tmp_path / "tree"


def test_a_tree_goes_up_and_comes_down_whole(rclone, drive, tree, tmp_path):
    rclone("copy", tree, ":webdav:tree")
    assert sorted(drive.files()) == sorted(f"tree/{name}" for name in NAMES)
    rclone("check", "--download", tree, ":webdav:tree")
    rclone("copy", ":webdav:tree", tmp_path / "back")
    for name in NAMES:
        assert (tmp_path / "back" / name).read_bytes() == (tree / name).read_bytes()
    assert rclone("cat", ":webdav:tree/a.txt", "--offset", "2", "--count", "3") == (tree / "a.txt").read_text()[2:5]


def test_a_mirror_follows_changes_and_deletes(rclone, drive, tree):
    rclone("sync", tree, ":webdav:mirror")
    (tree / "a.txt").write_bytes(b"changed since")
    shutil.rmtree(tree / "folder")
    rclone("sync", tree, ":webdav:mirror")
    assert drive.files() == {"mirror/a.txt": b"changed since", "mirror/雪/big.bin": (tree / "雪/big.bin").read_bytes()}
    rclone("purge", ":webdav:mirror")
    assert drive.files() == {}
    rclone("mkdir", ":webdav:empty/inner")
    assert rclone("lsf", "-R", ":webdav:").split() == ["empty/", "empty/inner/"]
    rclone("rmdirs", ":webdav:empty")
    assert rclone("lsf", ":webdav:") == ""


def test_the_server_moves_and_copies_by_itself(rclone, drive, tree):
    rclone("copy", tree, ":webdav:one")
    rclone("moveto", ":webdav:one/a.txt", ":webdav:two/b.txt")
    rclone("move", ":webdav:one/folder", ":webdav:two/folder", "--create-empty-src-dirs")
    rclone("copyto", ":webdav:two/b.txt", ":webdav:two/c.txt")
    named = {name.replace("a.txt", "two/b.txt").replace("folder/", "two/folder/", 1) for name in NAMES}
    named = {each if each.startswith("two/") else f"one/{each}" for each in named}
    assert set(drive.files()) == named | {"two/c.txt"}
    assert drive.files()["two/c.txt"] == (tree / "a.txt").read_bytes()


def test_it_learns_what_names_may_be_and_how_much_room_there_is(rclone):
    told = rclone(
        "test",
        "info",
        "--low-level-retries",
        "1",
        "--check-normalization",
        "--check-streaming",
        ":webdav:names",
    )
    for line in (
        "canWriteUnnormalized = true",
        "canReadRenormalized   = true",
        "canStream = true",
    ):
        assert line in told
    room = json.loads(rclone("about", "--json", ":webdav:"))
    assert room["free"] > 0
