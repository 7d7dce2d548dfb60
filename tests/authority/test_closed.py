"""Nothing is open: at a client of a server, and at a computer that belongs to no network."""

from __future__ import annotations

from commonhold.authority.authority import Verb
from commonhold.authority.closed import Closed

from .suite import PHOTOS, PROCESSORS, Questions, fingerprint


class TestClient(Questions):
    shape = "closed"

    def test_a_client_refuses_its_own_owner_too(self, casa):
        for verb in Verb:
            assert not casa.may("tower", verb, PHOTOS)

    def test_a_client_says_that_it_is_one_and_whom_to_ask(self, casa):
        decision = casa.ask("laptop", Verb.READ, PHOTOS)
        assert decision.reason == "this computer is a client and shares nothing"
        assert decision.hint == "ask the server tower"

    def test_rules_that_a_client_kept_from_before_open_nothing(self, casa):
        casa.allow("members", Verb.READ, PHOTOS)
        casa.allow("members", Verb.RUN, PROCESSORS)
        assert not casa.may("laptop", Verb.READ, PHOTOS)
        assert not casa.may("laptop", Verb.RUN, PROCESSORS)


def test_a_computer_without_a_network_knows_nobody():
    alone = Closed.not_joined()
    assert alone.who(fingerprint("laptop")).standing == "stranger"
    decision = alone.decide(alone.who(fingerprint("laptop")), Verb.READ, PHOTOS)
    assert decision.reason == "this computer belongs to no network yet"
    assert "commonhold join CODE" in decision.hint
