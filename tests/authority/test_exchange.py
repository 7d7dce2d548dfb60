"""How the news travels between real doors."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web

from commonhold.authority import exchange
from commonhold.authority.exchange import Swap, Told, _batches
from commonhold.authority.roster import admit, next_charter, remove
from commonhold.authority.statements import TYPES, PersonFact
from commonhold.authority.whereabouts import Whereabouts
from commonhold.errors import CommonholdError, NotAdmitted, Unreachable, WrongUsage
from commonhold.identity.certificate import self_signed
from commonhold.identity.envelope import Envelope, sign
from commonhold.identity.keys import Key
from commonhold.names import ComputerName
from commonhold.transport import Address, Listener

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def newcomer(tower, name: str) -> tuple[Envelope, ...]:
    person = tower.facts.roster.members[tower.key.fingerprint].person
    return admit(
        tower.key, tower.facts.roster, self_signed(Key.generate(), NOON), name=ComputerName(name), person=person
    )


async def until(condition) -> None:
    """Wait for what happens in the background; the test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of the test
        await asyncio.sleep(0.01)


async def test_a_new_fact_reaches_all_others_at_once(tower, member):
    laptop, phone, nas = [await member(name) for name in ("laptop", "phone", "nas")]
    await nas.listener.close()
    facts = newcomer(tower, "tv")
    tower.facts.add(facts)
    pushed = await tower.exchange.push(facts)
    assert set(pushed.told) == {laptop.key.fingerprint, phone.key.fingerprint}
    assert pushed.not_reached == (nas.key.fingerprint,)
    assert laptop.facts.roster.find("tv") == phone.facts.roster.find("tv") == tower.facts.roster.find("tv")
    assert nas.facts.roster.find("tv") is None


async def test_who_takes_the_news_and_never_answers_holds_up_nobody(tower, member, monkeypatch):
    silent, laptop = await member("silent"), await member("laptop")
    monkeypatch.setattr(exchange, "AT_ONCE", 1)
    monkeypatch.setattr(exchange, "TOLD_WITHIN", 4.0)
    heard = asyncio.Event()

    async def stand_still(_):
        heard.set()
        await asyncio.sleep(60)

    silent.facts.hear = stand_still
    facts = newcomer(tower, "tv")
    tower.facts.add(facts)
    pushing = asyncio.create_task(tower.exchange.push(facts))
    await heard.wait()
    await until(lambda: laptop.facts.roster.find("tv"))
    assert not pushing.done()
    pushed = await pushing
    assert (pushed.told, pushed.not_reached) == ((laptop.key.fingerprint,), (silent.key.fingerprint,))
    monkeypatch.setattr(exchange, "ANSWERED_WITHIN", 0.2)
    with pytest.raises(Unreachable, match="silent took the question, and does not answer"):
        await tower.exchange._send(silent.peer, [Swap(envelopes=facts)])


async def test_a_push_in_the_background_arrives_as_well(tower, member):
    laptop = await member("laptop")
    facts = newcomer(tower, "tv")
    tower.facts.add(facts)
    tower.exchange.push_soon(facts)
    await until(lambda: laptop.facts.roster.find("tv"))


async def test_two_computers_swap_what_is_missing_on_either_side(tower, member):
    laptop = await member("laptop")
    tower.facts.add(newcomer(tower, "tv"))
    laptop.facts.add(newcomer(tower, "radio"))
    assert await laptop.exchange.greet(tower.peer)
    for roster in (tower.facts.roster, laptop.facts.roster):
        assert {member.name for member in roster.members.values()} == {"tower", "laptop", "tv", "radio"}
    assert tower.facts.roster == laptop.facts.roster
    assert not await laptop.exchange.greet(tower.peer)


async def test_addresses_are_swapped_about_members_only(tower, member):
    laptop = await member("laptop")
    laptop.hints = lambda: {str(laptop.key.fingerprint): ["127.0.0.1:1"] * 20, "f" * 64: ["127.0.0.1:2"]}
    laptop.exchange._whereabouts = Whereabouts(laptop.hints)
    await laptop.exchange.greet(tower.peer)
    assert tower.learnt == {laptop.key.fingerprint: ["127.0.0.1:1"] * 8}
    assert laptop.learnt == {tower.key.fingerprint: [str(address) for address in tower.addresses]}


async def test_addresses_are_told_once_and_again_when_they_change(tower, member):
    laptop = await member("laptop")
    where = {str(laptop.key.fingerprint): ["127.0.0.1:1"]}
    laptop.exchange._whereabouts = Whereabouts(lambda: where)
    for heard in ({laptop.key.fingerprint: ["127.0.0.1:1"]}, {}, {}):
        tower.learnt.clear()
        laptop.learnt.clear()
        await laptop.exchange.greet(tower.peer)
        assert tower.learnt == heard
        assert bool(laptop.learnt) == bool(heard)
    where[str(laptop.key.fingerprint)] = ["127.0.0.1:2"]
    await laptop.exchange.greet(tower.peer)
    assert tower.learnt == {laptop.key.fingerprint: ["127.0.0.1:2"]}


async def test_two_who_know_the_same_tell_each_other_nothing(tower, member):
    laptop = await member("laptop")
    first, second = ({"a" * 64: ["127.0.0.1:1", "127.0.0.1:2"], "b" * 64: ["127.0.0.1:3"]} for _ in range(2))
    laptop.exchange._whereabouts = Whereabouts(lambda: first)
    tower.exchange._whereabouts = Whereabouts(lambda: {known: second[known][::-1] for known in reversed(second)})
    said: list[Swap] = []
    asking = laptop.exchange._ask

    async def listening(peer, swap):
        said.append(swap)
        return await asking(peer, swap)

    laptop.exchange._ask = listening
    assert not await laptop.exchange.greet(tower.peer)
    assert [swap.addresses for swap in said] == [{}]
    second["b" * 64] = ["127.0.0.1:4"]
    await laptop.exchange.greet(tower.peer)
    assert [swap.addresses for swap in said] == [{}, {}], "what the other has lately learnt is all that differs"


async def test_addresses_that_were_not_heard_are_told_again(tower, member):
    laptop = await member("laptop")
    door = tower.peer
    await tower.listener.close()
    with pytest.raises(Unreachable):
        await laptop.exchange.greet(door)
    assert laptop.exchange._whereabouts.news(tower.key.fingerprint).addresses, "as if nothing had been said"


async def test_a_bad_address_is_no_reason_to_refuse_the_facts_beside_it(tower, member):
    laptop = await member("laptop")

    def learn(_: dict[str, list[str]]) -> None:
        raise WrongUsage("That is no address.")

    tower.exchange._learn = learn
    tower.facts.add(newcomer(tower, "tv"))
    assert await laptop.exchange.greet(tower.peer)


async def test_any_answer_shows_that_the_other_knows_more(tower, member):
    laptop = await member("laptop")
    tower.facts.add(newcomer(tower, "tv"))
    with pytest.raises(CommonholdError):
        await laptop.caller.ask(tower.peer, "GET", "/nothing/here")
    await until(lambda: laptop.facts.roster == tower.facts.roster)


async def test_a_difference_that_stays_is_not_looked_into_again_and_again(tower, member):
    laptop = await member("laptop")
    tower.facts.add(newcomer(tower, "tv"))
    tower.facts.add = lambda envelopes: False
    laptop.facts.add = lambda envelopes: False
    asked = []

    async def counted(envelopes):
        asked.append(len(envelopes))
        return False

    tower.facts.hear = counted
    for _ in range(5):
        await laptop.caller.ask(tower.peer, "GET", "/roster")
        await until(lambda: not laptop.exchange._tasks)
    assert len(asked) == 3  # one greeting: digests, addresses, then what is missing
    laptop.exchange.heard(tower.peer, laptop.facts.roster.digest)
    assert not laptop.exchange._tasks


async def test_a_computer_that_does_not_answer_is_left_in_peace(tower, member):
    laptop = await member("laptop")
    peer = tower.peer
    await tower.listener.close()
    laptop.exchange.heard(peer, "another digest")
    await until(lambda: not laptop.exchange._tasks)
    with pytest.raises(Unreachable):
        await laptop.exchange.greet(peer)


async def test_the_roster_is_shown_to_members_only(tower, member):
    laptop = await member("laptop")
    told = msgspec.convert(await laptop.caller.ask(tower.peer, "GET", "/roster"), Told)
    assert told.digest == tower.facts.roster.digest
    assert set(told.envelopes) == set(tower.facts.roster.envelopes)
    with pytest.raises(NotAdmitted):
        await tower.knock().ask("/roster", Swap())


async def test_strangers_do_not_see_the_digest(tower, member):
    laptop = await member("laptop")
    async with laptop.caller.request(tower.peer, "GET", "/roster") as answer:
        assert answer.headers["Commonhold-Roster"] == tower.facts.roster.digest
    knock = tower.knock()
    async with knock._session.get("https://commonhold/roster") as answer:
        assert "Commonhold-Roster" not in answer.headers


async def test_a_member_cannot_make_facts(tower, member):
    laptop = await member("laptop")
    before = tower.facts.roster
    statement = PersonFact(before.network_id, "e" * 32, "eve")
    forged = [
        sign(msgspec.json.encode(statement), TYPES[PersonFact], [laptop.key]),
        next_charter(before, NOON, guards=[laptop.key.fingerprint]).signed([laptop.key]),
    ]
    await laptop.caller.ask(tower.peer, "POST", "/roster", Swap(envelopes=tuple(forged)))
    assert tower.facts.roster == before


async def test_a_removal_is_stronger_than_an_admission_heard_later(tower, member):
    laptop, phone = await member("laptop"), await member("phone")
    await tower.exchange.push(tower.facts.roster.envelopes)
    (removal,) = remove(tower.key, tower.facts.roster, phone.key.fingerprint)
    laptop.facts.add([removal])
    await laptop.exchange.greet(tower.peer)
    assert phone.key.fingerprint in tower.facts.roster.removed
    with pytest.raises(NotAdmitted):
        await phone.caller.ask(tower.peer, "GET", "/roster")


@pytest.mark.parametrize("body", [[], {"envelopes": 7}, {"envelopes": [{"payload": "!"}]}, {"marks": [1]}, "x"])
async def test_nonsense_is_refused(tower, member, body):
    laptop = await member("laptop")
    with pytest.raises(WrongUsage):
        await laptop.caller.ask(tower.peer, "POST", "/roster", body)


async def test_what_answers_nonsense_is_no_roster(tower, member):
    laptop = await member("laptop")

    async def nonsense(request: web.Request) -> web.Response:
        return web.json_response({"digest": 7})

    app = web.Application()
    app.add_routes([web.post("/roster", nonsense)])
    door = Listener(app, tower.key, tower.certificate)
    door.trust([laptop.certificate])
    await door.start([Address("127.0.0.1", 0)])
    peer = msgspec.structs.replace(tower.peer, addresses=door.addresses)
    with pytest.raises(WrongUsage, match="no roster"):
        await laptop.exchange.greet(peer)
    await door.close()


async def test_a_message_without_an_end_is_refused(tower, member):
    laptop = await member("laptop")
    with pytest.raises(CommonholdError):
        await laptop.caller.ask(tower.peer, "POST", "/roster", {"digest": "x" * (17 * 2**20)})


async def test_a_roster_of_many_arrives_whole(tower, member):
    laptop = await member("laptop")
    person = tower.facts.roster.members[tower.key.fingerprint].person
    many = [
        envelope
        for number in range(100)
        for envelope in admit(
            tower.key,
            tower.facts.roster,
            self_signed(Key.generate(), NOON),
            name=ComputerName(f"computer-{number}"),
            person=person,
        )
    ]
    tower.facts.add(many)
    await laptop.exchange.greet(tower.peer)
    assert len(laptop.facts.roster.members) == 102
    assert laptop.facts.roster == tower.facts.roster


def test_envelopes_travel_in_pieces_that_fit():
    large = [Envelope(bytes(3 * 2**20), "kind", ()) for _ in range(7)]
    pieces = list(_batches(large))
    assert [len(piece) for piece in pieces] == [2, 2, 2, 1]
    assert [each for piece in pieces for each in piece] == large
    assert list(_batches([])) == []
    assert len(list(_batches([Envelope(bytes(9 * 2**20), "kind", ())]))) == 1
