"""Each computer in a network of its own: a namespace (`ip-netns`), a cable to one switch, `tbf` at both ends of it.

The switch stands in a namespace too, so that the machine's own network sees nothing of it. Needs root and iproute2.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from commonhold.errors import CommonholdError
from commonhold.transport import DEFAULT_PORT

T = TypeVar("T")

NAMES = Path("/run/netns")  # where iproute2 keeps the handles of namespaces
NEWNET = 0x40000000  # CLONE_NEWNET of setns(2)
BURST = (
    0.004  # seconds of the rate that may pass at once: below, the kernel's timer decides; above, small files are free
)
LEAST_BURST = 6_000  # bytes: a few packets, or nothing passes at all
QUEUE = 0.5  # seconds of the rate that may wait in a link before packets are lost
CABLE = "cable"  # the name of each computer's one network card


def available() -> bool:
    """Whether this process may make namespaces: it tries."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        return False
    name = f"ch-try-{os.getpid()}"
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "netns", "del", name)
    except CommonholdError:
        return False
    return True


class Namespace:
    """One computer's network. What `within` does, and what that starts, sees this network and no other."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = self.found_at = f"{address}:{DEFAULT_PORT}"
        self._threads = ThreadPoolExecutor(1, f"in-{name}", initializer=_enter, initargs=(name,))

    def within(self, work: Callable[[], T]) -> T:
        """In a thread that is in the namespace: its sockets are, and so is every thread and process that it starts."""
        return self._threads.submit(work).result()

    def carried(self) -> tuple[int, int]:
        """Bytes (sent, received) by the computer's link so far, as the kernel counts them: with all headers."""
        lines = self.within(Path("/proc/thread-self/net/dev").read_text).splitlines()
        words = next(line.split() for line in lines if line.strip().startswith(f"{CABLE}:"))
        return int(words[9]), int(words[1])

    def close(self) -> None:
        self._threads.shutdown()


class Lan:
    """The networks of one town, all named after its token."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._lan = f"ch-{token}-lan"
        _run("ip", "netns", "add", self._lan)
        _within(self._lan, "link add switch type bridge", "link set switch up")

    def plug(self, number: int, rate: float) -> Namespace:
        """A new computer's network, held to `rate` bytes/s each way; 0 does not hold it."""
        name, port = f"ch-{self._token}-{number}", f"port{number}"
        address = f"10.77.{number // 250}.{number % 250 + 1}"
        _run("ip", "netns", "add", name)
        _within(self._lan, f"link add {port} type veth peer name {CABLE} netns {name}")
        _within(self._lan, f"link set {port} master switch up")
        _within(name, "link set lo up", f"addr add {address}/16 dev {CABLE}", f"link set {CABLE} up")
        if rate:
            for namespace, end in ((self._lan, port), (name, CABLE)):
                _run("tc", "-n", namespace, "qdisc", "add", "dev", end, "root", "tbf", *tbf(rate))
        return Namespace(name, address)


def tbf(rate: float) -> list[str]:
    """Parameters of `tbf`, for a rate in bytes/s."""
    burst = max(LEAST_BURST, int(rate * BURST))
    return ["rate", f"{int(rate * 8)}bit", "burst", f"{burst}b", "limit", f"{max(100_000, int(rate * QUEUE))}b"]


def inhabitants(token: str) -> set[int]:
    """The processes in the networks of that town."""
    found: set[int] = set()
    for name in _of(token):
        with suppress(CommonholdError):
            found |= set(map(int, _run("ip", "netns", "pids", name).split()))
    return found


def remove(token: str) -> None:
    """Every network of that town; nothing where there is none."""
    for name in _of(token):
        with suppress(CommonholdError):
            _run("ip", "netns", "del", name)


def _of(token: str) -> list[str]:
    return sorted(path.name for path in NAMES.glob(f"ch-{token}-*"))


def _enter(name: str) -> None:
    with (NAMES / name).open("rb") as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {name}")


def _within(namespace: str, *lines: str) -> None:
    _run("ip", "-n", namespace, "-batch", "-", text="\n".join(lines))


def _run(*words: str, text: str | None = None) -> str:
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommonholdError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
