"""Each computer's owner decides at that computer's doors."""

from __future__ import annotations

from datetime import timedelta

from commonhold.authority import roster as rosters
from commonhold.authority.authority import Door, Verb
from commonhold.authority.peer import PeerKeeper

from .suite import BOB, CAROL, NETWORK, PHOTOS, Casa, OpenQuestions, computer, fingerprint


class TestPeer(OpenQuestions):
    shape = "peer"

    def test_a_computer_that_is_no_guard_admits_nobody(self, casa):
        laptop = PeerKeeper(lambda: casa.roster, casa.book, casa.passes, BOB, fingerprint("laptop"))
        decision = laptop.decide(casa.who("laptop"), Verb.ADMIT, NETWORK)
        assert decision.reason == "laptop is no guard of the network"

    def test_a_second_guard_admits_for_its_own_owner_only(self, casa):
        guards = [fingerprint("tower"), fingerprint("laptop")]
        charter = rosters.next_charter(casa.roster, casa.now, guards=guards)
        casa.roster = casa.roster.merged([charter.signed([computer("tower")[0]])])
        laptop = PeerKeeper(lambda: casa.roster, casa.book, casa.passes, BOB, fingerprint("laptop"))
        assert laptop.decide(casa.who("laptop"), Verb.ADMIT, NETWORK).allowed
        assert not laptop.decide(casa.who("tower"), Verb.ADMIT, NETWORK).allowed

    def test_the_network_s_founder_has_no_key_to_another_s_doors(self, casa):
        letters = Door(kind="share", id="1e77", name="letters", owner=BOB)
        laptop = PeerKeeper(lambda: casa.roster, casa.book, casa.passes, BOB, fingerprint("laptop"))
        assert not laptop.decide(casa.who("tower"), Verb.LIST, letters).allowed
        assert not laptop.decide(casa.who("tower"), Verb.GOVERN, letters).allowed
        assert laptop.decide(casa.who("laptop"), Verb.WRITE, letters).allowed

    def test_a_group_called_admins_means_nothing_here(self, casa):
        casa.book.join("admins", CAROL)
        assert not casa.may("desk", Verb.GOVERN, NETWORK)


def test_an_answer_that_is_kept_goes_with_each_thing_that_it_was_made_from():
    casa = Casa("peer")

    def may():
        return casa.authority.decide(casa.who("laptop"), Verb.READ, PHOTOS).allowed

    assert [may(), may()] == [False, False]
    casa.book.join("friends", BOB)
    casa.allow("group:friends", Verb.READ, PHOTOS)
    assert [may(), may()] == [True, True]
    casa.book.leave("friends", BOB)
    assert not may()
    casa.allow(BOB, Verb.READ, PHOTOS, casa.now + timedelta(hours=1))
    assert [may(), may()] == [True, True]
    casa.later(minutes=59)
    assert may()
    casa.later(minutes=1)
    assert [may(), may()] == [False, False]
    casa.allow(BOB, Verb.WRITE, PHOTOS)
    casa.deny(BOB, Verb.READ, PHOTOS, casa.now + timedelta(hours=1))
    assert [may(), may()] == [False, False]
    casa.later(hours=1)
    assert [may(), may()] == [True, True]
    casa.remove("laptop")
    assert not may()
