"""Guests stand behind the owner: their group among the system's processes, from when it is made until it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compute.conftest import Town
from tests.compute.test_precedence import guests, lender
from tests.conftest import until

from commonhold.compute.lender import backrow
from commonhold.compute.lender.backrow import MEMBERS, BackRow, Mounted, Rank, groups, stand_back

ROW = "32 31 0:29 {} {} rw,relatime shared:9 - {} {}\n"
APART = {"stdin": subprocess.PIPE, "text": True, "start_new_session": True}  # its session is told to stand back


@pytest.fixture
def row() -> Iterator[BackRow]:
    found = BackRow()
    found.open()
    if found.rank is not Rank.GROUP:
        pytest.skip("no group can be made here")
    yield found
    found.close()


def members(group: Path) -> set[int]:
    return {int(word) for word in (group / MEMBERS).read_text().split()}


def test_what_was_taken_in_stays_with_all_that_it_starts_and_leaves_no_trace(row: BackRow):
    folder = row._folder
    assert folder is not None
    with subprocess.Popen(["sh", "-c", "read go; sleep 60 & exec sleep 60"], **APART) as shell:
        row.take_in("stay", lambda: [shell.pid])
        print("go", file=shell.stdin, flush=True)
        until(lambda: len(members(folder / "stay")) == 2, "what it started is there, too")
        for each in members(folder / "stay"):
            os.kill(each, signal.SIGKILL)
    row.let_go("stay")
    assert not (folder / "stay").exists()
    row.close()
    assert not folder.exists()


def test_the_group_of_a_node_that_was_killed_goes_when_another_begins(row: BackRow):
    assert row._folder is not None
    ended = subprocess.Popen(["true"])
    ended.wait()
    left, alive = (row._folder.with_name(f"{backrow.NAME}{number}-abc") for number in (ended.pid, os.getpid()))
    (left / "stay").mkdir(parents=True)
    alive.mkdir()
    other = BackRow()
    other.open()
    other.close()
    assert (left.exists(), alive.exists()) == (False, True)
    alive.rmdir()


def test_a_group_that_somebody_removed_is_made_again(row: BackRow):
    """Whoever sees other numbers of processes, in a container, takes its node for gone."""
    assert row._folder is not None
    row._folder.rmdir()
    with subprocess.Popen(["sleep", "60"], **APART) as sleeper:
        row.take_in("stay", lambda: [sleeper.pid])
        assert members(row._folder / "stay") == {sleeper.pid}
        assert any(
            (row._folder / name).read_text().strip() == says
            for name, says in backrow.WEIGHTS.items()
            if (row._folder / name).exists()
        )
        row.let_go("stay")
        assert sleeper.wait(10) == -signal.SIGKILL, "what is still there is ended"


def test_where_no_group_can_be_made_a_session_stands_back_by_itself(tmp_path: Path):
    for divides, rank in ((False, Rank.CLASS), (True, Rank.SHARE)):
        alone = BackRow(Mounted(tmp_path / "nowhere", (), divides))
        alone.open()
        assert alone.rank is rank
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(words, **APART) as process:
        alone.take_in("stay", lambda: [process.pid])
        stand_back(process.pid)  # again is no harm
        autogroup = Path(f"/proc/{process.pid}/autogroup")
        assert not autogroup.exists() or autogroup.read_text().endswith(" 19\n")
        process.kill()
    alone.close()


@pytest.mark.parametrize(
    ("mounts", "own", "places", "divides"),
    [
        (ROW.format("/", "{top}", "cgroup", "cgroup rw,cpu,cpuacct"), "4:cpu,cpuacct:/\n", [""], False),
        (ROW.format("/docker/a", "{top}", "cgroup", "cgroup rw,cpu"), "4:cpu:/docker/a/b\n", ["", "/b"], True),
        (ROW.format("/", "{top}", "cgroup2", "cgroup2 rw"), "0::/\n", [""], False),
        (ROW.format("/", "{top}", "cgroup2", "cgroup2 rw"), "0::/a/b\n", ["", "/a", "/a/b"], True),
        (ROW.format("/", "{top}", "tmpfs", "tmpfs rw"), "0::/\n", None, False),
    ],
)
def test_groups_are_found_in_both_versions_of_them(
    tmp_path: Path, mounts: str, own: str, places: list[str] | None, divides: bool
):
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "mounts").write_text(mounts.replace("{top}", str(tmp_path)))
    (tmp_path / "own").write_text(own)
    found = groups(tmp_path / "mounts", tmp_path / "own")
    if places is None:
        assert found is None
    else:
        assert found is not None
        assert ([str(place) for place in found.places()], found.divides) == (
            [f"{tmp_path}{place}" for place in places],
            divides,
        )


def test_below_systemd_the_first_place_where_a_group_divides_processors_is_taken(tmp_path: Path):
    """A folder stands for the kernel's: there each group that is made would have its files."""
    assert list(Mounted(tmp_path, ("user.slice", "app"), True).places())[-1] == tmp_path / "user.slice" / "app"
    plain = BackRow(Mounted(tmp_path, (), True))
    plain.open()
    assert plain.rank is Rank.SHARE
    assert not list(tmp_path.glob(f"{backrow.NAME}*")), "what is no group was removed again"


@pytest.mark.parametrize(
    ("name", "limit", "none"), [("cpu.cfs_quota_us", "40000", "-1"), ("cpu.max", "40000 100000", "max 100000")]
)
def test_what_limits_the_node_limits_its_guests_too(tmp_path: Path, name: str, limit: str, none: str):
    for group, said in (("", none), ("a", limit), ("a/b", none)):
        (tmp_path / group).mkdir(parents=True, exist_ok=True)
        (tmp_path / group / name).write_text(f"{said}\n")
    assert Mounted(tmp_path, ("a", "b"), True).places() == [tmp_path / "a", tmp_path / "a" / "b"]
    assert Mounted(tmp_path, ("c",), True).places() == [tmp_path, tmp_path / "c"]


LIMITED = """
import subprocess
from commonhold.compute.lender.backrow import BackRow
row = BackRow()
row.open()
top = row._folder.parent
limit = top / row._folder.name.replace("commonhold", "limit")
limit.mkdir()
(limit / "cpu.cfs_quota_us").write_text("50000")
(limit / "cgroup.procs").write_text("0")
guest = subprocess.Popen(["sleep", "60"], start_new_session=True)
row.take_in("stay", lambda: [guest.pid])
print(row._folder.parent == limit, (row._folder / "stay" / "cgroup.procs").read_text().split() == [str(guest.pid)])
guest.kill()
guest.wait()
row.let_go("stay")
row.close()
(top / "cgroup.procs").write_text("0")
limit.rmdir()
"""


def test_a_node_that_is_limited_while_it_runs_takes_its_next_guests_along(row: BackRow):
    assert row._folder is not None
    if not (row._folder / "cpu.cfs_quota_us").exists():
        pytest.skip("in the second version of groups one that has processes has no groups below")
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True True\n", "")


async def test_guests_are_there_and_cannot_undo_what_was_said_of_them(town: Town, row: BackRow):
    tower, laptop = lender(town)
    undo = "for f in autogroup oom_score_adj; do echo 0 > /proc/self/$f; done; ls -A /sys | wc -l"
    [task] = tower.journal.tasks((await tower.run(f"({undo}) 2>&1", on="laptop")).job)
    assert (task.output.count("ead-only file system"), task.output.split()[-1]) == (2, "0")
    folder, there = laptop.lending.back_row._folder, guests(laptop)
    assert folder is not None
    [stay] = [each for each in folder.iterdir() if each.is_dir()]
    assert {each.pid for each in there} <= members(stay)
    assert {Path(f"/proc/{each.pid}/oom_score_adj").read_text() for each in there} == {"1000\n"}
    await laptop.lending.close()
    assert not folder.exists()


async def test_a_worker_that_gets_no_processor_for_long_is_not_given_up(town: Town, row: BackRow):
    """Its lender says that it is there; the hub gives up who is silent for so long."""
    tower, laptop = lender(town)
    tower.patience = tower.patience._replace(silence=5)
    await tower.restart()
    job = await tower.begin("sleep 1; echo here", on="laptop")
    await tower.until(job, "running")
    quota = starved(laptop.lending.back_row, "1000")
    await asyncio.sleep(3 * tower.patience.silence)
    for file, text in quota.items():
        file.write_text(text)
    ended = await tower.ended(job)
    assert (ended.done, ended.notes) == (1, ())


def starved(row: BackRow, microseconds: str) -> dict[Path, str]:
    """From now on its guests get so much of each second. -> What undoes that."""
    assert row._folder is not None
    period, quota, both = (row._folder / name for name in ("cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.max"))
    if both.exists():
        both.write_text(f"{microseconds} 1000000")
        return {both: "max"}
    period.write_text("1000000")
    quota.write_text(microseconds)
    return {quota: "-1"}
