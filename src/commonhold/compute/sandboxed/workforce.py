"""The processes of one sandbox that call functions: as many as calls may run at a time.

Python computes on one core in each process. So the program loads Dask once and forks; what was loaded
is shared until written to. A function may end its process (by a fault of a library in C, say): another takes its
place. Nothing here runs a loop or a thread of its own, so that forking is safe at any time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import select
import signal
import socket
import traceback

import msgspec
from msgspec import structs

from commonhold.compute.channel import Message, Orders
from commonhold.compute.sandboxed import engine

REST = 1.0  # seconds until a process that ended is replaced: one that cannot start must not be started without end
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # what libraries in C take by themselves


def employ(orders: Orders, node: socket.socket, streams: list[socket.socket], folder: str) -> None:
    """Keep the processes running until the node closes its end."""
    os.environ.update(dict.fromkeys(THREADS, str(max(1, orders.cores // orders.processes))))
    gc.freeze()  # collecting would write to what the processes share
    wake = _waker()
    heard: list[socket.socket | int] = [node, wake]
    if not _stood_back(node):
        return
    places: dict[int, int] = {}  # by process
    vacant = list(range(len(streams)))
    while True:
        for place in vacant:
            places[_start(orders, place, node, streams, folder)] = place
        vacant = []
        while not vacant:
            ready, _, _ = select.select(heard, [], [])
            if node in ready and not node.recv(65_536):
                return
            if wake in ready:
                os.read(wake, 512)
                vacant = _ended(places)
        ended, _, _ = select.select([node], [], [], REST)
        if ended and not node.recv(65_536):
            return


def _stood_back(node: socket.socket) -> bool:
    """Ask our node to put this process, and all that it will start, behind the owner. -> Whether it has."""
    node.sendall(msgspec.json.encode(Message(id=1, ask="loaded")) + b"\n")
    with node.makefile("rb") as lines:
        return any(msgspec.json.decode(line, type=Message).id == 1 for line in lines)


def _waker() -> int:
    """A pipe that has something to read when a process has ended."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal that is ignored wakes nobody
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    return wake


def _ended(places: dict[int, int]) -> list[int]:
    """The places whose process has ended. What calls have left running is buried here, too (orphans.py)."""
    found = []
    while places:
        process, _ = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            break
        if process in places:
            found.append(places.pop(process))
    return found


def _start(orders: Orders, place: int, node: socket.socket, streams: list[socket.socket], folder: str) -> int:
    """Fork one, and return its number; in the new process nothing returns."""
    process = os.fork()
    if process:
        return process
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        node.close()
        for other, each in enumerate(streams):
            if other != place:
                each.close()
        me, memory = f"{orders.me}.{place}", orders.memory // orders.processes
        asyncio.run(engine.work(structs.replace(orders, me=me, cores=1, memory=memory), streams[place], folder))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)  # a call's thread may never end by itself
