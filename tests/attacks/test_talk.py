"""A member's computer that speaks the protocols of computing itself, and says what none of ours says."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from tests.compute.conftest import BOB, CAROL, Computer, Town, now, town  # noqa: F401 - a fixture

from commonhold.authority.authority import Verb
from commonhold.compute import journal
from commonhold.compute.certificates import SessionAuthority
from commonhold.compute.hub.serve import Jobs
from commonhold.compute.job import JobSpec
from commonhold.compute.lender import carriage, stay
from commonhold.compute.papers import PYTHON, Inquiry, JobPapers, Offer, RemoteFile, Rest
from commonhold.compute.said import Listening
from commonhold.errors import CommonholdError, NoSpace, NotFound, Refused

SESSION = "5" * 32
MIB = 2**20


class Liar:
    """A computer of the network, and what it says to another."""

    def __init__(self, computer: Computer, there: Computer) -> None:
        self.computer, self.there = computer, there

    async def say(self, method: str, path: str, body: object = None) -> Any:
        peer = self.computer.town.peer(self.there.fingerprint)
        return await self.computer.caller.ask(peer, method, path, body)

    def inquiry(self) -> Inquiry:
        owner = self.computer.owner
        return Inquiry(session=SESSION, participant="p1", person=owner, person_name="somebody", python=PYTHON)

    async def sits_down(self) -> None:
        """It has a worker there, which finds no scheduler."""
        papers = SessionAuthority(SESSION, now()).issue("p1")
        words = {name: getattr(self.inquiry(), name) for name in self.inquiry().__struct_fields__}
        await self.say("POST", "/sessions", Offer(**words, **papers._asdict()))

    def papers(self, command: str = "") -> JobPapers:
        return JobPapers(RemoteFile(self.computer.fingerprint, "data", ""), (), {}, {}, command)


async def test_who_may_not_run_has_nobody_looked_after(town: Town):  # noqa: F811
    """To look whether an owner is there takes threads and programs of theirs."""
    tower, looks = town.computers["tower"], list[int]()
    tower.lending.precedence._looking = lambda: looks.append(1) or ""
    tower.lends(when="idle")
    await asyncio.sleep(0)
    liar = Liar(town.computers["laptop"], tower)
    before = len(looks)
    for path in ("/sessions/inquiry", "/sessions/environment"):
        with pytest.raises(Refused):
            await liar.say("POST", path, liar.inquiry())
    assert len(looks) <= before + 1, "the lender's own look is one"


async def test_many_inquiries_at_once_cost_one_look(town: Town):  # noqa: F811
    tower, looks = town.computers["tower"], list[int]()

    def look() -> str:
        looks.append(1)
        time.sleep(0.5)
        return ""

    tower.lending.precedence._looking = look
    tower.allow(BOB, Verb.RUN)
    tower.lends(when="idle")
    liar = Liar(town.computers["laptop"], tower)
    await asyncio.gather(*(liar.say("POST", "/sessions/inquiry", liar.inquiry()) for _ in range(30)))
    assert len(looks) < 10


async def test_papers_without_end_are_not_kept(town: Town, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    tower = town.computers["tower"]
    tower.allow(BOB, Verb.RUN)
    liar = Liar(town.computers["laptop"], tower)
    await liar.sits_down()
    monkeypatch.setattr(stay, "MOST_PAPERS", 3 * MIB)
    path = f"/sessions/{SESSION}/p1/jobs"
    for _ in range(4):  # the same job's papers take the place of those before
        await liar.say("POST", f"{path}/1", liar.papers("x" * MIB))
    await liar.say("POST", f"{path}/2", liar.papers("x" * MIB))
    with pytest.raises(NoSpace):
        await liar.say("POST", f"{path}/3", liar.papers("x" * MIB))
    await liar.say("DELETE", f"{path}/1")
    await liar.say("POST", f"{path}/3", liar.papers("x" * MIB))
    [held] = tower.lending.stays
    monkeypatch.setattr(carriage, "MOST_FORGOTTEN", 10)
    for job in range(100, 130):
        await liar.say("DELETE", f"{path}/{job}")
    assert len(held._carriage._forgotten) <= 11


async def test_what_lenders_say_of_a_job_is_kept_as_far_as_people_read_it(town: Town, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    monkeypatch.setattr(journal, "MOST_NOTES", 20)
    tower = town.computers["tower"]
    job = await tower.cluster.submit(tower.me, JobSpec("true"))
    for number in range(50):
        tower.journal.note(job.job, f"{number} " + "x" * 100_000)
    notes = tower.journal.job(job.job).notes
    assert len(notes) == 20
    assert all(len(note) < 5_000 for note in notes)
    assert notes[-1].startswith("49 "), "the last of them may say why it failed"


async def test_a_third_computer_moves_nothing_of_a_session(town: Town):  # noqa: F811
    """Neither at the lender nor at the hub; it may run there as well, and knows all numbers."""
    tower, desk = town.computers["tower"], town.computers["desk"]
    for person in (BOB, CAROL):
        tower.allow(person, Verb.RUN)
    await Liar(town.computers["laptop"], tower).sits_down()
    third, at = Liar(desk, tower), f"/sessions/{SESSION}/p1"
    with pytest.raises(CommonholdError):
        await third.sits_down()
    for method, path, body in (
        ("POST", f"{at}/jobs/1", third.papers()),
        ("DELETE", f"{at}/jobs/1", None),
        ("POST", f"{at}/jobs/1/said", Listening()),
        ("DELETE", at, None),
        ("DELETE", f"{at}?lost=1", None),
        ("POST", f"{at}/rest", Rest("leaving")),
        ("GET", f"/sessions/{SESSION}", None),
        ("GET", f"/sessions/{SESSION}/wheels/{'a' * 64}", None),
    ):
        with pytest.raises((NotFound, Refused)):
            await third.say(method, path, body)
    [held] = tower.lending.stays
    assert held.subject.person == BOB
    assert held.box is not None
    assert held.box._process.returncode is None


async def test_another_persons_job_is_none_whatever_is_asked_of_it(town: Town):  # noqa: F811
    """Bob's job at ann's tower, of which carol knows the number; she hears what she hears of one that never was."""
    tower = town.computers["tower"]
    for person in (BOB, CAROL):
        tower.allow(person, Verb.RUN)
    bob, carol = (Liar(town.computers[name], tower) for name in ("laptop", "desk"))
    number = (await bob.say("POST", "/jobs", JobSpec("sleep 60")))["job"]
    routes = [(each.method, each.path) for each in Jobs(tower.cluster, tower.owner).routes() if "{job" in each.path]
    assert len(routes) >= 9
    for method, path in routes:
        heard = []
        for asked in (number, 12345):
            with pytest.raises(NotFound) as refused:
                await carol.say(method, path.replace(r"{job:\d{1,9}}", str(asked)))
            heard.append(refused.value.sentence.replace(str(asked), "N"))
        assert len(set(heard)) == 1, (method, path)
    assert await carol.say("GET", "/jobs") == []
    assert tower.journal.job(number).ended is None
    await bob.say("POST", f"/jobs/{number}/cancel")
