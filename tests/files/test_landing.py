"""Many small files to the local disk together: whole, durable, and each for itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commonhold.errors import CommonholdError, NotFound
from commonhold.files.disk import FEW
from commonhold.files.used.landing import Delivery, land
from commonhold.files.used.origin import Origin
from commonhold.files.used.part import Arrived

from ..proof.traces import NAMES, SYNCS, WRITES, Step, fault, joined

MOMENT = 1_700_000_000_123_456_789


def delivery(target: Path, data: bytes, **more) -> Delivery:
    return Delivery(str(target), data, hashlib.sha256(data).digest(), Arrived(MOMENT, **more))


@pytest.mark.parametrize("many", [3, FEW + 20])
def test_each_is_there_whole_with_its_time_and_where_it_is_from(tmp_path, many):
    files = {tmp_path / f"d{n % 2}" / f"{n}.txt": os.urandom(n * 7) for n in range(many)}
    for folder in ("d0", "d1"):
        (tmp_path / folder).mkdir()
    origin = Origin("computer", "photos", "a", "etag")
    assert land([delivery(target, data, origin=origin) for target, data in files.items()]) == [None] * many
    assert {each: each.read_bytes() for each in tmp_path.rglob("*.txt")} == files
    assert {each.stat().st_mtime_ns for each in files} == {MOMENT}
    assert sorted(each for each in tmp_path.rglob("*") if each.is_file()) == sorted(files)
    for each in files:
        if known := Origin.of(each):  # where the disk keeps such things
            assert known.untouched(each.stat())


def test_what_fails_fails_alone_and_leaves_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inner").touch()
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"not ours")
    files = [
        delivery(tmp_path / "none" / "a", b"1"),
        delivery(tmp_path / "taken", b"2"),
        delivery(tmp_path / "b", b"3"),
        delivery(tmp_path / ("n" * 300), b"4"),
        delivery(tmp_path / "link", b"5"),
    ]
    none, taken, right, long, link = land(files)
    assert isinstance(none, NotFound)
    assert isinstance(taken, CommonholdError)
    assert isinstance(long, CommonholdError)
    assert right is link is None
    assert (tmp_path / "elsewhere").read_bytes() == b"not ours", "a link is replaced, and not followed"
    assert (tmp_path / "link").read_bytes() == b"5"
    assert {each.name for each in tmp_path.iterdir()} == {"taken", "b", "link", "elsewhere"}


def test_a_file_of_this_computer_that_would_go_stays_beside(tmp_path):
    mine, copied = tmp_path / "mine.txt", tmp_path / "copied.txt"
    land([delivery(copied, b"old", origin=Origin("computer", "photos", "copied.txt", "1"), computer="laptop")])
    mine.write_bytes(b"written here")
    kept, gone = land([delivery(each, b"new", computer="laptop") for each in (mine, copied)])
    assert mine.read_bytes() == copied.read_bytes() == b"new"
    assert isinstance(kept, Path)
    assert kept.read_bytes() == b"written here"
    assert "conflict of laptop" in kept.name
    assert gone is None or Origin.of(copied) is None, "an untouched copy is of no worth"


PROGRAM = """
import hashlib, sys
from commonhold.files.used.landing import Delivery, land
from commonhold.files.used.part import Arrived
folders, many = sys.argv[2:], int(sys.argv[1])
targets = [f"{folder}/{n}" for folder in folders for n in range(many)]
files = [Delivery(target, b"x", hashlib.sha256(b"x").digest(), Arrived()) for target in targets]
assert not any(land(files))
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("many", [2, FEW + 1])
def test_bytes_are_on_their_disk_before_they_have_a_name_and_then_the_folder_is(tmp_path, many):
    """On two disks, if there are two: each is synced."""
    folders = [tmp_path / "here"]
    folders[0].mkdir()
    other = Path("/dev/shm", f"commonhold-{os.getpid()}")
    try:
        if other.parent.is_dir() and other.parent.stat().st_dev != tmp_path.stat().st_dev:
            other.mkdir()
            folders.append(other)
        calls = ",".join((*SYNCS, *NAMES, *WRITES))
        words = ["strace", "-f", "-yy", "-s", "0", "-e", f"trace={calls}", "-o", str(tmp_path / "calls")]
        words += [sys.executable, "-c", PROGRAM, str(many), *map(str, folders)]
        subprocess.run(words, check=True)
    finally:
        shutil.rmtree(other, ignore_errors=True)
    seen = joined((tmp_path / "calls").read_text().splitlines())
    for folder in folders:
        assert sum(line.startswith("fsync") and f"{folder}/" in line for line in seen) == (many if many <= FEW else 0)
        steps = (
            Step("its bytes were written", WRITES, (f"<{folder}/",), last=True),
            Step("they were synced", SYNCS, (f"<{folder}/",) if many <= FEW else (f"<{folder}>",)),
            Step("the names were given", ("rename", "renameat", "renameat2"), (f"<{folder}>",), last=True),
            Step("the folder was synced", ("fsync",), (f"<{folder}>",)),
        )
        assert not fault(seen, steps), "\n".join(seen)
        for step in steps:
            assert fault([line for line in seen if not step.meets(line)], steps) == f"answered before {step.what}"
