"""A job's files on their way between doors: inputs fetched, outputs stored, under passes."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.api import connect
from commonhold.authority.authority import Verb
from commonhold.errors import Refused, Unreachable
from commonhold.node.node import Node
from commonhold.transport import run

from ..attacks.reach import As, enrol
from ..conftest import town


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann keeps the files; laptop of bob, who may compute at both."""
    with town(tmp_path_factory.mktemp("courier")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        tower.net.allow("bob", "run", "compute")
        yield tower, laptop


@pytest.fixture
def tower(network, tmp_path):
    for name in ("inputs", "results"):
        (tmp_path / name).mkdir()
        network[0].net.share(tmp_path / name)
    network[0].net.allow("bob", "read", "inputs")
    yield network[0]
    for name in ("inputs", "results"):
        network[0].net.unshare(name)


@pytest.fixture
def laptop(network):
    return network[1]


def problems(computer, job):
    return [task.problem for task in computer.net.log(job.job)]


@pytest.mark.parametrize("where", ["tower", "laptop"])
def test_files_of_every_size_and_name_arrive_whole_with_their_times(tower, laptop, tmp_path, where):
    tower.net.allow("bob", "write", "results")
    contents = {"empty": b"", "Für Zoë & 50 %.txt": b"small", "large": os.urandom(5_000_001)}
    for name, content in contents.items():
        (tmp_path / "inputs" / name).write_bytes(content)
        os.utime(tmp_path / "inputs" / name, (1_000_000_000, 1_000_000_000))
    job = laptop.net.run(
        "mkdir -p sub && cp {} sub/{}.copy && stat -c %Y {}", ["tower:inputs/*"], into="tower:results/a/b", on=where
    )
    assert (job.done, job.failed) == (3, 0), problems(laptop, job)
    for name, content in contents.items():
        assert (tmp_path / "results" / "a" / "b" / "sub" / f"{name}.copy").read_bytes() == content
    assert {task.output for task in laptop.net.log(job.job)} == {"1000000000\n"}
    assert {task.computer for task in laptop.net.log(job.job)} == {where}


def test_who_may_write_replaces_what_an_earlier_run_left_but_not_what_is_there_to_the_last_byte(
    tower, laptop, tmp_path
):
    """A task that was lost after it had stored runs again, and no version comes of that."""
    tower.net.allow("bob", "write", "results")
    for word in ("same", "same", "other"):
        job = laptop.net.run(f"echo {word} > small.txt; yes {word} | head -c 3000000 > large.txt", into="tower:results")
        assert job.done == 1, problems(laptop, job)
        if word == "same":
            assert tower.net.history("tower:results/small.txt") == tower.net.history("tower:results/large.txt") == []
    assert len(tower.net.history("tower:results/small.txt")) == len(tower.net.history("tower:results/large.txt")) == 1
    assert (tmp_path / "results" / "small.txt").read_text() == "other\n"


def test_who_may_only_add_replaces_nothing(tower, laptop, tmp_path):
    tower.net.allow("bob", "add", "results")
    first = laptop.net.run("echo first > out.txt", into="tower:results")
    assert first.done == 1, problems(laptop, first)
    second = laptop.net.run("echo second > out.txt", into="tower:results")
    assert second.done == 1, problems(laptop, second)
    assert (tmp_path / "results" / "out.txt").read_text() == "first\n"
    assert (tmp_path / "results" / "out (2).txt").read_text() == "second\n"


def test_without_the_right_no_pass_is_given_out(tower, laptop, tmp_path):
    (tmp_path / "inputs" / "a").write_text("a")
    with pytest.raises(Refused, match="bob may not add to results"):
        laptop.net.run("true", ["tower:inputs/a"], into="tower:results")
    tower.net.deny("bob", "read", "inputs")
    with pytest.raises(Refused, match="bob may not"):
        laptop.net.run("true", ["tower:inputs/a"])


def test_what_a_job_left_in_its_own_folder_outlives_the_node_and_is_its_persons_alone(tower, laptop):
    job = laptop.net.run("echo kept > kept.txt")
    where = f"laptop:{job.share}/out/kept.txt"
    assert b"".join(laptop.net.cat(where)) == b"kept\n"
    laptop.typed("down")
    laptop.up()
    assert b"".join(laptop.net.cat(where)) == b"kept\n"
    with pytest.raises(Refused):
        b"".join(tower.net.cat(where))
    with connect(laptop.home) as again:
        assert again.job(job.job).state == "done"


def test_at_the_own_computer_a_lender_that_was_given_up_stores_nothing_more_and_is_cut(computer):
    """tower's node runs in this process: as for a job of its own person, it gives out passes, and revokes them."""
    tower, laptop, desk = computer("tower", "ann"), computer("laptop", "bob"), computer("desk", "carol")
    tower.create("casa")
    enrol(laptop, tower)
    enrol(desk, tower)
    (tower.folder / "out").mkdir()
    tower.net.share(tower.folder / "out")
    tower.down()
    run(_given_up(tower, As(tower, laptop), As(tower, desk)))
    assert [path.name for path in (tower.folder / "out").glob("[!.]*")] == ["a"]


async def _given_up(tower, lender, other):
    async with Node(tower.home) as node:
        doors, here, ann = node.processors.door_desk, node.key.fingerprint, node.own.subject
        until, begun = datetime.now(UTC) + timedelta(hours=1), asyncio.Event()

        async def given(to, job):
            return await doors.issue(ann, here, to.fingerprint, job, "out", Verb.WRITE, [], "", until)

        async def stores(whom, pass_id):
            return (await whom.ask("PUT", "/dav/out/a", b"x", Commonhold_Pass=pass_id)).status in {201, 204}

        async def slow():
            yield bytes(300_000)
            begun.set()
            await asyncio.sleep(60)

        its, another, others = await given(lender, "7"), await given(lender, "8"), await given(other, "7")
        assert await stores(lender, its)
        storing = asyncio.create_task(lender.ask("PUT", "/dav/out/slow", slow(), Commonhold_Pass=its))
        await asyncio.wait_for(begun.wait(), 20)
        await doors.revoke(ann, "7", here, lender.fingerprint)
        with pytest.raises(Unreachable):
            await asyncio.wait_for(storing, 20)
        assert (await stores(lender, its), await stores(lender, another)) == (False, True)
        assert await stores(other, others)
        await doors.revoke(ann, "7", here, None)
        assert (await stores(other, others), await stores(lender, another)) == (False, True)
        await doors.void("8")
        assert not await stores(lender, another)
