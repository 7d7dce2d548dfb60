"""Freezing real processes, the kind that would rather not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.conftest import until

from commonhold.compute.lender import frost
from commonhold.compute.sandbox import Kind

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are looked at through /proc")

SPINS = "while True: pass"
HEADLESS = """
import ctypes, threading
def spin():
    while True: pass
threading.Thread(target=spin).start()
ctypes.CDLL(None).pthread_exit(None)
"""
DEAF = f"""
import signal
for each in set(signal.Signals) - {{signal.SIGKILL, signal.SIGSTOP}}:
    signal.signal(each, signal.SIG_IGN)
{SPINS}
"""
FAMILY = f"""
import os
if os.fork() and os.fork():
    os.setpgid(0, 0)
{SPINS}
"""
ORPHAN = f"""
import os
if os.fork():
    os._exit(0)
{SPINS}
"""


@contextmanager
def running(program: str) -> Iterator[int]:
    """A session of its own, as one without bubblewrap has."""
    shell = f"{sys.executable} -c '{program}'; sleep 1000"
    process = subprocess.Popen(["sh", "-c", shell], start_new_session=True)
    try:
        yield process.pid
    finally:
        for each in frost.inside(process.pid, Kind.LIMITS):
            with suppress(OSError):
                os.kill(each, signal.SIGKILL)
        process.wait()


def used(processes: list[int]) -> int:
    """Ticks of processor time, of all threads."""
    ticks = 0
    for each in processes:
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks


def until_it_spins(outer: int) -> None:
    deadline = time.monotonic() + 30
    while used(frost.inside(outer, Kind.LIMITS)) < 10:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    "program", [SPINS, HEADLESS, DEAF, FAMILY, ORPHAN], ids=["spins", "headless", "deaf", "family", "orphan"]
)
def test_nothing_moves_while_it_is_frozen_and_all_goes_on_afterwards(program):
    with running(program) as outer:
        until_it_spins(outer)
        assert frost.freeze(outer, Kind.LIMITS)
        there = frost.inside(outer, Kind.LIMITS)
        before = used(there)
        time.sleep(0.3)
        assert used(there) == before
        assert frost.inside(outer, Kind.LIMITS) == there
        assert frost.freeze(outer, Kind.LIMITS), "a second time is no harm"
        frost.thaw(outer, Kind.LIMITS)
        until = time.monotonic() + 30
        while used(there) == before:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_with_bubblewrap_the_outer_process_is_none_of_the_guests():
    with running(SPINS) as outer:
        until_it_spins(outer)
        assert outer not in frost.inside(outer, Kind.BUBBLEWRAP)
        assert outer in frost.inside(outer, Kind.LIMITS)


def test_what_was_frozen_when_its_node_was_killed_is_ended_at_the_next_start(tmp_path):
    words = [sys.executable, "-c", SPINS, "-m", "commonhold.compute.sandboxed.inside", "3"]
    ours, others = (
        subprocess.Popen([*words, str(tmp_path / home / "lent" / "stay" / "room")], start_new_session=True)
        for home in ("hóme", "other")
    )
    try:
        for each in (ours, others):
            until(lambda each=each: SPINS in psutil.Process(each.pid).cmdline(), "it is what it was started as")
            os.kill(each.pid, signal.SIGSTOP)
        frost.end_forgotten(tmp_path / "hóme" / "lent")
        assert ours.wait(30) == -signal.SIGKILL
        assert others.poll() is None
    finally:
        for each in (ours, others):
            each.kill()
            each.wait()


def test_what_has_ended_is_frozen(tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    assert not psutil.pid_exists(process.pid)
    for kind in Kind:
        assert frost.inside(process.pid, kind) == []
        assert frost.freeze(process.pid, kind)
        frost.thaw(process.pid, kind)
