"""What is promised of memory, with real processes: a copy of many files takes less than 100 MB here and there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MOST = 100e6  # bytes, of a command and of a node
FILES, EACH = 6_000, 4_000  # as many as show what a copy of any number takes


def peak_of(*words):
    """The most memory that a command had, in bytes."""
    typing = subprocess.Popen([sys.executable, "-m", "commonhold", *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(typing.pid, 0)
    typing.returncode = os.waitstatus_to_exitcode(status)
    assert typing.returncode == 0
    return used.ru_maxrss * 1024


def process_of(computer):
    return Path(f"/proc/{computer.json('status')['pid']}")


def peak_of_node(computer):
    status = (process_of(computer) / "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_many_small_files_take_little_memory_at_either_end(laptop, tower, photos, tmp_path):
    tree = tmp_path / "tree"
    for number in range(FILES):
        path = tree / str(number // 500) / f"Holiday picture {number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") * (EACH // 4))
    home = "--home", laptop.home
    (process_of(tower) / "clear_refs").write_text("5")  # its peak begins anew: other tests have used this node
    assert peak_of(*home, "put", "-r", f"{tree}/", "tower:photos/many") < MOST
    assert peak_of(*home, "get", "-r", "tower:photos/many/", tmp_path / "got") < MOST
    assert peak_of_node(tower) < MOST
    assert sum(1 for path in (tmp_path / "got").rglob("*.jpg")) == FILES
