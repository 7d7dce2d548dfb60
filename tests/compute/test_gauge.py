"""What is seen of a guest from outside, and what of it can be ended."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from commonhold.compute.lender.bounds import Unit, Use
from commonhold.compute.lender.gauge import Gauge, GuestProcess, NamespaceGauge, TreeGauge, machine, summed
from commonhold.compute.sandbox import TEMPORARY, Kind, _wrapped, here

Found = TypeVar("Found")
MIB = 2**20
GROUPS = "set -m; sleep 60 & {} & exec sleep 60"  # a shell with jobs gives each a group of its own
HOLDS = f"{sys.executable} -c 'import time; held = bytearray(80 << 20); time.sleep(60)'"


@pytest.fixture(params=Kind)
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Gauge]]:
    """Start a command in a sandbox of each kind -> its gauge. Its input ends when that is there."""
    if request.param is Kind.BUBBLEWRAP and asyncio.run(here()) is not request.param:
        pytest.skip("bubblewrap does not work here")
    (tmp_path / TEMPORARY).mkdir()
    started: list[subprocess.Popen[bytes]] = []
    gauges: list[Gauge] = []

    def begun(command: str) -> Gauge:
        prefix = _wrapped(tmp_path) if request.param is Kind.BUBBLEWRAP else []
        kind = NamespaceGauge if request.param is Kind.BUBBLEWRAP else TreeGauge
        words = [*prefix, "bash", "-c", command]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True, cwd=tmp_path)
        started.append(process)
        while True:
            try:
                gauges.append(kind(process.pid))
            except (OSError, ValueError):
                continue
            process.stdin.close()
            return gauges[-1]

    yield begun
    for gauge in gauges:
        gauge.close()
    for process in started:
        subprocess.run(["pkill", "-9", "-s", str(process.pid)], check=False)
        process.kill()
        process.wait()


def eventually(read: Callable[[], Found], wanted: Callable[[Found], object]) -> Found:
    ends = time.monotonic() + 20
    while not wanted(found := read()):
        assert time.monotonic() < ends, found
        time.sleep(0.02)
    return found


def until(gauge: Gauge, wanted: Callable[[Use], object]) -> Use:
    return eventually(lambda: gauge.use(2**40), wanted)


def test_each_group_is_a_unit_with_what_it_holds(begin: Callable[[str], Gauge]):
    gauge = begin(GROUPS.format(HOLDS))
    use = until(gauge, lambda use: len(use.units) == 2 and max(unit.memory for unit in use.units) > 80 * MIB)
    small, large = sorted(use.units, key=lambda unit: unit.memory)
    assert small.memory < 20 * MIB
    assert 80 * MIB < large.memory < 160 * MIB
    assert all(unit.group for unit in use.units)
    assert use.own < 40 * MIB


def test_a_unit_ends_and_no_other(begin: Callable[[str], Gauge]):
    gauge = begin(GROUPS.format(HOLDS))
    use = until(gauge, lambda use: len(use.units) == 2 and max(unit.memory for unit in use.units) > 80 * MIB)
    gauge.end(max(use.units, key=lambda unit: unit.memory))
    use = until(gauge, lambda use: use.memory < 60 * MIB)
    assert use.processes >= 2


def test_a_process_in_the_worker_s_own_group_is_a_unit_of_itself(begin: Callable[[str], Gauge]):
    gauge = begin("sleep 60 & sleep 60 & wait")
    use = until(gauge, lambda use: len(use.units) == 2)
    assert not any(unit.group for unit in use.units)
    gauge.end(use.units[0])
    use = until(gauge, lambda use: len(use.units) == 1)


FORKED = "import os, time; held = bytearray(60 << 20); [os.fork() for _ in range(2)]; time.sleep(60)"


def test_what_forked_processes_share_counts_once(begin: Callable[[str], Gauge]):
    gauge = begin(f"{sys.executable} -c '{FORKED}' & exec sleep 60")
    roughly = until(gauge, lambda use: use.memory > 4 * 60 * MIB)
    exactly = gauge.use(0)
    assert exactly.memory < roughly.memory / 2
    assert exactly.memory > 60 * MIB


def test_files_without_a_name_are_found_with_the_group_that_has_them(begin: Callable[[str], Gauge], tmp_path: Path):
    gauge = begin("set -m; (exec 3> f; rm f; head -c 3000000 /dev/zero >&3; exec sleep 60) & exec sleep 60")
    device = tmp_path.stat().st_dev
    eventually(lambda: sum(gauge.unlinked(device).values()), lambda size: size >= 3_000_000)
    [(group, size)] = gauge.unlinked(device).items()
    assert group in {unit.number for unit in gauge.use(2**40).units}
    assert size < 3_100_000
    assert gauge.unlinked(device + 1) == {}


def test_who_is_in_a_folder_is_found(begin: Callable[[str], Gauge], tmp_path: Path):
    (tmp_path / "work" / "3-1-1" / "below").mkdir(parents=True)
    (tmp_path / "work" / "3-1-10").mkdir()
    place = "work/3-1-1/below"
    gauge = begin(f"set -m; cd {place} 2>/dev/null || cd /session/{place}; sleep 60 & cd ../../3-1-10; exec sleep 60")
    found = eventually(lambda: gauge.groups_in("work/3-1-1"), bool)
    assert found == {unit.number for unit in gauge.use(2**40).units if unit.group}
    assert gauge.groups_in("work/3-1") == set()


def test_what_has_ended_uses_nothing(begin: Callable[[str], Gauge]):
    gauge = begin("read")
    until(gauge, lambda use: use.memory == 0)
    gauge.end(Unit(7, True, 0, 0))


def test_the_worker_s_own_processes_are_no_unit():
    seen = [
        GuestProcess(1, 1, 10, 1),
        GuestProcess(2, 1, 100, 9),
        GuestProcess(8, 8, 1000, 2),
        GuestProcess(9, 8, 1000, 1),
        GuestProcess(10, 1, 500, 1),
    ]
    use = summed(seen, 1, frozenset({1, 2}), 7)
    assert (use.own, use.own_processes) == (117, 10)
    assert set(use.units) == {Unit(8, True, 2000, 3), Unit(10, False, 500, 1)}


def test_the_computer_tells_its_memory():
    found = machine()
    assert 0 < found.available <= found.total
    assert found.total == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
