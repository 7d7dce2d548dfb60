"""Start a node in the background, and wait until it serves or says why not.

The node's process gets a session of its own (it survives the terminal), one end of a pipe, and
nothing else: it takes the lock of its home and writes one JSON line to the pipe when it serves;
the end of the pipe without a line means that it died (measured: 30 ms; of eight started at once,
one wins). A node never forks: a forked child would keep the lock.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from commonhold.errors import CommonholdError, Conflict, NodeNotRunning, from_problem
from commonhold.home import Home

PATIENCE = 20.0  # seconds until a node must serve: a cold disk takes seven to read the libraries
GRACE = 8.0  # seconds that a node gets to end by itself


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
    with os.fdopen(reading, "rb") as pipe:
        line = _first_line(pipe, time.monotonic() + PATIENCE)
    if not line:
        process.kill()
        process.wait()
        raise CommonholdError("The node did not start.", f"its last words are in {home.log}")
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
    """End the node of `home`: ask, wait, and kill what does not end. Raises NodeNotRunning."""
    if not running(home):
        home.settings()
        raise NodeNotRunning("The node of this computer is not running.", "commonhold up")
    pid = home.gateway().pid
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 2.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience
        while running(home):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            break
    home.gateway_file.unlink(missing_ok=True)


def log_tail(path: Path, lines: int = 5) -> str:
    """The last lines of a node's log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""
