"""Keeping in touch: what nobody was told at once, each hears by comparing with two others now and then."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest
from aiohttp import web

from commonhold.authority import roster as rosters
from commonhold.authority.roster import remove
from commonhold.discovery import AddressBook
from commonhold.identity.certificate import self_signed
from commonhold.identity.keys import Key
from commonhold.names import ComputerName
from commonhold.node import contact as contacts
from commonhold.node.contact import Contact
from commonhold.node.directory import Directory
from commonhold.transport import Address, Listener, problems

from ..authority.conftest import ANN, NOON, Computer


class Watched(Contact):
    """Remembers whom it greets."""

    greeted: list[list[str]]

    async def greet(self, peers):
        self.greeted.append([peer.name for peer in peers])
        await super().greet(peers)


class Town:
    """tower and others, each with its door open; `asked` counts what tower asked of whom."""

    def __init__(self, folder):
        self.folder, self.asked = folder, Counter()
        self.tower, self.others = Computer("tower", folder / "tower.db"), []

    async def open(self, one):
        async def counted(request, handler):
            self.asked[one.name] += request.path == "/roster"
            return await handler(request)

        app = web.Application(middlewares=[problems, web.middleware(counted)])
        app.add_routes(one.exchange.routes())
        app.on_response_prepare.append(one.exchange.stamp)
        one.listener = Listener(app, one.key, one.certificate)
        one.facts.on_change.append(lambda roster: one.listener.trust(roster.anchors))
        one.listener.trust(one.facts.roster.anchors)
        await one.listener.start([Address("127.0.0.1", 0)])

    async def join(self, name):
        tower = self.tower
        one = Computer(name, self.folder / f"{name}.db", tower.facts.network_id, tower.facts.roster.envelopes)
        tower.facts.add(
            rosters.admit(tower.key, tower.facts.roster, one.certificate, name=ComputerName(name), person=ANN)
        )
        self.others.append(one)
        return one

    def contact(self, one, *, has_door=True):
        """As node.py joins these; it knows where all others are."""
        directory = Directory(one.facts, AddressBook(one.connection), one.key.fingerprint)
        for other in (self.tower, *self.others):
            if other is not one and other.listener:
                directory.book.remember(other.key.fingerprint, other.addresses, None)
        made = Watched(one.exchange, directory, lambda: has_door)
        made.greeted = []
        one.caller.on_digest = made.heard
        return made, directory


@pytest.fixture
async def town(tmp_path, monkeypatch):
    monkeypatch.setattr(contacts, "ROUND", 0.1)
    monkeypatch.setattr(contacts, "GREETINGS", (0.0, 0.05))
    made = Town(tmp_path)
    for name in ("nas", "laptop", "desk", "phone"):
        await made.join(name)
    everything = made.tower.facts.roster.envelopes
    for one in made.others:
        one.facts.add(everything)
    for one in (made.tower, *made.others):
        await made.open(one)
    yield made
    for one in (made.tower, *made.others):
        await one.close()


async def eventually(condition, what):
    for _ in range(2000):  # 40 s
        if condition():
            return
        await asyncio.sleep(0.02)
    pytest.fail(what)


async def test_at_the_start_all_are_greeted_and_then_two_at_a_time(town):
    contact, directory = town.contact(town.tower)
    contact.begin()
    await eventually(lambda: len(contact.greeted) > 12, "it goes on")
    await contact.close()
    first, second, *rounds = contact.greeted
    assert sorted(first) == ["desk", "laptop", "nas", "phone"]
    assert second == [], "who answered is not greeted again after the start"
    assert all(directory.met(peer) for peer in directory.peers())
    assert {len(set(names)) for names in rounds} == {contacts.COMPARED}, "the cost of a round stays flat"
    assert len({name for names in rounds for name in names}) > contacts.COMPARED, "not always the same two"


async def test_a_removal_that_nobody_was_told_spreads_by_comparing(town):
    """Two by two: from one who knows to all, though none is told by name."""
    gone = town.others[-1]
    knowing = [town.contact(one)[0] for one in (town.tower, *town.others[:-1])]
    facts = remove(town.tower.key, town.tower.facts.roster, gone.key.fingerprint)
    town.others[0].facts.add(facts)
    assert gone.key.fingerprint in town.tower.facts.roster.members
    for contact in knowing:
        contact.begin()
    staying = (town.tower, *town.others[:-1])
    await eventually(lambda: all(gone.key.fingerprint in one.facts.roster.removed for one in staying), "all know")
    for contact in knowing:
        await contact.close()


async def test_who_does_not_answer_holds_up_nobody(town, caplog):
    caplog.set_level(logging.INFO, "commonhold.node.contact")
    off = town.others[0]
    contact, directory = town.contact(town.tower)
    await off.listener.close()
    contact.begin()
    await eventually(lambda: set(town.asked) == {"laptop", "desk", "phone"}, "the others were greeted")
    await eventually(lambda: "nas was not greeted" in caplog.text, "it is said in the log")
    assert not directory.met(directory.peer(off.key.fingerprint))
    before = town.asked.total()
    await eventually(lambda: town.asked.total() > before + 3, "the rounds go on")
    await contact.close()


async def test_who_is_found_on_the_network_is_greeted_at_once(town, monkeypatch):
    monkeypatch.setattr(contacts, "GREETINGS", ())
    monkeypatch.setattr(contacts, "ROUND", 3600.0)
    contact, directory = town.contact(town.tower)
    newcomer = await town.join("late")
    newcomer.facts.add(town.tower.facts.roster.envelopes)
    await town.open(newcomer)
    contact.begin()
    directory.hear(newcomer.key.fingerprint, newcomer.addresses)
    await eventually(lambda: town.asked["late"] and len(contact._tasks) == 1, "it was greeted")
    asked = town.asked["late"]
    directory.hear(newcomer.key.fingerprint, newcomer.addresses)
    await asyncio.sleep(0.1)
    assert town.asked["late"] == asked, "what was known already is no news"
    await contact.close()


async def test_a_client_asks_for_news_and_a_computer_with_a_door_waits_for_them(town):
    laptop = town.others[1]
    stranger = Key.generate()
    certificate = self_signed(stranger, NOON)
    facts = rosters.admit(town.tower.key, town.tower.facts.roster, certificate, name=ComputerName("new"), person=ANN)
    town.tower.facts.add(facts)
    await town.contact(laptop)[0].catch_up()
    assert stranger.fingerprint not in laptop.facts.roster.members
    await town.contact(laptop, has_door=False)[0].catch_up()
    assert stranger.fingerprint in laptop.facts.roster.members


async def test_closing_ends_all_conversations(town):
    contact, _ = town.contact(town.tower)
    contact.begin()
    await eventually(lambda: town.asked.total() > 4, "they talk")
    await contact.close()
    before = town.asked.total()
    await asyncio.sleep(0.3)
    assert town.asked.total() <= before + contacts.COMPARED, "at most what was on its way"
