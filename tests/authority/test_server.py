"""The server decides for the whole network; its admins keep the rules with its owner."""

from __future__ import annotations

from datetime import timedelta

import pytest

from commonhold.authority.authority import Verb, permit
from commonhold.errors import Refused

from .suite import (
    ALL_SHARES,
    ANN,
    BOB,
    BOBS_JOB,
    CAROL,
    GUS,
    NETWORK,
    NOON,
    NOWHERE,
    PHOTOS,
    PROCESSORS,
    ROOT,
    Casa,
    OpenQuestions,
    fingerprint,
)

TOMORROW = NOON + timedelta(days=1)


class TestServer(OpenQuestions):
    shape = "server"

    def test_admins_govern_and_admit_but_read_only_what_rules_open(self, casa):
        casa.book.join("admins", CAROL)
        decision = casa.ask("desk", Verb.GOVERN, PHOTOS)
        assert (decision.allowed, decision.reason) == (True, "carol is one of the admins of tower")
        assert casa.may("desk", Verb.ADMIT, NETWORK)
        assert not casa.may("desk", Verb.READ, PHOTOS)

    def test_an_admin_s_computer_that_was_denied_anything_does_not_govern(self, casa):
        casa.book.join("admins", CAROL)
        casa.deny(fingerprint("desk"), Verb.READ, PHOTOS)
        assert not casa.may("desk", Verb.GOVERN, PHOTOS)

    def test_who_leaves_the_admins_governs_no_more(self, casa):
        casa.book.join("admins", CAROL)
        casa.book.leave("admins", CAROL)
        assert not casa.may("desk", Verb.GOVERN, PHOTOS)

    def test_hints_name_the_admins_too(self, casa):
        assert "ask tower's owner ann or one of the admins" in casa.ask("desk", Verb.READ, PHOTOS).hint

    def test_an_admin_under_a_pass_governs_nothing(self, casa):
        casa.book.join("admins", CAROL)
        assert not casa.may("desk", Verb.GOVERN, PHOTOS, ROOT, "0" * 32)


class TestPeopleWithoutComputers:
    """Somebody who came with a password: the same rules, of the same person."""

    @pytest.fixture
    def casa(self):
        return Casa("server")

    @staticmethod
    def may(casa, subject, verb, door):
        return casa.authority.decide(subject, verb, door).allowed

    def test_a_password_opens_what_the_person_s_rules_say(self, casa):
        bob = casa.signed_in(BOB)
        assert not self.may(casa, bob, Verb.LIST, PHOTOS)
        casa.allow(BOB, Verb.READ, PHOTOS)
        assert self.may(casa, bob, Verb.READ, PHOTOS)
        assert not self.may(casa, bob, Verb.ADD, PHOTOS)
        assert self.may(casa, bob, Verb.WRITE, BOBS_JOB), "the own job's folder too"

    def test_a_person_with_an_account_is_a_member_and_a_guest_is_not(self, casa):
        bob, gus = casa.signed_in(BOB), casa.signed_in(GUS, TOMORROW)
        casa.allow("members", Verb.READ, ALL_SHARES)
        assert (self.may(casa, bob, Verb.READ, PHOTOS), self.may(casa, gus, Verb.READ, PHOTOS)) == (True, False)
        casa.allow("guests", Verb.LIST, PHOTOS)
        assert (self.may(casa, gus, Verb.LIST, PHOTOS), self.may(casa, gus, Verb.READ, PHOTOS)) == (True, False)

    def test_a_deny_of_the_person_counts(self, casa):
        casa.allow("members", Verb.READ, ALL_SHARES)
        casa.deny(BOB, Verb.LIST, PHOTOS)
        assert not self.may(casa, casa.signed_in(BOB), Verb.READ, PHOTOS)

    def test_after_its_end_a_guest_s_account_opens_nothing(self, casa):
        gus = casa.signed_in(GUS, TOMORROW)
        casa.allow("guests", Verb.READ, PHOTOS)
        assert self.may(casa, gus, Verb.READ, PHOTOS)
        casa.later(days=1)
        decision = casa.authority.decide(gus, Verb.READ, PHOTOS)
        assert (decision.allowed, decision.reason) == (False, "what let this person in is over")

    def test_a_new_password_ends_what_the_old_one_let_in(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        before, session = casa.signed_in(BOB), casa.signed_in(BOB, session=True)
        assert not self.may(casa, before, Verb.READ, PHOTOS)
        assert self.may(casa, session, Verb.READ, PHOTOS)
        after = casa.signed_in(BOB)
        assert not self.may(casa, session, Verb.READ, PHOTOS)
        assert self.may(casa, after, Verb.READ, PHOTOS)

    def test_signing_out_ends_the_session_and_nothing_else(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        session = casa.signed_in(BOB, session=True)
        password = casa.entrance.subject(casa.accounts.find(BOB))
        told = []
        casa.entrance.on_change.append(told.append)
        casa.entrance.sign_out(session)
        assert told == [BOB], "whoever has something running asks again"
        assert not self.may(casa, session, Verb.READ, PHOTOS)
        assert self.may(casa, password, Verb.READ, PHOTOS)

    def test_a_removed_person_s_password_opens_nothing_and_the_account_is_gone(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        bob = casa.signed_in(BOB)
        casa.remove_person(BOB)
        assert not self.may(casa, bob, Verb.READ, PHOTOS)
        assert casa.accounts.find(BOB) is None

    def test_a_removed_computer_leaves_its_person_the_account(self, casa):
        casa.allow(BOB, Verb.READ, PHOTOS)
        bob = casa.signed_in(BOB)
        casa.remove("laptop")
        assert self.may(casa, bob, Verb.READ, PHOTOS)

    def test_a_guest_hears_of_nobody_else(self, casa):
        gus = casa.signed_in(GUS, TOMORROW)
        casa.book.join("admins", CAROL)
        casa.deny(GUS, Verb.LIST, PHOTOS)
        for door in (PHOTOS, NOWHERE, ALL_SHARES, PROCESSORS, BOBS_JOB):
            for verb in (Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE, Verb.RUN):
                with pytest.raises(Refused) as refused:
                    permit(casa.authority, gus, verb, door)
                heard = str(refused.value.problem())
                assert not [name for name in ("ann", "bob", "carol", "tower", "admins") if name in heard], heard

    def test_a_guest_governs_nothing_even_among_the_admins(self, casa):
        gus = casa.signed_in(GUS, TOMORROW)
        casa.book.join("admins", GUS)
        assert not self.may(casa, gus, Verb.GOVERN, PHOTOS)
        assert not self.may(casa, gus, Verb.ADMIT, NETWORK)

    def test_the_owner_is_the_owner_by_a_password_too(self, casa):
        assert self.may(casa, casa.signed_in(ANN), Verb.WRITE, PHOTOS)
