"""A guest that would compute on while its lender's owner is there."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.compute.conftest import BOB, Town, needs_bubblewrap, town  # noqa: F401 - a fixture

from commonhold.authority.authority import Verb
from commonhold.compute.lender.stay import Stay

HOPS = """
import os, time
if os.fork():
    time.sleep(600)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.01)
    with open("/session/moves", "a") as file:
        file.write("x")
"""
WAKES = """
import os, signal
for _ in range(6):
    if os.fork() == 0:
        os.setpgid(0, 0)
        break
while True:
    for number in range(1, 60):
        try:
            os.kill(number, signal.SIGCONT)
        except OSError:
            pass
    with open("/session/moves", "a") as file:
        file.write("x")
"""
TRACES = """
import ctypes, os, signal
system = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    while True:
        with open("/session/moves", "a") as file:
            file.write("x")
system.ptrace(0x4206, child, 0, 0)
while True:
    _, status = os.waitpid(child, 0x40000000)
    system.ptrace(7, child, 0, 0)
"""
THREADS = """
import os, threading, ctypes
def work():
    while True:
        with open("/session/moves", "a") as file:
            file.write("x")
for _ in range(20):
    threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(0)
"""
WAITS = """
import ctypes, os, threading
def work():
    while True:
        with open("/session/moves", "a") as file:
            file.write("x")
threading.Thread(target=work).start()
os.posix_spawn("/bin/sh", ["sh", "-c", "while :; do printf x >> /session/moves; done"], os.environ)
"""
TIMERS = """
import ctypes, signal
class Event(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("value", "_value", "signal", "notify", *map(str, range(12)))]
signal.signal(signal.SIGCONT, lambda *_: None)
system, event = ctypes.CDLL(None), Event(0, 0, signal.SIGCONT, 0)
for number in range(1, 4001):
    timer, after = ctypes.c_void_p(), number * NANOSECONDS
    system.timer_create(1, ctypes.byref(event), ctypes.byref(timer))
    once = (ctypes.c_long * 4)(0, 0, after // 10**9, after % 10**9)
    system.timer_settime(timer, 0, ctypes.byref(once), None)
while True:
    with open("/session/moves", "a") as file:
        file.write("x")
"""
WAYS = {"hops": HOPS, "wakes": WAKES, "traces": TRACES, "threads": THREADS, "waits": WAITS}


async def at_work(town: Town, program: str) -> tuple[int, Stay, Path]:  # noqa: F811
    """ann's laptop runs it on bob's tower -> its job, and there its stay, and the file that it writes in."""
    tower, laptop = town.computers["tower"], town.computers["laptop"]
    tower.allow(BOB, Verb.RUN)
    tower.lends(when="idle")
    job = await laptop.begin((sys.executable, "-c", program), on="tower")
    await laptop.until(job, "running")
    [held] = tower.lending.stays
    moves = held.room / "moves"
    await until(lambda: moves.exists() and moves.stat().st_size > 20)
    return job, held, moves


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


@needs_bubblewrap
@pytest.mark.parametrize("way", WAYS)
async def test_no_guest_computes_on_when_its_owner_comes(town: Town, way: str):  # noqa: F811
    """Whatever it does, it is frozen, or ended when it cannot be."""
    job, held, moves = await at_work(town, WAYS[way])

    def size() -> int:
        return moves.stat().st_size if moves.exists() else 0

    town.computers["tower"].use = "somebody typed here"
    # Who could not be stopped for half a second, twice, is killed, and its folder goes: 1.1 s when nobody computes.
    await until(lambda: held.frozen is not None or not moves.exists(), 5)
    before = size()
    await asyncio.sleep(1.5)
    assert size() == before, (held.frozen, held.closed)
    await town.computers["laptop"].cluster.cancel(job)


@needs_bubblewrap
@pytest.mark.parametrize("milliseconds", [2, 50])
async def test_a_guest_that_has_itself_wakened_by_timers_is_ended(town: Town, milliseconds: int):  # noqa: F811
    """The kernel sends what it was asked for before, to a stopped process too."""
    job, held, moves = await at_work(town, TIMERS.replace("NANOSECONDS", str(milliseconds * 10**6)))
    town.computers["tower"].use = "somebody typed here"
    await until(lambda: not moves.exists(), 5)
    assert held.closed
    await town.computers["laptop"].cluster.cancel(job)


APART = """
import os, time
if os.fork():
    os.wait()
else:
    os.setsid()
    for _ in range(300):
        said = open("/proc/self/autogroup").read()
        if "nice 19" in said:
            break
        time.sleep(0.1)
    print(said)
"""


@needs_bubblewrap
@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="Linux divides nothing by sessions here")
async def test_a_guest_that_begins_a_session_has_no_more_of_the_processors(town: Town):  # noqa: F811
    """Linux gives each session as much as the owner's has, unless it is told to stand back."""
    laptop = town.computers["laptop"]
    job = await laptop.run((sys.executable, "-c", APART), on="laptop")
    [task] = laptop.journal.tasks(job.job)
    assert task.output.split()[-2:] == ["nice", "19"]
