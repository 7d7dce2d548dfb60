"""Whether somebody uses this computer: what terminals, the desktop, its programs and its battery show.

Nothing of it leaves this computer but that it is in use. Where nobody can tell (on other systems than Linux, or where
the desktop does not answer) it counts as used: the owner comes first.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

QUIET = 180.0  # seconds without a key at any terminal until nobody is there; the kernel dates keys to eight seconds
BUSY, WINDOW = 0.5, 10.0  # so many cores, for so many seconds, that programs use which are no guests
SHORTEST = 0.2  # seconds between two looks that tell a load
IDLE_CLASS = 5  # SCHED_IDLE, the class of guests, as /proc says it
DESKTOPS = frozenset({"x11", "wayland", "mir"})
ANSWERS_WITHIN = 2.0  # seconds


class Presence:
    """Looks at the computer, whenever it is asked to. The places where it looks are the system's own."""

    def __init__(
        self,
        processes: Path = Path("/proc"),
        devices: Path = Path("/dev"),
        supplies: Path = Path("/sys/class/power_supply"),
        logins: Path = Path("/run/systemd/sessions"),
    ) -> None:
        self._processes, self._devices, self._supplies, self._logins = processes, devices, supplies, logins
        self._load = OwnLoad(processes)

    def look(self) -> str:
        """What shows that it is in use, as a sentence's end; nothing when nobody uses it. Blocks, for milliseconds."""
        if sys.platform != "linux":
            return "nobody can tell on this system whether it is used"
        if typed(self._devices):
            return f"somebody typed here within the last {QUIET / 60:g} minutes"
        if desktop := self._desktop():
            return desktop
        if on_battery(self._supplies):
            return "it runs on its battery"
        if (load := self._load.now()) > BUSY:
            return f"programs that are no guests use {load:.1f} cores"
        return ""

    def _desktop(self) -> str:
        if not (names := list(desktops(self._logins))):
            return ""
        if (program := shutil.which("loginctl")) is None:
            return "nobody can tell whether its desktop is used"
        words = [program, "show-session", "--property=IdleHint", *names]
        try:
            said = subprocess.run(words, capture_output=True, text=True, timeout=ANSWERS_WITHIN, check=True).stdout
        except (OSError, subprocess.SubprocessError):
            return "its desktop does not say whether it is used"
        return "its desktop is in use" if "IdleHint=no" in said else ""


def typed(devices: Path) -> bool:
    """Whether a key was pressed at a terminal lately: at the consoles, or at those that programs open (ssh, xterm)."""
    now = time.time()
    for terminal in (*devices.glob("pts/[0-9]*"), *devices.glob("tty[0-9]*")):
        with suppress(OSError):
            found = terminal.stat()
            if stat.S_ISCHR(found.st_mode) and abs(now - found.st_atime) < QUIET:
                return True
    return False


def desktops(logins: Path) -> Iterator[str]:
    """The ids of graphical sessions that are not closing, as systemd-logind or elogind keeps them."""
    for file in sorted(logins.glob("[!.]*")):
        with suppress(OSError, UnicodeDecodeError):
            words = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
            if words.get("TYPE") in DESKTOPS and words.get("CLASS") == "user" and words.get("STATE") != "closing":
                yield file.name


def on_battery(supplies: Path) -> bool:
    """Whether it runs on a battery of its own (a mouse has one too), and no power comes in."""
    draining = False
    for supply in supplies.glob("*"):
        if _said(supply / "type") != "Battery":
            if _said(supply / "online") == "1":
                return False
        elif _said(supply / "scope") != "Device" and _said(supply / "status") == "Discharging":
            draining = True
    return draining


def _said(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


class OwnLoad:
    """How many cores are used by what is neither a guest (SCHED_IDLE, of whomever) nor this process itself."""

    def __init__(self, processes: Path) -> None:
        self._processes = processes
        self._looks: deque[tuple[float, float]] = deque()  # when, and what was used until then
        self._used = 0.0  # core seconds
        self._before = (0.0, 0.0)  # of all, and of those that do not count
        self._tick = os.sysconf("SC_CLK_TCK")
        self._lock = threading.Lock()

    def now(self) -> float:
        """In cores, over the last ten seconds, or since the first look."""
        with self._lock:
            if self._looks and time.monotonic() - self._looks[-1][0] > WINDOW:
                self._looks.clear()
            if not self._looks:
                self._before = self._totals()
                self._looks.append((time.monotonic(), 0.0))
            if (young := SHORTEST - (time.monotonic() - self._looks[0][0])) > 0:
                time.sleep(young)
            now = time.monotonic()
            self._look(now)
            while len(self._looks) > 2 and now - self._looks[1][0] >= WINDOW:
                self._looks.popleft()
            since, used = self._looks[0]
            return (self._used - used) / max(now - since, SHORTEST)

    def _look(self, now: float) -> None:
        everything, uncounted = self._totals()
        before, uncounted_before = self._before
        self._before = everything, uncounted
        # A guest whose time nobody of its class inherits takes it along when it ends: that look tells nothing.
        if uncounted >= uncounted_before:
            self._used += max(0.0, (everything - before) - (uncounted - uncounted_before))
        self._looks.append((now, self._used))

    def _totals(self) -> tuple[float, float]:
        """Core seconds since the start: of everything, and of guests and this process."""
        user, nice, system, _idle, _wait, irq, soft, *_ = map(int, (self._processes / "stat").read_text().split()[1:9])
        guests = sum(self._of_guest(entry) for entry in self._processes.iterdir() if entry.name.isdecimal())
        return (user + nice + system + irq + soft) / self._tick, guests / self._tick + sum(os.times()[:2])

    def _of_guest(self, process: Path) -> int:
        """Ticks of a guest's process and of those that it has buried."""
        with suppress(OSError, ValueError, IndexError):
            fields = (process / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[38]) == IDLE_CLASS:
                return sum(map(int, fields[11:15]))
        return 0
