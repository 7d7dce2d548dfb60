"""`share`, `unshare`, `ls`, `get`, `put`, `cat`, `mkdir`, `rm` and the rules: what needs no running node."""

from __future__ import annotations

import pytest

from commonhold.cli.ls import _long
from commonhold.files.entry import Entry

from ..conftest import NOON


@pytest.mark.parametrize(
    "line",
    [
        ("share",),
        ("share", ".", "--to", "ann", "--verb", "run"),
        ("share", ".", "--verb", "read"),
        ("unshare",),
        ("get",),
        ("put", "a"),
        ("cat",),
        ("mkdir",),
        ("rm",),
        ("allow", "ann", "read"),
        ("allow", "ann", "paint", "photos"),
        ("allow", "ann", "read", "photos", "--until", "yesterday"),
        ("deny", "ann", "read", "photos", "--until", "2001-01-01"),
        ("explain", "ann"),
        ("rules", "a", "b"),
    ],
    ids=" ".join,
)
def test_wrong_usage_shows_the_usage(cli, line):
    seen = cli(*line)
    assert seen.code == 2
    assert seen.out == ""
    assert seen.err.startswith("commonhold: ")
    assert "\nhint: " in seen.err


def test_put_of_a_folder_wants_r(cli, tmp_path):
    (tmp_path / "folder").mkdir()
    seen = cli("put", tmp_path / "folder", "tower:photos")
    assert seen.code == 2
    assert "folder is a folder." in seen.err
    assert "-r" in seen.err


def test_put_of_nothing_is_not_found(cli, tmp_path):
    (tmp_path / "here").write_text("x")
    seen = cli("put", tmp_path / "here", tmp_path / "gone", "tower:photos")
    assert seen.code == 3
    assert f"There is no “{tmp_path / 'gone'}” here." in seen.err


def test_cat_is_no_document(cli):
    seen = cli("--json", "cat", "tower:notes/todo.txt")
    assert seen.code == 2
    assert seen.document["hint"] == "commonhold cat tower:notes/todo.txt"


def test_sizes_of_a_long_listing_stand_to_the_right():
    small, large = Entry("d/a", "file", 1, None, "e"), Entry("d/b", "file", 999_900_000, NOON, "e")
    assert _long(small, "a") == "     1 B  -                 a"
    assert _long(large, "d/b").startswith("999.9 MB  2026-11-2")
    assert _long(Entry("d", "folder", 0, None, "e"), "d") == "       -  -                 d/"
