"""What a person types as inputs: globs, remote files, local files, values."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import NotFound, WrongUsage
from commonhold.files.used.globs import matches
from commonhold.submit import Submission

PARTS = st.text("ab.", min_size=1, max_size=3).filter(lambda part: part.strip("."))
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize(
    ("path", "pattern", "fits"),
    [
        ("a.jpg", "*.jpg", True),
        ("a.jpg", "*.png", False),
        ("A.JPG", "*.jpg", False),
        ("deep/a.jpg", "*.jpg", False),
        ("deep/a.jpg", "*/*.jpg", True),
        ("deep/a.jpg", "deep/?.jpg", True),
        ("deep/a.jpg", "deep/[ab].jpg", True),
        ("deep/c.jpg", "deep/[!ab].jpg", True),
        ("a.jpg", "**/*.jpg", True),
        ("one/two/three/a.jpg", "**/*.jpg", True),
        ("one/two/three/a.jpg", "one/**/a.jpg", True),
        ("one/two/three/a.jpg", "one/**", True),
        ("one/a.jpg", "two/**/a.jpg", False),
        ("a[1].jpg", "a[[]1].jpg", True),
        (unicodedata.normalize("NFD", "été/ö.txt"), unicodedata.normalize("NFC", "é*/ö.*"), True),
    ],
)
def test_globs_match_component_by_component(path, pattern, fits):
    assert matches(path, pattern) is fits


@given(PATHS)
def test_a_path_fits_itself_and_stars_in_its_place(path):
    assert matches(path, path)
    assert matches(path, "**")
    assert matches(path, "/".join("*" for _ in path.split("/")))
    assert not matches(path, f"{path}/*")


@given(PATHS, st.lists(st.sampled_from(["*", "a", "b", "a*", "?", "*.b"]), min_size=1, max_size=4).map("/".join))
def test_without_double_stars_a_glob_is_what_pathlib_says(path, pattern):
    same_depth = path.count("/") == pattern.count("/")
    assert matches(path, pattern) == (same_depth and PurePosixPath(path).match(pattern))


async def never(computer):
    raise AssertionError(f"{computer} was asked")


def submission(*computers):
    return Submission(None, never, computers)


async def test_files_values_and_remote_files_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local.txt").write_text("x")
    (tmp_path / "tower").write_text("a file that is called as a computer is")
    words = ["1", "local.txt", "tower:photos/a.jpg", "TOWER:photos/deep/b.jpg", "http://x", "tower", "other:x/y", ""]
    found = await submission("tower").inputs(words)
    assert [given.kind for given in found] == [
        "value", "local", "remote", "remote", "value", "local", "value", "value",
    ]  # fmt: skip
    assert found[1].text == str(tmp_path / "local.txt")
    assert (found[2].name, found[2].reldir) == ("a.jpg", "")
    assert (found[3].name, found[3].reldir) == ("b.jpg", "deep")
    assert [given.text for given in found if given.kind == "value"] == ["1", "http://x", "other:x/y", ""]


async def test_a_computers_name_is_found_in_either_form():
    for form in ("NFC", "NFD"):
        (found,) = await submission("Zoë").inputs([unicodedata.normalize(form, "zoë:s/a")])
        assert found.kind == "remote"


@pytest.mark.parametrize("value", ["x" * 5000, "~nobody-of-that-name/x", "a\0b", "a\nb", "*", "-n", "/"[:0]])
async def test_what_cannot_be_a_files_name_is_a_value(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (found,) = await submission("tower").inputs([value])
    assert (found.kind, found.text) == ("value", value)


async def test_local_files_keep_their_folders_below_what_they_share(tmp_path):
    for name in ("a/one.txt", "a/b/two.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = await submission().inputs([str(tmp_path / "a/one.txt"), str(tmp_path / "a/b/two.txt")])
    assert [str(given.uploaded) for given in found] == ["in/one.txt", "in/b/two.txt"]


async def test_folders_and_shares_are_no_inputs(tmp_path):
    with pytest.raises(WrongUsage, match="is a folder") as folder:
        await submission().inputs([str(tmp_path)])
    assert folder.value.hint == f"name the files in it: {tmp_path}/*"
    with pytest.raises(WrongUsage, match="tower:photos is no file") as share:
        await submission("tower").inputs(["tower:photos"])
    assert share.value.hint == "name the files in it: tower:photos/*"
    with pytest.raises(WrongUsage):
        await submission("tower").inputs(["tower:"])


@pytest.mark.parametrize("hostile", ["tower:photos/../secret", "tower:photos/.commonhold/x", "tower:a\\b/c"])
async def test_hostile_remote_paths_are_refused(hostile):
    with pytest.raises(WrongUsage):
        await submission("tower").inputs([hostile])


async def test_a_glob_over_nothing_is_not_found(computer, tmp_path):
    one = computer("one")
    one.create("casa")
    (tmp_path / "docs").mkdir()
    one.net.share(tmp_path / "docs")
    with pytest.raises(NotFound, match=r"Nothing of one matches docs/\*\.txt"):
        one.net.run("cat {}", ["one:docs/*.txt"])
