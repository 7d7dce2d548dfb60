"""What is kept of a share's files goes when it is too old or too much, and when a full disk needs the room."""

from __future__ import annotations

import os

import pytest

from commonhold.authority.authority import Verb
from commonhold.files import pruning, versions
from commonhold.files.thinning import DAY
from commonhold.files.versions import Policy

from ..authority.suite import BOB, CAROL


@pytest.fixture
def clock(folder):
    """Sets the clock of the versions: days from now on."""
    start = folder.share.versions.now()

    def later(days: float, *, at_once: bool = False) -> None:
        """Day by day, as time goes; or in one leap."""
        for day in (*range(0 if at_once else int(days)), days)[-1 if at_once else 0 :]:
            folder.share.versions.now = lambda day=day: start + int(day * DAY)
            folder.share.versions.age_counts()

    return later


def kept(folder):
    return [(row.why, row.path, row.size) for row in folder.share.versions.find("kept")]


def stored(folder):
    return [path for path in (folder.root / ".commonhold" / "versions").rglob("*") if path.is_file()]


def test_a_month_later_nothing_is_kept_and_nothing_is_left(folder, clock):
    for text in ("one", "two", "three"):
        folder.put("report.odt", text.encode())
    folder.share.delete(folder.permit(Verb.WRITE, "report.odt"))
    assert [why for why, _, _ in kept(folder)] == ["overwritten", "overwritten", "deleted"]
    folder.share.pruning.prune()
    assert len(stored(folder)) == 3
    clock(31)
    folder.share.pruning.prune()
    assert folder.share.versions.find() == []
    assert stored(folder) == []


def test_a_deleted_folder_weighs_what_is_in_it_and_the_oldest_goes_when_it_is_too_much(folder):
    folder.put("old.txt", b"x" * 600)
    folder.share.delete(folder.permit(Verb.WRITE, "old.txt"))
    folder.share.mkdir(folder.permit(Verb.WRITE, "album"))
    for name in ("a", "b"):
        folder.put(f"album/{name}", b"y" * 200)
    folder.share.delete(folder.permit(Verb.WRITE, "album"))
    assert folder.share.pruning.figures()[1:] == (1000, 2)
    folder.share.versions.set_policy(folder.share.versions.policy._replace(bytes=700))
    folder.share.pruning.prune()
    assert kept(folder) == [("deleted", "album", 400)]
    assert sorted(path.name for path in stored(folder)) == ["a", "b"]


def test_what_somebody_overwrites_without_end_costs_nobody_else_their_versions(folder):
    for person in (BOB, CAROL):
        folder.casa.allow(person, Verb.WRITE, folder.share.door)
    for text in (b"the first draft", b"the second"):
        folder.put("thesis.txt", text, who="laptop")
    for number in range(30):
        folder.put(f"junk{number % 3}", b"x" * 100, who="desk")
    folder.share.versions.set_policy(folder.share.versions.policy._replace(bytes=1000))
    folder.share.pruning.prune()
    assert kept(folder) == [("overwritten", "thesis.txt", 15), *kept(folder)[1:]]
    assert len(kept(folder)) == 1 + 9


def test_of_what_was_made_no_more_is_known_than_can_be_undone_and_never_without_end(folder, clock, monkeypatch):
    folder.casa.allow(BOB, Verb.WRITE, folder.share.door)

    def made() -> list[str]:
        return [row.path for row in folder.share.versions.find("why = 'created'")]

    folder.put("bob's", b"one", who="laptop")
    for text in (b"one", b"two"):
        folder.put("report", text)
    clock(31)
    for number in range(6):
        folder.put(f"scan{number}", b"x")
    monkeypatch.setattr(versions, "NOTED", 4)
    folder.share.versions.set_policy(Policy(days=60, bytes=0))
    folder.share.pruning.prune()
    assert kept(folder) == []
    assert made() == ["bob's", "scan3", "scan4", "scan5"], "the report's went with its version"


def test_a_full_disk_costs_only_what_is_older_than_a_day_and_an_announcement_costs_nothing(folder, clock):
    folder.put("a", b"x" * 100)
    folder.put("a", b"y" * 100)
    assert (folder.share.pruning.spare(), folder.share.pruning.make_room(50)) == (0, False)
    clock(2)
    folder.put("a", b"z" * 100)
    assert folder.share.pruning.spare() == 100
    folder.share.write(folder.permit(Verb.WRITE, "b"), 1000).abort()
    assert len(kept(folder)) == 2
    assert folder.share.pruning.make_room(50)
    assert len(stored(folder)) == len(kept(folder)) == 1
    assert not folder.share.pruning.make_room(50)


def test_what_its_owner_took_out_of_our_folder_is_found_to_be_gone(folder, clock):
    folder.put("a", b"x")
    folder.share.delete(folder.permit(Verb.WRITE, "a"))
    (lost,) = stored(folder)
    lost.unlink()
    clock(31)
    folder.share.pruning.prune()
    assert kept(folder) == []


def test_a_folder_in_which_nothing_was_changed_is_left_as_it_is(folder):
    folder.share.pruning.due()
    folder.share.pruning.prune()
    assert folder.share.pruning.spare() == 0
    assert folder.share.pruning.figures()[1:] == (0, 0)
    assert list(folder.root.iterdir()) == []


def test_a_clock_that_leaps_makes_nothing_old_and_one_that_stays_there_does(folder, clock):
    """Set ahead by a year, it made the whole history go within seconds."""
    folder.put("a", b"one")
    folder.put("a", b"two")
    clock(0)
    for days in (365, 0, 365.9):
        clock(days, at_once=True)
        folder.share.pruning.prune()
        assert kept(folder) == [("overwritten", "a", 3)]
    folder.share.versions.set_policy(folder.share.versions.policy._replace(bytes=2))
    folder.share.pruning.prune()
    assert kept(folder) == []  # what is too much goes all the same
    folder.put("a", b"3")
    folder.share.versions.set_policy(folder.share.versions.policy._replace(bytes=None))
    for days in (730, 731.5):
        clock(days, at_once=True)
        folder.share.pruning.prune()
    assert folder.share.versions.find() == []


def test_what_is_more_than_a_tenth_of_the_disk_stays_for_a_day_where_there_is_room(folder, clock, monkeypatch):
    def disk(free: int) -> None:
        now = os.statvfs_result((4096, 1, 5000, free, free, 0, 0, 0, 0, 255))
        monkeypatch.setattr(pruning.os, "fstatvfs", lambda _: now)

    folder.put("large", b"x" * 1000)
    folder.share.delete(folder.permit(Verb.WRITE, "large"))
    disk(free=2000)
    folder.share.pruning.prune()
    assert kept(folder) == [("deleted", "large", 1000)]
    disk(free=100)
    folder.share.pruning.prune()
    assert kept(folder) == []
