"""Start a node in the background, and wait until it serves or says why not.

The node's process gets a session of its own (it survives the terminal), one end of a pipe, and
nothing else: it takes the lock of its home and writes one JSON line to the pipe when it serves;
the end of the pipe without a line means that it died (measured: 30 ms; of eight started at once,
one wins). A node never forks: a forked child would keep the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from commonhold.errors import CommonholdError, Conflict, NodeNotRunning, from_problem
from commonhold.home import Home

if TYPE_CHECKING:
    import psutil

PATIENCE = 20.0  # seconds until a node must serve: a cold disk takes seven to read the libraries
GRACE = 8.0  # seconds that a node gets to end by itself
KILLED = 2.0  # seconds that the system gets to end it


def start(home: Home) -> None:
    """Start the node of `home` in the background; returns when it serves.

    Raises what the node reported (a port in use, a damaged file, a home that another node holds).
    """
    home.settings()
    reading, writing = os.pipe()
    with home.log.open("ab", buffering=0) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "commonhold", "--home", str(home), "up", "--foreground", f"--ready-fd={writing}"],
            start_new_session=True,
            pass_fds=[writing],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
        )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            line = _first_line(pipe, time.monotonic() + PATIENCE)
        if not line:
            raise CommonholdError("The node did not start.", f"its last words are in {home.log}")
    except BaseException:  # Ctrl-C too: nobody would know of a node that came up after it
        process.kill()
        process.wait()
        raise
    report = msgspec.json.decode(line)
    if report.get("type"):
        process.wait()
        raise from_problem(report, 500)


def _first_line(pipe: BinaryIO, deadline: float) -> bytes:
    """What the node reports, or nothing when it died or took too long."""
    import select  # noqa: PLC0415

    collected = b""
    while not collected.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready or not (chunk := os.read(pipe.fileno(), 65536)):
            return b""
        collected += chunk
    return collected


def hold(home: Home) -> BinaryIO:
    """Take the lock of the home; it is free again when the process ends, however it ends.

    Raises Conflict when another node holds it.
    """
    home.make()
    handle = home.lock.open("a+b")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise Conflict(f"A node already runs in {home}.", "commonhold status") from error
    return handle


def running(home: Home) -> bool:
    """Whether some process holds the home's lock."""
    if not home.lock.exists():
        return False
    with home.lock.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def stop(home: Home) -> None:
    """End the node of `home`: ask, wait, kill what does not end. No process of it is left. Raises NodeNotRunning."""
    import psutil  # noqa: PLC0415 - late: commands that start nodes do not need it

    process = _process(home)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        if not _ends(process, GRACE):
            process.kill()
            _ends(process, KILLED)
    home.gateway_file.unlink(missing_ok=True)


def _ends(process: psutil.Process, patience: float) -> bool:
    """Whether it ends in time. One that its parent has not buried (a container's first process may not) has ended."""
    import psutil  # noqa: PLC0415

    deadline = time.monotonic() + patience
    while process.status() != psutil.STATUS_ZOMBIE:  # raises NoSuchProcess when it is gone altogether
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(0)  # our own child: buried here
    return True


def _process(home: Home) -> psutil.Process:
    """The node's process; one that is just starting is waited for, since only its card says which it is."""
    import psutil  # noqa: PLC0415

    deadline = time.monotonic() + PATIENCE
    while running(home) and time.monotonic() < deadline:
        with contextlib.suppress(NodeNotRunning, psutil.NoSuchProcess):
            return psutil.Process(home.gateway().pid)
        time.sleep(0.02)
    home.settings()  # raises what says more, where no node can run
    raise NodeNotRunning("The node of this computer is not running.", "commonhold up")
