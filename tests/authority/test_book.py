"""The rule book: what is said last counts, nothing is doubled, and it is all there after a restart."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest

from commonhold.authority.authority import COMPUTE, EVERY_SHARE, Door, Verb
from commonhold.authority.book import RuleBook
from commonhold.errors import Conflict, NotFound, WrongUsage
from commonhold.names import Fingerprint, PersonId

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANN, BOB = PersonId("a" * 32), PersonId("b" * 32)
LAPTOP = Fingerprint("1" * 64)
PHOTOS = Door(kind="share", id="5a17", name="photos", owner=ANN)
PAPERS = Door(kind="share", id="90cc", name="papers", owner=ANN)
ALL_SHARES = Door(kind="share", id=EVERY_SHARE, name="every share", owner=ANN)
PROCESSORS = Door(kind="compute", id=COMPUTE, name=COMPUTE, owner=ANN)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
def book(file, clock):
    connection = sqlite3.connect(file, isolation_level=None)
    yield RuleBook(connection, clock)
    connection.close()


def said(book: RuleBook) -> list[str]:
    return [str(rule) for rule in book.list()]


def test_to_allow_is_to_write_a_rule(book):
    assert book.allow(BOB, "bob", Verb.READ, PHOTOS) == "bob may read photos."
    assert said(book) == ["allow bob read photos"]


def test_the_same_rule_is_not_doubled(book):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    first = book.list()
    assert book.allow(BOB, "bob", Verb.READ, PHOTOS) == "bob may read photos, as before."
    assert book.list() == first


def test_the_end_that_was_said_last_counts(book, clock):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    ends = NOON.astimezone(timezone(timedelta(hours=5))) + timedelta(days=3)
    assert book.allow(BOB, "bob", Verb.READ, PHOTOS, ends) == "bob may read photos until 2026-11-25 12:00 UTC."
    assert [rule.until for rule in book.list()] == [NOON + timedelta(days=3)]
    clock.now += timedelta(days=3)
    assert book.list() == ()


def test_rules_and_groups_outlive_a_restart(book, file, clock):
    book.allow(BOB, "bob", Verb.READ, PHOTOS, NOON + timedelta(days=1))
    book.deny(LAPTOP, "laptop", Verb.RUN, PROCESSORS)
    book.join("choir", BOB)
    again = sqlite3.connect(file, isolation_level=None)
    reopened = RuleBook(again, clock)
    assert reopened.list() == book.list()
    assert reopened.groups() == {"choir": {BOB}}
    again.close()


def test_to_deny_a_person_takes_back_the_rule_and_wins_over_broader_ones(book):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    done = book.deny(BOB, "bob", Verb.READ, PHOTOS)
    assert done == "took back “allow bob read photos”; bob may not read photos, whatever members and groups may."
    assert said(book) == ["deny bob read photos"]


def test_to_allow_takes_back_the_denial_of_the_same(book):
    book.deny(BOB, "bob", Verb.READ, PHOTOS)
    assert book.allow(BOB, "bob", Verb.READ, PHOTOS) == "took back “deny bob read photos”; bob may read photos."
    assert said(book) == ["allow bob read photos"]


def test_to_allow_more_takes_back_the_denials_within_it(book):
    book.deny(BOB, "bob", Verb.LIST, PHOTOS)
    book.deny(BOB, "bob", Verb.WRITE, PHOTOS)
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    assert said(book) == ["deny bob write photos", "allow bob read photos"]


def test_a_denial_of_every_share_is_not_taken_back_for_one_and_that_is_said(book):
    book.deny(BOB, "bob", Verb.READ, ALL_SHARES)
    done = book.allow(BOB, "bob", Verb.READ, PHOTOS)
    assert done == "bob may read photos; but “deny bob read every share” still stands against it."


def test_a_denial_for_a_time_suspends_the_rule(book, clock):
    book.allow(BOB, "bob", Verb.RUN, PROCESSORS)
    book.deny(BOB, "bob", Verb.RUN, PROCESSORS, NOON + timedelta(hours=2))
    clock.now += timedelta(hours=2)
    assert said(book) == ["allow bob run compute"]


def test_a_computer_can_be_denied_and_forgiven_but_not_allowed(book):
    book.deny(LAPTOP, "laptop", Verb.READ, PHOTOS)
    assert book.allow(LAPTOP, "laptop", Verb.READ, PHOTOS) == "took back “deny laptop read photos”."
    assert said(book) == []
    with pytest.raises(WrongUsage, match="“laptop” is a computer"):
        book.allow(LAPTOP, "laptop", Verb.READ, PHOTOS)


def test_to_deny_members_takes_back_what_they_were_allowed(book):
    book.allow("members", "members", Verb.READ, PHOTOS)
    assert book.deny("members", "members", Verb.READ, PHOTOS) == "took back “allow members read photos”."
    assert said(book) == []


def test_to_deny_members_twice_is_no_error(book):
    done = book.deny("members", "members", Verb.READ, PHOTOS)
    assert done == "no rule let members read photos, so there was nothing to take back."


def test_to_deny_members_what_another_rule_gives_fails_and_names_that_rule(book):
    book.allow("members", "members", Verb.READ, ALL_SHARES)
    with pytest.raises(Conflict, match="“allow members read every share”") as stopped:
        book.deny("members", "members", Verb.READ, PHOTOS)
    assert stopped.value.hint == "take that back: commonhold deny members read 'every share'"


def test_to_deny_a_group_names_the_rule_that_still_lets_it(book):
    book.join("choir", BOB)
    book.allow("group:choir", "choir", Verb.READ, PHOTOS)
    book.allow("members", "members", Verb.WRITE, PHOTOS)
    done = book.deny("group:choir", "choir", Verb.READ, PHOTOS)
    assert done == "took back “allow choir read photos”; but “allow members write photos” still allows it."


def test_the_owner_cannot_be_denied(book):
    with pytest.raises(WrongUsage, match="ann is the owner of photos"):
        book.deny(ANN, "ann", Verb.READ, PHOTOS)


@pytest.mark.parametrize(
    ("who", "verb", "door", "until"),
    [
        (BOB, Verb.RUN, PHOTOS, None),
        (BOB, Verb.READ, PROCESSORS, None),
        (BOB, Verb.GOVERN, PHOTOS, None),
        (BOB, Verb.READ, Door(kind="job", id=".job-1", name=".job-1"), None),
        (BOB, Verb.READ, PHOTOS, NOON),
        ("everybody", Verb.READ, PHOTOS, None),
        ("owner", Verb.READ, PHOTOS, None),
    ],
)
def test_nonsense_is_no_rule(book, who, verb, door, until):
    with pytest.raises(WrongUsage):
        book.allow(who, who, verb, door, until)
    with pytest.raises(WrongUsage):
        book.deny(who, who, verb, door, until)
    assert said(book) == []


def test_only_persons_and_computers_are_denied_for_a_time(book):
    with pytest.raises(WrongUsage, match="for a time"):
        book.deny("members", "members", Verb.READ, PHOTOS, NOON + timedelta(hours=1))


def test_a_share_that_is_not_there_has_no_rules(book):
    with pytest.raises(NotFound):
        book.allow(BOB, "bob", Verb.READ, Door(kind="share", id="", name="nowhere"))


def test_the_rules_of_one_door_are_those_that_speak_of_it(book):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    book.allow(BOB, "bob", Verb.READ, PAPERS)
    book.allow("members", "members", Verb.LIST, ALL_SHARES)
    book.allow("members", "members", Verb.RUN, PROCESSORS)
    assert [str(rule) for rule in book.list(PHOTOS.id)] == ["allow bob read photos", "allow members list every share"]
    assert [str(rule) for rule in book.list(COMPUTE)] == ["allow members run compute"]


def test_a_withdrawn_share_takes_its_rules_along(book):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    book.deny(LAPTOP, "laptop", Verb.READ, PHOTOS)
    book.allow(BOB, "bob", Verb.READ, PAPERS)
    assert book.forget(PHOTOS.id) == 2
    assert said(book) == ["allow bob read papers"]


def test_one_rule_can_be_struck_out_and_its_number_is_not_used_again(book):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    (rule,) = book.list()
    assert book.remove(rule.id) == rule
    with pytest.raises(NotFound):
        book.remove(rule.id)
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    assert book.list()[0].id > rule.id


def test_groups_are_found_however_they_are_written(book):
    book.join("Choir", BOB)
    book.join("choir", ANN)
    assert book.groups() == {"Choir": {ANN, BOB}}
    book.allow("group:CHOIR", "choir", Verb.READ, PHOTOS)
    assert book.list()[0].who == "group:Choir"


def test_a_group_is_there_while_somebody_is_in_it(book):
    book.join("choir", BOB)
    book.leave("choir", BOB)
    assert book.groups() == {}
    with pytest.raises(NotFound):
        book.leave("choir", BOB)
    with pytest.raises(NotFound, match="no group"):
        book.allow("group:choir", "choir", Verb.READ, PHOTOS)


def test_a_group_s_rules_end_with_it_and_a_later_one_of_its_name_inherits_none(book):
    book.join("choir", ANN, BOB)
    book.allow("group:choir", "choir", Verb.READ, PHOTOS)
    assert book.leave("choir", BOB) == ()
    assert [str(rule) for rule in book.leave("choir", ANN)] == ["allow choir read photos"]
    book.join("choir", BOB)
    assert said(book) == []


def test_a_whole_group_is_taken_apart_at_once(book):
    book.join("choir", ANN, BOB)
    book.leave("CHOIR")
    assert book.groups() == {}
    with pytest.raises(NotFound):
        book.leave("choir")


def test_who_leaves_the_network_leaves_the_groups(book):
    book.join("choir", ANN, BOB)
    book.join("admins", BOB)
    book.allow("group:admins", "admins", Verb.READ, PHOTOS)
    assert book.part(BOB) == ("admins", "choir")
    assert book.groups() == {"choir": {ANN}}
    assert said(book) == []
    assert book.part(BOB) == ()


def test_what_the_owner_was_allowed_for_nothing_can_be_taken_back(book):
    book.allow(ANN, "ann", Verb.READ, PHOTOS)
    done = book.deny(ANN, "ann", Verb.READ, PHOTOS)
    assert done == "took back “allow ann read photos”; ann is the owner of photos, and may do everything there."
    assert said(book) == []


@pytest.mark.parametrize("word", ["members", "guests", "owner", "", "a/b"])
def test_words_of_rules_are_no_groups(book, word):
    with pytest.raises(WrongUsage):
        book.join(word, BOB)


def test_a_failed_change_changes_nothing(book, file):
    book.allow(BOB, "bob", Verb.READ, PHOTOS)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("CREATE TRIGGER broken BEFORE INSERT ON rule BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError):
        book.deny(BOB, "bob", Verb.READ, PHOTOS)
    assert said(book) == ["allow bob read photos"], "the rule was not taken back without the denial"
    other.close()
