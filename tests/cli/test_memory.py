"""What is promised of memory, with real processes: a copy of many files takes less than 100 MB here and there."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

MOST = 100e6  # bytes, of a command and of a node
FILES, EACH = 6_000, 4_000  # as many as show what a copy of any number takes


def peak_of(process):
    """The most memory that it has had, in bytes. (What wait4 tells is that of the process that began it, if more.)"""
    return int((process / "status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def typed(*words):
    """Run a command; the most memory that it had."""
    typing = subprocess.Popen([sys.executable, "-m", "commonhold", *map(str, words)], stdout=subprocess.DEVNULL)
    most = 0
    while typing.poll() is None:
        with suppress(OSError, IndexError):  # it has just ended
            most = max(most, peak_of(Path(f"/proc/{typing.pid}")))
        time.sleep(0.02)
    assert typing.returncode == 0
    return most


def test_many_small_files_take_little_memory_at_either_end(laptop, tower, photos, tmp_path):
    tree = tmp_path / "tree"
    for number in range(FILES):
        path = tree / str(number // 500) / f"Holiday picture {number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") * (EACH // 4))
    home = "--home", laptop.home
    node = Path(f"/proc/{tower.json('status')['pid']}")
    (node / "clear_refs").write_text("5")  # its peak begins anew: other tests have used this node
    assert typed(*home, "put", "-r", f"{tree}/", "tower:photos/many") < MOST
    assert typed(*home, "get", "-r", "tower:photos/many/", tmp_path / "got") < MOST
    assert peak_of(node) < MOST
    assert sum(1 for path in (tmp_path / "got").rglob("*.jpg")) == FILES
