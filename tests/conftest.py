"""Computers of a network on this machine: a home and a node (a real process) each, and what is typed there."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from commonhold.api import connect
from commonhold.demo import stage
from commonhold.errors import CommonholdError
from commonhold.node import background

settings.register_profile("fuzz", max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # when certificates of attackers begin
PATIENCE = 40.0  # seconds: bounds a wait, and says nothing about how long it takes


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until `condition` holds, and return what it gave; an error of ours means not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
            trouble = ""
        except CommonholdError as error:
            trouble = f" ({error.sentence})"
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s{trouble}"
        time.sleep(0.05)


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = set(range(20_000 + 2_000 * _WORKER, 22_000 + 2_000 * _WORKER))  # of this worker; the system gives out others


def free_address(host: str) -> str:
    """A port that nobody has, that no connection gets by chance, and that no other test is told."""
    while True:
        port = secrets.choice(sorted(_ports))
        _ports.remove(port)
        with socket.socket() as trial, suppress(OSError):
            trial.bind((host, port))
            return f"{host}:{port}"


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that names a folder below `folder` in its arguments: nodes, and sandboxes of theirs."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if any(str(folder) in word for word in words) and process.pid != os.getpid():
            found.append(process)
    return found


@dataclass
class Ran:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def hint(self) -> str:
        return next((line.removeprefix("hint: ") for line in self.err.splitlines() if line.startswith("hint: ")), "")


class Computer(stage.Computer):
    """One computer: `net` is its person's API, `cli` the commands typed there, each a process of its own."""

    def words(self, *words: object, json_: bool = False) -> list[str]:
        program = [sys.executable, "-m", "commonhold", "--home", str(self.home), *(["--json"] if json_ else [])]
        return [*program, *map(str, words)]

    def cli(self, *words: object, code: int = 0, json_: bool = False, **more: Any) -> Ran:
        done = subprocess.run(
            self.words(*words, json_=json_), capture_output=True, text=True, timeout=90, check=False, **more
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)

    def json(self, *words: object, code: int = 0) -> Any:
        return self.cli(*words, code=code, json_=True).document

    def up(self) -> None:
        """Start the node, again if it was up before."""
        if self.net is not None:
            self.net.close()
        background.start(self.home)
        self.attach()

    def attach(self) -> None:
        """Connect to the node, which somebody else may have started."""
        self.net = connect(self.home)
        self.pid = self.net.status().pid

    def kill(self) -> None:
        """As a power cut would, for the node."""
        node = psutil.Process(self.pid)
        os.kill(self.pid, signal.SIGKILL)
        node.wait(PATIENCE)

    def settings(self) -> dict[str, Any]:
        return json.loads(self.home.settings_file.read_bytes())

    def log(self) -> str:
        return "".join(path.read_text() for path in self.home.folder.glob("node.log*"))

    def knows(self, *names: str) -> None:
        """Wait until it lists exactly these computers."""
        until(lambda: {m.computer for m in self.net.members()} == set(names), f"{self.name} lists {names}")


Make = Callable[..., Computer]


def commands(line: str) -> list[psutil.Process]:
    """Processes of that very command, wherever."""
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == line.split()]


def lives(process: psutil.Process) -> bool:
    """Or whoever has to has not buried it yet."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


@contextmanager
def town(folder: Path) -> Iterator[Make]:
    """Makes computers in `folder`; their nodes end with it."""
    with ExitStack() as ending:

        def make(name: str, person: str = "ann", home: str = "") -> Computer:
            made = Computer(folder / (home or name), name, person, free_address("127.0.0.2"))
            made.folder.mkdir(parents=True, exist_ok=True)
            ending.callback(made.down)
            return made

        yield make


@contextmanager
def lent(folder: Path) -> Iterator[tuple[Computer, Computer]]:
    """tower of ann, and laptop of bob, who lends ann his processors."""
    with town(folder) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        tower.knows("tower", "laptop")
        laptop.net.allow("ann", "run", "compute")
        yield tower, laptop


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Make]:
    """Makes computers for one test."""
    with town(tmp_path) as make:
        yield make


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No node and no sandbox of any test's homes lives when all tests are over."""
    yield
    folder = tmp_path_factory.getbasetemp()
    deadline = time.monotonic() + 10
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    told = [" ".join(process.cmdline()) for process in left if process.is_running()]
    for process in left:
        process.kill()
    assert not told, f"processes of tests outlived them: {told}"
