"""Control groups of both versions, as the kernel's files: here in a folder, where what was written is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from commonhold.lab.ration import PERIOD, Groups


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A machine with version 2 alone."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory\n")
    return tmp_path


def test_version_two_is_held_by_cpu_max_and_counts_in_microseconds(second):
    groups = Groups.found(f"tmpfs /tmp tmpfs rw 0 0\ncgroup2 {second} cgroup2 rw,nosuid 0 0\n")
    assert groups is not None
    ration = groups.ration("x1", 3, 0.25)
    (group,) = (each / "3" for each in groups.town("x1"))
    assert (
        (second / "cgroup.subtree_control").read_text()
        == (group.parent / "cgroup.subtree_control").read_text()
        == "+cpu"
    )
    assert (group / "cpu.max").read_text() == f"{PERIOD // 4} {PERIOD}"
    ration.take(42)
    assert ration.inhabitants() == [42]
    assert groups.inhabitants("x1") == {42}
    (group / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n")
    assert ration.used() == 1.5
    assert ration.command(["true"])[-1] == "true"


def test_version_one_needs_both_of_its_hierarchies(tmp_path):
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).mkdir()
    lines = [f"cgroup {tmp_path}/{name} cgroup rw,{name} 0 0" for name in ("cpu", "cpuacct")]
    assert Groups.found(lines[0]) is None
    groups = Groups.found("\n".join(lines))
    assert groups is not None
    ration = groups.ration("x1", 0, 0)
    cpu, accounts = (each / "0" for each in groups.town("x1"))
    assert not list(cpu.iterdir())  # nothing holds it
    ration.hold(2)
    assert (cpu / "cpu.cfs_quota_us").read_text() == str(2 * PERIOD)
    (accounts / "cpuacct.usage").write_text("2500000000\n")
    assert ration.used() == 2.5


def test_where_there_are_no_control_groups_of_processors_there_is_nothing(second):
    (second / "cgroup.controllers").write_text("io memory\n")
    assert Groups.found(f"cgroup2 {second} cgroup2 rw 0 0\n") is None
    assert Groups.found("tmpfs /tmp tmpfs rw 0 0\n") is None
