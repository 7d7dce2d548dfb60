"""Commands as a person types them: performed in this process where that tells the same, else as a process."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from commonhold.cli.main import perform
from commonhold.home import Home, Settings


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
    """Run a command on a terminal of its own; `keys` are typed once it has drawn `asks`, and again while it waits."""

    def on_terminal(*arguments: object, keys: bytes = b"", asks: bytes = b"?") -> Outcome:
        pid, screen = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-m", "commonhold", *map(str, arguments)])  # noqa: S606
        drawn, typed = b"", False
        while True:
            ready, _, _ = select.select([screen], [], [], 1)
            try:
                if ready:
                    drawn += os.read(screen, 65536)
                if keys and asks in drawn and not (ready and typed):
                    os.write(screen, keys)
                    typed = True
            except OSError:  # the other end is closed: Linux says EIO
                break
        os.close(screen)
        _, status = os.waitpid(pid, 0)
        return Outcome(os.waitstatus_to_exitcode(status), drawn.decode(), "")

    return on_terminal
