"""How many files lie in shares: each once, and what could not be counted is said."""

from __future__ import annotations

import sqlite3

from commonhold.authority.authority import Verb, permit
from commonhold.files import counting
from commonhold.files.counting import Counting
from commonhold.files.shares import Shares

from ..authority.suite import ANN, Casa
from .conftest import catalogue


def counted(shares):
    casa, found = Casa("peer"), Counting(shares)
    while folders := found.ahead():
        own = casa.who("tower")
        found.look([(each, permit(casa.authority, own, Verb.LIST, each.share.door, each.path)) for each in folders])
    return found


def offered(tmp_path, *names):
    shares = Shares(sqlite3.connect(":memory:", isolation_level=None), ANN, tmp_path / "state", catalogue())
    for name in names:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "file").write_bytes(b"x" * len(name))
    return [shares.offer(tmp_path / name) for name in names]


def test_a_file_of_a_share_within_another_counts_once_for_both(tmp_path):
    outer, inner, deep, other = offered(tmp_path, "a", "a/été", "a/été/x/deep", "b")
    found = counted([outer, inner, deep, other])
    one, two, three, four = (each.door.id for each in (outer, inner, deep, other))
    assert found.files == {
        frozenset({one}): 1,
        frozenset({one, two}): 1,
        frozenset({one, two, three}): 1,
        frozenset({four}): 1,
    }
    assert found.bytes[frozenset({one, two})] == len("a/été")
    assert not found.troubles


def test_what_no_share_gives_out_does_not_count(tmp_path):
    (share,) = offered(tmp_path, "a")
    (tmp_path / "secret").write_text("not shared")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "a" / ".commonhold" / "versions").mkdir(parents=True)
    (tmp_path / "a" / ".commonhold" / "versions" / "old").write_text("was")
    assert counted([share]).files.total() == 1


def test_a_folder_that_is_away_is_named_and_the_others_are_counted(tmp_path):
    away, here = offered(tmp_path, "away", "here")
    (tmp_path / "away" / "file").unlink()
    (tmp_path / "away").rmdir()
    found = counted([away, here])
    assert (found.files.total(), found.troubles) == (1, ["The folder of away is not there."])


def test_very_many_files_are_counted_as_far_as_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "MOST", 3)
    shares = offered(tmp_path, "a", "b", "c", "d", "e")
    monkeypatch.setattr(counting, "TOGETHER", 1)
    found = counted(shares)
    assert found.files.total() == 3
    assert found.troubles == ["There are more than 3 files here: some are not counted."]
