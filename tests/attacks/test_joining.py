"""Whoever would join without being invited, against a real node: by guessing, in the middle, again, or half."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine

import pytest
from aiohttp import web

from commonhold.authority import newcomer
from commonhold.authority.newcomer import join
from commonhold.errors import CommonholdError, Unreachable, WrongCode
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import Code
from commonhold.identity.keys import Key
from commonhold.names import PersonName
from commonhold.transport import Address, Knock, problems
from commonhold.transport.connections import Runner
from commonhold.transport.tls import listening_context

from ..conftest import NOON, town
from .reach import As

GUESSES, RIVALS = 40, 20


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("casa")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


@pytest.fixture
def code(tower):
    return Code.parse(tower.net.invite().code)


def wrong(code: Code) -> Code:
    return Code(code.number, ("zoo", "zebra") if code.words != ("zoo", "zebra") else ("zoo", "zero"))


class Recorder(Knock):
    """A knock that keeps what was sent, what was answered, and leaves when it is told to."""

    def __init__(self, address: Address, leave_before: str = "", lose_answer: bool = False) -> None:
        super().__init__(address)
        self.sent: list[tuple[str, object]] = []
        self.answered = 0
        self._leave_before, self._lose_answer = leave_before, lose_answer

    async def ask(self, path: str, body: object):
        if self._leave_before and path.endswith(self._leave_before):
            raise Unreachable("left")
        self.sent.append((path, body))
        answer = await super().ask(path, body)
        self.answered += 1
        if self._lose_answer and path.endswith("confirm"):
            raise Unreachable("the last packet was lost")
        return answer

    def showing(self, key, certificate):
        if self._lose_answer:
            raise Unreachable("the last packet was lost")
        return super().showing(key, certificate)


async def joining(tower, code: Code, name: str, key: Key | None = None, into: list | None = None, **how):
    """The whole way in, as `name`; the knock is put `into` a list for the test to look at."""
    knock, key = Recorder(Address.parse(tower.address), **how), key or Key.generate()
    if into is not None:
        into.append(knock)
    person = PersonName(f"{name}-owner") if name.isalnum() else PersonName("mallory")
    try:
        return await join(
            knock,
            key,
            self_signed(key, NOON),
            code,
            computer=name,  # type: ignore[arg-type] # an attacker checks nothing
            person=person,
        )
    finally:
        await knock.close()


def tried(*ways: Coroutine) -> list:
    """What came of each, all at once."""

    async def together():
        return await asyncio.gather(*ways, return_exceptions=True)

    return asyncio.run(together())


def events(tower, kind: str) -> list[dict]:
    lines = [json.loads(line) for line in tower.home.audit.read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def names(tower) -> set[str]:
    return {member.computer for member in tower.net.members()}


def test_forty_wrong_codes_at_once_get_three_answers_from_a_real_node(tower, code):
    before, guesses = len(events(tower, "wrong code")), []
    outcomes = tried(*(joining(tower, wrong(code), f"guess{n}", into=guesses) for n in range(GUESSES)))
    assert {type(outcome) for outcome in outcomes} == {WrongCode}
    assert sum(knock.answered for knock in guesses) == 3
    seen = events(tower, "wrong code")[before:]
    assert [line["address"] for line in seen] == ["127.0.0.1"] * 3
    (late,) = tried(joining(tower, code, "late"))
    assert isinstance(late, WrongCode), "the code is dead, for the right one too"
    assert names(tower) == {"tower"}
    assert code.number not in {each.number for each in tower.net.status().invitations}


def test_of_twenty_that_join_a_real_node_with_one_code_one_gets_in(tower, code):
    before = names(tower)
    outcomes = tried(*(joining(tower, code, f"rival{n}") for n in range(RIVALS)))
    assert sum(isinstance(outcome, WrongCode) for outcome in outcomes) == RIVALS - 1
    (new,) = names(tower) - before
    tower.net.remove(new)


def test_a_code_used_again_and_a_recorded_joining_are_refused_by_a_real_node(tower, code):
    seen = []
    (joined,) = tried(joining(tower, code, "first", into=seen))
    assert joined.member.name == "first"
    members = names(tower)
    (again,) = tried(joining(tower, code, "second"))
    assert isinstance(again, WrongCode)
    fresh = another(tower, code)  # while another invitation is open, too
    for number in (code.number, fresh.number):
        (outcome,) = tried(replayed(tower, seen[0], code, number))
        assert isinstance(outcome, WrongCode)
    assert names(tower) == members
    tower.net.remove("first")


def another(tower, code: Code) -> Code:
    """Under another number: that of `code` is free again once it is used."""
    while (fresh := Code.parse(tower.net.invite().code)).number == code.number:
        tower.net.withdraw(fresh.number)  # tests/authority/test_admission.py has what is answered there
    return fresh


async def replayed(tower, knock: Recorder, code: Code, number: int) -> None:
    """What was sent for `code` once more, at that number."""
    replaying = Knock(Address.parse(tower.address))
    try:
        for path, body in knock.sent:
            await replaying.ask(path.replace(f"/join/{code.number}", f"/join/{number}"), body)
    finally:
        await replaying.close()


def test_a_lost_last_packet_is_mended_with_the_key_and_admits_nobody_twice(tower, code, monkeypatch):
    monkeypatch.setattr(newcomer, "PAUSE", 0.01)
    key = Key.generate()
    (lost,) = tried(joining(tower, code, "torn", key, lose_answer=True))
    assert isinstance(lost, Unreachable)
    assert "torn" in names(tower), "it was admitted, and did not hear of it"
    members, joins = names(tower), len(events(tower, "join"))
    fresh = Code.parse(tower.net.invite().code)
    (again,) = tried(joining(tower, fresh, "torn", key))
    assert again.member.fingerprint == key.fingerprint
    assert names(tower) == members
    assert len(events(tower, "join")) <= joins + 1
    tower.net.remove("torn")


def test_dropping_each_connection_and_restarting_the_node_gives_no_free_guesses(tower, code):
    for attempt in range(2):
        (left,) = tried(joining(tower, wrong(code), f"drop{attempt}", leave_before="confirm"))
        assert isinstance(left, Unreachable)
    tower.kill()
    tower.up()
    tried(joining(tower, wrong(code), "drop3", leave_before="confirm"))
    (late,) = tried(joining(tower, code, "drop4"))
    assert isinstance(late, WrongCode)
    assert names(tower) == {"tower"}


class Relay:
    """Somebody in the middle: a key of its own to the newcomer, another to the inviter, and all words handed on."""

    def __init__(self, beyond: str) -> None:
        self._beyond, self._loop, self.heard = beyond, asyncio.new_event_loop(), []
        self.address = ""
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(15)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _hand_on(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.heard.append((request.path, body))
        knock = Knock(Address.parse(self._beyond))
        try:
            return web.json_response(await knock.ask(request.path, body))
        finally:
            await knock.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(middlewares=[problems])
        app.add_routes([web.post("/{path:.*}", self._hand_on)])
        runner, key = Runner(app), Key.generate()

        async def start() -> None:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=listening_context(key, self_signed(key, NOON)))
            await site.start()
            host, port = runner.addresses[0][:2]
            self.address = f"{host}:{port}"
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())


def test_a_relay_between_two_real_computers_is_found_out_on_both_sides(tower, code, tmp_path):
    """A false mDNS answer, say, sent the newcomer to it. Both types of TLS end at the relay."""
    before = len(events(tower, "wrong code"))
    with town(tmp_path) as make, Relay(tower.address) as relay:
        laptop = make("laptop", "bob")
        said = laptop.typed(
            "join",
            f"{code}@{relay.address}",
            "--person",
            "bob",
            "--computer",
            "laptop",
            "--listen",
            laptop.address,
            code=4,
        )
        assert "wrong" in said.err
        assert [path for path, _ in relay.heard] == [f"/join/{code.number}", f"/join/{code.number}/confirm"]
        assert not laptop.home.joined
    (seen,) = events(tower, "wrong code")[before:]
    assert (seen["number"], seen["tries"]) == (code.number, 2)
    assert names(tower) == {"tower"}


def test_a_removed_computer_does_not_join_again_with_a_code(tower, tmp_path):
    with town(tmp_path) as make:
        laptop = make("laptop", "bob")
        laptop.join(tower)
        tower.net.remove("laptop")
        key = Key.load(laptop.home.key)
        fresh = Code.parse(tower.net.invite().code)
        (outcome,) = tried(joining(tower, fresh, "laptop", key))
        assert isinstance(outcome, CommonholdError)
        assert names(tower) == {"tower"}
        assert As(tower, laptop)("GET", "/roster").status == 403


def test_a_name_from_a_newcomer_that_is_none_is_refused(tower, code):
    """Names from other computers: paths, controls, what a terminal or Windows would read as something else."""
    for name in ("..", "../x", "a/b", "con", "a\x1b[2J", "a\u202eb", "x" * 64, "", "tower"):
        (outcome,) = tried(joining(tower, code, name))
        assert isinstance(outcome, CommonholdError), name
    assert names(tower) == {"tower"}
