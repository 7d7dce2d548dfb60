"""Two computers as network namespaces on one cable: found without an address, and found again at another one.

Needs root and iproute2; never in CI, where the machine's network is not ours to change.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(bool(os.environ.get("CI")), reason="CI leaves the machine's network alone"),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="namespaces need root and iproute2"),
]


class Box:
    """One computer: a namespace with one address, and a home."""

    def __init__(self, name: str, address: str, folder: Path) -> None:
        self.name, self.address, self.home = name, address, folder / name
        self.namespace = f"ch-{secrets.token_hex(3)}"
        self.cable = f"v{secrets.token_hex(3)}"
        ip("netns", "add", self.namespace)
        ip("-n", self.namespace, "link", "set", "lo", "up")

    def up(self) -> None:
        ip("-n", self.namespace, "addr", "add", f"{self.address}/24", "dev", self.cable)
        ip("-n", self.namespace, "link", "set", self.cable, "up")

    def move(self, address: str) -> None:
        ip("-n", self.namespace, "addr", "del", f"{self.address}/24", "dev", self.cable)
        self.address = address
        self.up()

    def types(self, *words: str) -> Any:
        """What the command answers, as JSON."""
        line = ["ip", "netns", "exec", self.namespace, sys.executable, "-m", "commonhold", "--home", str(self.home)]
        done = subprocess.run([*line, "--json", *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def remove(self) -> None:
        with suppress(AssertionError):
            self.types("down")
        ip("netns", "del", self.namespace)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def boxes(tmp_path: Path) -> Iterator[tuple[Box, Box]]:
    made: list[Box] = []
    try:
        for name, address in (("tower", "10.99.7.1"), ("laptop", "10.99.7.2")):
            made.append(Box(name, address, tmp_path))
        tower, laptop = made
        ip(
            "link",
            "add",
            tower.cable,
            "netns",
            tower.namespace,
            "type",
            "veth",
            "peer",
            "name",
            laptop.cable,
            "netns",
            laptop.namespace,
        )
        for box in made:
            box.up()
        yield tower, laptop
    finally:
        for box in made:
            box.remove()


def test_a_code_alone_is_enough_on_a_local_network_and_who_moved_is_found_at_its_new_address(
    boxes: tuple[Box, Box], tmp_path: Path
):
    tower, laptop = boxes
    tower.types("create", "home", "--person", "ann", "--computer", "tower")
    code = tower.types("invite")["code"]
    joined = laptop.types("join", code, "--person", "bob", "--computer", "laptop")
    assert joined["inviter"] == "tower"

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.txt").write_text("found\n")
    tower.types("share", str(pictures), "--to", "bob", "--verb", "read")
    laptop.types("get", "tower:pictures/a.txt", str(tmp_path / "got.txt"))
    assert (tmp_path / "got.txt").read_text() == "found\n"

    tower.types("down")
    laptop.types("down")  # it hears nothing of the move
    tower.move("10.99.7.9")
    tower.types("up")
    laptop.types("up")
    (seen,) = laptop.types("ls", "tower:")
    assert seen["path"] == "pictures", "at the address that it has now"
