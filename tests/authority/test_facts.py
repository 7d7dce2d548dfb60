"""What was heard is kept, and what nobody known has signed is not."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import msgspec
import pytest

from commonhold.authority.facts import FactStore
from commonhold.authority.roster import Roster, admit, next_charter, remove
from commonhold.errors import Damaged, Refused
from commonhold.identity.certificate import self_signed
from commonhold.identity.envelope import sign
from commonhold.identity.keys import Key
from commonhold.names import ComputerName

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def laptop_facts(tower, key: Key):
    return admit(
        tower.key,
        tower.facts.roster,
        self_signed(key, NOON),
        name=ComputerName("laptop"),
        person=tower.facts.roster.members[tower.key.fingerprint].person,
    )


async def test_the_roster_is_the_same_after_a_restart(tower):
    laptop = Key.generate()
    tower.facts.add(laptop_facts(tower, laptop))
    tower.facts.add(remove(tower.key, tower.facts.roster, laptop.fingerprint))
    tower.connection.close()
    tower.connection = sqlite3.connect(tower.path, isolation_level=None)
    again = FactStore(tower.connection, tower.facts.network_id)
    assert again.roster == tower.facts.roster
    assert laptop.fingerprint in again.roster.removed


async def test_only_news_are_told_and_only_once(tower):
    seen: list[Roster] = []
    tower.facts.on_change.append(seen.append)
    facts = laptop_facts(tower, Key.generate())
    assert tower.facts.add(facts)
    assert not tower.facts.add(facts)
    assert not tower.facts.add([])
    assert seen == [tower.facts.roster]


async def test_rubbish_does_not_grow_the_store(tower):
    stranger = Key.generate()
    facts = laptop_facts(tower, Key.generate())
    rubbish = [sign(fact.payload, fact.payload_type, [stranger]) for fact in facts]
    rubbish += [msgspec.structs.replace(fact, signatures=fact.signatures * 2, payload=b"{}") for fact in facts]
    rubbish += [next_charter(tower.facts.roster, NOON, guards=[stranger.fingerprint]).signed([stranger])]
    assert not tower.facts.add(rubbish)
    assert tower.connection.execute("SELECT count(*) FROM envelopes").fetchone() == (1,)


async def test_a_forged_copy_that_comes_first_does_not_keep_the_real_one_out(tower):
    laptop = Key.generate()
    (fact,) = laptop_facts(tower, laptop)
    forged = msgspec.structs.replace(fact, signatures=sign(fact.payload, fact.payload_type, [laptop]).signatures)
    assert forged.id == fact.id
    assert not tower.facts.add([forged])
    assert tower.facts.add([fact, forged])
    assert laptop.fingerprint in tower.facts.roster.members


async def test_facts_of_a_guard_that_left_are_kept_but_do_not_count(tower):
    nas, laptop = Key.generate(), Key.generate()
    (fact,) = laptop_facts(tower, nas)
    tower.facts.add([fact])
    tower.facts.add([next_charter(tower.facts.roster, NOON, guards=[nas.fingerprint]).signed([tower.key])])
    before = tower.facts.roster.members
    (late,) = laptop_facts_as_before(tower, laptop)
    assert tower.facts.add([late])  # a dispute may bring the old charter back
    assert tower.facts.roster.members == before


def laptop_facts_as_before(tower, key: Key):
    founding_only = Roster.of(
        tower.facts.network_id, [e for e in tower.facts.roster.envelopes if e.id == tower.facts.network_id]
    )
    person = next(iter(founding_only.persons))
    return admit(tower.key, founding_only, self_signed(key, NOON), name=ComputerName("phone"), person=person)


async def test_news_that_cannot_be_written_are_not_believed(tower):
    tower.connection.execute("CREATE TRIGGER full BEFORE INSERT ON envelopes BEGIN SELECT RAISE(ABORT, 'full'); END")
    before = tower.facts.roster
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        tower.facts.add(laptop_facts(tower, Key.generate()))
    assert tower.facts.roster == before
    tower.connection.execute("DROP TRIGGER full")
    assert tower.facts.add(laptop_facts(tower, Key.generate()))


async def test_what_a_doubted_guard_alone_has_said_since_is_left_out_and_all_else_stays(tower):
    """What `recover --since` looks at: by this computer's own time of hearing."""
    now = [NOON.timestamp()]
    facts = FactStore(tower.connection, tower.facts.network_id, lambda: datetime.fromtimestamp(now[0], UTC))
    tower.connection.execute("UPDATE hearing SET unix = ?", (NOON.timestamp(),))
    tower.facts = facts
    early, late, nas = Key.generate(), Key.generate(), Key.generate()
    person = next(iter(facts.roster.persons))
    now[0] += 60
    for key, name in ((early, "early"), (nas, "nas")):
        facts.add(admit(tower.key, facts.roster, self_signed(key, NOON), name=ComputerName(name), person=person))
    guards = {tower.key.fingerprint, nas.fingerprint}
    facts.add([next_charter(facts.roster, NOON, guards=guards).signed([tower.key])])
    now[0] += 60
    facts.add(admit(nas, facts.roster, self_signed(late, NOON), name=ComputerName("late"), person=person))
    facts.add(remove(tower.key, facts.roster, early.fingerprint))
    between = datetime.fromtimestamp(now[0] - 30, UTC)

    doubting_tower = facts.as_of(between, {tower.key.fingerprint})
    assert early.fingerprint in doubting_tower.members, "the removal is void"
    assert late.fingerprint in doubting_tower.members, "nas has admitted it, and is not doubted"
    doubting_nas = facts.as_of(between, {nas.fingerprint})
    assert early.fingerprint not in doubting_nas.members
    assert late.fingerprint not in doubting_nas.members
    before = facts.as_of(datetime.fromtimestamp(NOON.timestamp() + 30, UTC), {tower.key.fingerprint})
    assert before.guards == {tower.key.fingerprint}, "a charter that came later is no charter yet, whoever signed it"
    assert before.members.keys() == {tower.key.fingerprint}
    with pytest.raises(Refused, match="founding charter"):
        facts.as_of(datetime.fromtimestamp(NOON.timestamp() - 1, UTC), ())


async def test_a_store_without_a_network_says_so(tmp_path):
    connection = sqlite3.connect(tmp_path / "new.db", isolation_level=None)
    facts = FactStore(connection, "0" * 64)
    with pytest.raises(Damaged, match="holds no network") as told:
        _ = facts.roster
    assert told.value.hint == "put back a copy of state.db, or move the home away and join again"
    with pytest.raises(Refused, match="founding charter"):
        facts.add([])
    connection.close()
