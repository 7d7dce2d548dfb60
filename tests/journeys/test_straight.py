"""`cp` and `mv` between two other computers: bob types at his laptop, files go from ann's tower to carol's nas."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from commonhold.errors import Changed, CommonholdError, PartlyFailed, Refused

from ..conftest import town, until

LONG_AGO = 1_234_567_890
RECEIVED = 128  # where the kernel's tcp_info tells the bytes that have come (64 bits)
LARGE = os.urandom(12_000_001)
SLOW = 2_000_000  # bytes a second: LARGE takes six seconds


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with town(tmp_path_factory.mktemp("straight")) as make:
        tower, nas, laptop = make("tower", "ann"), make("nas", "carol"), make("laptop", "bob")
        tower.create("casa")
        for one in (nas, laptop):
            one.join(tower)
        for one in (tower, nas, laptop):
            one.knows("tower", "nas", "laptop")
        tower.make = make
        yield tower, nas, laptop


@pytest.fixture
def photos(network, tmp_path):
    """tower's, which bob may read."""
    folder = tmp_path / "photos"
    folder.mkdir()
    network[0].net.share(folder, to="bob", verb="read")
    yield folder
    network[0].net.unshare("photos")


@pytest.fixture
def backup(network, tmp_path):
    """nas's, in which bob may write."""
    folder = tmp_path / "backup"
    folder.mkdir()
    network[1].net.share(folder, to="bob", verb="write")
    yield folder
    network[1].net.unshare("backup")


@pytest.fixture
def laptop(network):
    return network[2]


def received() -> int:
    """The bytes that have come to this process, where laptop's copies run, over its open connections."""
    total = 0
    for handle in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if not os.readlink(f"/proc/self/fd/{handle}").startswith("socket:"):  # noqa: PTH115
                continue
            with socket.socket(fileno=os.dup(int(handle))) as copy:
                if copy.family == socket.AF_INET and copy.type == socket.SOCK_STREAM:
                    told = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    total += int.from_bytes(told[RECEIVED : RECEIVED + 8], "little")
        except OSError:
            continue
    return total


def write(folder: Path, name: str, data: bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    os.utime(file, (LONG_AGO, LONG_AGO))
    return file


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".commonhold" not in path.parts
    }


def uploading(folder: Path) -> list[Path]:
    workshop = folder / ".commonhold" / "tmp"
    return list(workshop.iterdir()) if workshop.exists() else []


def test_a_file_goes_straight_and_not_through_the_computer_that_asks(laptop, photos, backup):
    write(photos, "large.bin", LARGE)
    told = []
    before = received()
    report = laptop.net.cp("tower:photos/large.bin", "nas:backup", progress=told.append)
    assert received() - before < len(LARGE) / 100
    assert (report.files, report.bytes, report.straight) == (1, len(LARGE), 1)
    assert files(backup) == files(photos)
    assert (backup / "large.bin").stat().st_mtime == LONG_AGO
    assert told[-1].done_bytes == told[-1].total_bytes == len(LARGE)
    assert laptop.net.cp("tower:photos/large.bin", "nas:backup").same == 1


def test_folders_and_globs_go_straight_too(laptop, photos, backup):
    for number in range(450):
        write(photos, f"{number % 7}/{number % 3}/{number}.txt", b"%d" % number * (number % 5))
    write(photos, "large.jpg", LARGE)
    write(photos, "Für Zoë & 50 %.jpg", b"small")
    report = laptop.json("cp", "-r", "tower:photos/", "nas:backup")
    assert (report["files"], report["straight"], report["failed"]) == (452, 452, [])
    assert files(backup) == files(photos)
    assert laptop.net.cp("tower:photos/", "nas:backup", recursive=True).same == 452
    laptop.net.mkdir("nas:backup/chosen")
    assert laptop.net.cp("tower:photos/*.jpg", "nas:backup/chosen").straight == 2
    assert set(files(backup / "chosen")) == {"large.jpg", "Für Zoë & 50 %.jpg"}


def test_what_is_there_is_replaced_as_by_a_copy_through_here_and_kept_as_a_version(network, laptop, photos, backup):
    write(photos, "cat.txt", b"new")
    write(backup, "cat.txt", b"older")
    assert laptop.net.cp("tower:photos/cat.txt", "nas:backup").straight == 1
    assert (backup / "cat.txt").read_bytes() == b"new"
    assert [each.size for each in network[1].net.history("nas:backup/cat.txt")][-1] == len(b"older")
    assert '"overwritten"' in network[1].home.audit.read_text()


def test_mv_takes_away_what_has_arrived_and_replaces_nothing(laptop, photos, backup):
    write(photos, "a/large.bin", LARGE)
    write(photos, "a/small.txt", b"small")
    network_rights = write(photos, "taken.txt", b"mine")
    write(backup, "taken.txt", b"theirs")
    with pytest.raises(CommonholdError):
        laptop.net.mv("tower:photos/a", "nas:backup")  # bob may only read there
    assert network_rights.exists()
    assert set(files(photos)) == {"a/large.bin", "a/small.txt", "taken.txt"}


def test_mv_of_who_may_write_at_both_ends(network, laptop, photos, backup):
    network[0].net.allow("bob", "write", "photos")
    write(photos, "a/large.bin", LARGE)
    write(photos, "a/small.txt", b"small")
    write(photos, "taken.txt", b"mine")
    write(backup, "taken.txt", b"theirs")
    assert laptop.net.mv("tower:photos/a", "nas:backup").straight == 2
    assert files(photos).keys() == {"taken.txt"}
    assert files(backup).keys() == {"a/large.bin", "a/small.txt", "taken.txt"}
    with pytest.raises(Changed):
        laptop.net.mv("tower:photos/taken.txt", "nas:backup")
    assert (photos / "taken.txt").read_bytes() == b"mine"
    assert (backup / "taken.txt").read_bytes() == b"theirs"


def test_who_may_only_add_replaces_nothing_and_a_quota_holds(network, laptop, photos, tmp_path):
    nas = network[1]
    (tmp_path / "inbox").mkdir()
    nas.net.share(tmp_path / "inbox", to="bob", verb="add")
    write(photos, "cat.txt", b"new")
    write(tmp_path / "inbox", "cat.txt", b"theirs")
    assert laptop.net.cp("tower:photos/cat.txt", "nas:inbox/cat.txt").straight == 1
    assert sorted(files(tmp_path / "inbox")) == ["cat (2).txt", "cat.txt"]
    assert (tmp_path / "inbox" / "cat.txt").read_bytes() == b"theirs"
    nas.net.set_quota("bob", bytes=1_000_000)
    write(photos, "large.bin", LARGE)
    with pytest.raises(CommonholdError) as full:
        laptop.net.cp("tower:photos/large.bin", "nas:inbox/large.bin")
    assert full.value.exit_code == 7
    nas.net.set_quota("bob")
    assert not uploading(tmp_path / "inbox")
    nas.net.unshare("inbox")


def test_where_the_first_does_not_let_the_second_read_it_goes_through_here(network, laptop, photos, backup):
    tower = network[0]
    write(photos, "large.bin", LARGE)
    write(photos, "small.txt", b"small")
    tower.net.deny("nas", "read", "photos")
    before = received()
    report = laptop.net.cp("tower:photos/*", "nas:backup")
    assert received() - before > len(LARGE)
    assert (report.files, report.straight) == (2, 0)
    assert files(backup) == files(photos)


def test_who_may_not_hears_what_a_copy_through_here_hears(network, laptop, photos, backup):
    tower, nas, _ = network
    write(photos, "cat.txt", b"miau")
    nas.net.deny("bob", "write", "backup")
    with pytest.raises(Refused, match="bob may not add to backup: no rule lets bob add to backup"):
        laptop.net.cp("tower:photos/cat.txt", "nas:backup/cat.txt")
    tower.net.deny("bob", "read", "photos")
    with pytest.raises(Refused, match=r"bob may not .* photos"):
        laptop.net.cp("tower:photos/cat.txt", "nas:backup/cat.txt")
    assert files(backup) == {}


@contextmanager
def under_way(net, folder: Path, old: int):
    """A copy of large.bin that is slow, and has begun; at the end what it raised is in the list."""
    raised: list[CommonholdError] = []

    def copy() -> None:
        try:
            net.cp("tower:photos/large.bin", "nas:backup", limit=SLOW)
        except CommonholdError as error:
            raised.append(error)

    thread = threading.Thread(target=copy)
    thread.start()
    until(lambda: any(each.stat().st_size for each in uploading(folder)), "bytes come")
    yield raised
    thread.join(60)
    assert not thread.is_alive()
    assert raised, "it did not come to its end"
    until(lambda: not uploading(folder), "nothing is left of it")
    assert (folder / "large.bin").stat().st_size == old, "what was there is there still"


ENDS = {  # in this order: who was removed does not come back
    "at the first": lambda tower, nas, van: tower.net.deny(van.person, "read", "photos"),
    "at the second": lambda tower, nas, van: nas.net.deny(van.person, "write", "backup"),
    "what is copied is shared no more": lambda tower, nas, van: tower.net.unshare("photos"),
    "who copies is removed": lambda tower, nas, van: tower.net.remove(van.name),
}


@pytest.fixture(scope="module")
def van(network):
    """A fourth computer, of gus."""
    tower, nas, _ = network
    van = tower.make("van", "gus")
    van.join(tower)
    until(lambda: van.name in {m.computer for m in nas.net.members()}, "nas knows van")
    return van


@pytest.mark.parametrize("how", ENDS)
def test_a_right_that_ends_on_the_way_ends_it_and_leaves_what_was_there(network, van, photos, backup, how):
    tower, nas, _ = network
    tower.net.allow(van.person, "read", "photos")
    nas.net.allow(van.person, "write", "backup")
    write(photos, "large.bin", LARGE)
    write(backup, "large.bin", b"old")
    try:
        with under_way(van.net, backup, 3) as raised:
            ENDS[how](tower, nas, van)
        if how == "at the first":
            assert f"no rule lets {van.person} read photos" in raised[0].sentence
    finally:
        if how.startswith("what"):
            tower.net.share(photos)


def test_the_removal_of_the_second_ends_it(network, photos, tmp_path):
    tower = network[0]
    attic = tower.make("attic", "dora")
    attic.join(tower)
    until(lambda: attic.name in {m.computer for m in network[2].net.members()}, "laptop knows attic")
    (tmp_path / "roof").mkdir()
    attic.net.share(tmp_path / "roof", name="backup", to="bob", verb="write")
    write(photos, "large.bin", LARGE)
    raised: list[CommonholdError] = []

    def copy() -> None:
        try:
            network[2].net.cp("tower:photos/large.bin", "attic:backup", limit=SLOW)
        except CommonholdError as error:
            raised.append(error)

    thread = threading.Thread(target=copy)
    thread.start()
    until(lambda: any(each.stat().st_size for each in uploading(tmp_path / "roof")), "bytes come")
    tower.net.remove("attic")
    thread.join(60)
    assert raised
    until(lambda: not uploading(tmp_path / "roof"), "nothing is left of it")
    assert files(tmp_path / "roof") == {}
    attic.down()


def test_ctrl_c_leaves_nothing_and_the_same_command_copies_it(laptop, photos, backup):
    write(photos, "large.bin", LARGE)
    typed = subprocess.Popen(
        laptop.words("cp", "tower:photos/large.bin", "nas:backup", "--limit", SLOW), stderr=subprocess.PIPE, text=True
    )
    until(lambda: any(each.stat().st_size for each in uploading(backup)), "bytes come")
    typed.send_signal(signal.SIGINT)
    assert typed.wait(30) == 130
    until(lambda: not uploading(backup), "nothing is left of it")
    assert files(backup) == {}
    laptop.typed("cp", "tower:photos/large.bin", "nas:backup")
    assert files(backup) == files(photos)


def test_one_that_fails_holds_up_no_other(laptop, photos, backup):
    for name in ("a.txt", "b.txt", "c.txt"):
        write(photos, name, name.encode())
    (photos / "b.txt").chmod(0)
    (backup / "c.txt").mkdir()
    if os.geteuid() == 0:
        (photos / "b.txt").unlink()
    with pytest.raises(PartlyFailed) as partly:
        laptop.net.cp("tower:photos/", "nas:backup", recursive=True)
    assert [each["path"] for each in partly.value.more["failed"]][-1] == "c.txt"
    assert (backup / "a.txt").read_text() == "a.txt"
    assert (backup / "c.txt").is_dir()
