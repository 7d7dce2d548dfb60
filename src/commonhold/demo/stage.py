"""Three computers on one machine: homes in a temporary folder, nodes as real processes, an address for each."""

from __future__ import annotations

import hashlib
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from commonhold.demo.steps import DemoFailed, require
from commonhold.errors import CommonholdError, Refused
from commonhold.node.computer import Computer, free_address

PATIENCE = 10.0  # seconds until all computers must have heard of something


class Stage:
    """The machine's temporary three computers. Leaving it ends every node and removes every file."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="commonhold-demo-"))
        self.computers: list[Computer] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with ExitStack() as ending:  # one that cannot be ended does not keep the others running
            ending.callback(shutil.rmtree, self.folder, ignore_errors=True)
            for computer in self.computers:
                ending.callback(computer.down)

    def computer(self, computer: str, person: str) -> Computer:
        number = len(self.computers)
        made = Computer(self.folder / f"{number}-{computer}", computer, person, free_address(number % 3))
        made.folder.mkdir()
        self.computers.append(made)
        return made

    def clear(self) -> None:
        """End this act's nodes, so that the next one begins with nothing."""
        for computer in self.computers:
            computer.down()

    def require_nothing_left(self) -> None:
        """No process of ours runs and no file of ours lies about."""
        for computer in self.computers:
            require(not psutil.pid_exists(computer.pid), f"the node of {computer.name} still runs")
        require(not psutil.Process().children(recursive=True), "a process of the demo still runs")
        require(not self.folder.exists(), f"{self.folder} was not removed")


def library(folder: Path) -> Path:
    """A copy of the Python standard library's sources: real files of every size, about 2,000 of them."""
    source = Path(sysconfig.get_path("stdlib"))

    def skipped(_: str, names: list[str]) -> list[str]:
        return [
            name
            for name in names
            if name in {"site-packages", "dist-packages", "__pycache__", "idle_test"} or not _wanted(name)
        ]

    def _wanted(name: str) -> bool:
        return name.endswith(".py") or "." not in name

    shutil.copytree(source, folder, ignore=skipped, ignore_dangling_symlinks=True)  # Debian links some to /etc
    return folder


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by relative path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def refused(what: Callable[[], object], sentence: str) -> str:
    """The reason of the refusal; it must be one."""
    try:
        what()
    except Refused as refusal:
        return refusal.sentence
    raise DemoFailed(f"{sentence}: nobody refused it")


def wait_until(condition: Callable[[], bool], sentence: str) -> None:
    """Wait for news to spread."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except CommonholdError:
            pass
        time.sleep(0.05)
    raise DemoFailed(sentence)
