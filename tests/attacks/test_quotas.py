"""A member who may store so much and no more, and stores more: what is not counted fills another's disk."""

from __future__ import annotations

import pytest

from ..conftest import town
from .reach import As, enrol

QUOTA = 10_000
PIECE = b"x" * 4_000


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("casa")
    with town(folder) as make:
        tower, desk = make("tower", "ann"), make("desk", "mallory")
        tower.create("casa")
        enrol(desk, tower)
        for name, verb in (("common", "write"), ("inbox", "add")):
            (folder / name).mkdir()
            tower.net.share(folder / name, to="mallory", verb=verb)
        yield tower, desk, folder


def used(tower):
    return sum(each.bytes for each in tower.net.quotas() if each.person == "mallory")


def stored(folder):
    files = (each for name in ("common", "inbox") for each in (folder / name).rglob("*") if each.is_file())
    return sum(each.stat().st_size for each in files)


@pytest.mark.parametrize(
    "path",
    [
        "/dav/common/e%CC%81%C3%A9-{}",  # é decomposed, and é composed: found on the disk by this very spelling only
        "/dav/common/e%CC%81%C3%A9/{}",
        "/dav/inbox/e%CC%81%C3%A9-{}",
        "/dav/inbox/again",  # gets a number each time: nothing is replaced, and nothing made room
        "/dav/inbox/taken/{}",  # a file stands where the folder would: it is stepped around
    ],
)
def test_what_a_quota_does_not_hold_is_stored_under_no_spelling_and_in_no_folder(network, path):
    tower, desk, folder = network
    tower.net.set_quota("mallory", bytes=10 * QUOTA)
    ask = As(tower, desk)
    (folder / "common" / "e\u0301\u00e9").mkdir(exist_ok=True)
    ask("PUT", "/dav/inbox/taken", b"x")
    before, counted = stored(folder), used(tower)
    tower.net.set_quota("mallory", bytes=counted + QUOTA)
    answers = [ask("PUT", path.format(number), PIECE).status for number in range(4)]
    assert answers == [201, 201, 507, 507]
    assert stored(folder) - before == used(tower) - counted == 2 * len(PIECE)


def test_a_drop_box_does_not_tell_by_the_length_of_a_path_whether_a_name_is_taken(network):
    tower, desk, folder = network
    tower.net.set_quota("mallory")
    ask = As(tower, desk)
    deep = "/".join(["d" * 250] * 16)
    longest = f"{deep}/{'e' * (4096 - len(deep) - 1)}"
    before = stored(folder)
    assert {ask("PUT", f"/dav/inbox/{longest}", b"x").status for _ in range(3)} == {400}
    assert stored(folder) == before


def test_one_upload_into_many_new_folders_of_a_drop_box_does_not_exceed_a_quota_of_files(network):
    tower, desk, folder = network
    tower.net.set_quota("mallory", files=sum(each.files for each in tower.net.quotas()) + 3)
    ask = As(tower, desk)
    assert ask("PUT", f"/dav/inbox/{'/'.join(['deep'] * 200)}", b"x").status == 507
    assert not (folder / "inbox" / "deep").exists()
    assert ask("PUT", "/dav/inbox/one/two/three", b"x").status == 201
