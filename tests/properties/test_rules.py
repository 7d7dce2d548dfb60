"""What holds for all rules, subjects, doors and passes."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from commonhold.authority.authority import COMPUTE, EVERY_SHARE, Door, Rule, Standing, Subject, Verb
from commonhold.authority.book import RuleBook
from commonhold.authority.passes import Pass
from commonhold.authority.rules import Index, decide
from commonhold.errors import CommonholdError
from commonhold.names import Fingerprint, PersonId, SharePath

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PERSONS = [PersonId(letter * 32) for letter in "abc"]
COMPUTERS = [Fingerprint(digit * 64) for digit in "123"]
SAYABLE = [Verb.LIST, Verb.READ, Verb.ADD, Verb.WRITE, Verb.RUN]

times = st.sampled_from([NOON - timedelta(hours=1), NOON, NOON + timedelta(hours=1)])
persons, computers = st.sampled_from(PERSONS), st.sampled_from(COMPUTERS)
verbs = st.sampled_from(list(Verb))
shares = st.sampled_from([Door(kind="share", id=each, name=each, owner=PERSONS[0]) for each in ("5a17", "90cc")])
doors = shares | st.sampled_from(
    [
        Door(kind="compute", id=COMPUTE, name=COMPUTE, owner=PERSONS[0]),
        Door(kind="job", id=".job-1", name=".job-1", owner=PERSONS[1]),
        Door(kind="share", id="", name="nowhere", owner=PERSONS[0]),
        Door(kind="network", id="", name="the network"),
    ]
)
whos = persons | st.sampled_from(["members", "guests", "group:choir", "group:nobody"])
places = st.sampled_from(["5a17", "90cc", EVERY_SHARE, COMPUTE])


def rules_of(effect: str, who: st.SearchStrategy[str]) -> st.SearchStrategy[Rule]:
    return st.builds(
        Rule,
        id=st.integers(1, 99),
        who=who,
        who_name=st.just("x"),
        verb=st.sampled_from(SAYABLE),
        door=places,
        door_name=st.just("y"),
        effect=st.just(effect),
        until=st.none() | times,
    )


allows = rules_of("allow", whos)
denies = rules_of("deny", persons | computers)
books = st.lists(allows | denies, max_size=8)
groups = st.fixed_dictionaries({"choir": st.frozensets(persons)})
subjects = st.builds(
    Subject,
    standing=st.just(Standing.MEMBER),
    computer=computers,
    person=persons,
    guest=st.booleans(),
)


@given(books, denies, st.integers(0, 8), subjects, verbs, doors, times, groups)
def test_a_deny_never_widens(rules, deny, at, subject, verb, door, now, groups):
    before = decide(rules, subject, verb, door, now=now, groups=groups)
    after = decide([*rules[:at], deny, *rules[at:]], subject, verb, door, now=now, groups=groups)
    assert before.allowed or not after.allowed


@given(books, allows, st.integers(0, 8), subjects, verbs, doors, times, groups)
def test_an_allow_never_narrows(rules, allow, at, subject, verb, door, now, groups):
    before = decide(rules, subject, verb, door, now=now, groups=groups)
    after = decide([*rules[:at], allow, *rules[at:]], subject, verb, door, now=now, groups=groups)
    assert after.allowed or not before.allowed


@given(books, subjects, verbs, doors, times, groups, st.randoms())
def test_the_order_of_rules_decides_nothing(rules, subject, verb, door, now, groups, random):
    shuffled = random.sample(rules, len(rules))
    first, second = (decide(each, subject, verb, door, now=now, groups=groups) for each in (rules, shuffled))
    assert first.allowed == second.allowed


@given(books, subjects, st.sampled_from([Standing.REMOVED, Standing.STRANGER]), verbs, doors, groups)
def test_removed_computers_and_strangers_are_always_refused(rules, subject, standing, verb, door, groups):
    assert not decide(rules, replace(subject, standing=standing), verb, door, now=NOON, groups=groups).allowed


@given(books, subjects, verbs, doors, groups)
def test_rules_never_open_anything_to_a_pass(rules, subject, verb, door, groups):
    assert not decide(rules, replace(subject, pass_id="0" * 32), verb, door, now=NOON, groups=groups).allowed


@given(books, subjects, verbs, doors, groups)
def test_what_is_refused_has_a_reason_and_what_is_allowed_has_a_cause(rules, subject, verb, door, groups):
    decision = decide(rules, subject, verb, door, now=NOON, groups=groups)
    assert decision.reason
    assert not decision.reason.endswith(".")
    if decision.allowed:
        assert decision.rule in rules or door.owner == subject.person
    else:
        assert decision.hint


@given(st.lists(denies | rules_of("allow", persons), max_size=8), subjects, verbs, groups)
def test_whoever_may_not_list_hears_the_same_of_a_share_that_is_not_there(rules, subject, verb, groups):
    there = Door(kind="share", id="5a17", name="photos", owner=None)
    elsewhere = Door(kind="share", id="", name="photos", owner=None)
    if decide(rules, subject, Verb.LIST, there, now=NOON, groups=groups).allowed:
        return
    heard = [decide(rules, subject, verb, door, now=NOON, groups=groups) for door in (there, elsewhere)]
    if any(decision.allowed for decision in heard):
        return
    first, second = (decision.told or decision for decision in heard)
    assert first == second


names = st.sampled_from(["a", "b", "c"])
share_paths = st.lists(names, max_size=3).map(lambda parts: SharePath(tuple(parts)))


@given(st.sampled_from([Verb.READ, Verb.ADD, Verb.WRITE]), st.frozensets(share_paths, max_size=3), share_paths, verbs)
def test_a_pass_opens_only_what_it_says(said, paths, asked, verb):
    share = Door(kind="share", id="5a17", name="photos")
    lender = Subject(standing=Standing.MEMBER, computer=COMPUTERS[0], person=PERSONS[0])
    for folder in (None, *paths):
        given_out = Pass(
            COMPUTERS[0],
            COMPUTERS[1],
            PERSONS[1],
            "1",
            share.id,
            said,
            frozenset() if folder else frozenset(str(path).encode() for path in paths),
            None if folder is None else str(folder).encode(),
            NOON,
            0,
        )
        if not given_out.trouble(lender, verb, share, asked):
            assert asked.within(folder) if folder is not None else asked in paths
            owner_of_right = [Rule(1, PERSONS[1], "bob", said, share.id, "photos")]
            submitter = Subject(standing=Standing.MEMBER, computer=COMPUTERS[1], person=PERSONS[1])
            assert decide(owner_of_right, submitter, verb, share, now=NOON, groups={}).allowed, "within the right"


@given(books, subjects, verbs, doors, times, groups)
def test_the_few_rules_that_the_index_gives_decide_as_all_of_them(rules, subject, verb, door, now, groups):
    few = Index(rules, groups).about(subject, door)
    first, second = (decide(each, subject, verb, door, now=now, groups=groups) for each in (rules, few))
    assert first == second


sayings = st.tuples(
    st.sampled_from(["allow", "deny"]), whos | computers, st.sampled_from(SAYABLE), shares, st.none() | times
)


@given(st.lists(sayings, max_size=6), persons, computers, st.sampled_from(SAYABLE), shares)
def test_what_was_said_last_of_a_person_counts(said, person, computer, verb, share):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    book = RuleBook(connection, lambda: NOON)
    for effect, *saying in said:
        try:
            (book.allow if effect == "allow" else book.deny)(saying[0], "x", *saying[1:])
        except CommonholdError:
            continue
    door = replace(share, owner=None)
    subject = Subject(standing=Standing.MEMBER, computer=computer, person=person)
    others = [rule for rule in book.rules() if rule.who == computer]
    if verb is not Verb.RUN:
        book.deny(person, "x", verb, door)
        assert not decide(book.rules(), subject, verb, door, now=NOON, groups={}).allowed
        book.allow(person, "x", verb, door)
        allowed = decide(book.rules(), subject, verb, door, now=NOON, groups={}).allowed
        assert allowed or others, "only a denial of the computer may stand against it"
    assert len({(rule.effect, rule.who, rule.verb, rule.door) for rule in book.rules()}) == len(book.rules())
    connection.close()


@given(st.lists(sayings, max_size=8))
def test_each_rule_that_lets_somebody_in_is_taken_back_by_deny_with_its_words(said):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    book = RuleBook(connection, lambda: NOON)
    book.join("choir", PERSONS[1])
    for effect, *saying in said:
        with suppress(CommonholdError):
            (book.allow if effect == "allow" else book.deny)(saying[0], "x", *saying[1:])
    for rule in [each for each in book.list() if each.effect == "allow"]:
        door = Door(kind="share", id=rule.door, name=rule.door_name, owner=PERSONS[0])
        book.deny(rule.who, rule.who_name, rule.verb, door)
        assert rule.id not in {each.id for each in book.rules()}
    connection.close()
