"""What a guard remembers so that a lost last answer can be given again: to whom, for how long, and after what."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.authority.mending import KEPT, Mending
from commonhold.identity.join import Remembered, Welcome
from commonhold.names import Fingerprint

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LAPTOP, OTHER = Fingerprint("1" * 64), Fingerprint("2" * 64)
SESSION = b"s" * 32
REMEMBERED = Remembered(SESSION, b"transcript", b"k" * 32)


class Guard:
    """One, with a clock of its own; `mending` as after each start."""

    def __init__(self, path):
        self.path, self.now = path, NOON
        self.connection = sqlite3.connect(path, isolation_level=None)

    @property
    def mending(self):
        return Mending(self.connection, lambda: self.now)

    def restart(self):
        self.connection.close()
        self.connection = sqlite3.connect(self.path, isolation_level=None)

    def rows(self):
        return self.connection.execute("SELECT count(*) FROM last_answers").fetchone()[0]


@pytest.fixture
def guard(tmp_path):
    made = Guard(tmp_path / "state.db")
    made.mending.keep(LAPTOP, REMEMBERED)
    yield made
    made.connection.close()


def test_it_outlives_the_node_and_gives_the_same_answer(guard):
    before = guard.mending.find(LAPTOP, SESSION).welcome(b"contents")
    guard.restart()
    found = guard.mending.find(LAPTOP, SESSION)
    assert found == REMEMBERED
    assert found.welcome(b"contents") == before
    REMEMBERED.believed(Welcome(b"contents", before.mac))


def test_neither_another_computer_nor_another_conversation_finds_it(guard):
    assert guard.mending.find(OTHER, SESSION) is None
    assert guard.mending.find(LAPTOP, b"t" * 32) is None
    assert guard.mending.find(LAPTOP, b"") is None


def test_after_a_day_it_is_over_and_with_the_next_it_leaves_the_disk(guard):
    guard.now = NOON + KEPT - timedelta(seconds=1)
    assert guard.mending.find(LAPTOP, SESSION) == REMEMBERED
    guard.now = NOON + KEPT
    assert guard.mending.find(LAPTOP, SESSION) is None
    later = Remembered(b"u" * 32, b"", b"")
    guard.mending.keep(OTHER, later)
    assert guard.rows() == 1
    assert guard.mending.find(OTHER, b"u" * 32) == later


def test_each_conversation_is_kept_by_itself(guard):
    again = Remembered(b"v" * 32, b"another", b"k" * 32)
    guard.mending.keep(LAPTOP, again)
    assert guard.mending.find(LAPTOP, SESSION) == REMEMBERED
    assert guard.mending.find(LAPTOP, b"v" * 32) == again
