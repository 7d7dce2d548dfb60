"""Who belongs, decided from signed envelopes alone."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime

import msgspec
import pytest

from commonhold.authority.charter import KIND as CHARTER
from commonhold.authority.roster import Roster, admit, found, next_charter, remove
from commonhold.authority.statements import TYPES, Admit, PersonFact, Remove
from commonhold.errors import Conflict, NotFound, Refused
from commonhold.identity import keys
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import four_words, recovery_key, recovery_words
from commonhold.identity.envelope import Envelope, sign
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOWER, NAS, LAPTOP, PHONE, STRANGER = (Key.generate() for _ in range(5))
RECOVERY = recovery_key(recovery_words(bytes(16)))
ANN, BEN = PersonId("a" * 32), PersonId("b" * 32)
FOUNDING = found(
    key=TOWER,
    certificate=self_signed(TOWER, NOON),
    network=NetworkName("home"),
    shape="peer-to-peer",
    trusting=False,
    computer=ComputerName("tower"),
    person=PersonName("ann"),
    person_id=ANN,
    recovery=RECOVERY,
    now=NOON,
)
HOME = Roster.of(FOUNDING.id, [FOUNDING])


def fact(statement, *keys: Key) -> Envelope:
    """A fact as anybody could write it, checked by nobody."""
    return sign(msgspec.json.encode(statement, enc_hook=str), TYPES[type(statement)], keys)


def admitted(key: Key, name: str, person=ANN, by=TOWER, network=FOUNDING.id) -> Envelope:
    return fact(Admit(network, self_signed(key, NOON).der, name, person), by)


def removed(subject: str, by=TOWER) -> Envelope:
    return fact(Remove(FOUNDING.id, subject), by)


def names(roster: Roster) -> set[str]:
    return {member.name for member in roster.members.values()}


def changed(roster: Roster, keys: list[Key], **changes) -> Envelope:
    """The charter after the one in force, with some fields as given."""
    charter = next_charter(roster, NOON, guards=tuple(roster.guards))
    return msgspec.structs.replace(charter, **changes).signed(keys)


def guarded_by(roster: Roster, guards: list[Key], signed_by: list[Key], **more) -> Envelope:
    return next_charter(roster, NOON, guards=[key.fingerprint for key in guards], **more).signed(signed_by)


def test_a_founded_network_has_its_founder():
    assert HOME.network_id == HOME.charter_id == FOUNDING.id
    assert (HOME.network, HOME.shape, HOME.server, HOME.trusting) == ("home", "peer-to-peer", None, False)
    assert HOME.guards == {TOWER.fingerprint}
    assert HOME.find("TOWER") == HOME.find(TOWER.fingerprint) == HOME.members[TOWER.fingerprint]
    assert HOME.persons == {ANN: "ann"}
    assert HOME.find("laptop") is None
    assert HOME.alarm == ""


def test_two_networks_of_one_name_and_one_founder_are_two():
    now = datetime(2026, 11, 22, 13, tzinfo=UTC)
    other = msgspec.structs.replace(HOME.charter, made=now).signed([TOWER])
    assert other.id != FOUNDING.id


def test_a_server_is_the_one_guard_of_its_network():
    charter = msgspec.structs.replace(HOME.charter, shape="client-server", server=str(TOWER.fingerprint))
    founding = charter.signed([TOWER])
    assert Roster.of(founding.id, [founding]).server == TOWER.fingerprint


def test_without_the_founding_charter_there_is_no_network():
    with pytest.raises(Refused):
        Roster.of(FOUNDING.id, [])
    with pytest.raises(Refused):
        Roster.of(FOUNDING.id, [HOME.charter.signed([STRANGER])])
    with pytest.raises(Refused):
        Roster.of("0" * 64, [FOUNDING])


def test_a_guard_lets_a_computer_in_and_out_again():
    roster = HOME.merged(
        admit(
            TOWER,
            HOME,
            self_signed(LAPTOP, NOON),
            name=ComputerName("laptop"),
            person=BEN,
            person_name=PersonName("ben"),
        )
    )
    assert names(roster) == {"tower", "laptop"}
    assert roster.persons == {ANN: "ann", BEN: "ben"}
    assert [member.name for member in roster.computers_of(BEN)] == ["laptop"]
    assert roster.digest != HOME.digest
    roster = roster.merged(remove(TOWER, roster, LAPTOP.fingerprint))
    assert names(roster) == {"tower"}
    assert roster.removed == {LAPTOP.fingerprint}
    assert roster.removed_members[LAPTOP.fingerprint].name == "laptop"
    assert len(roster.anchors) == 2  # so that it hears why it is refused
    assert roster.persons == {ANN: "ann", BEN: "ben"}  # ben has no computer, and is still ben


def test_a_removed_computer_stays_out_whoever_admits_it_again():
    roster = HOME.merged([admitted(LAPTOP, "laptop"), removed(LAPTOP.fingerprint), admitted(LAPTOP, "new name")])
    assert names(roster) == {"tower"}
    with pytest.raises(Refused, match="removed from the network"):
        admit(TOWER, roster, self_signed(LAPTOP, NOON), name=ComputerName("laptop"), person=ANN)


def test_a_removed_person_leaves_with_all_computers():
    facts = [fact(PersonFact(FOUNDING.id, BEN, "ben"), TOWER)]
    facts += [admitted(LAPTOP, "laptop", BEN), admitted(PHONE, "phone", BEN)]
    roster = HOME.merged(facts)
    assert names(roster) == {"tower", "laptop", "phone"}
    roster = roster.merged(remove(TOWER, roster, BEN))
    assert names(roster) == {"tower"}
    assert BEN not in roster.persons
    assert roster.removed == {LAPTOP.fingerprint, PHONE.fingerprint}
    assert names(roster.merged([admitted(NAS, "nas", BEN)])) == {"tower"}


def test_a_guard_is_not_removed_by_a_fact():
    roster = HOME.merged([removed(TOWER.fingerprint), removed(ANN)])
    assert names(roster) == {"tower"}
    assert roster.persons == {ANN: "ann"}
    assert not roster.removed
    for subject in (TOWER.fingerprint, ANN):
        with pytest.raises(Refused, match="guard"):
            remove(TOWER, HOME, subject)


@pytest.mark.parametrize("by", [STRANGER, LAPTOP, RECOVERY], ids=["a stranger", "a member", "the recovery key"])
def test_who_is_no_guard_changes_nothing(by):
    roster = HOME.merged([admitted(LAPTOP, "laptop")])
    after = roster.merged(
        [
            admitted(PHONE, "phone", by=by),
            removed(LAPTOP.fingerprint, by=by),
            fact(PersonFact(FOUNDING.id, BEN, "ben"), by),
            next_charter(roster, NOON, guards=[LAPTOP.fingerprint]).signed([by] if by is not RECOVERY else []),
        ]
    )
    assert after == roster
    assert after.digest == roster.digest


def test_facts_of_another_network_are_ignored():
    assert HOME.merged([admitted(LAPTOP, "laptop", network="0" * 64)]) == HOME


def test_a_statement_of_one_kind_never_passes_for_another():
    laptop = admitted(LAPTOP, "laptop")
    roster = HOME.merged([laptop])
    for payload_type in (TYPES[Remove], TYPES[PersonFact], CHARTER, "application/json"):
        assert roster.merged([msgspec.structs.replace(laptop, payload_type=payload_type)]) == roster
        assert roster.merged([sign(laptop.payload, payload_type, [TOWER])]) == roster


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"\xff",
        msgspec.json.encode({"network": FOUNDING.id}),
        msgspec.json.encode(Admit(FOUNDING.id, b"rubbish", "laptop", "a" * 32)),
        msgspec.json.encode(Admit(FOUNDING.id, self_signed(LAPTOP, NOON).der, "..", "a" * 32)),
        msgspec.json.encode(Admit(FOUNDING.id, self_signed(LAPTOP, NOON).der, "laptop", "nobody")),
        msgspec.json.encode({**msgspec.to_builtins(Admit(FOUNDING.id, b"", "x", "a" * 32)), "more": 1}),
        msgspec.json.encode(Admit(FOUNDING.id, self_signed(LAPTOP, NOON).der, "laptop", "a" * 32)) + b" " * 70_000,
    ],
    ids=itertools.count(),  # by content they would differ from worker to worker
)
def test_a_hostile_fact_is_ignored_even_from_a_guard(payload):
    assert HOME.merged([sign(payload, TYPES[Admit], [TOWER])]) == HOME


def test_a_computer_waits_until_its_person_is_known():
    roster = HOME.merged([admitted(LAPTOP, "laptop", BEN)])
    assert names(roster) == {"tower"}
    assert names(roster.merged([fact(PersonFact(FOUNDING.id, BEN, "ben"), TOWER)])) == {"tower", "laptop"}


def test_two_computers_of_one_name_are_told_apart():
    roster = HOME.merged([admitted(LAPTOP, "Laptop"), admitted(PHONE, "laptop"), admitted(NAS, "TOWER")])
    first, second = sorted([LAPTOP.fingerprint, PHONE.fingerprint])
    assert roster.members[first].name.casefold() == "laptop"
    assert roster.members[second].name.casefold() == f"laptop-{four_words(second)}"
    assert roster.members[TOWER.fingerprint].name == "tower"  # the charter's own keeps its name
    assert roster.members[NAS.fingerprint].name == f"TOWER-{four_words(NAS.fingerprint)}"


def test_who_takes_the_name_with_words_of_another_gains_nothing():
    first, second = sorted([LAPTOP, PHONE], key=lambda key: key.fingerprint)
    disguise = f"laptop-{four_words(second.fingerprint)}"
    roster = HOME.merged([admitted(NAS, disguise), admitted(first, "laptop"), admitted(second, "laptop")])
    assert len({name.casefold() for name in names(roster)}) == 4
    settled = HOME.merged([admitted(NAS, disguise)])
    settled = settled.merged([guarded_by(settled, [TOWER], [TOWER])])  # now the charter holds the disguise
    settled = settled.merged([admitted(first, "laptop"), admitted(second, "laptop")])
    assert settled.members[second.fingerprint].name == second.fingerprint[:63]


def test_a_long_name_has_room_for_the_words():
    roster = HOME.merged([admitted(LAPTOP, "ü" * 31), admitted(PHONE, "ü" * 31)])
    assert len(names(roster)) == 3
    assert all(len(name.encode()) <= 63 for name in names(roster))


def test_two_persons_of_one_name_are_told_apart():
    roster = HOME.merged([fact(PersonFact(FOUNDING.id, BEN, "Ann"), TOWER)])
    assert roster.persons == {ANN: "ann", BEN: f"Ann-{four_words(BEN)}"}
    assert roster.find_person("ANN") == ANN
    assert roster.find_person(BEN) == BEN


def test_a_taken_name_is_a_conflict_before_anything_is_signed():
    certificate = self_signed(LAPTOP, NOON)
    with pytest.raises(Conflict, match="taken") as caught:
        admit(TOWER, HOME, certificate, name=ComputerName("Tower"), person=ANN)
    assert "--computer NAME" in caught.value.hint
    with pytest.raises(Conflict, match="belongs to somebody already") as caught:
        admit(TOWER, HOME, certificate, name=ComputerName("x"), person=BEN, person_name=PersonName("ANN"))
    assert caught.value.hint == "ask for: commonhold invite --person ANN"
    with pytest.raises(NotFound):
        admit(TOWER, HOME, certificate, name=ComputerName("x"), person=BEN)
    with pytest.raises(NotFound):
        remove(TOWER, HOME, LAPTOP.fingerprint)
    with pytest.raises(Refused, match="no guard") as caught:
        admit(LAPTOP, HOME, certificate, name=ComputerName("x"), person=ANN)
    assert caught.value.hint == "type it on tower"


# Charters


def test_a_guard_makes_another_computer_guard_beside_itself_and_then_both_must_sign():
    roster = HOME.merged([admitted(NAS, "nas"), admitted(LAPTOP, "laptop")])
    roster = roster.merged([guarded_by(roster, [TOWER, NAS], [TOWER])])
    assert roster.guards == {TOWER.fingerprint, NAS.fingerprint}
    assert names(roster.merged([admitted(PHONE, "phone", by=NAS)])) == {"tower", "nas", "laptop", "phone"}
    for alone in (TOWER, NAS):
        assert roster.merged([guarded_by(roster, [alone], [alone])]) == roster
    twice = guarded_by(roster, [NAS], [NAS, NAS])
    assert roster.merged([twice]) == roster  # one key is one key
    together = guarded_by(roster, [NAS], [TOWER, NAS], leaving={TOWER.fingerprint})
    after = roster.merged([together])
    assert after.guards == {NAS.fingerprint}
    assert TOWER.fingerprint in after.removed
    assert names(after) == {"nas", "laptop"}


def test_signatures_of_two_guards_count_once_they_stand_in_one_envelope():
    roster = HOME.merged([admitted(NAS, "nas")])
    roster = roster.merged([guarded_by(roster, [TOWER, NAS], [TOWER])])
    halves = [guarded_by(roster, [NAS], [TOWER]), guarded_by(roster, [NAS], [NAS])]
    # Else it would matter whether somebody had forgotten the first half when the second came.
    assert roster.merged(halves) == roster.merged(halves[:1]).merged(halves[1:]) == roster
    whole = msgspec.structs.replace(halves[0], signatures=(*halves[0].signatures, *halves[1].signatures))
    assert roster.merged([whole]).guards == {NAS.fingerprint}


def test_of_a_guard_that_left_only_those_facts_count_that_the_charter_holds():
    roster = HOME.merged([admitted(NAS, "nas"), admitted(LAPTOP, "laptop"), removed(STRANGER.fingerprint)])
    charter = guarded_by(roster, [NAS], [TOWER])
    late = admitted(PHONE, "phone")  # signed by the tower, whenever it says
    after = roster.merged([charter, late])
    assert names(after) == {"tower", "nas", "laptop"}
    assert STRANGER.fingerprint in after.removed
    assert names(after.merged([admitted(PHONE, "phone", by=NAS)])) == {"tower", "nas", "laptop", "phone"}


def test_the_recovery_key_replaces_a_lost_guard_and_opens_nothing_else():
    roster = HOME.merged([admitted(NAS, "nas")])
    after = roster.merged([guarded_by(roster, [NAS], [RECOVERY], leaving={TOWER.fingerprint})])
    assert after.guards == {NAS.fingerprint}
    assert names(after) == {"nas"}
    assert RECOVERY.fingerprint not in after.members


def test_two_charters_of_one_number_keep_the_older_shape_and_raise_an_alarm():
    roster = HOME.merged([admitted(NAS, "nas"), admitted(LAPTOP, "laptop")])
    rivals = [guarded_by(roster, [NAS], [TOWER]), guarded_by(roster, [LAPTOP], [TOWER])]
    for first, second in (rivals, reversed(rivals)):
        after = roster.merged([first])
        assert not after.alarm
        after = after.merged([second])
        assert after.guards == {TOWER.fingerprint}
        assert after.charter == HOME.charter
        assert "Two different charters have the number 2" in after.alarm
        assert names(after) == {"tower", "nas", "laptop"}


def test_the_recovery_key_settles_a_dispute_and_a_replaced_guard_cannot_reopen_it():
    roster = HOME.merged([admitted(NAS, "nas"), admitted(LAPTOP, "laptop")])
    stolen = guarded_by(roster, [LAPTOP], [TOWER])
    disputed = roster.merged([stolen, guarded_by(roster, [TOWER, LAPTOP], [TOWER])])
    assert disputed.alarm
    rescue = guarded_by(roster, [NAS], [RECOVERY], leaving={TOWER.fingerprint})
    after = disputed.merged([rescue])
    assert after.guards == {NAS.fingerprint}
    assert not after.alarm
    late = guarded_by(roster, [TOWER], [TOWER])
    assert after.merged([late]).guards == {NAS.fingerprint}


def test_two_recoveries_of_one_number_are_a_dispute_until_a_third_settles_it():
    roster = HOME.merged([admitted(NAS, "nas"), admitted(LAPTOP, "laptop")])
    two = [guarded_by(roster, [key], [RECOVERY], leaving={TOWER.fingerprint}) for key in (NAS, LAPTOP)]
    disputed = roster.merged(two)
    assert disputed.guards == {TOWER.fingerprint}
    assert "Two different charters have the number 2" in disputed.alarm
    again = guarded_by(disputed, [NAS], [RECOVERY], leaving={TOWER.fingerprint}, settling=1)
    for news in ([again], [again, guarded_by(roster, [TOWER], [RECOVERY])]):
        settled = disputed.merged(news)
        assert settled.guards == {NAS.fingerprint}
        assert not settled.alarm
    assert roster.merged([again]).merged(two).guards == {NAS.fingerprint}


def test_a_stolen_guard_cannot_take_the_recovery_key_away():
    own = Key.generate()
    assert HOME.merged([changed(HOME, [TOWER], recovery=own.spki)]) == HOME
    assert HOME.merged([changed(HOME, [RECOVERY], recovery=own.spki)]).charter.recovery == own.spki


def test_a_charter_brings_nobody_back():
    roster = HOME.merged([admitted(NAS, "nas"), admitted(LAPTOP, "laptop")])
    left = roster.merged([guarded_by(roster, [TOWER], [TOWER], leaving={LAPTOP.fingerprint})])
    assert LAPTOP.fingerprint in left.removed
    forgetful = msgspec.structs.replace(
        next_charter(left, NOON, guards=[TOWER.fingerprint]), members=roster_members(roster), gone=(), removed=()
    )
    after = left.merged([forgetful.signed([TOWER])])
    assert after.charter.number == 3
    assert LAPTOP.fingerprint not in after.members
    as_guard = msgspec.structs.replace(forgetful, guards=(str(LAPTOP.fingerprint),))
    assert left.merged([as_guard.signed([TOWER])]) == left


def roster_members(roster: Roster):
    return next_charter(roster, NOON, guards=[TOWER.fingerprint]).members


def test_a_charter_that_makes_no_sense_is_none():
    nas = HOME.merged([admitted(NAS, "nas")])
    good = next_charter(nas, NOON, guards=[TOWER.fingerprint])
    for change in (
        {"number": 3},
        {"number": 0},
        {"number": 1},
        {"previous": ""},
        {"previous": "0" * 64},
        {"network": ""},
        {"network": "0" * 64},
        {"name": ".."},
        {"guards": ()},
        {"guards": (str(TOWER.fingerprint), str(TOWER.fingerprint))},
        {"guards": (str(STRANGER.fingerprint),)},
        {"members": good.members + good.members},
        {"members": good.members[:1], "persons": ()},
        {"persons": good.persons + good.persons},
        {"gone": (str(NAS.fingerprint),)},
        {"removed": good.members[1:], "members": good.members[:1]},
        {"recovery": b"no key"},
        {"shape": "client-server"},
        {"server": str(TOWER.fingerprint)},
        {"shape": "client-server", "server": str(NAS.fingerprint)},
        {"members": (msgspec.structs.replace(good.members[0], certificate=b"rubbish"),)},
        {"shape": "anarchy"},
    ):
        # The recovery key signs too: what makes no sense holds under no signature.
        bad = msgspec.structs.replace(good, **change).signed([TOWER, RECOVERY])
        assert nas.merged([bad]) == nas, change
    assert nas.merged([good.signed([TOWER])]).charter.number == 2


# Many


@pytest.mark.alone
def test_two_thousand_facts_are_verified_in_a_second_and_one_more_costs_a_few_milliseconds():
    facts = [admitted(Key.generate(), f"computer-{number}") for number in range(2000)]
    keys.verify_digest.cache_clear()
    start = time.perf_counter()
    roster = Roster.of(FOUNDING.id, [FOUNDING, *facts])
    took = time.perf_counter() - start
    assert len(roster.members) == 2001
    assert took < 3, "0.7 s alone on two cores; the promise is one second"
    one = admitted(Key.generate(), "one more")
    costs = []
    for _ in range(5):
        start = time.perf_counter()
        after = roster.merged([one])
        costs.append(time.perf_counter() - start)
    assert min(costs) < 0.04, "4 ms; 170 ms when everything was read anew"
    assert after == Roster.of(FOUNDING.id, [*roster.envelopes, one])
