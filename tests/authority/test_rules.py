"""Rules without a network: who is meant, what is included, and how the reasons read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from commonhold.authority.authority import EVERY_SHARE, Decision, Door, Rule, Standing, Subject, Verb
from commonhold.authority.rules import command, decide, outsider
from commonhold.names import Fingerprint, PersonId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BOB, GUS = (PersonId(letter * 32) for letter in "abe")
LAPTOP = Fingerprint("1" * 64)
bob = Subject(standing=Standing.MEMBER, computer=LAPTOP, computer_name="laptop", person=BOB, person_name="bob")
gus = Subject(standing=Standing.MEMBER, person=GUS, person_name="gus", guest=True)
PHOTOS = Door(kind="share", id="5a17", name="photos", owner=ANN)
NOWHERE = Door(kind="share", id="", name="nowhere", owner=ANN)
COMPUTE = Door(kind="compute", id="compute", name="compute", owner=ANN)


@dataclass
class Says:
    """Rules as one would say them."""

    rules: tuple[Rule, ...] = ()

    def __call__(
        self, effect: str, who: str, verb: Verb, door: Door | str = PHOTOS, until: datetime | None = None
    ) -> None:
        name = {BOB: "bob", GUS: "gus", LAPTOP: "laptop"}.get(who, who.removeprefix("group:"))
        where, called = (door.id, door.name) if isinstance(door, Door) else (door, "every share")
        self.rules += (Rule(len(self.rules) + 1, who, name, verb, where, called, effect, until),)

    def ask(
        self, subject: Subject, verb: Verb, door: Door = PHOTOS, now: datetime = NOON, **groups: set[PersonId]
    ) -> Decision:
        named = {name: frozenset(persons) for name, persons in groups.items()}
        return decide(
            self.rules, subject, verb, door, now=now, groups=named, network="casa", keeper="tower's owner ann"
        )


@pytest.fixture
def says() -> Says:
    return Says()


def test_members_means_members_and_not_guests(says):
    says("allow", "members", Verb.READ)
    assert says.ask(bob, Verb.READ).allowed
    assert not says.ask(gus, Verb.READ).allowed


def test_who_is_named_hears_of_that_rule_and_not_of_the_one_for_everybody(says):
    says("allow", "members", Verb.READ)
    says("allow", BOB, Verb.READ)
    assert says.ask(bob, Verb.READ).rule == says.rules[1]


def test_guests_means_guests_and_not_members(says):
    says("allow", "guests", Verb.READ)
    assert says.ask(gus, Verb.READ).allowed
    assert not says.ask(bob, Verb.READ).allowed


def test_a_guest_may_be_named_like_anybody(says):
    says("allow", GUS, Verb.ADD)
    assert says.ask(gus, Verb.ADD).allowed


def test_a_group_that_nobody_is_in_means_nobody(says):
    says("allow", "group:choir", Verb.READ)
    assert not says.ask(bob, Verb.READ).allowed
    assert says.ask(bob, Verb.READ, choir={BOB}).allowed


def test_a_person_s_id_is_not_a_group_s_name(says):
    says("allow", "group:members", Verb.READ)
    assert not says.ask(bob, Verb.READ).allowed


def test_to_allow_a_computer_opens_nothing(says):
    says("allow", LAPTOP, Verb.READ)
    assert not says.ask(bob, Verb.READ).allowed


@pytest.mark.parametrize(
    ("granted", "opened"),
    [
        (Verb.LIST, {Verb.LIST}),
        (Verb.READ, {Verb.LIST, Verb.READ}),
        (Verb.ADD, {Verb.ADD}),
        (Verb.WRITE, {Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE}),
    ],
)
def test_a_granted_verb_grants_what_it_includes(says, granted, opened):
    says("allow", BOB, granted)
    assert {verb for verb in Verb if says.ask(bob, verb).allowed} == opened


@pytest.mark.parametrize(
    ("refused", "left"),
    [
        (Verb.LIST, {Verb.ADD}),
        (Verb.READ, {Verb.LIST, Verb.ADD}),
        (Verb.ADD, {Verb.LIST, Verb.READ}),
        (Verb.WRITE, {Verb.LIST, Verb.READ, Verb.ADD}),
    ],
)
def test_a_denied_verb_denies_what_includes_it(says, refused, left):
    says("allow", "members", Verb.WRITE)
    says("deny", BOB, refused)
    assert {verb for verb in Verb if says.ask(bob, verb).allowed} == left


def test_every_share_means_shares_and_not_processors(says):
    says("allow", "members", Verb.READ, EVERY_SHARE)
    says("allow", "members", Verb.RUN, EVERY_SHARE)
    assert says.ask(bob, Verb.READ).allowed
    assert not says.ask(bob, Verb.RUN, COMPUTE).allowed


def test_a_denied_computer_is_refused_and_its_person_is_not(says):
    says("allow", BOB, Verb.READ)
    says("deny", LAPTOP, Verb.READ)
    decision = says.ask(bob, Verb.READ)
    assert not decision.allowed
    assert decision.rule == says.rules[1]
    assert says.ask(replace(bob, computer=Fingerprint("2" * 64)), Verb.READ).allowed


def test_a_denial_ends_when_it_said(says):
    says("allow", BOB, Verb.READ)
    says("deny", BOB, Verb.READ, until=NOON + timedelta(hours=2))
    assert not says.ask(bob, Verb.READ).allowed
    assert says.ask(bob, Verb.READ, now=NOON + timedelta(hours=2)).allowed


def test_the_reason_of_a_rule_names_it(says):
    says("allow", "members", Verb.READ, EVERY_SHARE)
    decision = says.ask(bob, Verb.READ)
    assert decision.reason == "the rule “allow members read every share” lets bob read photos"


def test_who_may_hears_also_who_can_take_it_back(says):
    says("allow", "members", Verb.READ, EVERY_SHARE)
    hint = says.ask(bob, Verb.LIST).hint
    assert hint == "tower's owner ann can take that back: commonhold deny members read 'every share'"


def test_the_reason_without_a_rule_and_the_command_that_would_be_one(says):
    decision = says.ask(bob, Verb.READ)
    assert decision.reason == "no rule lets bob read photos"
    assert decision.hint == "ask tower's owner ann, who can type: commonhold allow bob read photos"
    assert says.ask(bob, Verb.RUN, COMPUTE).reason == "no rule lets bob run jobs on compute"


def test_the_owner_is_told_as_one(says):
    ann = Subject(standing=Standing.MEMBER, person=ANN, person_name="ann")
    assert says.ask(ann, Verb.WRITE).reason == "ann is the owner of photos"


def test_a_removed_computer_is_named_with_its_person(says):
    says("allow", BOB, Verb.READ)
    removed = replace(bob, standing=Standing.REMOVED)
    assert says.ask(removed, Verb.READ).reason == "bob's computer laptop was removed from the network casa"
    unnamed = outsider(Subject(standing=Standing.REMOVED, computer=LAPTOP))
    assert unnamed is not None
    assert unnamed.reason == "this computer was removed from the network"


def test_a_denial_of_one_share_is_told_to_those_who_may_list_it(says):
    says("allow", "members", Verb.READ)
    says("deny", BOB, Verb.READ)
    decision = says.ask(bob, Verb.READ)
    assert decision.reason == "the rule “deny bob read photos” stands against it"
    assert decision.hint == "ask tower's owner ann, who can type: commonhold allow bob read photos"
    assert decision.told is None


def test_a_denial_of_one_share_is_hidden_from_those_who_may_not(says):
    says("allow", "members", Verb.ADD)
    says("deny", BOB, Verb.LIST)
    for verb in (Verb.LIST, Verb.READ):
        decision, elsewhere = says.ask(bob, verb), says.ask(bob, verb, NOWHERE)
        assert decision.rule == says.rules[1], "the owner may know"
        assert decision.told is not None
        assert decision.told.reason.replace("photos", "nowhere") == elsewhere.reason
        assert decision.told.hint.replace("photos", "nowhere") == elsewhere.hint
        assert decision.told.rule is None


def test_a_denial_of_every_share_shows_of_none_that_it_exists(says):
    says("deny", BOB, Verb.LIST, EVERY_SHARE)
    assert says.ask(bob, Verb.LIST).told is None
    assert says.ask(bob, Verb.LIST).reason == says.ask(bob, Verb.LIST, NOWHERE).reason


def test_two_denials_show_no_more_than_the_broader_one(says):
    says("deny", BOB, Verb.LIST, PHOTOS)
    says("deny", BOB, Verb.LIST, EVERY_SHARE)
    assert says.ask(bob, Verb.LIST) == says.ask(bob, Verb.LIST, NOWHERE)


def test_rules_add_nothing_to_a_pass(says):
    says("allow", BOB, Verb.WRITE)
    assert not says.ask(replace(bob, pass_id="0" * 32), Verb.READ).allowed


def test_commands_in_hints_can_be_pasted():
    assert (
        command("allow", "José Díaz", Verb.READ, "summer photos") == "commonhold allow 'José Díaz' read 'summer photos'"
    )
