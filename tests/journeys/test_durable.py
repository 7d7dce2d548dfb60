"""Acknowledged means on the disk: the order of the system calls of a real node shows it.

`kill -9` cannot: the page cache survives it and would hide a missing fsync.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from commonhold.demo.stage import Computer, Stage

CALLS = "fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,write,writev,sendto,sendmsg"


class Trace:
    """The system calls of one node, as strace writes them."""

    def __init__(self, computer: Computer, file: Path) -> None:
        self.file = file
        self.door = computer.address
        words = ["strace", "-f", "-yy", "-s", "0", "-e", f"trace={CALLS}", "-o", str(file), "-p", str(computer.pid)]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        assert "attached" in self.process.stderr.readline()

    def end(self) -> list[str]:
        self.process.terminate()
        self.process.wait(10)
        return _joined(self.file.read_text().splitlines())

    def answers(self, line: str) -> bool:
        """Whether this call sends bytes from the node's door."""
        name = line.partition("(")[0]
        return f"<TCP:[{self.door}->" in line and name.endswith(("write", "writev", "sendto", "sendmsg"))


def _joined(lines: list[str]) -> list[str]:
    """One line for each call, at its end: strace splits those during which another thread was seen."""
    begun: dict[str, str] = {}
    calls = []
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            calls.append(begun.pop(thread, "") + resumed[1])
        else:
            calls.append(call)
    return calls


def _first(calls: list[str], *pieces: str, after: int = -1) -> int:
    """The first call after `after` that has all these pieces in its text."""
    for number, call in enumerate(calls):
        if number > after and all(piece in call for piece in pieces):
            return number
    raise AssertionError(
        f"no call with {pieces} after {calls[max(after, 0)] if calls else 'nothing'}:\n" + "\n".join(calls)
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("size", [1_000, 3_000_000])
def test_an_upload_is_on_the_disk_before_it_is_acknowledged(tmp_path: Path, size: int):
    with Stage() as stage:
        tower = stage.computer("tower", "ann")
        tower.create("casa")
        shared = tmp_path / "shared"
        shared.mkdir()
        tower.net.share(shared, "shared")
        source = tmp_path / "letter.txt"
        source.write_bytes(os.urandom(size))
        for replaced in (False, True):
            trace = Trace(tower, tmp_path / f"trace{replaced}")
            tower.net.put(source, "tower:shared")
            time.sleep(0.2)  # strace writes what it saw
            calls = trace.end()

            data = _first(calls, "fsync(", "/.commonhold/tmp/")
            named = _first(calls, "letter.txt", after=data)
            folder = _first(calls, "fsync(", f"<{shared}>", after=named)
            assert calls[named].startswith(("rename", "link")), calls[named]
            early = [call for call in calls[data:folder] if trace.answers(call)]
            assert not early, f"answered before the folder was on the disk: {early}"
            assert any(trace.answers(call) for call in calls[folder:])
