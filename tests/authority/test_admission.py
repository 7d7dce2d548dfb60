"""Joining by a code, with real TLS, against whoever tries."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web

from commonhold.authority.admission import PATIENCE, Admission
from commonhold.authority.facts import FactStore
from commonhold.authority.inviting import Invitations
from commonhold.authority.newcomer import join
from commonhold.authority.roster import remove
from commonhold.errors import CommonholdError, Conflict, NotFound, Refused, Unreachable, WrongCode, WrongUsage
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import Code
from commonhold.identity.join import Confirmation, Newcomer, Reply
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, PersonName
from commonhold.transport import Address, Knock, Listener, problems

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


async def joining(
    tower, code: Code, computer="laptop", person="ben", key: Key | None = None, knock: Knock | None = None
):
    """One newcomer's whole way in."""
    key = key or Key.generate()
    return await join(
        knock or tower.knock(),
        key,
        self_signed(key, NOON),
        code,
        computer=ComputerName(computer),
        person=PersonName(person),
    )


def wrong(code: Code) -> Code:
    return Code(code.number, ("zoo", "zoo"))


def events(tower, kind: str) -> list[dict[str, object]]:
    return [words for event, words in tower.events if event == kind]


async def half_way(
    tower, code: Code, key: Key, said: list[object] | None = None
) -> tuple[Knock, Newcomer, Confirmation]:
    """A newcomer that has its proof ready. What it has `said` so far is noted."""
    knock = tower.knock()
    newcomer = Newcomer(code, key, self_signed(key, NOON), await knock.meet(), secrets.token_bytes)
    hello = newcomer.hello()
    if said is not None:
        said.append(hello)
    reply = msgspec.convert(await knock.ask(f"/join/{code.number}", hello), Reply)
    return knock, newcomer, newcomer.answered(reply, "laptop", "ben")


async def test_a_newcomer_with_the_code_becomes_a_member(tower):
    invitation = tower.invitations.invite()
    code = invitation.code
    assert (invitation.expires - NOON).total_seconds() == 600
    told = []
    tower.admission.on_admitted.append(told.append)
    joined = await joining(tower, code)
    assert joined.network_id == tower.facts.network_id
    assert joined.inviter == tower.key.fingerprint
    assert (joined.member.name, joined.addresses[tower.key.fingerprint]) == ("laptop", tower.addresses)
    assert tower.facts.roster.members[joined.member.fingerprint] == joined.member
    assert sorted(tower.facts.roster.persons.values()) == ["ann", "ben"]
    assert len(told[0]) == 2  # a computer and a person
    assert [event for event, _ in tower.events] == ["invitation", "join"]
    assert events(tower, "join")[0]["computer"] == "laptop"
    assert events(tower, "join")[0]["address"] == "127.0.0.1"


async def test_what_the_newcomer_is_told_makes_a_store_of_its_own(tower, tmp_path):
    joined = await joining(tower, tower.invitations.invite().code)
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None)) as connection:
        own = FactStore(connection, joined.network_id)
        assert own.add(joined.envelopes)
        assert own.roster == tower.facts.roster


async def test_a_code_is_used_once(tower):
    code = tower.invitations.invite().code
    await joining(tower, code)
    with pytest.raises(WrongCode, match="spent or over"):
        await joining(tower, code, "phone", "eve")
    assert tower.invitations.open() == ()
    assert tower.connection.execute("SELECT * FROM invitations").fetchall() == []  # the secret is gone


async def test_a_code_for_three_admits_three(tower):
    code = tower.invitations.invite(uses=3).code
    for number in range(3):
        await joining(tower, code, f"computer-{number}", f"person-{number}")
    with pytest.raises(WrongCode):
        await joining(tower, code, "computer-4", "person-4")
    assert len(tower.facts.roster.members) == 4


async def test_a_class_joins_with_one_code_all_at_once(tower):
    code = tower.invitations.invite(uses=20).code
    await asyncio.gather(*(joining(tower, code, f"computer-{n}", f"person-{n}") for n in range(20)))
    assert len(tower.facts.roster.members) == 21
    assert not tower.invitations.open()


async def test_three_wrong_guesses_end_a_code_for_many_too(tower):
    code = tower.invitations.invite(uses=20).code
    await joining(tower, code)
    outcomes = await asyncio.gather(*(joining(tower, wrong(code)) for _ in range(10)), return_exceptions=True)
    assert sum(error.sentence.startswith("The code is wrong") for error in outcomes) == 3
    with pytest.raises(WrongCode, match="spent or over"):
        await joining(tower, code, "phone", "eve")


async def test_an_invitation_for_a_person_makes_another_computer_of_that_person(tower):
    code = tower.invitations.invite(person="ANN").code
    joined = await joining(tower, code, "phone", "whoever")
    assert tower.facts.roster.persons[joined.member.person] == "ann"
    assert len(tower.facts.roster.persons) == 1
    assert events(tower, "invitation")[0]["person"] == "ann"
    with pytest.raises(NotFound, match="nobody called “eve”"):
        tower.invitations.invite(person="eve")


async def test_a_name_that_belongs_to_somebody_needs_that_persons_invitation(tower):
    code = tower.invitations.invite().code
    for _ in range(5):  # who knows the code loses no try over a name
        with pytest.raises(Conflict, match="belongs to somebody already") as caught:
            await joining(tower, code, person="Ann")
    assert caught.value.hint == "ask for: commonhold invite --person Ann"
    with pytest.raises(Conflict, match="name “Tower” is taken") as caught:
        await joining(tower, code, computer="Tower")
    assert "--computer NAME" in caught.value.hint
    await joining(tower, code, "laptop", "ben")


async def test_a_wrong_code_costs_a_try_and_says_how_many_are_left(tower):
    code = tower.invitations.invite().code
    for left, sentence in ((2, "2 tries are left"), (1, "1 try is left"), (0, "no try is left")):
        with pytest.raises(WrongCode, match=sentence) as caught:
            await joining(tower, wrong(code))
        assert caught.value.more["tries"] == left
    with pytest.raises(WrongCode, match="spent or over"):
        await joining(tower, code)
    assert [words["tries"] for words in events(tower, "wrong code")] == [2, 1, 0]
    assert events(tower, "wrong code")[0]["address"] == "127.0.0.1"


async def test_spent_unknown_and_expired_codes_get_one_sentence(tower):
    spent = tower.invitations.invite().code
    await joining(tower, spent)
    late = tower.invitations.invite(minutes=1).code
    tower.pass_time(minutes=1)
    unknown = Code(spent.number % 99 + 1, ("zoo", "zoo"))
    sentences = set()
    for code in (spent, late, unknown):
        with pytest.raises(WrongCode) as caught:
            await joining(tower, code)
        sentences.add((caught.value.sentence, caught.value.hint))
    assert len(sentences) == 1


async def test_forty_wrong_guesses_at_once_get_three_answers_and_kill_the_code(tower):
    code = tower.invitations.invite().code
    outcomes = await asyncio.gather(*(joining(tower, wrong(code)) for _ in range(40)), return_exceptions=True)
    answered = [error for error in outcomes if error.sentence.startswith("The code is wrong")]
    assert len(answered) == 3
    assert all(isinstance(error, WrongCode) for error in outcomes)
    assert len(events(tower, "wrong code")) == 3
    with pytest.raises(WrongCode):
        await joining(tower, code)
    assert len(tower.facts.roster.members) == 1


async def test_of_twenty_with_the_right_code_exactly_one_gets_in(tower):
    code = tower.invitations.invite().code
    outcomes = await asyncio.gather(
        *(joining(tower, code, f"computer-{n}", f"person-{n}") for n in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(outcome, CommonholdError) for outcome in outcomes) == 1
    assert len(tower.facts.roster.members) == 2


async def test_two_proofs_held_back_and_shown_at_once_admit_one(tower):
    code = tower.invitations.invite().code
    ready = [await half_way(tower, code, Key.generate()) for _ in range(3)]
    asked = [knock.ask(f"/join/{code.number}/confirm", confirmation) for knock, _, confirmation in ready]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, WrongCode | Conflict) for outcome in outcomes) == 2
    assert len(tower.facts.roster.members) == 2


async def test_dropped_connections_and_restarts_give_no_free_guesses(tower):
    code = tower.invitations.invite().code
    for _ in range(3):
        knock, _, _ = await half_way(tower, wrong(code), Key.generate())
        await knock.close()  # having seen the inviter's message, and saying nothing
        tower.open_invitations()
        await tower.listener.close()
        await tower.open()
    with pytest.raises(WrongCode, match="spent or over"):
        await joining(tower, code)


async def test_a_lost_last_answer_is_asked_for_again(tower):
    code = tower.invitations.invite().code
    key = Key.generate()

    class Forgetful(Knock):
        lost = 0

        async def ask(self, path: str, body: object):
            answer = await super().ask(path, body)
            if path.endswith("confirm") and not self.lost:
                self.lost += 1
                raise Unreachable("The connection broke.")
            return answer

    knock = Forgetful(tower.addresses[0])
    tower.knocks.append(knock)
    joined = await joining(tower, code, key=key, knock=knock)
    assert knock.lost == 1
    assert joined.member.fingerprint == key.fingerprint
    assert len(tower.facts.roster.members) == 2
    assert len(events(tower, "join")) == 1


async def test_a_proof_changed_after_the_admission_gets_nothing(tower):
    code = tower.invitations.invite().code
    knock, _, confirmation = await half_way(tower, code, Key.generate())
    await knock.ask(f"/join/{code.number}/confirm", confirmation)
    with pytest.raises(Refused):
        await knock.ask(f"/join/{code.number}/confirm", msgspec.structs.replace(confirmation, computer="other"))
    assert {member.name for member in tower.facts.roster.members.values()} == {"tower", "laptop"}


async def test_a_recorded_proof_admits_nobody_where_another_code_has_its_number(tower):
    """Whoever sends it again has the answer that it had, which none but the newcomer can read; the new code goes on."""
    code, said = tower.invitations.invite().code, []
    knock, _, confirmation = await half_way(tower, code, Key.generate(), said)
    await knock.ask(f"/join/{code.number}/confirm", confirmation)
    members, joins = dict(tower.facts.roster.members), len(events(tower, "join"))
    while (fresh := tower.invitations.invite()).code.number != code.number:
        tower.invitations.withdraw(fresh.code.number)
    await knock.ask(f"/join/{code.number}", said[0])
    await knock.ask(f"/join/{code.number}/confirm", confirmation)
    assert tower.facts.roster.members == members
    assert len(events(tower, "join")) == joins
    assert tower.invitations.open()[0].tries == 2, "who only says hello has spent a try"
    await joining(tower, fresh.code, "phone", "eve")


async def test_a_member_that_joins_again_is_the_member_it_was(tower):
    key = Key.generate()
    first = await joining(tower, tower.invitations.invite().code, key=key)
    again = await joining(tower, tower.invitations.invite().code, "another-name", "another-person", key=key)
    assert again.member == first.member
    assert sorted(tower.facts.roster.persons.values()) == ["ann", "ben"]


async def test_a_removed_computer_stays_out_even_with_a_code(tower):
    key = Key.generate()
    await joining(tower, tower.invitations.invite().code, key=key)
    tower.facts.add(remove(tower.key, tower.facts.roster, key.fingerprint))
    with pytest.raises(Refused, match="was removed from the network"):
        await joining(tower, tower.invitations.invite().code, "phone", "eve", key=key)


async def test_a_newcomer_that_says_nothing_for_a_minute_must_begin_again(tower, monkeypatch):
    code = tower.invitations.invite().code
    monkeypatch.setattr("commonhold.authority.admission.PATIENCE", -1.0)
    knock, _, confirmation = await half_way(tower, code, Key.generate())
    with pytest.raises(WrongCode, match="spent or over"):
        await knock.ask(f"/join/{code.number}/confirm", confirmation)
    assert PATIENCE == 60


async def test_a_code_that_ends_between_the_two_messages_admits_nobody(tower):
    code = tower.invitations.invite(minutes=1).code
    knock, _, confirmation = await half_way(tower, code, Key.generate())
    tower.pass_time(minutes=2)
    with pytest.raises(WrongCode):
        await knock.ask(f"/join/{code.number}/confirm", confirmation)
    assert len(tower.facts.roster.members) == 1


async def test_several_invitations_are_open_at_once_under_different_numbers(tower):
    codes = [tower.invitations.invite().code for _ in range(99)]
    assert len({code.number for code in codes}) == 99
    assert len(tower.invitations.open()) == 99
    with pytest.raises(Conflict, match="99 invitations"):
        tower.invitations.invite()
    with pytest.raises(WrongCode):
        await joining(tower, wrong(codes[0]))
    await joining(tower, codes[1])
    tower.pass_time(minutes=11)
    tower.invitations.invite()


async def test_a_proof_for_one_invitation_is_none_for_another(tower):
    first, second = (tower.invitations.invite().code for _ in range(2))
    knock, _, confirmation = await half_way(tower, first, Key.generate())
    with pytest.raises(WrongCode, match="spent or over"):
        await knock.ask(f"/join/{second.number}/confirm", confirmation)


@pytest.mark.parametrize(("minutes", "uses"), [(0, 1), (-1, 1), (0.09, 1), (1441, 1), (10, 0), (10, 101)])
async def test_an_invitation_has_bounds(tower, minutes, uses):
    with pytest.raises(WrongUsage):
        tower.invitations.invite(minutes=minutes, uses=uses)


async def test_only_a_guard_invites(tower, member):
    laptop = await member("laptop")
    with pytest.raises(Refused, match="no guard") as caught:
        laptop.invitations.invite()
    assert caught.value.hint == "type it on tower"


@pytest.mark.parametrize("body", [None, {}, {"spake": "AA==", "certificate": "AA=="}, {"spake": "A" * 20_000}, "hello"])
async def test_a_hostile_message_costs_no_try(tower, body):
    code = tower.invitations.invite().code
    knock = tower.knock()
    for path in (f"/join/{code.number}", f"/join/{code.number}/confirm"):
        with pytest.raises((WrongUsage, Refused)):
            await knock.ask(path, body)
    await joining(tower, code)


async def test_a_hostile_first_message_costs_a_try_and_leaves_nothing_behind(tower):
    code = tower.invitations.invite().code
    key = Key.generate()
    newcomer = Newcomer(code, key, self_signed(key, NOON), tower.key.spki, secrets.token_bytes)
    with pytest.raises(Refused, match="no part of joining"):
        await tower.knock().ask(f"/join/{code.number}", msgspec.structs.replace(newcomer.hello(), spake=b"B" * 33))
    assert tower.invitations.open()[0].tries == 2
    assert not tower.admission._conversations


async def test_a_relay_between_newcomer_and_inviter_fails_and_is_seen(tower):
    """It ends TLS on both sides with a key of its own, and passes every message on unchanged."""
    code = tower.invitations.invite().code
    thief = Key.generate()
    onwards = tower.knock()

    async def pass_on(request: web.Request) -> web.Response:
        return web.json_response(await onwards.ask(request.path, await request.json()))

    app = web.Application(middlewares=[problems])
    app.add_routes([web.post("/{path:.*}", pass_on)])
    relay = Listener(app, thief, self_signed(thief, NOON))
    await relay.start([Address("127.0.0.1", 0)])
    knock = Knock(relay.addresses[0])
    try:
        with pytest.raises(WrongCode):
            await joining(tower, code, knock=knock)
    finally:
        await knock.close()
        await relay.close()
    assert len(tower.facts.roster.members) == 1
    assert events(tower, "wrong code")[0]["tries"] == 2


async def test_a_false_inviter_that_guesses_the_code_wrong_is_found_out(tower, member, tmp_path):
    """The newcomer types the tower's code, and a guard of another network answers for it."""
    code = tower.invitations.invite().code
    false = type(tower)("false", tmp_path / "false.db")
    await false.open()
    while false.invitations.invite().code.number != code.number:
        pass
    with pytest.raises(WrongCode):
        await joining(false, code)
    assert len(false.facts.roster.members) == 1
    await false.close()


async def test_an_inviter_that_does_not_admit_is_not_believed(tower):
    class Liar(Admission):
        def _admit(self, conversation, newcomer, confirmation, remote):
            """Sends the roster without the newcomer."""

    tower.admission = Liar(tower.connection, tower.key, tower.facts, tower.hints, tower.record, clock=lambda: tower.now)
    tower.invitations = Invitations(tower.admission)
    await tower.listener.close()
    await tower.open()
    with pytest.raises(Refused, match="does not admit this computer"):
        await joining(tower, tower.invitations.invite().code)


async def test_an_inviter_whose_words_cannot_be_read_is_not_believed(tower):
    tower.admission._contents = lambda: b"nonsense"
    with pytest.raises(Refused, match="cannot be read"):
        await joining(tower, tower.invitations.invite().code)


async def test_what_answers_nonsense_is_not_joined(tower):
    async def nonsense(request: web.Request) -> web.Response:
        return web.json_response({"hello": "world"})

    key = Key.generate()
    app = web.Application(middlewares=[problems])
    app.add_routes([web.post("/{path:.*}", nonsense)])
    door = Listener(app, key, self_signed(key, NOON))
    await door.start([Address("127.0.0.1", 0)])
    knock = Knock(door.addresses[0])
    try:
        with pytest.raises(Refused, match="does not speak of joining"):
            await joining(tower, Code(7, ("zoo", "zoo")), knock=knock)
    finally:
        await knock.close()
        await door.close()
