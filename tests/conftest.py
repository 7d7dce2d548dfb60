"""Computers of a network on this machine: a home and a node (a real process) each, and what is typed there."""

from __future__ import annotations

import io
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from commonhold.api import connect
from commonhold.cli.main import perform
from commonhold.compute.lender import backrow
from commonhold.errors import CommonholdError
from commonhold.node import background
from commonhold.node import computer as alone

settings.register_profile("fuzz", max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
# How long an example takes tells how busy the machine is: no test fails for that.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # when certificates of attackers begin
PATIENCE = 40.0  # seconds: bounds a wait, and says nothing about how long it takes
IN_PROCESS = {"alone", "town", "warm", "unboxed", "boxed", "lent"}  # computers of tests/compute


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file may share computers that run in their own process, so they share the loop, too."""
    for item in items:
        there = item.path.parent.name in {"compute", "attacks"} and pytest_asyncio.is_async_test(item)
        if there and IN_PROCESS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


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


def performed(words: list[str], typed: str = "", together: bool = False) -> Ran:
    """A command in this process, with pipes, or one pipe: the libraries are loaded once, not for each."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(typed.encode(errors="surrogateescape")), "utf-8")
    try:
        with redirect_stdout(out), redirect_stderr(out if together else err):
            code = perform(words)
    finally:
        sys.stdin = before
    return Ran(code, *(each.buffer.getvalue().decode() for each in (out, err)))  # type: ignore[attr-defined]


def evened(node: int) -> None:
    """That node's guests weigh as much as everybody else, where each group of processes has a weight.

    On a busy machine they would hardly move: most tests say what they do, and not how long that takes.
    """
    mounted = backrow.groups()
    for place in mounted.places() if mounted else ():
        for group in place.glob(f"{backrow.NAME}{node}-*"):
            for name, weight in (("cpu.shares", "1024"), ("cpu.weight", "100")):
                if (group / name).exists():
                    (group / name).write_text(weight)


class Computer(alone.Computer):
    """One computer: `net` is its person's API, `typed` a command that is performed in this process, where the
    libraries are loaded already, `cli` one that is a process of its own, for what shows itself only so."""

    def words(self, *words: object, json_: bool = False) -> list[str]:
        program = [sys.executable, "-m", "commonhold", "--home", str(self.home), *(["--json"] if json_ else [])]
        return [*program, *map(str, words)]

    def cli(self, *words: object, code: int = 0, json_: bool = False, **more: Any) -> Ran:
        done = subprocess.run(
            self.words(*words, json_=json_), capture_output=True, text=True, timeout=90, check=False, **more
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)

    def typed(self, *words: object, code: int = 0, json_: bool = False, input: str = "") -> Ran:  # noqa: A002
        ran = performed(self.words(*words, json_=json_)[3:], input)
        assert ran.code == code, f"{words}: {ran.code}\n{ran.out}{ran.err}"
        return ran

    def json(self, *words: object, code: int = 0) -> Any:
        return self.typed(*words, code=code, json_=True).document

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
        evened(self.pid)

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
