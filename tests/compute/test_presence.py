"""Whether somebody uses the computer, by what terminals, desktop, battery and programs show."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commonhold.compute.lender.presence import BUSY, QUIET, WINDOW, OwnLoad, Presence, desktops, on_battery, typed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is looked at as Linux shows it")

LONG_AGO = QUIET + 60


@pytest.fixture
def devices(tmp_path):
    """With one terminal, a real one, at which nobody has typed for long; `type_in(devices)` presses a key."""
    ours, theirs = pty.openpty()
    terminal = os.ttyname(theirs)
    (tmp_path / "dev" / "pts").mkdir(parents=True)
    (tmp_path / "dev" / "pts" / "7").symlink_to(terminal)
    (tmp_path / "dev" / "ptmx").symlink_to("/dev/null")
    then = time.time() - LONG_AGO
    os.utime(terminal, (then, then))
    (tmp_path / "dev" / "keyboard").write_text(f"{ours} {theirs}")
    yield tmp_path / "dev"
    os.close(ours)
    os.close(theirs)


def type_in(devices: Path) -> None:
    ours, theirs = map(int, (devices / "keyboard").read_text().split())
    os.write(ours, b"x\n")
    assert os.read(theirs, 10) == b"x\n"


def show(devices: Path, what: str) -> None:
    """Something is printed at the terminal."""
    ours, theirs = map(int, (devices / "keyboard").read_text().split())
    os.write(theirs, what.encode())
    os.read(ours, 100)


def test_a_key_at_a_terminal_is_somebody_and_what_programs_print_is_nobody(devices):
    assert not typed(devices)
    show(devices, "a build goes on and on")
    assert not typed(devices)
    type_in(devices)
    assert typed(devices)


def test_consoles_count_and_files_that_are_no_terminals_do_not(tmp_path, devices):
    (devices / "tty1").write_text("")
    assert not typed(devices)
    type_in(devices)
    (devices / "pts" / "7").rename(devices / "tty2")
    assert typed(devices)


def test_a_clock_that_was_set_makes_nobody_be_there_for_ever(devices):
    ahead = time.time() + LONG_AGO
    os.utime((devices / "pts" / "7").resolve(), (ahead, ahead))
    assert not typed(devices)


def test_without_terminals_nobody_types(tmp_path):
    assert not typed(tmp_path)


def supply(folder: Path, name: str, **says: str) -> None:
    (folder / name).mkdir(parents=True)
    for word, value in says.items():
        (folder / name / word).write_text(f"{value}\n")


def test_a_laptop_on_its_battery_is_in_use_and_one_that_is_plugged_in_is_not(tmp_path):
    assert not on_battery(tmp_path / "none")
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", scope="System")
    assert on_battery(tmp_path)
    supply(tmp_path, "ADP1", type="Mains", online="0")
    assert on_battery(tmp_path)
    (tmp_path / "ADP1" / "online").write_text("1\n")
    assert not on_battery(tmp_path)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_battery_that_does_not_drain_is_no_reason(tmp_path, status):
    supply(tmp_path, "BAT0", type="Battery", status=status)
    assert not on_battery(tmp_path)


def test_the_battery_of_a_mouse_is_not_the_computers(tmp_path):
    supply(tmp_path, "hidpp_battery_0", type="Battery", status="Discharging", scope="Device")
    assert not on_battery(tmp_path)


LOGIN = "UID=1000\nUSER=bob\nACTIVE=1\nSTATE={state}\nREMOTE=0\nTYPE={type}\nCLASS={kind}\nSEAT=seat0\n"


def log_in(folder: Path, name: str, type: str = "wayland", state: str = "active", kind: str = "user") -> None:  # noqa: A002
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(LOGIN.format(type=type, state=state, kind=kind))


def test_graphical_sessions_of_people_are_asked_and_no_others(tmp_path):
    log_in(tmp_path, "2")
    log_in(tmp_path, "3", type="x11", state="online")
    log_in(tmp_path, "4", type="tty")
    log_in(tmp_path, "5", state="closing")
    log_in(tmp_path, "c1", kind="greeter")
    (tmp_path / "2.ref").mkdir()
    (tmp_path / "6").write_bytes(b"\xff\xfe")
    assert list(desktops(tmp_path)) == ["2", "3"]
    assert list(desktops(tmp_path / "none")) == []


def desktop_says(tmp_path: Path, monkeypatch, script: str) -> str:
    """What is made of it that `loginctl`, which is not ours, says."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "loginctl").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "loginctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    log_in(tmp_path / "logins", "2")
    return Presence(devices=tmp_path, supplies=tmp_path, logins=tmp_path / "logins")._desktop()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('test "$*" = "show-session --property=IdleHint 2" && echo IdleHint=yes', ""),
        ("echo IdleHint=no", "its desktop is in use"),
        ("echo IdleHint=yes; echo; echo IdleHint=no", "its desktop is in use"),
        ("echo Failed to connect to bus >&2; exit 1", "its desktop does not say whether it is used"),
    ],
)
def test_a_desktop_is_believed_and_one_that_does_not_answer_counts_as_used(tmp_path, monkeypatch, script, told):
    assert desktop_says(tmp_path, monkeypatch, script) == told


def test_the_gravest_is_said_and_nothing_when_nobody_is_there(tmp_path, devices, monkeypatch):
    clock = Machine(tmp_path / "proc")
    presence = Presence(clock.folder, devices, tmp_path / "supplies", tmp_path / "logins")
    presence.look()
    assert presence.look() == ""
    supply(tmp_path / "supplies", "BAT0", type="Battery", status="Discharging")
    assert presence.look() == "it runs on its battery"
    type_in(devices)
    assert presence.look() == "somebody typed here within the last 3 minutes"


class Machine:
    """The files of a /proc, whose processes work as we say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.busy = 0
        folder.mkdir()
        self.tick()

    def tick(self, busy: int = 0) -> None:
        """So many ticks of processor time have gone by in all."""
        self.busy += busy
        self.folder.joinpath("stat").write_text(f"cpu  {self.busy} 0 0 99 5 0 0 7 0 0\ncpu0 1 2 3\n")

    def process(self, number: int, ticks: int, policy: int, buried: int = 0) -> None:
        fields = ["S", *["0"] * 10, str(ticks), "0", str(buried), "0", *["0"] * 23, str(policy), "0"]
        (self.folder / str(number)).mkdir(exist_ok=True)
        (self.folder / str(number) / "stat").write_text(f"{number} (a (b) c) {' '.join(fields)}\n")

    def ends(self, number: int) -> None:
        (self.folder / str(number) / "stat").unlink()


def looked(load: OwnLoad, seconds: float) -> float:
    """What it says after a look that is so old."""
    load._looks[-1] = load._looks[-1][0] - seconds, load._looks[-1][1]
    return load.now()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "proc")


TICKS = os.sysconf("SC_CLK_TCK")


def test_what_programs_use_is_a_load_and_what_guests_use_is_none(machine):
    load = OwnLoad(machine.folder)
    machine.process(7, 0, policy=5)
    assert load.now() == 0
    machine.tick(4 * TICKS)
    machine.process(7, 4 * TICKS, policy=5)
    assert looked(load, 4) < BUSY
    machine.tick(8 * TICKS)
    machine.process(8, 8 * TICKS, policy=0)
    assert looked(load, 4) > BUSY


def test_what_a_guest_has_buried_is_its_own(machine):
    load = OwnLoad(machine.folder)
    machine.process(7, 0, policy=5)
    machine.process(8, TICKS, policy=5)
    machine.tick(TICKS)
    load.now()
    machine.tick(TICKS)
    machine.ends(8)
    machine.process(7, 0, policy=5, buried=2 * TICKS)
    assert looked(load, 1) == pytest.approx(0, abs=0.1)


def test_a_guest_that_ends_is_no_load(machine):
    load = OwnLoad(machine.folder)
    machine.process(7, 1000 * TICKS, policy=5)
    load.now()
    machine.tick(TICKS)
    machine.ends(7)
    assert looked(load, 1) < BUSY


def test_a_load_is_over_some_seconds_after_it_has_ended(machine):
    load = OwnLoad(machine.folder)
    load.now()
    machine.tick(int(WINDOW) * TICKS)
    assert looked(load, WINDOW / 2) > BUSY
    load._looks[0] = load._looks[0][0] - WINDOW, load._looks[0][1]
    looked(load, WINDOW / 2)
    for _ in range(3):
        for place, (when, used) in enumerate(load._looks):
            load._looks[place] = when - WINDOW / 2, used
        load.now()
    assert load.now() < BUSY


def test_a_real_guest_is_known_by_its_class(tmp_path):
    spin = (
        "import os, sys; os.sched_setscheduler(0, int(sys.argv[1]), os.sched_param(0)); print(flush=True)\nwhile 1: 0"
    )
    for policy, counted in ((os.SCHED_IDLE, True), (os.SCHED_OTHER, False)):
        process = subprocess.Popen([sys.executable, "-c", spin, str(policy)], stdout=subprocess.PIPE)
        try:
            assert process.stdout.readline()
            seen = Path(f"/proc/{process.pid}")
            deadline = time.monotonic() + 30
            while int((seen / "stat").read_text().split()[13]) < 3 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert (OwnLoad(Path("/proc"))._of_guest(seen) > 0) == counted
        finally:
            process.kill()
            process.wait()


def test_this_very_machine_has_a_load(tmp_path):
    load = OwnLoad(Path("/proc"))
    assert 0 <= load.now() <= 2 * (os.cpu_count() or 1) + 1
