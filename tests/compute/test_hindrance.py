"""Why the better sandbox does not hold, and the cure, for each system."""

from __future__ import annotations

import sys

import pytest

from commonhold.compute import sandbox
from commonhold.compute.hindrance import Hindrance, explained, likes, switched_off

THERE = Hindrance(installed=True)
CASES = (  # what was found, what the reason says, what the cure says
    (
        Hindrance(system=("debian",)),
        "not installed",
        "sudo apt install bubblewrap, then commonhold down; commonhold up",
    ),
    (Hindrance(system=("linuxmint", "ubuntu", "debian")), "not installed", "sudo apt install bubblewrap"),
    (Hindrance(system=("fedora",)), "not installed", "sudo dnf install bubblewrap"),
    (Hindrance(system=("rocky", "rhel", "centos", "fedora")), "not installed", "sudo dnf install bubblewrap"),
    (Hindrance(system=("manjaro", "arch")), "not installed", "sudo pacman -S bubblewrap"),
    (Hindrance(system=("nixos",)), "not installed", "install bubblewrap, then"),
    (Hindrance(), "not installed", "install bubblewrap, then"),
    (THERE._replace(profiles_only=True), "AppArmor forbids it", "sudo apparmor_parser -r /etc/apparmor.d/bwrap"),
    (
        THERE._replace(switched_off="user.max_user_namespaces=15000", profiles_only=True, container=True),
        "lets nobody make user namespaces",
        "sudo sysctl -w user.max_user_namespaces=15000",
    ),
    (THERE._replace(container=True), "this container may make no namespaces", "docs/troubleshooting.md"),
    (THERE._replace(said="No permissions to create new namespace"), "says: No permissions to", "--unshare-all"),
    (THERE, "does not start", "bwrap --unshare-all"),
    (Hindrance(linux=False), "nothing better", "commonhold allow PERSON run compute"),
)


@pytest.mark.parametrize(("found", "reason", "cure"), CASES)
def test_each_hindrance_has_its_reason_and_its_cure(found: Hindrance, reason: str, cure: str):
    said, typed = explained(found)
    assert reason in said
    assert said.endswith(".")
    assert cure in typed
    assert len(typed.splitlines()) == 1


@pytest.mark.parametrize(
    ("clone", "most", "said"),
    [
        ("1\n", "94000\n", ""),
        ("", "0\n", "user.max_user_namespaces=15000"),
        ("0\n", "9", "kernel.unprivileged_userns_clone=1"),
    ],
)
def test_what_the_kernel_says_is_read(clone: str, most: str, said: str):
    assert switched_off(clone, most) == said


def test_a_system_says_what_it_is_like():
    assert likes('ID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY=x\n') == ("rocky", "rhel", "centos", "fedora")
    assert likes("") == ()
    assert likes("# nothing\nNAME='x=y'") == ()


def test_this_computer_is_looked_at(monkeypatch: pytest.MonkeyPatch):
    sandbox.bubblewrap.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    try:
        found = sandbox.hindrance()
    finally:
        sandbox.bubblewrap.cache_clear()
    assert not found.installed
    assert found.linux == (sys.platform == "linux")
    assert found.system or not found.linux
