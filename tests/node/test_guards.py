"""What guards wish of one another: shown for what it is, also when a stolen one has signed it."""

from __future__ import annotations

import shlex
from contextlib import closing
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from commonhold.authority.facts import FactStore
from commonhold.authority.proposals import Proposals
from commonhold.authority.roster import next_charter
from commonhold.identity.keys import Key
from commonhold.node.state import open_state

from ..attacks.reach import enrol
from ..conftest import town, until


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower and nas guard, laptop does not; nas is the one that was stolen."""
    with town(tmp_path_factory.mktemp("guards")) as make:
        tower, nas, laptop = make("tower", "ann"), make("nas", "bob"), make("laptop", "carol")
        tower.create("casa")
        for one in (nas, laptop):
            one.join(tower)
        for one in (tower, nas, laptop):
            one.knows("tower", "nas", "laptop")
        assert tower.net.guard_add("nas").done
        for one in (nas, laptop):
            until(lambda one=one: guards(one) == {"tower", "nas"}, "both guards are known")
        yield tower, nas, laptop


def guards(one):
    return {each.computer for each in one.net.members() if each.guard}


def slip(one, change):
    """Sign a wish of one's own making with the key of a computer whose node is down, as a thief would."""
    one.down()
    with closing(open_state(one.home.state)) as state:
        facts = FactStore(state, one.home.settings().network)
        members = {member.name: member.fingerprint for member in facts.roster.members.values()}
        charter = change(facts.roster, members)
        assert not Proposals(state, facts).wish(Key.load(one.home.key), charter)[1]
    one.up()


def test_a_command_to_agree_by_can_be_pasted_whatever_a_newcomer_calls_itself(network, computer):
    """A name may have spaces, and what a shell would make a command of; what is told to be typed must be one word."""
    tower, nas, _ = network
    hostile = computer("hostile", "mallory")
    hostile.name = "x; $(touch stolen) #"
    enrol(hostile, tower)
    asked = tower.net.guard_add(hostile.name)
    assert shlex.split(asked.command) == ["commonhold", "guard", "add", hostile.name]
    until(lambda: nas.net.status().proposals, "nas has heard")
    (trouble,) = [each for each in nas.net.doctor() if each.code == "wish-waits"]
    assert shlex.split(trouble.cure.partition(": ")[2]) == ["commonhold", "guard", "add", hostile.name]
    tower.net.remove(hostile.name)
    for one in (tower, nas):
        until(lambda one=one: not one.net.status().proposals, "a wish about somebody who was removed is over")


def test_a_wish_of_several_changes_is_told_as_that_and_no_command_is_named_for_it(network):
    tower, nas, _ = network
    slip(nas, lambda roster, known: next_charter(roster, datetime.now(UTC), guards={known["nas"], known["laptop"]}))
    (wish,) = until(lambda: tower.net.status().proposals, "tower has heard")
    assert (wish.wish, wish.signed, wish.here) == ("make guards of laptop, nas", ("nas",), True)
    assert wish.command == ""
    (trouble,) = [each for each in tower.net.doctor() if each.code == "wish-waits"]
    assert trouble.cure == "no command agrees to that: ask at nas why it was signed"
    assert "no command agrees to that: ask at nas" in tower.typed("status").out
    assert guards(tower) == {"tower", "nas"}


def test_a_wish_that_hides_another_change_is_not_signed_by_agreeing_to_what_it_says(network):
    """It says `guard add laptop`, and would make the network a trusting one besides."""
    tower, nas, laptop = network

    def sly(roster, known):
        charter = next_charter(roster, datetime.now(UTC), guards=roster.guards | {known["laptop"]})
        return replace(charter, trusting=True)

    slip(nas, sly)
    until(lambda: "guard add laptop" in {each.wish for each in tower.net.status().proposals}, "tower has heard")
    agreed = tower.net.guard_add("laptop")
    assert (agreed.done, agreed.signed, agreed.missing) == (False, ("tower",), 1), "its own wish, and nobody else's"
    assert guards(laptop) == {"tower", "nas"}
    assert not tower.net.status().trusting
    assert nas.net.guard_add("laptop").done, "the honest one can be agreed to all the same"
    until(lambda: guards(laptop) == {"tower", "nas", "laptop"}, "laptop guards")
    for one in (tower, nas, laptop):
        until(lambda one=one: not one.net.status().proposals, "all other wishes are over")
        assert not one.net.status().trusting
