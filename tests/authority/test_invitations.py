"""The ledger of invitations: what stands on the disk, over restarts and over versions."""

from __future__ import annotations

import secrets
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.authority.invitations import Ledger
from commonhold.errors import Conflict, WrongUsage
from commonhold.identity.code import LONG_NUMBERS, NUMBERS

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
OLD = """CREATE TABLE invitations (id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL UNIQUE,
code TEXT NOT NULL, tries INTEGER NOT NULL, uses INTEGER NOT NULL, expires REAL NOT NULL, person TEXT) STRICT"""


@pytest.fixture
def connection(tmp_path):
    made = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    yield made
    made.close()


class Clock:
    now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(connection, clock):
    return Ledger(connection, clock, secrets.token_bytes)


def test_a_state_of_the_first_version_keeps_its_open_invitations(connection, clock):
    connection.execute(OLD)
    ends = (NOON + timedelta(minutes=5)).timestamp()
    connection.execute(
        "INSERT INTO invitations (number, code, tries, uses, expires) VALUES (7, '7-zoo-able', 2, 1, ?)", (ends,)
    )
    for _ in range(2):  # the second start finds the table as the first has left it
        (found,) = Ledger(connection, clock, secrets.token_bytes).open()
        assert (str(found.code), found.tries, found.uses, found.asks) == ("7-zoo-able", 2, 1, False)


def test_a_restart_ends_those_that_ask_but_remembers_that_they_were_guessed_at(ledger, connection, clock):
    ledger.draw(None, 10, 1, asks=True)
    guessed = ledger.draw(None, 10, 1, asks=True)
    quiet = ledger.draw(None, 10, 1)
    for _ in range(3):
        ledger.take_try(guessed.code.number)
    again = Ledger(connection, clock, secrets.token_bytes)
    assert [each.id for each in again.open()] == [quiet.id]
    assert len(again.draw(None, 10, 1).code.words) == 3


def test_numbers_do_not_run_out_unsaid_and_come_back(ledger, clock):
    for _ in NUMBERS:
        ledger.draw(None, 10, 1)
    assert {each.code.number for each in ledger.open()} == set(NUMBERS)
    with pytest.raises(Conflict, match="99 invitations are open already") as told:
        ledger.draw(None, 10, 1)
    assert told.value.hint == "wait until some are over"
    assert ledger.draw(None, 10, 1, long=True).code.number in LONG_NUMBERS, "files have numbers of their own"
    clock.now += timedelta(minutes=10)
    assert ledger.open() == ()
    assert ledger.draw(None, 10, 1).code.number in NUMBERS


@pytest.mark.parametrize(("minutes", "uses"), [(0.05, 1), (24 * 60 + 1, 1), (10, 0), (10, 10**6)])
def test_bounds_are_kept_before_anything_is_written(ledger, minutes, uses):
    with pytest.raises(WrongUsage):
        ledger.draw(None, minutes, uses)
    assert ledger.open() == ()


def test_a_try_given_back_is_never_one_more_than_there_were(ledger):
    drawn = ledger.draw(None, 10, 3)
    ledger.give_back(drawn)
    assert ledger.tries_left(drawn.id) == 3
    ledger.take_try(drawn.code.number)
    ledger.give_back(drawn)
    ledger.give_back(drawn)
    assert ledger.tries_left(drawn.id) == 3
    long = ledger.draw(None, 10, 1, long=True)
    ledger.give_back(long)
    assert ledger.tries_left(long.id) == 1000


def test_who_has_proven_the_code_gets_in_though_others_burnt_the_tries(ledger, clock):
    drawn = ledger.draw(None, 10, 2)
    for _ in range(3):
        assert ledger.take_try(drawn.code.number)
    assert ledger.take_try(drawn.code.number) is None
    assert ledger.open() == ()
    assert ledger.find(drawn.id).uses == 2
    assert ledger.burn(drawn.id)
    assert ledger.burn(drawn.id)
    assert not ledger.burn(drawn.id), "no third use"
    assert ledger.find(drawn.id) is None
    late = ledger.draw(None, 1, 1)
    clock.now += timedelta(minutes=1)
    assert not ledger.burn(late.id), "its time is over"


def test_a_withdrawn_one_is_gone_and_a_guessed_one_is_still_remembered(ledger):
    drawn, guessed = ledger.draw(None, 10, 1), ledger.draw(None, 10, 1)
    for _ in range(3):
        ledger.take_try(guessed.code.number)
    ledger.withdraw(drawn.id)
    ledger.withdraw(guessed.id)
    assert ledger.numbered(drawn.code.number) is None
    assert len(ledger.draw(None, 10, 1).code.words) == 3
