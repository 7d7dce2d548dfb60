"""Invitations that ask: nobody is admitted without the inviter's yes, whoever comes in whatever number."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import ExitStack

import msgspec
import pytest
from aiohttp import web

from commonhold.authority import admission
from commonhold.authority.newcomer import join
from commonhold.errors import CommonholdError, Conflict, NotFound, Refused, WrongCode
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import four_words
from commonhold.identity.join import Newcomer, Reply, Waiting
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, PersonName
from commonhold.transport import Knock, Listener, problems

from .test_admission import NOON, events, wrong


def coming(tower, code, computer="laptop", person="ben", key=None, waiting=lambda computer: None, knock=None):
    """One newcomer's whole way in, begun."""
    key = key or Key.generate()
    return asyncio.create_task(
        join(
            knock or tower.knock(),
            key,
            self_signed(key, NOON),
            code,
            computer=ComputerName(computer),
            person=PersonName(person),
            waiting=waiting,
        )
    )


class Asked:
    """The person at the inviter's computer, who hears everything."""

    def __init__(self, tower, **wish):
        self.tower = tower
        self.invitation = tower.invitations.invite(asks=True, **wish)
        self.code, self.number = self.invitation.code, self.invitation.code.number
        self._listening = ExitStack()
        self._news = self._listening.enter_context(tower.invitations.news(self.number))

    async def hears(self, event):
        news = await asyncio.wait_for(anext(self._news), 30)
        assert news.event == event, news
        return news

    def says(self, news, yes):
        return self.tower.invitations.decide(self.number, news.newcomer, yes)

    def goes(self):
        self._listening.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.goes()


@pytest.fixture
async def ann(tower):
    with Asked(tower) as made:
        yield made


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """Newcomers ask again often, so that every test meets several answers."""
    monkeypatch.setattr(admission, "HOLD", 0.05)


async def test_the_inviter_sees_who_asks_and_only_a_yes_admits(tower, ann):
    key, told = Key.generate(), []
    laptop = coming(tower, ann.code, key=key, waiting=told.append)
    asked = await ann.hears("asks")
    assert (asked.computer, asked.person, asked.known) == ("laptop", "ben", False)
    assert (asked.words, asked.address) == (four_words(key.fingerprint), "127.0.0.1")
    await asyncio.sleep(0.3)
    assert told == ["tower"], "it heard once who is asked"
    assert len(tower.facts.roster.members) == 1
    assert tower.invitations.open()[0].tries == 3, "whoever knows the code spends no try by waiting"
    ann.says(asked, True)
    assert key.fingerprint in tower.facts.roster.members, "the answer is on the disk before it is acknowledged"
    assert (await ann.hears("joined")).uses == 0
    assert (await laptop).member.name == "laptop"
    assert (await ann.hears("over")).reason == "over"
    assert events(tower, "join")[0]["address"] == "127.0.0.1"


async def test_a_no_ends_the_code_and_tells_the_newcomer_in_one_sentence(tower, ann):
    laptop = coming(tower, ann.code)
    ann.says(await ann.hears("asks"), False)
    with pytest.raises(Refused, match="tower's owner ann said no") as refused:
        await laptop
    assert not isinstance(refused.value, WrongCode)
    await ann.hears("refused")
    await ann.hears("over")
    with pytest.raises(WrongCode, match="spent or over"):
        await coming(tower, ann.code)
    assert len(tower.facts.roster.members) == 1
    assert events(tower, "join refused")[0]["computer"] == "laptop"
    assert tower.connection.execute("SELECT * FROM invitations").fetchall() == []


async def test_of_twenty_with_the_right_code_the_one_with_the_yes_gets_in(tower, ann):
    crowd = [coming(tower, ann.code, f"computer-{n}", f"person-{n}") for n in range(20)]
    asked = [await ann.hears("asks") for _ in range(3)]
    assert len({each.newcomer for each in asked}) == 3, "each is asked about"
    ann.says(asked[1], True)
    outcomes = await asyncio.gather(*crowd, return_exceptions=True)
    joined = [outcome for outcome in outcomes if not isinstance(outcome, CommonholdError)]
    assert [each.member.name for each in joined] == [asked[1].computer]
    assert all(isinstance(outcome, WrongCode) for outcome in outcomes if outcome not in joined)
    with pytest.raises(NotFound):
        ann.says(asked[0], True)
    assert len(tower.facts.roster.members) == 2


async def test_each_use_of_a_code_for_many_asks(tower):
    with Asked(tower, uses=2) as ann:
        for name, left in (("one", 1), ("two", 0)):
            task = coming(tower, ann.code, name, f"person-{name}")
            ann.says(await ann.hears("asks"), True)
            assert (await ann.hears("joined")).uses == left
            assert (await task).member.name == name
        await ann.hears("over")


async def test_a_no_to_one_of_many_is_a_no_to_all_who_have_that_code(tower):
    with Asked(tower, uses=5) as ann:
        first, second = coming(tower, ann.code, "one", "eve"), coming(tower, ann.code, "two", "eva")
        asked = [await ann.hears("asks") for _ in range(2)]
        ann.says(next(each for each in asked if each.computer == "one"), False)
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Refused, Refused]
    assert len(tower.facts.roster.members) == 1


async def test_forty_wrong_guesses_at_once_are_told_with_their_address_and_kill_the_code(tower, ann):
    outcomes = await asyncio.gather(*(coming(tower, wrong(ann.code)) for _ in range(40)), return_exceptions=True)
    assert sum(error.sentence.startswith("The code is wrong") for error in outcomes) == 3
    heard = [await ann.hears("wrong code") for _ in range(3)]
    assert [(each.count, each.address) for each in heard] == [(n, "127.0.0.1") for n in (1, 2, 3)]
    assert heard[-1].tries == 0
    assert (await ann.hears("over")).reason == "guessed"
    with pytest.raises(WrongCode, match="spent or over"):
        await coming(tower, ann.code)


async def test_who_has_proven_the_code_waits_on_while_others_burn_it(tower, ann):
    laptop = coming(tower, ann.code)
    asked = await ann.hears("asks")
    await asyncio.gather(*(coming(tower, wrong(ann.code)) for _ in range(3)), return_exceptions=True)
    assert not tower.invitations.open()
    for _ in range(3):
        await ann.hears("wrong code")
    ann.says(asked, True)
    assert (await laptop).member.name == "laptop"


async def test_a_recorded_proof_shown_again_asks_nobody_twice(tower, ann):
    """And what is answered to it is the newcomer's only: it says that somebody is asked, and nothing more."""
    key, knock = Key.generate(), tower.knock()
    laptop = Newcomer(ann.code, key, self_signed(key, NOON), await knock.meet(), secrets.token_bytes)
    reply = msgspec.convert(await knock.ask(f"/join/{ann.number}", laptop.hello()), Reply)
    proof = laptop.answered(reply, "laptop", "ben")
    path = f"/join/{ann.number}/confirm"
    answers = await asyncio.gather(*(tower.knock().ask(path, proof) for _ in range(20)))
    assert {answer["type"] for answer in answers} == {"waiting"}
    await ann.hears("asks")
    assert len(tower.admission.waiting_room.at(ann.invitation.id)) == 1
    assert tower.invitations.open()[0].tries == 3
    assert laptop.asked(msgspec.convert(answers[0], Waiting)) == "tower"


async def test_a_question_answered_by_nobody_ends_with_the_code(tower, ann):
    laptop = coming(tower, ann.code)
    asked = await ann.hears("asks")
    tower.pass_time(minutes=11)
    with pytest.raises(Refused, match="time ended before anybody said yes"):
        await laptop
    assert (await ann.hears("over")).reason == "over"
    with pytest.raises(NotFound):
        ann.says(asked, True)
    assert len(tower.facts.roster.members) == 1


async def test_a_late_yes_admits_nobody(tower, ann):
    laptop = coming(tower, ann.code)
    asked = await ann.hears("asks")
    tower.now = ann.invitation.expires
    with pytest.raises(NotFound):
        ann.says(asked, True)
    with pytest.raises(Refused, match="time ended"):
        await laptop
    assert len(tower.facts.roster.members) == 1


async def test_an_invitation_that_asks_ends_with_whoever_was_to_be_asked(tower):
    ann = Asked(tower)
    laptop = coming(tower, ann.code)
    await ann.hears("asks")
    ann.goes()
    with pytest.raises(Refused, match="withdrawn before anybody said yes"):
        await laptop
    assert not tower.invitations.open()


async def test_one_that_does_not_ask_outlives_its_listener(tower):
    invitation = tower.invitations.invite()
    with tower.invitations.news(invitation.code.number) as news:
        guess = coming(tower, wrong(invitation.code))
        assert (await anext(news)).event == "wrong code"
    assert tower.invitations.open()
    await asyncio.wait({guess})


async def test_a_restart_ends_what_asks_and_gives_no_free_guesses(tower):
    asks, plain = tower.invitations.invite(asks=True), tower.invitations.invite()
    for code in (asks.code, plain.code):
        with pytest.raises(WrongCode, match="2 tries are left"):
            await coming(tower, wrong(code))
    tower.open_invitations()
    await tower.listener.close()
    await tower.open()
    assert [each.tries for each in tower.invitations.open()] == [2]
    with pytest.raises(WrongCode, match="spent or over"):
        await coming(tower, asks.code)


async def test_nobody_is_asked_about_a_name_that_is_taken(tower, ann):
    for _ in range(5):
        with pytest.raises(Conflict, match="name “tower” is taken"):
            await coming(tower, ann.code, "tower")
    assert tower.invitations.open()[0].tries == 3
    assert not tower.admission.waiting_room.at(ann.invitation.id)


async def test_a_name_taken_meanwhile_is_told_on_both_sides(tower, ann):
    laptop = coming(tower, ann.code)
    asked = await ann.hears("asks")
    await coming(tower, tower.invitations.invite().code, person="bea")
    with pytest.raises(Conflict, match="name “laptop” is taken"):
        ann.says(asked, True)
    with pytest.raises(Conflict, match="name “laptop” is taken"):
        await laptop
    tablet = coming(tower, ann.code, "tablet")
    ann.says(await ann.hears("asks"), True)
    assert (await tablet).member.name == "tablet"


class Pausing(Knock):
    """A newcomer that takes its time between two questions."""

    def __init__(self, address):
        super().__init__(address)
        self.pausing, self.goes_on = asyncio.Event(), asyncio.Event()

    async def ask(self, path, body):
        answer = await super().ask(path, body)
        if path.endswith("/confirm"):
            self.pausing.set()
            await self.goes_on.wait()
        return answer


async def test_a_newcomer_hears_why_it_was_not_admitted_also_when_that_fell_between_two_of_its_questions(tower, ann):
    knock = Pausing(tower.addresses[0])
    laptop = coming(tower, ann.code, knock=knock)
    asked = await ann.hears("asks")
    await knock.pausing.wait()
    await coming(tower, tower.invitations.invite().code, person="bea")
    with pytest.raises(Conflict, match="name “laptop” is taken"):
        ann.says(asked, True)
    knock.goes_on.set()
    with pytest.raises(Conflict, match="name “laptop” is taken"):
        await laptop
    await knock.close()


async def test_a_further_computer_of_a_person_is_announced_as_such(tower):
    with Asked(tower, person="ann") as ann:
        phone = coming(tower, ann.code, "phone", "whoever")
        asked = await ann.hears("asks")
        assert (asked.person, asked.known) == ("ann", True)
        ann.says(asked, True)
        await phone
    assert list(tower.facts.roster.persons.values()) == ["ann"]


async def test_more_than_a_hundred_do_not_wait(tower, ann, monkeypatch):
    monkeypatch.setattr("commonhold.authority.waiting.MOST_WAITING", 1)
    laptop = coming(tower, ann.code)
    asked = await ann.hears("asks")
    with pytest.raises(Conflict, match="Too many"):
        await coming(tower, ann.code, "phone", "eve")
    ann.says(asked, True)
    await laptop


async def test_a_relay_finds_nobody_to_be_asked(tower, ann):
    """It passes every message on unchanged, under a key of its own."""
    thief, onwards = Key.generate(), tower.knock()

    async def pass_on(request: web.Request) -> web.Response:
        return web.json_response(await onwards.ask(request.path, await request.json()))

    app = web.Application(middlewares=[problems])
    app.add_routes([web.post("/{path:.*}", pass_on)])
    relay = Listener(app, thief, self_signed(thief, NOON))
    await relay.start([tower.addresses[0]._replace(port=0)])
    knock = Knock(relay.addresses[0])
    try:
        with pytest.raises(WrongCode):
            await coming(tower, ann.code, knock=knock)
    finally:
        await knock.close()
        await relay.close()
    await ann.hears("wrong code")
    assert not tower.admission.waiting_room.at(ann.invitation.id)


async def test_after_a_burn_the_next_code_has_three_words(tower):
    first = tower.invitations.invite(minutes=5)
    assert len(first.code.words) == 2
    await asyncio.gather(*(coming(tower, wrong(first.code)) for _ in range(3)), return_exceptions=True)
    tower.pass_time(minutes=6)
    second = tower.invitations.invite()
    assert len(second.code.words) == 3
    assert (await coming(tower, second.code)).member.name == "laptop"
    assert len(tower.invitations.invite().code.words) == 2, "once it was of use, two are enough again"


async def test_dropped_connections_that_burn_a_code_count_as_guesses(tower):
    code = tower.invitations.invite().code
    for _ in range(3):
        key, knock = Key.generate(), tower.knock()
        silent = Newcomer(wrong(code), key, self_signed(key, NOON), await knock.meet(), secrets.token_bytes)
        await knock.ask(f"/join/{code.number}", silent.hello())
        await knock.close()
    tower.open_invitations()
    assert len(tower.invitations.invite().code.words) == 3
