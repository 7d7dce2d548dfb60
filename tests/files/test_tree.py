"""Folders from one end to another: what is skipped, left out, taken away, and kept when both ends changed it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.authority import Verb
from commonhold.errors import Changed, Conflict, NotFound, WrongUsage
from commonhold.files.used import conflict, copy, moving, tree
from commonhold.files.used.copy import Copies
from commonhold.files.used.globs import named
from commonhold.files.used.ignoring import Ignoring, lines_of
from commonhold.files.used.origin import Origin
from commonhold.files.used.spool import MOST, Spool
from commonhold.files.used.tally import Counts, Report
from commonhold.files.used.tree import Manner
from commonhold.names import SharePath

LONG_AGO = 1_234_567_890


def path(text: str) -> SharePath:
    return SharePath.parse(text)


def plant(root: Path, **files: str) -> Path:
    """Files of long ago: `plant(root, a="x", sub__b="y")`."""
    for name, text in files.items():
        file = root / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (LONG_AGO, LONG_AGO))
    return root


def seen(root: Path) -> dict[str, str]:
    """Every file below, with what is in it; nothing of ours."""
    return {
        str(each.relative_to(root)): each.read_text()
        for each in root.rglob("*")
        if each.is_file() and ".commonhold" not in each.parts
    }


class Laptop:
    """bob's copies to and from tower's share `photos`."""

    def __init__(self, tower, folder: Path) -> None:
        self.tower, self.folder = tower, folder
        self.share = tower.offer("photos", laptop=Verb.WRITE)

    async def _copy(self, work, **how) -> Report:
        with Copies(Manner(recursive=True, computer="laptop", **how)) as copies:
            await work(copies, copies.remote(self.tower.caller("laptop"), self.tower.peer, "photos"))
            return copies.counts.report()

    async def put(self, local: Path, to: str = "", into: bool | None = False, **how) -> Report:
        return await self._copy(lambda copies, there: copies.put(local, there, path(to), into), **how)

    async def get(self, where: str, local: Path, into: bool | None = False, **how) -> Report:
        return await self._copy(lambda copies, there: copies.get(there, path(where), local, into), **how)

    async def cp(self, where: str, to: str, into: bool | None = None, **how) -> Report:
        return await self._copy(lambda copies, there: copies.across(there, path(where), there, path(to), into), **how)


@pytest.fixture
def laptop(tower, tmp_path) -> Laptop:
    return Laptop(tower, tmp_path)


async def test_what_is_the_same_is_not_copied_again(laptop, tmp_path):
    here = plant(tmp_path / "here", a="one", sub__b="two")
    assert (await laptop.put(here)).files == 2
    again = await laptop.put(here)
    assert (again.files, again.same, again.bytes) == (0, 2, 0)
    plant(here, a="ONE")  # of the same size and time: only its bytes tell
    assert (await laptop.put(here)).same == 2
    by_digest = await laptop.put(here, checksum=True)
    assert (by_digest.files, by_digest.same) == (1, 1)
    (here / "a").write_text("ii!")  # of now: nobody trusts a second that is not over
    assert (await laptop.put(here)).files == 1
    assert (await laptop.put(here)).files == 1
    assert seen(laptop.share.root) == seen(here)

    back = tmp_path / "back"
    assert (await laptop.get("", back)).files == 2
    assert ((await laptop.get("", back)).same, seen(back)) == (2, seen(here))
    plant(laptop.share.root, a="iii")
    os.utime(laptop.share.root / "a", (back / "a").stat()[7:9])
    told = await laptop.get("", back)  # the same size and time, but the etag of which this is a copy is gone
    assert (told.files, told.kept, (back / "a").read_text()) == (1, [], "iii")


async def test_of_long_folders_one_is_held_at_a_time(laptop, tmp_path, monkeypatch):
    monkeypatch.setattr(tree, "LONG", 2)
    here = plant(tmp_path / "here", **{f"{folder}__{name}": name for folder in "abcdef" for name in "12345"})
    assert (await laptop.put(here)).files == 30
    assert (await laptop.put(here)).same == 30
    assert (await laptop.get("", here, delete=True)).same == 30


async def test_a_file_named_by_itself_is_skipped_only_under_its_own_name(laptop, tmp_path):
    here = plant(tmp_path / "here", a="one", b="two")
    await laptop.put(here / "a", "a")
    assert (await laptop.put(here / "a", "a")).same == 1
    assert (await laptop.put(here / "b", "a")).files == 1
    assert (laptop.share.root / "a").read_text() == "two"


async def test_a_mirror_takes_away_what_the_source_has_not(laptop, tmp_path):
    there = plant(laptop.share.root, a="x", old="x", gone__deep__b="x", keep__o_tmp="x", junk__x="x")
    (there / "keep" / ".DS_Store").touch()
    here = plant(tmp_path / "here", a="x", new="n", junk__x="x")
    tried = await laptop.put(here, delete=True, dry_run=True, ignore=("*.tmp",))
    assert (tried.to_copy, tried.to_delete) == (["new"], ["gone", "old"])
    assert "old" in seen(there)
    done = await laptop.put(here, delete=True, ignore=("*.tmp",))
    assert (done.files, done.same, done.removed) == (1, 2, 2)
    assert set(seen(there)) == {"a", "new", "junk/x", "keep/o.tmp", "keep/.DS_Store"}
    assert (await laptop.put(here, delete=True, ignore=None)).removed == 1
    assert seen(there) == seen(here)

    back = plant(tmp_path / "back", extra__b="x", a="x")
    (back / "link").symlink_to("a")
    done = await laptop.get("", back, delete=True)
    assert (done.removed, seen(back)) == (1, {**seen(here), "link": "x"})


async def test_names_are_compared_in_one_form_and_stay_in_their_own(laptop, tmp_path):
    composed, apart = "\u00e9t\u00e9", "e\u0301te\u0301"
    plant(laptop.share.root, **{f"{composed}__a": "new, and longer", composed[0]: "x"})
    back = plant(tmp_path / "back", **{f"{apart}__a": "old", f"{apart}__gone": "x", apart[:2]: "x", f"{apart}2": "x"})
    done = await laptop.get("", back, delete=True)
    assert (done.files, done.same, done.removed) == (1, 1, 2)
    assert {name: text for name, text in seen(back).items() if "conflict" not in name} == {
        f"{apart}/a": "new, and longer",
        apart[:2]: "x",
    }


async def test_only_a_folder_can_be_mirrored_and_not_into_everything(laptop, tmp_path, monkeypatch):
    plant(laptop.share.root, a="x", sub__b="x")
    with pytest.raises(WrongUsage, match="one folder"):
        await laptop.get("a", tmp_path / "a", delete=True)
    with pytest.raises(WrongUsage, match="one folder"):
        await laptop.get("s*", tmp_path, delete=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WrongUsage, match="would go"):
        await laptop.get("", tmp_path, delete=True)


async def test_a_mirror_of_nothing_or_of_what_cannot_be_listed_takes_nothing_away(laptop, tower, tmp_path):
    there = plant(laptop.share.root, a="x", sub__b="x", locked__c="x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Conflict, match="is empty: nothing was deleted"):
        await laptop.put(tmp_path / "empty", delete=True)
    with pytest.raises(NotFound):
        await laptop.put(tmp_path / "nowhere", delete=True)
    tower.locked.add("/dav/photos/locked")
    back = plant(tmp_path / "back", mine="x")
    told = await laptop.get("", back, delete=True)
    assert [name for name, _ in told.failed] == ["--delete", "locked"]
    assert (back / "mine").exists()
    assert set(seen(there)) == {"a", "sub/b", "locked/c"}


async def test_what_systems_strew_about_stays_where_it_is(laptop, tmp_path):
    here = plant(tmp_path / "here", a_txt="x", sub__thumbs_db="x", b_o="x", build__c="x", docs__x__d_tmp="x")
    for name in ("~$a.doc", ".DS_Store", "._b"):
        (here / name).touch()
    (here / ".commonholdignore").write_text("# what is made\nbuild/\n\ndocs/**/*.tmp\n")
    await laptop.put(here, ignore=("*.O",))
    assert set(seen(laptop.share.root)) == {"a.txt", ".commonholdignore"}
    plant(laptop.share.root, build__more="x", docs__b_tmp="x")
    await laptop.get("", tmp_path / "back")
    assert set(seen(tmp_path / "back")) == {"a.txt", ".commonholdignore"}
    every = await laptop.put(here, "all", ignore=None)
    assert every.files == 9


@pytest.mark.parametrize(
    ("pattern", "path", "folder", "out"),
    [
        ("*.o", "a/b/c.O", False, True), ("*.o", "a.o.txt", False, False), ("build/", "x/build", True, True),
        ("build/", "build", False, False), ("/a", "a", False, True), ("/a", "b/a", False, False),
        ("a/*", "a/b", False, True), ("a/**/z", "a/b/c/z", False, True), ("é", "é", False, True),
        ("[", "[", False, True), ("a/", "a/b", True, False),
    ],
)  # fmt: skip
def test_patterns(pattern, path, folder, out):
    assert Ignoring([pattern])(path, folder) is out


@given(st.lists(st.text(max_size=8), max_size=4), st.text("ab/.", min_size=1, max_size=8), st.booleans())
def test_no_pattern_breaks_anything(patterns, path, folder):
    out = Ignoring(patterns)(path, folder)
    assert out in {True, False}
    assert not Ignoring([])(path, folder)
    assert lines_of("\n".join(patterns).encode(errors="replace")) is not None


async def test_what_was_changed_at_both_ends_is_kept_at_both(laptop, tmp_path):
    there, here = laptop.share.root, tmp_path / "here"
    plant(there, report_txt="first")
    await laptop.get("", here)
    (here / "report.txt").write_text("mine")
    (there / "report.txt").write_text("theirs")

    told = await laptop.put(here)
    ((name, kept),) = told.kept
    assert (name, told.failed) == ("report.txt", [])
    assert kept.startswith("report (conflict of laptop, ")
    assert seen(there) == {"report.txt": "theirs", kept: "mine"}

    told = await laptop.get("report.txt", here / "report.txt")
    ((name, kept),) = told.kept
    assert (Path(name), Path(kept).parent) == (here / "report.txt", here)
    assert (Path(name).read_text(), Path(kept).read_text()) == ("theirs", "mine")

    Path(name).write_text("mine again")
    assert (await laptop.put(here / "report.txt", "report.txt")).kept == [], "it is of what is there now"
    Path(name).write_text("and again")
    assert (await laptop.put(here / "report.txt", "report.txt")).kept == [], "a put is followed as well"
    assert (there / "report.txt").read_text() == "and again"


async def test_of_both_changes_that_are_the_same_nobody_hears(laptop, tmp_path):
    there, here = laptop.share.root, tmp_path / "here"
    plant(there, a="first")
    await laptop.get("", here)
    for root in (here, there):
        (root / "a").write_text("corrected")
    assert (await laptop.get("", here)).kept == []
    (here / "b").write_text("mine")
    (there / "b").write_text("theirs, and longer")
    assert len((await laptop.get("", here)).kept) == 1, "of a file that was never copied nothing is known"
    (here / "b").write_text("")
    assert (await laptop.get("", here)).kept == [], "nothing is lost with an empty one"


async def test_a_file_that_changes_there_between_look_and_put_stays(laptop, tower, tmp_path):
    here = plant(tmp_path / "here", a="mine")
    (laptop.share.root / "a").write_text("seen")

    def meanwhile(progress) -> None:
        (laptop.share.root / "a").write_text("somebody else's")

    told = await laptop.put(here, progress=meanwhile)
    ((_, kept),) = told.kept
    assert seen(laptop.share.root) == {"a": "somebody else's", kept: "mine"}
    (laptop.share.root / "a").write_text("seen again")
    with pytest.raises(Changed):  # without a name for it there is nothing but the error
        await copy.put(tower.caller("laptop"), tower.peer, here / "a", "photos", path("a"), progress=meanwhile)


def test_names_of_conflicts_fit_and_never_end():
    moment = conflict.datetime(2026, 11, 24, 19, 30)
    names = conflict.names("é" * 126 + ".txt", "laptop", moment)
    first, second = next(names), next(names)
    assert first.endswith(" (conflict of laptop, 2026-11-24 19.30).txt")
    assert second.endswith(" (conflict of laptop, 2026-11-24 19.30, 2).txt")
    assert max(len(name.encode()) for name in (first, second)) <= 255
    SharePath((first,)).require_portable()


def test_an_origin_of_somebody_else_s_making_is_none(tmp_path):
    file = tmp_path / "a"
    file.write_text("x")
    for rubbish in (b"", b"{", b'{"computer": 1}', b"\xff"):
        os.setxattr(file, "user.commonhold.origin", rubbish)
        assert Origin.of(file) is None
    assert Origin.of(tmp_path / "none") is None


async def test_globs_name_files_and_folders_there(laptop, tower, tmp_path):
    there = tower.remote("laptop", "photos")
    plant(laptop.share.root, a_jpg="x", b_png="x", sub__c_jpg="x", sub__deep__d_jpg="x", other__e_jpg="x")
    (laptop.share.root / "[odd]*.jpg").write_text("a name with a star")

    async def fitting(glob: str) -> list[str]:
        return sorted([entry.path async for entry in named(there, path(glob))])

    assert await fitting("*.png") == ["b.png"]
    assert await fitting("**/*.jpg") == ["[odd]*.jpg", "a.jpg", "other/e.jpg", "sub/c.jpg", "sub/deep/d.jpg"]
    assert await fitting("s*/**/d.jpg") == ["sub/deep/d.jpg"]
    assert await fitting("s*") == ["sub"]
    assert await fitting("[odd]*.jpg") == ["[odd]*.jpg"]
    tower.locked.add("/dav/photos/other")
    assert await fitting("sub/*/d.jpg") == ["sub/deep/d.jpg"], "what cannot fit is not looked into"
    with pytest.raises(NotFound, match=r"matches photos/\*.gif"):
        await fitting("*.gif")

    told = await laptop.get("s*", tmp_path / "got")
    assert (told.files, set(seen(tmp_path / "got"))) == (2, {"sub/c.jpg", "sub/deep/d.jpg"})


async def test_rm_takes_away_what_fits_and_names_what_does_not_go(laptop, tower):
    there = tower.remote("laptop", "photos")
    plant(laptop.share.root, a_tmp="x", b_tmp="x", sub__c_tmp="x", dir_tmp__d="x", stays="x")
    counts = Counts()
    await moving.remove(there, path("*.tmp"), False, counts)
    assert (counts.removed, [name for name, _ in counts.failed]) == (2, ["dir.tmp"])
    with pytest.raises(WrongUsage, match="is a folder"):
        await moving.remove(there, path("sub"), False, counts)
    await moving.remove(there, path("**/*.tmp"), True, Counts())
    assert set(seen(laptop.share.root)) == {"stays"}


async def test_within_one_computer_it_copies_itself_and_nothing_into_itself(laptop, tmp_path):
    plant(laptop.share.root, a="x" * 300_000, sub__b="y")
    assert (await laptop.cp("a", "c")).bytes == 300_000
    assert (await laptop.cp("sub", "sub2")).files == 1
    told = await laptop.cp("*", "sub2")
    assert (told.files, [name for name, _ in told.failed]) == (3, ["sub2"])
    for source, target in (("sub", "sub"), ("sub", "sub/deep"), ("a", "a")):
        with pytest.raises(WrongUsage, match="itself"):
            await laptop.cp(source, target)
    with pytest.raises(Conflict):
        await laptop.cp("a", "nowhere/a")


async def test_a_limit_holds_for_all_of_a_command(laptop, tmp_path):
    here = plant(tmp_path / "here", **{f"f{number}": "x" * 20_000 for number in range(4)}, big="x" * 300_000)
    begun = time.monotonic()
    assert (await laptop.put(here, limit=1_000_000)).files == 5
    assert time.monotonic() - begun >= 0.25, "380 kB at 1 MB a second, a tenth of a second's worth at once"
    begun = time.monotonic()
    assert (await laptop.get("", tmp_path / "back", limit=1_000_000)).bytes == 380_000
    assert time.monotonic() - begun >= 0.25


class Numbered(msgspec.Struct):
    number: int


@given(st.lists(st.integers(1, MOST * 2), min_size=1, max_size=6), st.lists(st.integers(0, MOST * 2), max_size=6))
def test_a_spool_gives_all_in_order_however_much_waits(puts, takes):
    async def through() -> list[int]:
        spool, got, count = Spool(Numbered), [], 0
        for put, take in zip(puts, [*takes, *puts], strict=False):
            for _ in range(put):
                spool.put(Numbered(count))
                count += 1
            got += [found.number for _ in range(take) if (found := spool.take_now())]
        waiting = asyncio.ensure_future(spool.take()) if len(got) == count else None
        await asyncio.sleep(0)
        spool.end()
        if waiting:
            assert await waiting is None
        while (found := await spool.take()) is not None:
            got.append(found.number)
        spool.close()
        assert len(got) == count
        return got

    got = asyncio.run(through())
    assert got == list(range(len(got)))
