"""Where there is no bubblewrap: what would live on behind its worker, when its session has ended."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.compute.conftest import Computer, alone  # noqa: F401 - a fixture

from commonhold.compute import sandbox
from commonhold.compute.job import State
from commonhold.compute.lender.backrow import Rank

from ..conftest import lent, processes_of, until

ENDS_ITS_WORKER = """
import os, signal, sys, time
worker = os.getppid()
for _ in range(2):
    if os.fork():
        time.sleep(600)
    os.setsid()
open(sys.argv[1], "w").close()
os.kill(worker, signal.SIGKILL)
time.sleep(600)
"""


def walks_off(mark):
    """A process that has left its session and its parents."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            Path(mark).write_text(str(os.getpid()))
            time.sleep(600)
        os._exit(0)
    while not (os.path.exists(mark) and Path(mark).read_text()):  # noqa: PTH110
        time.sleep(0.02)


def test_what_a_function_leaves_behind_ends_with_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Real nodes; a bubblewrap that does not start is none."""
    program = tmp_path / "bin" / "bwrap"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    mark = tmp_path / "mark"
    with lent(tmp_path) as (tower, laptop):
        tower.net.allow("bob", "run", "compute")
        assert laptop.net.status().sandbox == sandbox.Kind.LIMITS
        with tower.net.executor("laptop") as executor:
            executor.submit(walks_off, str(mark)).result()
            left = psutil.Process(int(mark.read_text()))
            assert executor.submit(abs, -7).result() == 7, "who has buried a stranger lives on"
        laptop.net.deny("ann", "run", "compute")
        until(lambda: not left.is_running(), "it has ended")


async def test_who_ends_its_worker_first_is_ended_by_its_group(alone: Computer, monkeypatch):  # noqa: F811
    if alone.lending.back_row.rank is not Rank.GROUP:
        pytest.skip("no group can be made here")
    monkeypatch.setitem(sandbox._known, "kind", sandbox.Kind.LIMITS)
    mark = alone.folder / "mark"
    job = await alone.run((sys.executable, "-c", ENDS_ITS_WORKER, str(mark)))
    assert (job.state, mark.exists()) == (State.FAILED, True)
    async with asyncio.timeout(30):
        while processes_of(mark):  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.05)
