"""What a person types as inputs: globs, remote files, local files, values."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import CommonholdError, Conflict, NotFound, WrongUsage
from commonhold.files.used.globs import matches
from commonhold.inputs import MOST_DOUBTS, Inputs

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


def inputs(*computers):
    """Nobody is asked of whom nothing is named."""
    return Inputs(None, never, computers)


async def test_files_and_values_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local.txt").write_text("x")
    (tmp_path / "tower").write_text("a file that is called as a computer is")
    found = await inputs("tower").of(["1", "local.txt", "http://x", "tower", "other:x/y", ""])
    assert [given.kind for given in found] == ["value", "local", "value", "local", "value", "value"]
    assert found[1].text == str(tmp_path / "local.txt")
    assert [given.text for given in found if given.kind == "value"] == ["1", "http://x", "other:x/y", ""]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_a_computers_name_is_found_in_either_form(form):
    with pytest.raises(AssertionError, match="Zoë was asked"):
        await inputs("Zoë").of([unicodedata.normalize(form, "zoë:s/a")])


async def test_a_glob_in_quotes_is_expanded_here_when_it_fits_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.txt", "a.txt", "deep/c.txt", "a[1].md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [given.name for given in await inputs().of(["*.txt"])] == ["a.txt", "b.txt"]
    assert [given.reldir for given in await inputs().of(["**/*.txt"])] == ["", "", "deep"]
    assert [given.name for given in await inputs().of(["a[1].md"])] == ["a[1].md"]  # what is there is meant
    assert [given.kind for given in await inputs().of(["*.png", "2*3"])] == ["value", "value"]


async def test_a_folder_is_every_file_in_it_at_its_place(tmp_path):
    for name in ("pics/2025/a.jpg", "pics/2025/b.jpg", "pics/.DS_Store", "pics/.commonhold/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "pics/link").symlink_to(tmp_path / "pics/2025/a.jpg")
    found = await inputs().of([str(tmp_path / "pics")])
    assert [(given.reldir, given.name) for given in found] == [("2025", "a.jpg"), ("2025", "b.jpg")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no file in"):
        await inputs().of([str(tmp_path / "empty")])


@pytest.mark.parametrize("value", ["x" * 5000, "~nobody-of-that-name/x", "a\0b", "a\nb", "*", "-n", "/"[:0]])
async def test_what_cannot_be_a_files_name_is_a_value(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (found,) = await inputs("tower").of([value])
    assert (found.kind, found.text) == ("value", value)


async def test_local_files_keep_their_folders_below_what_they_share(tmp_path):
    for name in ("a/one.txt", "a/b/two.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = await inputs().of([str(tmp_path / "a/one.txt"), str(tmp_path / "a/b/two.txt")])
    assert [str(given.uploaded) for given in found] == ["in/one.txt", "in/b/two.txt"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("docs/gone.txt", "There is no file “docs/gone.txt” here"),
        ("docs/*.png", "No file here fits “docs/*.png”"),
        ("*.png", "No file here fits"),
        ("gone.pdf", "There is no file “gone.pdf” here"),
        ("example.com", ""),
        ("nas:photos/a.jpg", "There is no computer nas in the network"),
        ("http://nas/photos/a.jpg", ""),
        ("nowhere/at/all", ""),
        ("2*3", ""),
        ("12", ""),
        ("a: b/c", ""),
        ("10:30", ""),
        ("", ""),
    ],
)
async def test_a_value_that_looks_as_if_a_file_was_meant_is_told(value, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    looking = inputs("tower")
    assert [given.kind for given in await looking.of([value])] == ["value"]
    assert bool(looking.doubts) == bool(told)
    assert told in "".join(looking.doubts)


async def test_of_many_doubts_some_are_told():
    looking = inputs("tower")
    await looking.of([f"nas:x/{number}" for number in range(100)])
    assert len(looking.doubts) == MOST_DOUBTS


async def test_a_computer_is_no_input():
    with pytest.raises(WrongUsage) as refused:
        await inputs("tower").of(["tower:"])
    assert refused.value.hint == "name a folder or files: tower:SHARE/PATH"


@pytest.mark.parametrize("hostile", ["tower:photos/../secret", "tower:photos/.commonhold/x", "tower:a\\b/c"])
async def test_hostile_remote_paths_are_refused(hostile):
    with pytest.raises(WrongUsage):
        await inputs("tower").of([hostile])


@pytest.fixture
def one(computer, tmp_path):
    """A computer with a share of files."""
    one = computer("one")
    one.create("casa")
    for name in ("2025/a.txt", "2025/b.txt", "2026/c.txt", "2026/.DS_Store"):
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).write_text(f"{name}\n")
    one.net.share(tmp_path / "docs")
    return one


def test_what_is_not_at_the_other_computer_is_said_before_anything_runs(one):
    with pytest.raises(NotFound, match=r"Nothing of one matches docs/\*\.txt"):
        one.net.run("cat {}", ["one:docs/*.txt"])
    for words in (["one:docs/gone.txt"], [f"one:docs/{name}.txt" for name in "abcdefgh"]):
        with pytest.raises(NotFound):
            one.net.run("cat {}", words)
    assert one.net.jobs() == []


def test_remote_files_folders_and_shares_keep_their_places(one):
    files = one.net.plan("wc {}", ["ONE:docs/2025/a.txt", "one:docs/2026/c.txt"], "one:docs/out")
    assert [(plan.kind, plan.command, plan.into) for plan in files] == [
        ("remote", "wc a.txt", "one:docs/out/2025"),
        ("remote", "wc c.txt", "one:docs/out/2026"),
    ]
    whole = one.net.plan("wc {}", ["one:docs"])
    assert [plan.input for plan in whole] == ["one:docs/2025/a.txt", "one:docs/2025/b.txt", "one:docs/2026/c.txt"]
    assert [plan.into for plan in whole] == ["2025", "2025", "2026"]
    folder = one.net.plan("echo {#} {/.} {//}", ["one:docs/2025"])
    assert [(plan.command, plan.into) for plan in folder] == [("echo 1 a .", ""), ("echo 2 b .", "")]
    many = [f"one:docs/2025/{name}.txt" for name in "ab"] * 3
    assert [plan.input for plan in one.net.plan(["cat"], many)] == many
    assert one.net.jobs() == []


def test_what_is_typed_runs_and_its_files_come_to_their_places(one, tmp_path):
    for number in range(30):
        (tmp_path / "in" / str(number % 3)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / str(number % 3) / f"{number}.txt").write_text("x" * number)
    dry = one.cli("run", "--dry-run", "--into", "one:docs/made", "wc -c < {} > {.}.n", ":::", tmp_path / "in")
    assert len(dry.out.splitlines()) == 30
    assert dry.out.splitlines()[0].endswith("wc -c < 0.txt > 0.n  → one:docs/made/0")
    assert not (tmp_path / "docs" / "made").exists()
    heard = []
    job = one.net.run("wc -c < {} > {.}.n", [str(tmp_path / "in")], "one:docs/made", progress=heard.append)
    assert (job.state, job.done) == ("done", 30)
    assert (tmp_path / "docs/made/1/28.n").read_text().strip() == "28"
    assert [event["done_files"] for event in heard if event["event"] == "upload"][-1] == 30
    listing = "".join(f"one:docs/2025/{name}.txt\n" for name in "ab")
    piped = one.cli("run", "grep -q . {}", input=listing)
    assert piped.out == "2 done\n"
    some = one.cli("run", "exit {}", ":::", "0", "3", code=8)
    assert "1 of 2 tasks failed" in some.err


def test_a_file_that_cannot_be_read_keeps_the_job_from_beginning(one, tmp_path):
    for name in ("good", "gone"):
        (tmp_path / name).write_text("x")
    with pytest.raises(CommonholdError, match="gone"):
        one.net.run("cat {}", [str(tmp_path / "good"), str(tmp_path / "gone")], progress=_taking(tmp_path / "gone"))
    assert all(job.done == 0 for job in one.net.jobs())


def _taking(path):
    """Takes a file away when the job has been handed in, and nothing is uploaded yet."""

    def hear(event):
        if event["event"] == "job":
            path.unlink(missing_ok=True)

    return hear


def test_a_place_that_takes_no_files_is_found_before_anything_runs(one):
    for into, kind in (("one:nowhere", NotFound), ("one:nowhere/deep", NotFound), ("one:docs/2025/a.txt", Conflict)):
        with pytest.raises(kind):
            one.net.run("echo x > y", into=into)
    assert one.net.jobs() == []
    assert one.net.run("echo x > y", into="one:docs/new/folder").done == 1
