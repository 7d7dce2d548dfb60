"""The people who sit at one computer: `python -m commonhold.lab.people HOME FOLDER`, a process of its own.

They use the network as anybody does, by the Python API, several at once. What they are to do is told on standard input,
a JSON line each: a `Cast` begins, `null` ends it. What happened is a JSON line each on standard output: "ready", a
`Happened` for every request, "ended". FOLDER is for what they are about to store. The end of the input ends all.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from commonhold import wire
from commonhold.api import Network, connect
from commonhold.errors import CommonholdError
from commonhold.names import RemotePath
from commonhold.plan.trials import script
from commonhold.plan.trials.outcome import Happened
from commonhold.plan.trials.script import Request, Script

READY, ENDED = "ready", "ended"
BLOCK = random.Random(0).randbytes(2**16)  # noqa: S311 - what is stored; it does not get smaller by packing
AFTER_ERROR = 0.2  # seconds: whoever thinks for none and is refused at once would ask as fast as a processor can
RETURNED = 5  # a task gives back one of so many bytes
LEAVING = 5.0  # seconds that requests under way get when all ends


class Cast(msgspec.Struct, frozen=True):
    """Who plays what here. `places` are the folders of all computers, as `tower:files/`."""

    script: Script
    people: list[int]
    places: list[str]


class Players:
    """One computer's people, and the sessions that are kept for their tasks."""

    def __init__(self, net: Network, folder: Path, out: BinaryIO) -> None:
        self._net = net
        self._folder = folder
        self._out = out
        self._writing = threading.Lock()
        self._sessions: dict[str, Executor] = {}
        self._enough = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, cast: Cast) -> None:
        """Let everybody play, as soon as whoever computes for them is ready to."""
        self._open_sessions(cast)
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._play, args=(cast, person, self._enough), daemon=True)
            for person in cast.people
        ]
        self.say(READY)
        for player in self._threads:
            player.start()

    def end(self, patience: float | None = None) -> None:
        """Nobody begins anything new; returns when all have their answers."""
        self._enough.set()
        for player in self._threads:
            player.join(patience)
        self.say(ENDED)

    def say(self, what: object) -> None:
        with self._writing, suppress(BrokenPipeError):  # who listened has ended, and soon the input says so too
            self._out.write(wire.to_json(what) + b"\n")
            self._out.flush()

    def _play(self, cast: Cast, person: int, enough: threading.Event) -> None:
        answered = time.monotonic()
        for request in script.requests(cast.script, person, random.Random):
            if enough.wait(request.think):
                return
            asked = time.monotonic()
            thought, moved, error = asked - answered, 0, ""
            try:
                moved = self._ask(request, cast.places[request.where], person)
            except Exception as trouble:
                error = trouble.sentence if isinstance(trouble, CommonholdError) else repr(trouble)
            answered = time.monotonic()
            self.say(Happened(person, request.kind, request.where, thought, asked, answered, moved, error))
            if error and enough.wait(AFTER_ERROR):
                return

    def _ask(self, request: Request, place: str, person: int) -> int:
        """Bytes that it moved."""
        if request.kind == "compute":
            done = self._session(place).submit(computed, _bytes(request.size), request.seconds)
            return request.size + len(done.result())
        if request.kind == "read":
            return sum(len(piece) for piece in self._net.cat(place + request.path))
        if request.kind == "list":
            return script.LISTED * len(self._net.ls(place + request.path))
        file = self._folder / f"{person}"
        file.unlink(missing_ok=True)  # a file that was sent knows where it went
        file.write_bytes(_bytes(request.size))
        self._net.put(file, place + request.path)
        return request.size

    def _open_sessions(self, cast: Cast) -> None:
        if not any(each.kind == "compute" for each in cast.script.operations):
            return
        places = {cast.places[script.lender(cast.script, person)] for person in cast.people}
        with ThreadPoolExecutor(len(places) or 1) as threads:
            list(threads.map(self._warm, places))

    def _warm(self, place: str) -> None:
        with suppress(CommonholdError):  # each request says what is wrong
            self._session(place).submit(computed, b"", 0.0).result()

    def _session(self, place: str) -> Executor:
        computer = RemotePath.parse(place).computer
        with self._writing:
            if computer not in self._sessions:
                self._sessions[computer] = self._net.executor(on=computer)
            return self._sessions[computer]


def computed(data: bytes, seconds: float) -> bytes:
    """A task: keeps a whole core busy for so long, however long that takes, and gives back a part."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return data[: len(data) // RETURNED]


def _bytes(size: int) -> bytes:
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def main(home: str, folder: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is whoever started us: the input ends then
    with connect(home) as net:
        players = Players(net, Path(folder), sys.stdout.buffer)
        for line in sys.stdin.buffer:
            if line.strip() == b"null":
                players.end()
            else:
                players.begin(wire.from_json(line, Cast))
        players.end(LEAVING)


if __name__ == "__main__":
    main(*sys.argv[1:])
