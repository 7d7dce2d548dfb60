"""What one guard wishes, and another agrees to or does not."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec.structs import replace

from commonhold.authority.proposals import MOST, missing
from commonhold.authority.roster import next_charter, remove

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def two_guards(tower, member):
    nas, laptop = await member("nas"), await member("laptop")
    both = {tower.key.fingerprint, nas.key.fingerprint}
    assert tower.proposals.wish(tower.key, next_charter(tower.facts.roster, NOON, guards=both))[1]
    await tower.exchange.push(tower.facts.roster.envelopes)
    return nas, laptop


async def test_a_guard_signs_nothing_but_what_it_would_write_itself(tower, member):
    nas, laptop = await two_guards(tower, member)
    three = tower.facts.roster.guards | {laptop.key.fingerprint}
    wish = next_charter(tower.facts.roster, NOON, guards=three)
    sly = replace(wish, trusting=True).signed([nas.key])
    tower.proposals.hear([sly])
    assert [proposal.envelope for proposal in tower.proposals.open()] == [sly]
    envelope, enough = tower.proposals.wish(tower.key, wish)
    assert not enough
    assert envelope.id != sly.id
    honest = replace(wish, made=datetime(2026, 11, 22, 13, tzinfo=UTC))
    nas.proposals.hear([envelope])
    agreed, enough = nas.proposals.wish(nas.key, honest)
    assert enough
    assert agreed.id == envelope.id, "the very same bytes"
    assert nas.facts.roster.guards == three
    assert nas.proposals.open() == []


async def test_a_guard_can_fill_no_disk_and_others_propose_nothing(tower, member):
    nas, laptop = await two_guards(tower, member)
    roster = tower.facts.roster
    wishes = [next_charter(roster, NOON.replace(minute=n), guards=roster.guards) for n in range(MOST + 5)]
    tower.proposals.hear(wish.signed([nas.key]) for wish in wishes)
    assert len(tower.proposals.open()) == MOST
    laptop_wish = next_charter(roster, NOON, guards={laptop.key.fingerprint}).signed([laptop.key])
    tower.proposals.hear([laptop_wish])
    assert len(tower.proposals.open()) == MOST
    assert missing(roster, [nas.key.fingerprint, nas.key.fingerprint]) == 1


async def test_a_wish_about_somebody_who_was_removed_meanwhile_is_over_and_is_not_heard_again(tower, member):
    nas, laptop = await two_guards(tower, member)
    wish = next_charter(tower.facts.roster, NOON, guards=tower.facts.roster.guards | {laptop.key.fingerprint})
    envelope, enough = nas.proposals.wish(nas.key, wish)
    assert not enough
    tower.proposals.hear([envelope])
    assert len(tower.proposals.open()) == 1
    tower.facts.add(remove(tower.key, tower.facts.roster, laptop.key.fingerprint))
    assert tower.proposals.open() == []
    tower.proposals.hear([envelope])
    assert tower.proposals.open() == []
    assert tower.connection.execute("SELECT count(*) FROM proposals").fetchone() == (0,)
