"""Which folders are offered, under which names."""

from __future__ import annotations

import sqlite3

import pytest

from commonhold.authority.authority import Door
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.files.shares import Shares
from commonhold.names import PersonId, ShareName

from .conftest import catalogue

ANN, BOB = PersonId("a" * 32), PersonId("b" * 32)


@pytest.fixture
def connection(tmp_path):
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def shares(connection, tmp_path):
    (tmp_path / "home").mkdir()
    for name in ("photos", "papers", "Été 2026"):
        (tmp_path / name).mkdir()
    return Shares(connection, ANN, tmp_path / "home", catalogue())


def test_a_share_has_its_folder_s_name_or_another_and_is_found_in_any_case(shares, tmp_path):
    photos = shares.offer(tmp_path / "photos")
    summer = shares.offer(tmp_path / "Été 2026", ShareName("Summer"))
    assert (photos.door.name, photos.door.owner, photos.door.kind) == ("photos", ANN, "share")
    assert shares.find("PHOTOS") is photos
    assert shares.find("summer") is summer
    assert shares.find("none") is None
    assert shares.all() == [photos, summer]


def test_shares_are_there_after_a_restart_with_the_same_ids(shares, connection, tmp_path):
    photos = shares.offer(tmp_path / "photos")
    again = Shares(connection, ANN, tmp_path / "home", catalogue()).find("photos")
    assert again is not None
    assert again.door == photos.door
    assert again.root == photos.root


def test_a_later_share_of_the_same_name_is_another_door(shares, tmp_path):
    first = shares.offer(tmp_path / "photos")
    assert shares.withdraw("Photos") is first
    assert shares.find("photos") is None
    assert (tmp_path / "photos").is_dir()
    with pytest.raises(NotFound):
        shares.withdraw("photos")
    assert shares.offer(tmp_path / "photos").door.id != first.door.id


def test_names_and_folders_are_offered_once(shares, tmp_path):
    shares.offer(tmp_path / "photos")
    with pytest.raises(Conflict, match="shared already, as photos"):
        shares.offer(tmp_path / "photos", ShareName("other"))
    with pytest.raises(Conflict, match="There is a share PHOTOS already"):
        shares.offer(tmp_path / "papers", ShareName("PHOTOS"))
    (tmp_path / "photos" / "inner").mkdir()
    assert shares.offer(tmp_path / "photos" / "inner").door.name == "inner"


def test_what_must_not_be_seen_is_not_offered(shares, tmp_path):
    (tmp_path / "home" / "keys").mkdir()
    (tmp_path / "photos" / ".commonhold" / "tmp").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "way in").symlink_to(tmp_path / "home", catalogue())
    for folder in ("home", "home/keys", ".", "way in", "file", "photos/.commonhold/tmp"):
        with pytest.raises(WrongUsage):
            shares.offer(tmp_path / folder, ShareName("x"))
    with pytest.raises(NotFound):
        shares.offer(tmp_path / "none")
    (tmp_path / "con").mkdir()
    with pytest.raises(WrongUsage, match="reserves"):
        shares.offer(tmp_path / "con")
    assert shares.all() == []


def test_a_share_whose_disk_was_taken_away_stays_listed(shares, connection, tmp_path):
    shares.offer(tmp_path / "photos")
    (tmp_path / "photos").rmdir()
    (again,) = Shares(connection, ANN, tmp_path / "home", catalogue()).all()
    assert again.missing
    (tmp_path / "photos").mkdir()
    assert not again.missing


def test_the_folder_of_a_job_is_there_until_it_is_dropped_and_never_listed(shares, tmp_path):
    door = Door("job", "job-1", ".job-1", BOB)
    job = shares.add_job(".job-1", tmp_path / "papers", door)
    assert shares.find(".job-1") is job
    assert job.door is door
    assert shares.all() == []
    with pytest.raises(WrongUsage):
        shares.add_job("photos", tmp_path / "papers", door)
    shares.drop_job(".job-1")
    shares.drop_job(".job-1")
    assert shares.find(".job-1") is None
