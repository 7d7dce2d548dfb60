"""Memory that a guest takes where it does not show as its processes'."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from tests.compute.conftest import Computer, alone  # noqa: F401 - a fixture

from commonhold.compute.job import State
from commonhold.compute.lender.bounds import Unit, Use
from commonhold.compute.lender.gauge import TreeGauge, with_hidden
from commonhold.compute.lender.shared import uncounted

MIB = 2**20
WAYS = {
    "a file in memory": "import os\nfile = os.memfd_create('x')\nfor _ in range(400):\n os.write(file, bytes(2**20))",
    "pages that nobody has looked at of late": (
        "import mmap\nheld = mmap.mmap(-1, 400 * 2**20)\n"
        "for at in range(0, 400 * 2**20, 2**22):\n"
        " held[at:at + 2**22] = b'x' * 2**22\n held.madvise(mmap.MADV_DONTNEED)"
    ),
    "a file in memory that is only mapped": (
        "import mmap, os\nfile = os.memfd_create('x')\nfor _ in range(400):\n os.write(file, bytes(2**20))\n"
        "held = mmap.mmap(file, 0)\nos.close(file)"
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_memory_is_found_where_no_process_shows_it(alone: Computer, way: str):  # noqa: F811
    alone.lends(memory=300 * MIB)
    job = await alone.run((sys.executable, "-c", f"{WAYS[way]}\nimport time; time.sleep(60)"))
    [task] = alone.journal.tasks(job.job)
    assert task.state == State.FAILED
    assert "memory, which is what tower lends" in task.problem


SHARING = """
import mmap, os, time
held = mmap.mmap(-1, 100 * 2**20)
for at in range(0, 100 * 2**20, 2**20):
    held[at:at + 2**20] = b"x" * 2**20
for _ in range(3):
    if os.fork() == 0:
        os.setpgid(0, 0)
        len(held[:])
        break
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def gauge() -> Iterator[TreeGauge]:
    """Of processes that share 100 MiB and have all looked at it, each in a group of its own."""
    process = subprocess.Popen([sys.executable, "-c", SHARING], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    found = TreeGauge(process.pid)
    yield found
    found.close()
    for each in psutil.Process(process.pid).children():
        each.kill()
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_processes_share_and_show_is_not_counted_twice(gauge: TreeGauge):
    assert sum(gauge.hidden().values()) < 5 * MIB
    assert 100 * MIB < with_hidden(gauge.use(0), gauge.hidden()).memory < 200 * MIB


def test_a_file_in_memory_is_that_of_who_has_it_and_open_twice_it_is_one():
    with open(os.memfd_create("x"), "r+b") as file, mmap.mmap(-1, MIB):  # noqa: PTH123
        file.write(bytes(50 * MIB))
        file.flush()
        again = os.dup(file.fileno())
        processes = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        try:
            hidden = uncounted([(os.getpid(), 7)], processes)
        finally:
            os.close(processes)
            os.close(again)
    assert set(hidden) == {7}
    assert 45 * MIB < hidden[7] < 90 * MIB, "once, and not twice"


def test_what_is_hidden_is_its_tasks_or_the_workers_own():
    use = Use(own=10, units=(Unit(7, True, 100, 1), Unit(8, False, 100, 1)))
    found = with_hidden(use, {7: 5, 8: 3, 1: 2})
    assert [unit.memory for unit in found.units] == [105, 100]
    assert found.own == 15


SYSTEM_V = "import ctypes; print(ctypes.CDLL(None).{}(0, {}))"


async def test_no_memory_is_made_that_is_nobodys(alone: Computer):  # noqa: F811
    for call, words in (("msgget", "0o1600"), ("shmget", "4096, 0o1600")):
        job = await alone.run((sys.executable, "-c", SYSTEM_V.format(call, words)))
        [task] = alone.journal.tasks(job.job)
        assert task.output == "-1\n"
