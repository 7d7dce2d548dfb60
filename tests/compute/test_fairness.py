"""Several people at one lender, and at one hub: nobody takes all."""

from __future__ import annotations

import asyncio

import pytest
from tests.compute.conftest import Computer, Town

from commonhold.authority.authority import Verb
from commonhold.compute.job import State
from commonhold.compute.papers import PYTHON, Inquiry
from commonhold.errors import NotFound, Refused


async def considered(by: Computer, of: Computer, call_cores: int = 0) -> int:
    """How many cores are lent to one session more of that computer's person."""
    asked = {"person": of.owner, "person_name": "somebody", "python": PYTHON, "call_cores": call_cores}
    inquiry = Inquiry(session="1" * 32, participant="p1", **asked)
    return (await by.lending.consider(by.authority.who(of.fingerprint), inquiry)).cores


async def test_one_person_cannot_take_all_sessions_of_a_lender(town: Town, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("commonhold.compute.fairness.MOST_OF_ONE", 1)
    monkeypatch.setattr("commonhold.compute.fairness.MOST_SESSIONS", 1)
    tower, laptop, desk = town.computers.values()
    laptop.allow("members", Verb.RUN)
    assert (await tower.run("true", on="laptop")).done == 1
    with pytest.raises(Refused, match="laptop lends to 1 sessions of one person at a time, and ann has them"):
        await considered(laptop, tower)
    assert await considered(laptop, desk) == 2, "carol, who has none yet"
    assert await considered(laptop, laptop) == 2, "and its owner"
    assert (await desk.run("true", on="laptop")).state is State.DONE
    monkeypatch.setattr("commonhold.compute.fairness.MOST_OF_ONE", 2)
    with pytest.raises(Refused, match="laptop has lent all that it lends"):
        await considered(laptop, desk)
    assert await considered(laptop, laptop) == 2


async def test_computers_named_without_end_open_few_sessions(alone: Computer, monkeypatch: pytest.MonkeyPatch):
    """Each would be a scheduler, and stay a minute; the oldest that rests makes way."""
    monkeypatch.setattr("commonhold.compute.fairness.MOST_OF_ONE", 2)
    for number in range(3):
        with pytest.raises(NotFound):
            await alone.run("true", on=f"nobody{number}")
    assert [key[2] for key in alone.cluster._sessions._opened] == ["nobody1", "nobody2"]
    assert (await alone.run("true")).state is State.DONE
    assert len(list((alone.folder / "sessions").iterdir())) == 2


async def test_whoever_has_something_running_in_all_sessions_is_told(alone: Computer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("commonhold.compute.fairness.MOST_OF_ONE", 1)
    job = await alone.begin("sleep 600")
    await alone.until(job, "running")
    asked = await asyncio.gather(*(alone.run("true", on="tower") for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in asked] == [
        "One person has 1 sessions at a time, and something runs in all of them."
    ] * 3
    assert (await alone.cluster.cancel(job)).state is State.CANCELLED
    assert (await alone.run("true", on="tower")).state is State.DONE
