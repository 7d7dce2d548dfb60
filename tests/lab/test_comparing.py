"""A real comparison of both shapes on this machine: its file grows point by point, and nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from commonhold.lab.comparing import saturated

from ..conftest import lives, processes_of, until
from ..plan.trials import SERVER, simulated

FEW = [
    "--loopback",
    "--computers",
    "3",
    "--people",
    "2",
    "--quick",
    "--repeats",
    "1",
    "--requests",
    "4",
    "--think",
    "0.2",
]


@pytest.fixture
def typed(tmp_path):
    """Type `compare`; all that it makes is in a folder of the test's own."""
    temporary = tmp_path / "t"
    temporary.mkdir()

    def start(*more: object) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "commonhold", "--json", "compare", *FEW, *map(str, more)]
        environment = os.environ | {"TMPDIR": str(temporary)}
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    yield start
    require_nothing_left(temporary)


def require_nothing_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []
    assert processes_of(folder) == []


def points(file: Path) -> list[dict]:
    return json.loads(file.read_text())["points"] if file.exists() else []


def test_it_is_interrupted_killed_taken_up_and_finished(typed, tmp_path):
    file, temporary = tmp_path / "essai à trois.json", tmp_path / "t"
    running = typed("--save", file)
    until(lambda: points(file), "the first point is on the disk")
    running.send_signal(signal.SIGINT)
    assert json.loads(running.communicate(timeout=60)[0])["error"] == "Interrupted."
    assert running.returncode == 130
    require_nothing_left(temporary)

    running = typed("--save", file)
    nodes = until(lambda: processes_of(temporary), "nodes of the next points live")
    running.kill()
    running.communicate()
    begun = points(file)
    assert begun

    again = typed("--save", file)
    trial = json.loads(again.communicate(timeout=120)[0])
    assert again.returncode == 0, trial
    assert not any(lives(each) for each in nodes)  # what the killed one left is cleared away
    assert trial == json.loads(file.read_text())
    assert trial["points"][: len(begun)] == begun
    require_sense(trial)

    assert json.loads(typed("--save", file).communicate(timeout=60)[0]) == trial  # there is nothing left to do
    other = typed("--save", file, "--seed", 3)
    assert "has another comparison: its seed is 20, not 3." in json.loads(other.communicate(timeout=60)[0])["error"]
    assert other.returncode == 6


def require_sense(trial: dict) -> None:
    asked = [(point["arrangement"]["shape"], point["people"]) for point in trial["points"]]
    assert asked == [("client-server", 1), ("client-server", 2), ("peer-to-peer", 1), ("peer-to-peer", 2)]
    assert any("4 requests in 1 repeats" in each for each in trial["warnings"])
    for point in trial["points"]:
        repeat, *_ = point["repeats"]  # too few requests are made good for by a second one
        assert repeat["requests"] > 0 == repeat["errors"]
        assert repeat["mean"] > 0 < repeat["moved"]
        server, *others = repeat["served"]
        assert server["requests"] > 0 or point["arrangement"]["shape"] == "peer-to-peer"
        assert point["arrangement"]["shape"] == "peer-to-peer" or not any(each["bytes"] for each in others)


def test_more_people_are_tried_until_something_is_busy_or_they_only_wait_longer():
    points = simulated(people=(1, 2, 4, 8, 16, 32, 64), arrangements=(SERVER,), repeats=2).points
    assert [saturated(points[:so_far]) for so_far in range(1, 6)] == [False] * 4 + [True]
    replace = msgspec.structs.replace
    unseen = [replace(each, repeats=tuple(replace(one, served=()) for one in each.repeats)) for each in points]
    assert [saturated(unseen[:so_far]) for so_far in range(1, 8)] == [False] * 6 + [True]
