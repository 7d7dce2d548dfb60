"""Commands as a person types them: performed in this process where that tells the same, else as a process."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commonhold.cli.main import perform
from commonhold.home import Home, Settings
from commonhold.node import background

from ..conftest import performed


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The home of a computer that has not joined."""
    monkeypatch.setenv("COMMONHOLD_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def sleeping(home):
    """The home of a computer that has joined, with its node down."""
    home.make()
    home.save_settings(Settings(network="f" * 64, computer="laptop"))
    return home


@pytest.fixture
def cli(home, capfd):
    """Perform a command in this process."""

    def typed(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = perform([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    return typed


@pytest.fixture
def process(home):
    """Run a command as a process of its own, with pipes."""

    def typed(*arguments: object, code: str = "", **more: Any) -> Outcome:
        program = ["-c", code] if code else ["-m", "commonhold", *map(str, arguments)]
        done = subprocess.run(
            [sys.executable, *program], capture_output=True, text=True, env=os.environ, timeout=60, check=False, **more
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return typed


@pytest.fixture
def terminal(home):
    """Run a command on a terminal of its own; `keys` are typed once it has drawn `asks`, and `again` while it waits."""

    def on_terminal(*arguments: object, keys: bytes = b"", asks: bytes = b"?", again: bool = True) -> Outcome:
        pid, screen = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "commonhold", *map(str, arguments)])  # noqa: S606
        drawn, typed = b"", False
        while True:
            ready, _, _ = select.select([screen], [], [], 1)
            try:
                if ready:
                    drawn += os.read(screen, 65536)
                if keys and asks in drawn and not (typed and (ready or not again)):
                    os.write(screen, keys)
                    typed = True
            except OSError:  # the other end is closed: Linux says EIO
                break
        os.close(screen)
        _, status = os.waitpid(pid, 0)
        return Outcome(os.waitstatus_to_exitcode(status), drawn.decode(), "")

    return on_terminal


@dataclass
class Typed:
    stdout: str
    stderr: str


@dataclass
class Computer:
    """One home, and the commands typed there."""

    home: Path
    address: str

    def __call__(self, *arguments: object, code: int = 0, json_: bool = False, input: str = "") -> Typed:  # noqa: A002
        """Perform a command in this process: the libraries are loaded once, not sixty times."""
        words = ["--home", self.home, *(["--json"] if json_ else []), *arguments]
        done = performed([str(word) for word in words], input)
        assert done.code == code, f"{arguments}: {done.code}\n{done.out}{done.err}"
        return Typed(done.out, done.err)

    def json(self, *arguments: object, code: int = 0):
        return json.loads(self(*arguments, code=code, json_=True).stdout)


def free_address(host):
    with socket.socket() as trial:
        trial.bind((host, 0))
        return f"{host}:{trial.getsockname()[1]}"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower, of ann, who founded the network; laptop, of bob, who joined."""
    folder = tmp_path_factory.mktemp("network")
    tower = Computer(folder / "tower", free_address("127.0.41.2"))
    laptop = Computer(folder / "laptop", free_address("127.0.41.3"))
    try:
        tower.created = tower.json(
            "create", "casa", "--computer", "tower", "--person", "ann", "--listen", tower.address
        )
        invited = tower.json("invite")
        laptop.joined = laptop(
            "join", f"{invited['code']}@{tower.address}",
            "--computer", "laptop", "--person", "bob", "--listen", laptop.address,
        )  # fmt: skip
        yield tower, laptop
    finally:
        for computer in (tower, laptop):
            if background.running(Home(computer.home)):
                computer("down")


@pytest.fixture
def tower(network):
    return network[0]


@pytest.fixture
def laptop(network):
    return network[1]


@pytest.fixture
def photos(tower, tmp_path):
    """A folder of tower, offered as `photos`, that bob may write."""
    folder = tmp_path / "photos"
    (folder / "2026").mkdir(parents=True)
    (folder / "cat.txt").write_text("miau\n")
    (folder / "2026" / "dog.txt").write_text("woof\n")
    tower("share", folder, "--to", "bob", "--verb", "write")
    yield folder
    tower("unshare", "photos")
