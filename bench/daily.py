"""Everyday work: starting, joining, files, processors."""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
from rows import Row, seconds

from commonhold.demo.stage import Computer, Stage, library

LARGE = 256 * 2**20  # bytes
REST = 20.0  # seconds over which a node at rest is watched


def rows() -> list[Row]:
    """Two real nodes, from founding to a job."""
    found = starting()
    with Stage() as stage:
        tower, laptop = stage.computer("tower", "ann"), stage.computer("laptop", "bob")
        tower.create("casa", trusting=True)
        found.append(Row("joining by code, the node's start included", f"{seconds(lambda: laptop.join(tower)):.2f} s"))
        found += at_rest(tower)
        found += files(stage, tower, laptop)
        found += processors(tower, laptop)
        found.append(Row("a node's memory after all of the above", memory(tower), "≤ 100 MB"))
        stage.clear()
    found.append(Row("`commonhold demo`, whole", f"{seconds(_demo):.1f} s", "< 60 s"))
    return found


def starting() -> list[Row]:
    """How long a command takes before it does anything, beside the bare interpreter."""
    program = Path(sys.executable).with_name("commonhold")
    helping = [seconds(lambda: subprocess.run([program, "--help"], capture_output=True, check=True)) for _ in range(11)]
    bare = [seconds(lambda: subprocess.run([sys.executable, "-c", ""], check=True)) for _ in range(11)]
    took, empty = statistics.median(helping[1:]) * 1000, statistics.median(bare[1:]) * 1000
    return [Row("`commonhold --help`", f"{took:.0f} ms (bare Python: {empty:.0f} ms)", "≤ 150 ms")]


def memory(computer: Computer) -> str:
    return f"{psutil.Process(computer.pid).memory_info().rss / 1e6:.0f} MB"


def at_rest(computer: Computer) -> list[Row]:
    time.sleep(3)  # what starting begins (greeting, announcing) is over
    process = psutil.Process(computer.pid)
    before = process.cpu_times()
    time.sleep(REST)
    after = process.cpu_times()
    share = (after.user + after.system - before.user - before.system) / REST * 100
    return [
        Row("a node at rest: memory (RSS)", memory(computer), "≤ 75 MB"),
        Row("a node at rest: processor", f"{share:.2f} % of a core", "≤ 0.5 %"),
    ]


def files(stage: Stage, owner: Computer, reader: Computer) -> list[Row]:
    """Trees and large files over TLS on loopback, digests checked, writes durable."""
    shared = stage.folder / "shared"
    shared.mkdir()
    sources = library(shared / "library")
    count = sum(1 for path in sources.rglob("*") if path.is_file())
    with (shared / "large").open("wb") as file:
        for _ in range(LARGE // 2**20):
            file.write(os.urandom(2**20))
    owner.net.share(shared, "shared", to=reader.person, verb="write")
    down = seconds(lambda: reader.net.get("tower:shared/library", stage.folder / "tree", recursive=True))
    up = seconds(lambda: reader.net.put(stage.folder / "tree", "tower:shared/back", recursive=True))
    large_down = seconds(lambda: reader.net.get("tower:shared/large", stage.folder / "large"))
    large_up = seconds(lambda: reader.net.put(stage.folder / "large", "tower:shared/large2"))
    hashed = seconds(lambda: _hash(stage.folder / "large"))
    return [
        Row(f"`get -r` of {count:,} files", f"{down:.1f} s, {count / down:.0f} files/s"),
        Row(
            f"`put -r` of {count:,} files, each on the disk when acknowledged",
            f"{up:.1f} s, {count / up:.0f} files/s",
        ),
        Row("`get` of 256 MiB", f"{LARGE / large_down / 1e6:.0f} MB/s"),
        Row("`put` of 256 MiB", f"{LARGE / large_up / 1e6:.0f} MB/s"),
        Row("SHA-256 of the same file here, for comparison", f"{LARGE / hashed / 1e6:.0f} MB/s"),
    ]


def _hash(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def processors(owner: Computer, submitter: Computer) -> list[Row]:
    first = seconds(lambda: submitter.net.run("true", ["1"]))
    many = seconds(lambda: submitter.net.run("true", [str(number) for number in range(500)]))
    inputs = [f"tower:shared/library/{path.name}" for path in _top(owner)]
    real = seconds(lambda: submitter.net.run("gzip -9 -c {} > {}.gz", inputs))
    return [
        Row("first result of `run` (a new session)", f"{first:.1f} s"),
        Row("`true` over 500 inputs on two computers", f"{500 / many:.0f} tasks/s"),
        Row(f"`gzip -9` over {len(inputs)} files, fetched and stored", f"{len(inputs) / real:.0f} files/s"),
    ]


def _top(owner: Computer) -> list[Path]:
    return sorted(Path(entry.path) for entry in owner.net.ls("tower:shared/library") if entry.path.endswith(".py"))


def _demo() -> None:
    subprocess.run([sys.executable, "-m", "commonhold", "demo"], check=True, capture_output=True)
