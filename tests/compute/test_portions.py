"""Several people's tasks on the cores of one lender: equal parts while several want them, all for whoever is alone."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from tests.compute.conftest import BOB, Computer, Town
from tests.compute.test_jobs import values

from commonhold.authority.authority import Verb
from commonhold.compute.job import State
from commonhold.compute.lender import portions
from commonhold.compute.lender.portions import Portion, Portions
from commonhold.home import LendingTerms
from commonhold.names import PersonId

TIMED = "date +%s%N; sleep {}; date +%s%N"
Span = tuple[int, int]


def whose(name: str) -> PersonId:
    return PersonId(name.encode().hex().ljust(32, "0"))


class Lender:
    """Portions of so many cores, and what each session was told."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.most: dict[PersonId | None, int] = {}
        self.portions = Portions(lambda: self.cores, self.most.get, lambda _: 2**30)
        self.may_use: dict[str, int] = {}

    def session(self, name: str, person: str, wants: int = 0) -> Portion:
        self.may_use[name] = self.cores  # as its worker believes
        portion = self.portions.open(whose(person), self.cores, lambda cores: self.may_use.update({name: cores}))
        portion.want(wants)
        return portion


async def test_whoever_is_alone_has_all():
    lender = Lender(8)
    lender.session("a", "ann", wants=8)
    lender.session("rests", "bob")
    assert lender.may_use["a"] == 8


async def test_who_comes_has_half_at_once_and_who_stays_has_all_again():
    lender = Lender(8)
    lender.session("a", "ann", wants=8)
    bob = lender.session("b", "bob", wants=8)
    assert lender.may_use == {"a": 4, "b": 4}
    bob.want(1)
    assert (lender.may_use["a"], lender.portions._divided(8, {bob: 1})) == (7, {bob: 1})
    bob.close()
    assert lender.may_use["a"] == 8
    bob.close()  # twice does no harm


async def test_who_rests_need_not_ask_before_it_begins():
    """What it may use then is told to it beforehand."""
    lender = Lender(4)
    lender.session("a", "ann", wants=4)
    lender.session("b", "bob")
    assert lender.may_use == {"a": 4, "b": 2}


async def test_two_sessions_of_a_person_are_one_person():
    lender = Lender(4)
    for name in ("a1", "a2"):
        lender.session(name, "ann", wants=4)
    lender.session("b", "bob", wants=4)
    assert lender.may_use == {"a1": 1, "a2": 1, "b": 2}


async def test_what_does_not_divide_evenly_goes_round_while_it_is_wanted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(portions, "TURN_EVERY", 0.01)
    lender = Lender(3)
    ann, _ = lender.session("a", "ann", wants=3), lender.session("b", "bob", wants=3)
    seen = set()
    async with asyncio.timeout(20):
        while len(seen) < 2:
            seen.add((lender.may_use["a"], lender.may_use["b"]))
            await asyncio.sleep(0.005)
    assert seen == {(1, 2), (2, 1)}
    ann.want(0)
    assert lender.portions._next is None, "nothing goes round where there is enough"


async def test_whoever_may_have_fewer_leaves_the_rest_to_others():
    lender = Lender(8)
    lender.most[whose("bob")] = 2
    for name in ("ann", "bob"):
        lender.session(name, name, wants=8)
    assert lender.may_use == {"ann": 6, "bob": 2}


async def test_fewer_cores_lent_are_divided_anew():
    lender = Lender(8)
    for name in "ab":
        lender.session(name, name, wants=8)
    lender.cores = 2
    lender.portions.look()
    assert lender.may_use == {"a": 1, "b": 1}


async def test_fewer_or_more_cores_lent_are_told_to_whoever_is_alone_too():
    lender = Lender(8)
    lender.session("a", "ann", wants=8)
    for cores in (2, 4, 16):
        lender.cores = cores
        lender.portions.look()
        assert lender.may_use == {"a": cores}


@pytest.mark.parametrize("lie", [-5, 10**12])
async def test_a_worker_that_lies_about_its_wants_gets_an_equal_part_at_most(lie: int):
    lender = Lender(4)
    lender.session("liar", "mallory", wants=lie)
    lender.session("b", "bob", wants=4)
    assert lender.may_use["b"] >= 2
    assert 0 < lender.may_use["liar"] <= 2


def spans(of: Computer, job: int) -> list[Span]:
    """When its tasks ran: from when to when, in nanoseconds, by the lender's clock."""
    told = [task.output.split() for task in of.journal.tasks(job) if task.state is State.DONE]
    return [(int(begun), int(ended)) for begun, ended in told]


def at_once(running: list[Span], within: Span) -> int:
    """How many ran at the same time, at most, of those that began within."""
    first, last = within
    chosen = [(begun, ended) for begun, ended in running if first <= begun <= last]
    return max((sum(begun <= moment < ended for begun, ended in chosen) for moment, _ in chosen), default=0)


@pytest.fixture
def lender(lent: Town) -> Computer:
    tower = lent.computers["tower"]
    tower.allow("members", Verb.RUN)
    tower.usual = tower.terms = LendingTerms(cores=4, memory=2 * 2**30)
    return tower


async def test_a_few_tasks_do_not_wait_for_the_many_of_somebody_else(lent: Town, lender: Computer):
    laptop, desk = lent.computers["laptop"], lent.computers["desk"]
    many = await laptop.begin(TIMED, inputs=values(*["0.2"] * 400), on="tower")
    await laptop.until(many, "done", 12)
    few = await desk.begin(TIMED, inputs=values(*["0.5"] * 12), on="tower")
    assert (await desk.ended(few)).done == 12
    assert laptop.journal.job(many).ended is None
    await laptop.cluster.cancel(many)
    theirs, ours = sorted(spans(laptop, many)), sorted(spans(desk, few))
    alone, shared = (0, ours[0][0]), (ours[4][0], ours[-2][0])
    assert at_once(theirs, alone) == 4, "all cores, while nobody else wanted any"
    assert at_once(theirs, shared) <= 2
    assert at_once(ours, shared) <= 2
    assert all(later[0] - sooner[0] < 60e9 for sooner, later in pairwise(ours)), "and they went on side by side"


async def test_long_tasks_of_another_keep_nobody_waiting(lent: Town, lender: Computer):
    """What runs is not stopped; but whoever comes has a core at once."""
    laptop, desk = lent.computers["laptop"], lent.computers["desk"]
    endless = await laptop.begin("sleep 600", inputs=values("1", "2", "3", "4", "5", "6"), on="tower")
    await laptop.until(endless, "running", 4)
    assert (await desk.run("true", on="tower")).state is State.DONE
    await laptop.cluster.cancel(endless)


async def test_several_lenders_each_divide_their_own(lent: Town, lender: Computer):
    """bob has desk for himself, carol half of tower."""
    laptop, desk = lent.computers["laptop"], lent.computers["desk"]
    desk.allow(BOB, Verb.RUN)
    mine = await desk.begin(TIMED, inputs=values(*["0.3"] * 30), on="tower")
    job = await laptop.run(TIMED, inputs=values(*["0.3"] * 30))
    assert job.done == 30
    assert {task.computer for task in laptop.journal.tasks(job.job)} >= {"desk", "laptop"}
    await desk.ended(mine)


async def test_tasks_of_two_people_that_asked_for_memory_run_as_far_as_they_fit(lent: Town, lender: Computer):
    """tower lends 2 GiB and four cores. Each of them asks for most of that: one runs at a time, whoever's it is."""
    laptop, desk = lent.computers["laptop"], lent.computers["desk"]
    asked = {"inputs": values(*["0.2"] * 6), "on": "tower", "memory": 1200 * 2**20}
    jobs = [await one.begin(TIMED, **asked) for one in (laptop, desk)]
    together = []
    for one, job in zip((laptop, desk), jobs, strict=True):
        assert (await one.ended(job)).done == 6
        together += spans(one, job)
    assert at_once(together, (0, 2**63)) == 1
    small = await laptop.run(TIMED, inputs=values(*["0.3"] * 8), on="tower", memory=2**20)
    assert small.done == 8
    assert not lender.lending.portions.reservations._granted, "all was given back"


async def test_a_cancelled_job_waits_for_no_memory_and_holds_none(lent: Town, lender: Computer):
    laptop, desk = lent.computers["laptop"], lent.computers["desk"]
    asked = {"on": "tower", "memory": 1200 * 2**20}
    holding = await laptop.begin("sleep 600", **asked)
    await laptop.until(holding, "running")
    waiting = await desk.begin("sleep 600", **asked)
    await desk.until(waiting, "running")
    await desk.cluster.cancel(waiting)
    assert (await desk.run("true", on="tower")).state is State.DONE, "its place is free"
    await laptop.cluster.cancel(holding)
    assert (await desk.run("true", **asked)).state is State.DONE, "and so is the memory"
    assert not lender.lending.portions.reservations._waiting
