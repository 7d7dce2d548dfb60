"""What is kept of a job goes when its person says so, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.compute.conftest import BOB, Computer, Town

from commonhold.authority.authority import Verb
from commonhold.compute.job import Input, JobSpec
from commonhold.errors import Conflict, NotFound, Refused
from commonhold.trees import weigh

from ..conftest import Make


async def collected(computer: Computer) -> int:
    """A job whose input was brought, and which was cancelled then."""
    given = Input("local", "/home/ann/x.txt", "x.txt")
    job = (await computer.cluster.submit(computer.me, JobSpec("cat {}", inputs=(given,)))).job
    (computer.shelf(f".job-{job}") / "in").mkdir()
    (computer.shelf(f".job-{job}") / "in" / "x.txt").write_text("mine")
    return job


async def test_its_folder_and_all_that_the_journal_knows_of_it_are_gone(alone: Computer):
    job = await collected(alone)
    with pytest.raises(Conflict, match="has not ended yet"):
        await alone.cluster.forgetting.forget(job)
    await alone.cluster.cancel(job)
    gone = await alone.cluster.forgetting.forget(job)
    assert (gone.job, gone.files, gone.bytes) == (job, 1, 4)
    assert not alone.shelf(f".job-{job}").exists()
    assert alone.audit[-1] == "job forgotten"
    for doing in (alone.cluster.forgetting.forget, alone.cluster.again):
        with pytest.raises(NotFound):
            await doing(job)


async def test_nobody_forgets_other_peoples_jobs(town: Town):
    tower, laptop, desk = town.computers.values()
    tower.allow(BOB, Verb.RUN)
    there = town.peer(tower.fingerprint)
    bob = tower.authority.who(laptop.fingerprint)
    job = (await tower.cluster.submit(bob, JobSpec("true"))).job
    await tower.cluster.cancel(job)
    with pytest.raises(NotFound):
        await desk.caller.ask(there, "DELETE", f"/jobs/{job}")
    with pytest.raises(Refused, match=f"Job {job} is bob's"):
        await tower.caller.ask(there, "DELETE", f"/jobs/{job}")
    assert await laptop.caller.ask(there, "DELETE", f"/jobs/{job}") == {"job": job, "files": 0, "bytes": 0}
    assert tower.journal.jobs() == []


def test_a_real_node_gives_the_room_back_and_offers_the_folder_no_more(computer: Make, tmp_path: Path):
    tower = computer("tower", "ann")
    tower.create("casa")
    (tmp_path / "für Zoë.txt").write_text("12345")
    job = tower.net.run("cp {} copy.txt", [tmp_path / "für Zoë.txt"]).job
    folder = tower.home.jobs / str(job)
    assert weigh(folder) == (2, 10)
    gone = tower.net.forget_job(job)
    assert (gone.files, gone.bytes, folder.exists()) == (2, 10, False)
    with pytest.raises(NotFound):
        tower.net.ls(f"tower:.job-{job}")
    assert tower.net.jobs() == []
    with pytest.raises(NotFound):
        tower.net.forget_job(job)
