"""Who is in the network and where: what is told, what is passed on, and what is believed."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from commonhold.authority import roster as rosters
from commonhold.authority.facts import FactStore
from commonhold.discovery import AddressBook
from commonhold.errors import NotFound
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import recovery_key, recovery_words
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName
from commonhold.node.directory import Directory
from commonhold.transport import Address

NOW = datetime(2026, 11, 1, tzinfo=UTC)
HERE, THERE = Address("127.0.0.2", 7440), Address("127.0.0.3", 7440)


@pytest.fixture(params=["peer-to-peer", "client-server"])
def directory(request):
    """tower of ann, the founder, with laptop of bob admitted; as tower sees it."""
    tower, laptop = Key.generate(), Key.generate()
    founding = rosters.found(
        key=tower, certificate=self_signed(tower, NOW), network=NetworkName("casa"), shape=request.param,
        trusting=False, computer=ComputerName("tower"), person=PersonName("ann"), person_id=PersonId("a" * 32),
        recovery=recovery_key(recovery_words(secrets.token_bytes(16))), now=NOW,
    )  # fmt: skip
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as state:
        facts = FactStore(state, founding.id)
        facts.add([founding])
        facts.add(
            rosters.admit(
                tower, facts.roster, self_signed(laptop, NOW),
                name=ComputerName("laptop"), person=PersonId("b" * 32), person_name=PersonName("bob"),
            )
        )  # fmt: skip
        made = Directory(facts, AddressBook(state), tower.fingerprint)
        made.listening = lambda: (HERE,)
        made.laptop = laptop.fingerprint
        made.shape = request.param
        yield made


def test_members_have_the_role_that_the_shape_gives_them(directory):
    roles = {member.name: directory.role(member) for member in directory.roster.members.values()}
    expected = ("peer", "peer") if directory.shape == "peer-to-peer" else ("server", "client")
    assert (roles["tower"], roles["laptop"]) == expected


async def test_a_place_says_where_and_whom_to_expect(directory):
    place = await directory.place("TOWER")
    assert (place.computer, place.addresses, place.shares) == ("tower", (str(HERE),), True)
    assert place.peer().fingerprint == directory.own
    there = await directory.place("laptop")
    assert there.addresses == ()
    assert there.seen is None
    assert there.shares is (directory.shape == "peer-to-peer")
    with pytest.raises(NotFound, match="no computer “ghost” in the network casa"):
        await directory.place("ghost")


def test_hints_are_taken_about_other_members_only(directory):
    found = []
    directory.on_found = lambda peer: found.append(peer.name)
    directory.learn({"f" * 64: [str(THERE)], directory.own: ["127.0.0.9:1"], directory.laptop: [str(THERE)]})
    assert directory.peer(directory.laptop).addresses == (THERE,)
    assert directory.peer(directory.own).addresses == (HERE,)
    directory.learn({directory.laptop: ["127.0.0.4:1"]})
    directory.learn({directory.laptop: []})
    directory.learn({directory.laptop: [str(THERE)]})
    assert found == ["laptop", "laptop"], "once for each place that is new"
    assert set(directory.hints()) == {directory.own, directory.laptop}
    assert directory.hints()[directory.own] == [str(HERE)]


def test_a_flood_of_addresses_is_cut(directory):
    directory.learn({directory.laptop: [f"127.0.1.{number}:1" for number in range(200)]})
    assert len(directory.peer(directory.laptop).addresses) == 8


def test_where_it_answered_comes_first_and_when_is_known(directory):
    directory.learn({directory.laptop: ["127.0.0.4:1", str(THERE)]})
    peer = directory.peer(directory.laptop)
    assert peer.seen is None
    assert not directory.met(peer)
    directory.meet(type(peer)(peer.name, peer.fingerprint, peer.certificate, (THERE,)))
    peer = directory.peer(directory.laptop)
    assert peer.addresses[0] == THERE
    assert directory.met(peer)
    assert peer.seen is not None
    answer = directory.answer(directory.member("laptop"))
    assert (answer.person, answer.seen, answer.here) == ("bob", peer.seen, False)
    assert directory.answer(directory.member("tower")).here
