"""The system calls of a real node, as strace writes them, and whether their order makes its answers true."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..conftest import PATIENCE, Computer

SYNCS = ("fsync", "fdatasync", "syncfs")
NAMES = ("mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat")
WRITES = ("write", "writev", "pwrite64", "copy_file_range", "sendfile", "sendto", "sendmsg")
READS = ("read", "recvfrom", "recvmsg")


@dataclass(frozen=True)
class Step:
    """A call that must happen, after those before it: one of `calls`, with all `pieces` in its line.

    `last`: what follows must come after the last such call, not the first.
    """

    what: str
    calls: tuple[str, ...]
    pieces: tuple[str, ...]
    last: bool = False

    def meets(self, line: str) -> bool:
        name, failed = line.partition("(")[0], re.search(r"= -1 E\w+", line)
        return name in self.calls and not failed and all(piece in line for piece in self.pieces)


def fault(calls: Sequence[str], steps: Sequence[Step]) -> str:
    """What is missing in these calls before the answer; nothing when each step was taken in its place."""
    at = -1
    for step in steps:
        found = [number for number, line in enumerate(calls) if number > at and step.meets(line)]
        if not found:
            return f"answered before {step.what}"
        at = found[-1] if step.last else found[0]
    return ""


class Trace:
    """What one node does, from now on."""

    def __init__(self, computer: Computer, file: Path) -> None:
        self._file, self._door = file, f"<TCP:[{computer.address}->"
        words = ["strace", "-f", "-yy", "-s", "0", "-e", f"trace={','.join((*SYNCS, *NAMES, *WRITES, *READS))}"]
        self._strace = subprocess.Popen(
            [*words, "-o", str(file), "-p", str(computer.pid)], stderr=subprocess.PIPE, text=True
        )
        assert self._strace.stderr is not None
        assert "attached" in self._strace.stderr.readline()

    def requests(self, many: int) -> list[list[str]]:
        """The calls of each of `many` requests, one after the other over one connection, from its first byte on."""
        deadline = time.monotonic() + PATIENCE
        while len(found := self._parts()) < many or not any(map(self.answers, found[-1])):
            assert time.monotonic() < deadline, f"{len(found)} of {many} requests were seen"
            time.sleep(0.02)  # strace writes it down a moment later
        self._strace.terminate()
        self._strace.wait(PATIENCE)
        return found

    def answers(self, line: str) -> bool:
        """Whether it writes at the door."""
        return self._door in line and line.partition("(")[0] in WRITES

    def _parts(self) -> list[list[str]]:
        """A request begins with what is read at the door after something was written there; the first is TLS's own."""
        parts: list[list[str]] = [[]]
        answered = False
        for line in joined(self._file.read_text().splitlines()):
            if answered and self._door in line and line.partition("(")[0] in READS:
                parts.append([])
                answered = False
            parts[-1].append(line)
            answered = answered or self.answers(line)
        return parts[1:]


def joined(lines: list[str]) -> list[str]:
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
