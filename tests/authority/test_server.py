"""The server decides for the whole network; its admins keep the rules with its owner."""

from __future__ import annotations

from commonhold.authority.authority import Verb

from .suite import CAROL, NETWORK, PHOTOS, ROOT, OpenQuestions, fingerprint


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
