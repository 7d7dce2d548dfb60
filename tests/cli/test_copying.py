"""Files between computers as a person types it, with real nodes: laptop is bob's, and shares `mine`; tower is ann's."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

import commonhold
from commonhold.errors import CommonholdError

from ..conftest import until

LONG_AGO = 1_234_567_890
LARGE = os.urandom(3_000_000)


@pytest.fixture
def mine(laptop, tmp_path):
    """A folder of laptop, offered as `mine`."""
    folder = tmp_path / "mine"
    folder.mkdir()
    laptop("share", folder)
    yield folder
    laptop("unshare", "mine")


def names(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".commonhold" not in path.parts
    )


def test_cp_goes_from_computer_to_computer(laptop, photos, mine):
    (photos / "large.bin").write_bytes(LARGE)
    os.utime(photos / "large.bin", (LONG_AGO, LONG_AGO))
    assert laptop("cp", "tower:photos/large.bin", "laptop:mine").stdout == "1 file copied, 3.0 MB.\n"
    assert (mine / "large.bin").read_bytes() == LARGE
    assert (mine / "large.bin").stat().st_mtime == LONG_AGO
    report = laptop.json("cp", "-r", "tower:photos/", "laptop:mine")
    assert (report["files"], report["same"]) == (2, 1)
    assert names(mine) == names(photos) == ["2026/dog.txt", "cat.txt", "large.bin"]
    laptop("cp", "laptop:mine/cat.txt", "laptop:mine/lion.txt")
    assert (mine / "lion.txt").read_text() == "miau\n"
    assert "is a folder" in laptop("cp", "tower:photos/2026", "laptop:mine", code=2).stderr


def test_mv_takes_away_what_has_arrived(laptop, photos, mine):
    (photos / "large.bin").write_bytes(LARGE)
    assert laptop("mv", "tower:photos/*", "laptop:mine").stdout.startswith("3 files moved, 3.0 MB")
    assert (names(photos), names(mine)) == ([], ["2026/dog.txt", "cat.txt", "large.bin"])
    assert not (photos / "2026").exists()
    assert (mine / "large.bin").read_bytes() == LARGE
    laptop("mv", "laptop:mine/cat.txt", "laptop:mine/2026/lion.txt")
    assert names(mine) == ["2026/dog.txt", "2026/lion.txt", "large.bin"]
    laptop("mkdir", "laptop:mine/all")
    told = laptop("mv", "laptop:mine/2026", "laptop:mine/large.bin", "laptop:mine/all").stdout
    assert told == "1 file and 1 whole folder moved.\n"
    assert laptop("mv", "laptop:mine/all", "laptop:mine/past").stdout == "1 whole folder moved.\n"
    assert laptop.json("mv", "laptop:mine/past/*", "laptop:mine")["folders"] == 1
    (photos / "dog.txt").write_text("another dog")
    laptop("mv", "tower:photos/dog.txt", "laptop:mine/2026", code=6)
    assert (photos / "dog.txt").read_text() == "another dog", "nothing that is there is replaced"
    assert (mine / "2026" / "dog.txt").read_text() == "woof\n"


def test_links_and_devices_are_left_out_and_counted_and_odd_names_fail(laptop, mine, tmp_path):
    (home := tmp_path / "home").mkdir()
    (home / "a.txt").write_text("a")
    os.utime(home / "a.txt", (LONG_AGO, LONG_AGO))
    for name in ("one", "two:three", "gone"):
        (home / name).symlink_to("nowhere" if name == "gone" else "a.txt")
    os.mkfifo(home / "pipe")
    left = "; 3 links left out; 1 pipe or device left out.\n"
    dry = laptop("put", "-r", "--delete", "--dry-run", f"{home}/", "laptop:mine").stdout
    assert dry.endswith(f"1 would be copied, 0 deleted{left}")
    assert laptop("put", "-r", f"{home}/", "laptop:mine").stdout == f"1 file copied, 1 B{left}"
    (home / "a:b").write_text("odd")
    (home / "b.txt").write_text("b")
    told = laptop.json("put", "-r", f"{home}/", "laptop:mine", code=8)
    assert [each["path"] for each in told["failed"]] == ["a:b"]
    assert (told["files"], [path.rpartition("/")[2] for path in told["links"]]) == (1, ["gone", "one", "two:three"])
    assert names(mine) == ["a.txt", "b.txt"]


def test_how_long_a_share_keeps_what_was_is_said_and_taken_back(laptop, mine):
    (mine / "a.txt").write_text("a")
    usual = laptop.json("history", "laptop:mine", "--days", "30")
    assert "for 3 days, in 5.0 MB at most" in laptop("history", "laptop:mine", "--days", "3", "--space", "5MB").stdout
    laptop("history", "laptop:mine", "--space", "much", code=2)
    assert laptop.json("history", "laptop:mine", "--days", "default", "--space", "default") == usual


def test_a_dry_run_fails_where_the_real_one_would(laptop, photos, mine, tmp_path):
    (source := tmp_path / "source").mkdir()
    (source / "a.txt").write_text("a")
    mine.rename(tmp_path / "away")
    away = [("put", "-r", "--delete", f"{source}/"), ("put", "-r", source), ("put", source / "a.txt")]
    away += [("cp", "-r", "tower:photos/"), ("cp", "tower:photos/cat.txt")]
    for words in away:
        for dry in ((), ("--dry-run",)):
            assert "The folder of the share mine is not there" in laptop(*words, *dry, "laptop:mine", code=3).stderr
    (tmp_path / "away").rename(mine)
    (mine / "file").touch()
    for where in ("new/deep", "file/deep"):
        for dry in ((), ("--dry-run",)):
            laptop("put", "-r", *dry, f"{source}/", f"laptop:mine/{where}", code=6)
    assert names(mine) == ["file"]
    several = ("put", "--dry-run", source / "a.txt", photos / "cat.txt", "laptop:mine/new/deep")
    assert laptop(*several).stdout.endswith("2 would be copied, 0 deleted.\n"), "several have their folder made"


def test_both_versions_are_kept_and_the_person_is_told(laptop, photos, tmp_path):
    here = tmp_path / "here.txt"
    laptop("get", "tower:photos/cat.txt", here)
    here.write_text("mine\n")
    (photos / "cat.txt").write_text("theirs\n")
    told = laptop.json("put", here, "tower:photos/cat.txt", code=6)
    ((kept),) = told["kept"]
    assert told["kind"] == "Conflict"
    assert kept["path"] == "cat.txt"
    assert (photos / kept["kept"]).read_text() == "mine\n"
    seen = laptop("get", "tower:photos/cat.txt", here, code=6)
    assert "was changed at both ends, and both are kept" in seen.stderr
    assert (here.read_text(), next(tmp_path.glob("here (conflict of laptop, *).txt")).read_text()) == (
        "theirs\n",
        "mine\n",
    )


def test_a_mirror_is_tried_before_it_is_made(laptop, photos, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    (here / "new.txt").write_text("new")
    (here / "Thumbs.db").write_text("rubbish")
    words = ("put", "-r", "--delete", f"{here}/", "tower:photos")
    tried = laptop(*words, "--dry-run").stdout.splitlines()
    assert tried == [
        "copy  new.txt", "delete  2026", "delete  cat.txt", "Nothing was done; 1 would be copied, 2 deleted.",
    ]  # fmt: skip
    assert laptop(*words).stdout == "1 file copied, 3 B; 2 deleted.\n"
    assert names(photos) == ["new.txt"]
    assert laptop.json(*words)["files"] == 1, "what is of this very second is trusted by nobody"
    assert "one folder" in laptop("put", "-r", "--delete", here, here, "tower:photos", code=2).stderr
    assert "-r with --delete" in laptop("get", "--delete", "tower:photos/new.txt", here, code=2).stderr


def test_several_of_which_some_are_not_there(laptop, photos, tmp_path):
    laptop("get", "tower:photos/cat.txt", "tower:photos/2026/dog.txt", tmp_path / "both")
    assert names(tmp_path / "both") == ["cat.txt", "dog.txt"]
    some = laptop.json("get", "tower:photos/cat.txt", "tower:photos/none", tmp_path / "both", code=8)
    assert [failed["path"] for failed in some["failed"]] == ["tower:photos/none"]
    laptop("get", "tower:photos/none", "tower:photos/nil", tmp_path / "both", code=3)
    laptop("get", "tower:photos/*.gif", tmp_path / "both", code=3)
    laptop("get", "tower:photos/cat.txt", "tower:photos/2026/dog.txt", tmp_path / "both" / "cat.txt", code=6)
    laptop("rm", "tower:photos/none", "tower:photos/*.txt", code=8)
    assert names(photos) == ["2026/dog.txt"]
    seen = laptop("rm", "-r", "tower:photos/20*").stdout
    assert laptop.json("ls", "tower:photos") == []
    assert seen.startswith("What fits tower:photos/20* is deleted")


def test_rm_says_what_brings_back_and_only_where_it_does(laptop, photos):
    for what, gone in (("cat.txt", "cat.txt"), ("2*/*.txt", "2026/dog.txt")):
        seen = laptop("rm", f"tower:photos/{what}").stdout
        assert gone not in names(photos)
        kept = False
        with suppress(CommonholdError), commonhold.connect(laptop.home) as network:
            kept = bool(network.history("tower:photos"))
        assert ("; this brings it back: commonhold " in seen) == kept
        if kept:
            laptop(*shlex.split(seen.partition("back: commonhold ")[2]))
            assert gone in names(photos)


def test_where_some_could_not_be_deleted_it_is_said_what_brings_back_the_others(laptop, photos):
    seen = laptop("rm", "tower:photos/*", code=8).stderr
    assert names(photos) == ["2026/dog.txt"]
    assert "delete it and all that is in it with -r" in seen
    laptop(*shlex.split(seen.partition("comes back with: commonhold ")[2].splitlines()[0]))
    assert names(photos) == ["2026/dog.txt", "cat.txt"]


def test_undo_passes_by_what_one_may_not_write_and_says_what_it_could_not_take_back(laptop, tower, photos, tmp_path):
    drop = tmp_path / "drop"
    drop.mkdir()
    tower("share", drop, "--to", "bob", "--verb", "add")
    try:
        laptop("rm", "tower:photos/cat.txt")
        laptop("mkdir", "tower:photos/new")
        (photos / "new" / "somebody.txt").write_text("else")
        words = "undo", "--since", "1m", "tower:"
        tried = laptop(*words, "--dry-run", code=8)
        assert "photos/cat.txt: deleted by bob; would be taken back" in tried.stdout
        assert "something is in it" in tried.stderr
        told = laptop.json(*words, code=8)
        assert "cat.txt" in [each["path"] for each in told["undone"]]
        assert [each["path"] for each in told["failed"]] == ["new"]
        assert (photos / "cat.txt").exists()
        assert "may not write" in laptop("undo", "tower:drop", code=4).stderr
    finally:
        tower("unshare", "drop")


def test_globs_are_the_same_everywhere(laptop, photos):
    assert laptop("ls", "tower:photos/**/*.txt").stdout == "2026/dog.txt\ncat.txt\n"
    assert laptop("cat", "tower:photos/**/*.txt", "tower:photos/cat.txt").stdout == "woof\nmiau\nmiau\n"
    assert [entry["path"] for entry in laptop.json("ls", "-r", "tower:photos/2*")] == ["2026", "2026/dog.txt"]
    laptop("mkdir", "tower:photos/one", "tower:photos/two")
    assert (photos / "two").is_dir()


def test_a_folder_is_not_put_into_itself(laptop, mine):
    (mine / "a").write_text("x")
    assert "would go into itself" in laptop("put", "-r", mine, "laptop:mine", code=2).stderr
    assert names(mine) == ["a"]


def test_ctrl_c_leaves_a_part_and_nothing_else(laptop, photos, tmp_path):
    (photos / "large.bin").write_bytes(LARGE)
    target = tmp_path / "got" / "large.bin"
    target.parent.mkdir()
    words = ["--home", str(laptop.home), "get", "--limit", "2MB", "tower:photos/large.bin", str(target)]
    getting = subprocess.Popen([sys.executable, "-m", "commonhold", *words], stderr=subprocess.PIPE, text=True)
    until(lambda: [part for part in target.parent.iterdir() if part.stat().st_size], "a part has come")
    getting.send_signal(signal.SIGINT)
    _, err = getting.communicate(timeout=60)
    assert (getting.returncode, err) == (130, "commonhold: Interrupted.\n")
    assert [name.endswith(".commonhold-part") for name in names(target.parent)] == [True]
    laptop("get", "tower:photos/large.bin", target)
    assert names(target.parent) == ["large.bin"]
    assert target.read_bytes() == LARGE
