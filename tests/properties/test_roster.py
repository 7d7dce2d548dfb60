"""Rules of the roster that hold whatever is said, in whatever order, by whomever."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.charter import KIND as CHARTER
from commonhold.authority.roster import Roster, found, next_charter
from commonhold.authority.statements import TYPES, Admit, PersonFact, Remove
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import recovery_key, recovery_words
from commonhold.identity.envelope import Envelope, Signature, sign
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOWER, NAS, LAPTOP, PHONE = KEYS = [Key.generate() for _ in range(4)]
RECOVERY = recovery_key(recovery_words(bytes(16)))
PERSONS = [PersonId(letter * 32) for letter in "abc"]
FOUNDING = found(
    key=TOWER,
    certificate=self_signed(TOWER, NOON),
    network=NetworkName("home"),
    shape="peer-to-peer",
    trusting=False,
    computer=ComputerName("tower"),
    person=PersonName("ann"),
    person_id=PERSONS[0],
    recovery=RECOVERY,
    now=NOON,
)
HOME = Roster.of(FOUNDING.id, [FOUNDING])


def said(statement, by: Key) -> Envelope:
    return sign(msgspec.json.encode(statement, enc_hook=str), TYPES[type(statement)], [by])


def enrolling(key: Key, name: str, person: PersonId) -> Admit:
    return Admit(FOUNDING.id, self_signed(key, NOON).der, name, person)


SIGNERS = st.sampled_from([*KEYS, RECOVERY])
STATEMENTS = st.one_of(
    st.builds(enrolling, st.sampled_from(KEYS), st.sampled_from(["nas", "NAS", "tv", ".."]), st.sampled_from(PERSONS)),
    st.builds(lambda key: Remove(FOUNDING.id, key.fingerprint), st.sampled_from(KEYS)),
    st.builds(lambda person: Remove(FOUNDING.id, person), st.sampled_from(PERSONS)),
    st.builds(
        lambda person, name: PersonFact(FOUNDING.id, person, name), st.sampled_from(PERSONS), st.text(max_size=5)
    ),
)
FACTS = st.builds(said, STATEMENTS, SIGNERS)
# Two generations of charters, from a network in which everybody is a member.
GRANTED = [said(PersonFact(FOUNDING.id, PERSONS[1], "ben"), TOWER)]
GRANTED += [said(enrolling(key, f"computer-{n}", PERSONS[1]), TOWER) for n, key in enumerate(KEYS[1:])]
EVERYBODY = HOME.merged(GRANTED)


def successors() -> list[Envelope]:
    made = []
    for guards in ([NAS], [TOWER, NAS], [LAPTOP]):
        for keys in ([TOWER], [RECOVERY], [NAS]):
            first = next_charter(EVERYBODY, NOON, guards=[key.fingerprint for key in guards]).signed(keys)
            made.append(first)
            after = EVERYBODY.merged([first])
            if after.charter.number == 2:
                charter = next_charter(after, NOON, guards=[PHONE.fingerprint], leaving={LAPTOP.fingerprint})
                made += [charter.signed(guards), charter.signed(guards[:1])]
    return made


CHARTERS = st.sampled_from(successors())
NEWS = st.lists(FACTS | CHARTERS, max_size=12)


@given(news=NEWS, data=st.data())
@settings(deadline=None)
def test_the_order_of_the_news_never_matters(news, data):
    news = [*GRANTED, *news]
    shuffled = data.draw(st.permutations(news))
    assert HOME.merged(news) == HOME.merged(shuffled)


@given(news=NEWS, data=st.data())
@settings(deadline=None)
def test_one_after_the_other_is_the_same_as_all_at_once(news, data):
    """The quick way, which puts facts beside what was read before, gives what reading everything anew gives."""
    roster = EVERYBODY
    while news:
        piece = data.draw(st.integers(1, len(news)))
        before, roster = roster, roster.merged(news[:piece])
        assert roster == Roster.of(FOUNDING.id, [*before.envelopes, *news[:piece]])
        news = news[piece:]


@given(honest=st.lists(STATEMENTS, max_size=6), late=st.lists(STATEMENTS, max_size=6), by=st.sampled_from([TOWER, NAS]))
@settings(deadline=None)
def test_of_a_removed_guard_the_honest_facts_stay_and_the_later_ones_are_void(honest, late, by):
    both = EVERYBODY.merged(
        [next_charter(EVERYBODY, NOON, guards={TOWER.fingerprint, NAS.fingerprint}).signed([TOWER])]
    )
    before = both.merged(said(statement, by) for statement in honest)
    stays = NAS if by is TOWER else TOWER
    cut = next_charter(before, NOON, guards={stays.fingerprint}, leaving={by.fingerprint}).signed([TOWER, NAS])
    after = before.merged([cut])
    assert after.members.keys() == before.members.keys() - {by.fingerprint}
    assert after.removed >= before.removed | {by.fingerprint}
    later = after.merged(said(statement, by) for statement in late)
    assert (later.members, later.persons, later.removed) == (after.members, after.persons, after.removed)


@given(first=NEWS, second=NEWS)
@settings(deadline=None)
def test_two_that_swap_what_they_have_end_up_alike(first, second):
    here, there = EVERYBODY.merged(first), EVERYBODY.merged(second)
    assert here.merged(there.envelopes) == there.merged(here.envelopes)
    once = here.merged(there.envelopes)
    assert once.merged(there.envelopes) == once
    assert Roster.of(FOUNDING.id, once.envelopes) == once


@given(news=NEWS, later=NEWS, gone=st.sampled_from(KEYS[1:]))
@settings(deadline=None)
def test_who_was_removed_stays_out_unless_a_charter_made_it_guard(news, later, gone):
    removal = said(Remove(FOUNDING.id, gone.fingerprint), TOWER)
    roster = EVERYBODY.merged([*news, removal, *later])
    if TOWER.fingerprint in roster.guards:
        assert gone.fingerprint not in roster.members or gone.fingerprint in roster.guards


@given(statements=st.lists(STATEMENTS, max_size=8), by=st.sampled_from([NAS, LAPTOP, PHONE, RECOVERY]))
@settings(deadline=None)
def test_who_is_no_guard_changes_nothing(statements, by):
    assert EVERYBODY.merged(said(statement, by) for statement in statements) == EVERYBODY


@given(
    envelopes=st.lists(
        st.builds(
            Envelope,
            st.binary(max_size=200) | st.sampled_from([envelope.payload for envelope in (FOUNDING, *GRANTED)]),
            st.sampled_from([CHARTER, *TYPES.values(), "text/plain"]),
            st.lists(
                st.builds(
                    Signature,
                    st.sampled_from([str(key.fingerprint) for key in KEYS]) | st.text(max_size=9),
                    st.binary(max_size=80) | st.sampled_from([envelope.signatures[0].sig for envelope in GRANTED]),
                ),
                max_size=4,
            ).map(tuple),
        ),
        max_size=8,
    )
)
@settings(deadline=None)
def test_no_forged_envelope_changes_anything(envelopes):
    assert EVERYBODY.merged(envelopes) == EVERYBODY


@given(news=NEWS)
@settings(deadline=None)
def test_every_roster_holds_together(news):
    roster = EVERYBODY.merged(news)
    names = [member.name.casefold() for member in roster.members.values()]
    assert len(set(names)) == len(names)
    assert roster.guards <= roster.members.keys()
    assert not roster.removed & roster.members.keys()
    assert {member.person for member in roster.members.values()} <= roster.persons.keys()
    assert len({name.casefold() for name in roster.persons.values()}) == len(roster.persons)
    assert len({certificate.fingerprint for certificate in roster.anchors}) == len(roster.anchors)
    # Whoever is in force can say so in a charter, and nothing is lost by it.
    following = next_charter(roster, NOON, guards=sorted(roster.guards)).signed([RECOVERY])
    if not roster.alarm:
        after = roster.merged([following])
        assert after.charter.number == roster.charter.number + 1
        assert after.members == roster.members
        assert after.removed == roster.removed
