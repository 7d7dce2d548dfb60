"""The program that runs in a sandbox: a session's scheduler, or one worker.

    python -I -m commonhold.compute.sandboxed.inside DESCRIPTOR[,DESCRIPTOR…] FOLDER [ENVIRONMENT]

Standard input is a Unix socket to its node, which sends one line of orders and then speaks as
channel.py says; DESCRIPTOR is the socket over which connections travel (comm.py): one, or one for each
process that calls functions (workforce.py). The program ends when its standard input ends, so that no
process outlives a node that was killed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from commonhold.compute.channel import LONGEST_LINE, SCHEDULER, Message, Orders
from commonhold.compute.sandbox import end_session
from commonhold.compute.sandboxed import equipped, orphans
from commonhold.compute.sandboxed.forbidden import forbid


def confine(orders: Orders) -> None:
    """Take limits upon this process and all that it will start. Nobody but root can undo them from inside."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_NOFILE, orders.open_files)
    _limit(resource.RLIMIT_FSIZE, orders.file_size)
    if orders.data:  # what libraries only reserve, by the terabyte at times, does not count as this
        _limit(resource.RLIMIT_DATA, orders.data)
    if orders.threads:
        _limit(resource.RLIMIT_NPROC, orders.threads)
    forbid()
    if orders.nice:
        os.nice(19)
    if not orders.idle:
        return
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def _limit(what: int, wanted: int) -> None:
    """Lower a limit; what holds already is never raised."""
    _, hard = resource.getrlimit(what)
    bound = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(what, (bound, bound))


def _claim_input() -> socket.socket:
    """Standard input for us alone: a task reads nothing there, and what it prints goes to the log."""
    node = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return node


def _orders(node: socket.socket) -> Orders:
    with node.makefile("rb", buffering=0) as line:  # without a buffer: what follows is the channel's
        return msgspec.convert(msgspec.json.decode(line.readline(), type=Message).words, Orders)


async def _run(orders: Orders, node: socket.socket, streams: socket.socket, folder: str, environment: str) -> None:
    from commonhold.compute.sandboxed import engine  # noqa: PLC0415 - as in `_obey`

    if environment and orders.me == SCHEDULER:
        equipped.find_modules(Path(environment))
    reader, writer = await asyncio.open_unix_connection(sock=node, limit=LONGEST_LINE)
    await engine.run(orders, reader, writer, streams, folder)


def _obey(node: socket.socket, streams: list[socket.socket], folder: str, environment: str) -> None:
    orders = _orders(node)
    confine(orders)
    if orders.unpack:
        from commonhold.compute.sandboxed import unpacking  # noqa: PLC0415 - this process does nothing else

        unpacking.tell(node, unpacking.unpack(Path(folder), Path(environment), orders.unpack))
        return
    if environment:
        equipped.find_programs(Path(environment))
    orphans.adopt()
    # Dask is loaded only now, so that its threads start under the limits.
    if orders.processes:
        from commonhold.compute.sandboxed import workforce  # noqa: PLC0415

        if environment:
            equipped.find_modules(Path(environment))
        workforce.employ(orders, node, streams, folder)
    else:
        asyncio.run(_run(orders, node, streams[0], folder, environment))


def main() -> None:
    try:
        streams = [socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1].split(",")]
        _obey(_claim_input(), streams, sys.argv[2], "".join(sys.argv[3:]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        end_session(os.getsid(0), spare=os.getpid())
        os._exit(0)  # a task's thread may never end by itself


if __name__ == "__main__":
    main()
