"""Accounts: passwords compared in real Argon2, tries and sessions in a real database."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority.accounts import Accounts
from commonhold.authority.passwords import MOST_WAITING, normalized, require_good
from commonhold.authority.sessions import IDLE, LONGEST, MOST, Sessions
from commonhold.authority.tries import FREE, LONGEST_WAIT, MOST_ROWS, Tries, place_of
from commonhold.errors import TooManyTries, WrongUsage

from .suite import ANN, BOB, CAROL, GUS, NOON, Casa

GOOD = "harbour lamp otter"
HOME, CAFE = "192.168.1.5", "203.0.113.7"


@pytest.fixture
async def casa():
    """bob has an account at a server."""
    made = Casa("server")
    made.accounts.put(BOB, await made.accounts.hashed(GOOD, "bob"), None)
    made.accounts.passwords.hashed = 0
    yield made
    made.accounts.close()


async def tried(casa, password, name="bob", at=HOME):
    """ "right", "wrong", or the seconds to wait."""
    try:
        return "right" if await casa.accounts.check(name, password, at) else "wrong"
    except TooManyTries as error:
        return error.more["retry_after"]


# -- what may be a password


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("short", "fewer than 10 characters"),
        ("", "fewer than 10"),
        ("abababababab", "fewer than 5 different"),
        ("x" * 500 + "yzabc" * 120, "longer than 1000 bytes"),
        ("harbour\x00lamp", "control characters"),
        ("harbour\nlamp otter", "control characters"),
        ("Bob-Builder", "the person's name"),
    ],
)
def test_a_weak_password_is_refused_and_not_repeated(password, rule):
    with pytest.raises(WrongUsage, match=rule) as refused:
        require_good(password, "bob-builder")
    assert not password or password not in f"{refused.value.sentence}{refused.value.hint}"


@pytest.mark.parametrize("password", [GOOD, "zwölf Boxkämpfer", "a:b:c:d:e:f:g", " spaces count "])
def test_a_good_password_is_taken(password):
    assert require_good(password, "bob") == normalized(password)


async def test_however_a_keyboard_makes_an_accent_it_is_the_same_password(casa):
    casa.accounts.put(BOB, await casa.accounts.hashed("caf\u00e9 au lait", "bob"), None)
    assert await tried(casa, "cafe\u0301 au lait") == "right"


async def test_the_disk_has_argon2id_and_no_password(casa):
    (stored,) = casa.state.execute("SELECT hash FROM account").fetchone()
    found = argon2.extract_parameters(stored)
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (argon2.Type.ID, 19 * 1024, 2, 1)
    assert GOOD not in "\n".join(casa.state.iterdump())


# -- comparing


async def test_the_right_password_opens_whatever_the_capitals_of_the_name(casa):
    assert await tried(casa, GOOD) == "right"
    assert await tried(casa, GOOD, name="BOB") == "right"
    assert await tried(casa, GOOD.upper()) == "wrong"


async def test_nobody_a_wrong_password_and_an_ended_account_cost_one_hash_each_and_open_nothing(casa):
    casa.signed_in(GUS)
    casa.accounts.put(GUS, await casa.accounts.hashed(GOOD, "gus"), casa.now)  # over at this moment
    for name in ("bob", "nobody", "gus", "carol", "", "e" * 32, "x" * 500):
        before = casa.accounts.passwords.hashed
        assert await tried(casa, "harbour lamp heron" if name == "bob" else GOOD, name=name) == "wrong"
        assert casa.accounts.passwords.hashed == before + 1, name


async def test_a_password_that_was_right_costs_one_hash_for_ten_minutes(casa, monkeypatch):
    for _ in range(50):
        assert await tried(casa, GOOD) == "right"
    assert casa.accounts.passwords.hashed == 1
    monkeypatch.setattr("commonhold.authority.accounts.MEMORY", -1.0)
    other = Casa("server")
    other.accounts.put(BOB, casa.accounts.find(BOB).hash, None)
    assert [await tried(other, GOOD) for _ in range(2)] == ["right", "right"]
    assert other.accounts.passwords.hashed == 2, "what is older than that is hashed again"
    other.accounts.close()


async def test_what_was_remembered_is_forgotten_with_any_change(casa):
    assert await tried(casa, GOOD) == "right"
    casa.accounts.put(BOB, await casa.accounts.hashed("another lamp otter", "bob"), None)
    assert await tried(casa, GOOD) == "wrong"
    assert await tried(casa, "another lamp otter") == "right"
    casa.remove_person(BOB)
    assert await tried(casa, "another lamp otter") == "wrong"


async def test_a_guest_s_remembered_password_ends_with_the_account(casa):
    casa.signed_in(GUS)
    casa.accounts.put(GUS, casa.accounts.find(BOB).hash, casa.now + timedelta(hours=1))
    assert await tried(casa, GOOD, name="gus") == "right"
    casa.later(hours=1)
    assert await tried(casa, GOOD, name="gus") == "wrong"


async def test_many_at_once_of_one_program_are_one_try_and_one_hash(casa):
    assert set(await asyncio.gather(*(tried(casa, GOOD) for _ in range(40)))) == {"right"}
    assert set(await asyncio.gather(*(tried(casa, "wrong wrong wrong") for _ in range(40)))) == {"wrong"}
    assert casa.accounts.passwords.hashed == 2


async def test_a_program_that_goes_on_with_an_old_password_locks_nobody_out(casa):
    for _ in range(100):
        assert await tried(casa, "the old password") == "wrong"
    assert casa.accounts.passwords.hashed == 1
    assert await tried(casa, GOOD) == "right"


async def test_a_password_changed_while_it_is_compared_does_not_get_in(casa):
    comparing = asyncio.create_task(tried(casa, GOOD))
    await asyncio.sleep(0)
    casa.accounts.put(BOB, "unhashed", None)
    assert await comparing == "wrong"


async def test_a_hash_of_other_parameters_is_renewed_and_what_it_opened_goes_on(casa):
    old = argon2.PasswordHasher(1, 64, 1).hash(GOOD)
    casa.accounts.put(BOB, old, None)
    signed_in = casa.entrance.subject(casa.accounts.find(BOB))
    assert await tried(casa, GOOD) == "right"
    renewed = casa.accounts.find(BOB)
    assert argon2.extract_parameters(renewed.hash).memory_cost == 19 * 1024
    assert casa.entrance.holds(signed_in)
    again = Accounts(casa.state, lambda: casa.roster, casa.record, clock=lambda: casa.now)
    assert again.find(BOB) == renewed, "on the disk too"


async def test_an_end_that_comes_is_noticed_once_and_told(casa, monkeypatch):
    monkeypatch.setattr("commonhold.authority.accounts.LOOK_EVERY", 0.01)
    casa.signed_in(GUS)
    account = casa.accounts.put(GUS, casa.accounts.find(BOB).hash, casa.now + timedelta(hours=1))
    _, begun = casa.sessions.begin(account)
    told, heard = [], asyncio.Event()
    casa.entrance.on_change += [told.append, lambda _: heard.set()]
    watching = asyncio.create_task(casa.accounts.watch())
    await asyncio.sleep(0.05)
    assert (told, casa.sessions.running(begun.id)) == ([], begun)
    casa.later(hours=1)
    await heard.wait()
    await asyncio.sleep(0.05)
    watching.cancel()
    assert told == [GUS]
    assert casa.sessions.running(begun.id) is None
    assert casa.events[-1] == ("account ended", {"person": "gus"})


async def test_accounts_outlive_the_node_and_end_with_their_person(casa):
    casa.accounts.put(CAROL, "unhashed", None)
    again = Accounts(casa.state, lambda: casa.roster, casa.record)
    assert {again.find(person).person for person in (BOB, CAROL)} == {BOB, CAROL}
    casa.remove_person(CAROL)
    assert Accounts(casa.state, lambda: casa.roster, casa.record).find(CAROL) is None


async def test_the_record_tells_of_wrong_passwords_without_them(casa):
    await tried(casa, "a wrong password", at=CAFE)
    await tried(casa, GOOD, name="my password by mistake", at=CAFE)
    assert casa.events == [
        ("wrong password", {"person": "bob", "address": CAFE}),
        ("wrong password", {"person": "", "address": CAFE}),
    ]
    assert "mistake" not in "\n".join(casa.state.iterdump()), "nor what was typed where a name belongs"


async def test_a_flood_fills_half_of_the_waiting_room_and_who_was_right_here_before_finds_room(casa):
    assert await tried(casa, GOOD) == "right"
    casa.accounts.put(BOB, await casa.accounts.hashed("another lamp otter", "bob"), None)
    flood = [
        asyncio.create_task(tried(casa, GOOD, name=f"x{number}", at=f"198.51.100.{number}"))
        for number in range(3 * MOST_WAITING)
    ]
    await asyncio.sleep(0)
    assert await tried(casa, "another lamp otter") == "right"
    answers = await asyncio.gather(*flood)
    assert answers.count("wrong") <= MOST_WAITING
    assert answers.count(1) >= 2 * MOST_WAITING, "told to come again in a second"


# -- tries


class Guesser:
    """Somebody who tries at a clock of their own."""

    def __init__(self, state=None):
        self.now = NOON
        self.state = state or sqlite3.connect(":memory:", isolation_level=None)
        self.restart()

    def restart(self):
        self.tries = Tries(self.state, lambda: self.now)

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)

    def wait(self, name="bob", at=CAFE):
        """Try once, wrongly: 0, or the seconds to wait."""
        try:
            self.tries.take(name, at)
        except TooManyTries as error:
            return error.more["retry_after"]
        return 0

    def right(self, name="bob", at=HOME):
        self.tries.right(self.tries.take(name, at))


def test_after_some_free_tries_the_delay_doubles_up_to_a_quarter_of_an_hour():
    guesser, waits = Guesser(), []
    for number in range(FREE["account"] + 14):
        waits.append(guesser.wait(at=f"198.51.100.{number}"))
        if waits[-1]:
            guesser.later(waits[-1])
            assert guesser.wait(at=f"198.51.100.{number}") == 0
    assert waits[:6] == [0, 0, 0, 0, 0, 1]
    assert waits[6:] == [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]
    assert waits[-1] == LONGEST_WAIT


def test_a_try_that_comes_too_early_is_not_made_and_prolongs_nothing():
    guesser = Guesser()
    for _ in range(FREE["account"]):
        guesser.wait()
    guesser.later(0.5)
    assert [guesser.wait() for _ in range(20)] == [1] * 20
    guesser.later(0.5)
    assert guesser.wait() == 0


def test_a_restart_gives_no_try_back():
    guesser = Guesser()
    while not guesser.wait():
        pass
    guesser.restart()
    assert guesser.wait() == 1


def test_one_address_guessing_at_many_names_waits_too():
    guesser = Guesser()
    waits = [guesser.wait(name=f"name{number}") for number in range(FREE["address"] + 1)]
    assert (set(waits[:-1]), waits[-1]) == ({0}, 1)
    assert guesser.wait(name="somebody", at=HOME) == 0


def test_whoever_was_right_here_before_is_not_locked_out_by_guesses_elsewhere():
    guesser = Guesser()
    guesser.right()
    for number in range(200):
        guesser.wait(at=f"198.51.100.{number}")
    assert guesser.wait(at="192.168.9.9") > 0, "a new address waits"
    for _ in range(FREE["here"]):
        assert guesser.wait(at=HOME) == 0, "the own one has its own allowance"
    assert guesser.wait(at=HOME) == 1, "which is as small"
    guesser.later(1)
    guesser.right()
    assert guesser.wait(at=HOME) == 0


def test_an_own_account_gives_no_tries_at_others():
    guesser = Guesser()
    guesser.right(name="mallory", at=CAFE)
    allowed = 0
    while guesser.wait(name=f"victim{allowed}") == 0:
        guesser.right(name="mallory", at=CAFE)
        allowed += 1
    assert allowed == FREE["address"]


def test_after_a_day_without_one_wrong_tries_are_forgotten():
    guesser = Guesser()
    while not guesser.wait():
        pass
    guesser.later(24 * 3600 + 1)
    assert [guesser.wait() for _ in range(6)] == [0, 0, 0, 0, 0, 1]


def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_the_delay():
    guesser = Guesser()
    while not guesser.wait():
        pass
    guesser.later(-365 * 24 * 3600)
    assert guesser.wait() == 1


def test_rubbish_does_not_fill_the_disk():
    guesser = Guesser()
    guesser.state.execute("PRAGMA synchronous=OFF")
    rows = ((f"rubbish{number}", NOON.timestamp() - number) for number in range(MOST_ROWS + 500))
    while not guesser.wait():
        pass
    guesser.state.execute("UPDATE wrong_try SET last = ?", (NOON.timestamp() - MOST_ROWS,))
    wrong = dict(guesser.state.execute("SELECT kind, wrong FROM wrong_try").fetchall())
    guesser.state.executemany("INSERT INTO wrong_try VALUES ('account', ?, 1, ?)", rows)
    guesser.restart()
    guesser.wait()
    left = dict(guesser.state.execute("SELECT kind, wrong FROM wrong_try WHERE wrong > 1").fetchall())
    assert all(left[kind] >= tries for kind, tries in wrong.items()), "nor wash away what was guessed"
    (count,) = guesser.state.execute("SELECT count(*) FROM wrong_try").fetchone()
    assert count <= MOST_ROWS + 2


@given(st.lists(st.tuples(st.floats(0, 4000), st.integers(0, 255), st.booleans()), max_size=60))
@settings(deadline=None)
def test_whatever_the_rhythm_a_day_of_guessing_gives_few_tries(steps):
    """At one account, from addresses that its person never used: never more than each delay lets through."""
    guesser, allowed = Guesser(), []
    for pause, host, again in steps:
        guesser.later(pause)
        if again:
            guesser.restart()
        if guesser.wait(at=f"198.51.100.{host}") == 0:
            allowed.append(guesser.now)
    for number, earlier in enumerate(allowed[FREE["account"] :], FREE["account"]):
        gap = (earlier - allowed[number - 1]).total_seconds()
        assert gap >= min(2.0 ** (number - FREE["account"]), LONGEST_WAIT) or gap > 24 * 3600


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("192.168.1.5", "192.168.1.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.168.1.5", "192.168.1.5"),
        (None, ""),
    ],
)
def test_a_household_s_many_ipv6_addresses_are_one_place(remote, place):
    assert place_of(remote) == place


# -- sessions


@pytest.fixture
def rooms():
    made = Casa("server")
    made.account = made.accounts.put(ANN, "unhashed", None)
    return made


def test_a_session_is_found_by_its_token_of_which_only_the_hash_is_kept(rooms):
    token, begun = rooms.sessions.begin(rooms.account)
    assert len(token) == 43
    assert rooms.sessions.find(token).id == begun.id
    assert rooms.sessions.find(begun.id) is None, "who reads the disk cannot come in"
    assert rooms.sessions.find("") is None
    assert token not in "\n".join(rooms.state.iterdump())


def test_a_session_nobody_uses_ends_and_a_used_one_ends_after_a_week(rooms):
    idle, _ = rooms.sessions.begin(rooms.account)
    used, _ = rooms.sessions.begin(rooms.account)
    began = rooms.now
    while rooms.now < began + LONGEST:
        assert rooms.sessions.find(used)
        rooms.later(hours=6)
        if rooms.now == began + IDLE:
            assert rooms.sessions.find(idle) is None
    assert rooms.sessions.find(used) is None


def test_sessions_outlive_the_node(rooms):
    token, begun = rooms.sessions.begin(rooms.account)
    again = Sessions(rooms.state, clock=lambda: rooms.now)
    assert again.find(token).id == begun.id
    again.end(begun.id)
    assert Sessions(rooms.state, clock=lambda: rooms.now).find(token) is None


def test_one_person_has_a_bounded_number_of_sessions(rooms):
    tokens = []
    for _ in range(MOST + 5):
        rooms.later(seconds=1)
        tokens.append(rooms.sessions.begin(rooms.account)[0])
    assert sum(rooms.sessions.find(token) is not None for token in tokens) == MOST
    assert rooms.sessions.find(tokens[-1])
    (count,) = rooms.state.execute("SELECT count(*) FROM session").fetchone()
    assert count == MOST


def test_a_clock_set_back_makes_no_session_longer_than_it_may_be(rooms):
    token, _ = rooms.sessions.begin(rooms.account)
    rooms.later(days=-400)
    assert rooms.sessions.find(token) is None
