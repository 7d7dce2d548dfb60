"""What somebody types who does not know it yet, and what they are told, with real nodes. Nothing is lost meanwhile."""

from __future__ import annotations

import os

import pytest

from .test_copying import mine, names

__all__ = ["mine"]  # the fixture


@pytest.fixture
def cats(photos):
    """Two files of one name."""
    (photos / "2026" / "cat.txt").write_text("another\n")
    return photos


def test_two_of_one_name_do_not_take_each_others_place(laptop, cats, tmp_path):
    here = tmp_path / "here"
    seen = laptop("get", "tower:photos/**/*.txt", here, code=8).stderr
    assert "is left where it is: another “cat.txt” goes to the same place." in seen
    assert names(here) == ["cat.txt", "dog.txt"]
    kept = (here / "cat.txt").read_text()
    laptop("get", "tower:photos/**/*.txt", here, code=8)
    assert (here / "cat.txt").read_text() == kept
    both = "tower:photos/cat.txt", "tower:photos/2026/cat.txt"
    assert "goes to the same place" in laptop("get", *both, tmp_path / "two", code=8).stderr
    assert "goes to the same place" in laptop("cp", *both, "tower:photos/new", code=8).stderr
    assert "goes to the same place" in laptop("mv", *both, "tower:photos/newer", code=8).stderr
    assert (cats / "2026" / "cat.txt").read_text() == "another\n"
    (tmp_path / "a").mkdir()
    for folder in (tmp_path, tmp_path / "a"):
        (folder / "x.txt").write_text(f"{folder}")
    assert (
        "goes to the same place"
        in laptop("put", tmp_path / "x.txt", tmp_path / "a" / "x.txt", "tower:photos", code=8).stderr
    )
    assert (cats / "x.txt").read_text() == f"{tmp_path}"


def test_one_that_is_named_twice_is_copied_once(laptop, cats, tmp_path):
    report = laptop.json("get", "tower:photos/cat.txt", "tower:photos/*.txt", tmp_path / "here")
    assert (report["files"], report["failed"]) == (1, [])
    report = laptop.json("cp", "tower:photos/cat.txt", "tower:photos/cat.txt", "tower:photos/new")
    assert (report["files"], report["failed"]) == (1, [])


def test_what_ends_with_a_slash_is_a_folder_and_made(laptop, photos, mine, tmp_path):
    laptop("get", "tower:photos/cat.txt", f"{tmp_path}/got/deep/")
    assert names(tmp_path / "got") == ["deep/cat.txt"]
    laptop("put", tmp_path / "got" / "deep" / "cat.txt", "tower:photos/new/")
    laptop("put", "-r", tmp_path / "got" / "deep", "tower:photos/new/")
    assert names(photos / "new") == ["cat.txt", "deep/cat.txt"]
    laptop("cp", "tower:photos/cat.txt", "laptop:mine/a/b/")
    laptop("cp", "tower:photos/*.txt", "laptop:mine/fitting")
    laptop("mv", "tower:photos/new/*.txt", "tower:photos/moved")
    assert names(mine) == ["a/b/cat.txt", "fitting/cat.txt"]
    assert names(photos / "moved") == ["cat.txt"]
    laptop("get", "tower:photos/*.none", f"{tmp_path}/nothing/", code=3)
    assert not (tmp_path / "nothing").exists()
    laptop("get", "--dry-run", "tower:photos/*.txt", tmp_path / "dry")
    assert not (tmp_path / "dry").exists()


def test_a_folder_that_is_not_here_is_named_with_what_makes_it(laptop, photos, tmp_path):
    seen = laptop("get", "tower:photos/cat.txt", tmp_path / "no such" / "cat.txt", code=3).stderr
    assert seen == (
        f"commonhold: There is no folder {tmp_path}/no such here to put it in.\n"
        f"hint: make it first: mkdir -p '{tmp_path}/no such'\n"
    )
    (tmp_path / "file").touch()
    assert "is a file, and" in laptop("get", "tower:photos/*.txt", tmp_path / "file", code=6).stderr


def test_the_other_way_round_is_told(laptop, photos, tmp_path):
    assert "put" in laptop("get", "cat.txt", "tower:photos", code=2).stderr
    for words in (("cp", "cat.txt", "tower:photos"), ("mv", "tower:photos/cat.txt", "here.txt")):
        assert "from here to there put, from there to here get" in laptop(*words, code=2).stderr


def test_a_mirror_without_a_place_takes_nothing_away(laptop, photos, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "mine.txt").touch()
    assert "name the folder" in laptop("get", "-r", "--delete", "tower:photos/", code=2).stderr
    assert names(tmp_path / "work") == ["mine.txt"]
    laptop("get", "-r", "--delete", "tower:photos/", ".")
    assert names(tmp_path / "work") == ["2026/dog.txt", "cat.txt"]


def test_a_name_that_is_no_text_does_not_break_the_document(laptop, photos, tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / os.fsdecode(b"\xff\xfe")).touch()
    (tmp_path / "odd" / "fine").touch()
    told = laptop.json("put", "-r", tmp_path / "odd", "tower:photos", code=8)
    assert [each["path"] for each in told["failed"]] == [f"{tmp_path}/odd/\ufffd\ufffd"]
    assert told["files"] == 1


def test_what_is_wrong_with_the_disk_here_is_not_told_as_of_elsewhere(laptop, photos):
    seen = laptop("get", "tower:photos/cat.txt", "/proc/cat.txt", code=3).stderr
    assert "on this computer" in seen


def test_one_that_is_missing_holds_up_no_other(laptop, photos):
    seen = laptop("cat", "tower:photos/none", "tower:photos/cat.txt", code=8)
    assert seen.stdout == "miau\n"
    assert "1 of 2 failed; the first, tower:photos/none: There is no “none” in photos." in seen.stderr
    seen = laptop("mkdir", "tower:photos/2026", "tower:photos/2027", code=8).stderr
    assert "1 of 2 failed" in seen
    assert (photos / "2027").is_dir()
    assert "2 of 2 failed" in laptop("mkdir", "tower:photos/2026", "tower:photos/2027", code=6).stderr


def test_what_comes_back_may_be_told_in_full_and_stays_in_its_share(laptop, photos):
    laptop("rm", "tower:photos/cat.txt")
    laptop("restore", "tower:photos/cat.txt", "--to", "Tower:photos/old/cat.txt")
    assert (photos / "old" / "cat.txt").read_text() == "miau\n"
    seen = laptop("restore", "tower:photos/cat.txt", "--to", "laptop:photos/cat.txt", code=2).stderr
    assert "What comes back stays in its share" in seen


def test_undo_says_where(laptop, photos):
    laptop("rm", "tower:photos/cat.txt")
    assert "  tower:photos/cat.txt: deleted by bob; would be taken back" in laptop("undo", "--dry-run").stdout
    assert laptop.json("undo")[0]["computer"] == "tower"
    assert (photos / "cat.txt").exists()


def test_a_folder_that_is_shared_already_is_opened_by_a_rule(tower, photos):
    seen = tower("share", photos, "--to", "bob", code=6).stderr
    assert "hint: let others use it with: commonhold allow WHO read photos" in seen


def test_of_several_places_it_is_said_which_is_where(laptop, photos, mine):
    (mine / "own.txt").touch()
    seen = laptop("ls", "tower:photos/2026", "laptop:mine", "tower:photos/none", code=8)
    assert seen.stdout == "laptop:mine/own.txt\ntower:photos/2026/dog.txt\n"
    assert "1 of 3 failed; the first, tower:photos/none" in seen.stderr
    assert laptop("ls", "tower:photos/2026", "tower:photos/*.txt").stdout == "2026/dog.txt\ncat.txt\n"
    assert laptop.json("ls", "tower:photos", "tower:photos/none", code=8)["failed"][0]["path"] == "tower:photos/none"


def test_a_trial_tells_of_both_what_would_go_and_what_would_not(laptop, photos, tmp_path):
    (tmp_path / "odd").mkdir()
    for name in ("a:b", "fine"):
        (tmp_path / "odd" / name).touch()
    words = "put", "-r", "--dry-run", tmp_path / "odd", "tower:photos"
    seen = laptop(*words, code=8)
    assert seen.stdout == "copy  odd/fine\n"
    assert "1 of 2 files failed" in seen.stderr
    assert laptop.json(*words, code=8)["to_copy"] == ["odd/fine"]
    assert not (photos / "odd").exists()


def test_two_spellings_of_one_name_are_told_and_make_no_copies(laptop, photos, tmp_path):
    (tmp_path / "odd").mkdir()
    for name in ("\u00fc", "u\u0308", "fine"):
        (tmp_path / "odd" / name).write_text(name)
    for _ in range(2):
        seen = laptop("put", "-r", tmp_path / "odd", "tower:photos", code=8).stderr
        assert "is called “ü” too" in seen
        assert len(names(photos / "odd")) == 2
