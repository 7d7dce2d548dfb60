"""All or nothing, also for others who look."""

from __future__ import annotations

import sqlite3

import pytest

from commonhold.transaction import transaction


@pytest.fixture
def two(tmp_path):
    """Two connections to one file, as a node and its ledger have them."""
    both = [sqlite3.connect(tmp_path / "state.db", isolation_level=None, timeout=0.1) for _ in range(2)]
    both[0].execute("PRAGMA journal_mode=WAL")
    both[0].execute("CREATE TABLE seat (name TEXT UNIQUE)")
    yield both
    for connection in both:
        connection.close()


def seats(connection):
    return [name for (name,) in connection.execute("SELECT name FROM seat ORDER BY name")]


def seat_and_raise(connection, raised):
    with transaction(connection):
        connection.execute("INSERT INTO seat VALUES ('ann')")
        raise raised


def test_what_is_done_inside_is_there_at_the_end_and_not_before(two):
    one, other = two
    with transaction(one):
        one.execute("INSERT INTO seat VALUES ('ann')")
        assert seats(other) == []
    assert seats(other) == ["ann"]


def test_whatever_is_raised_takes_all_of_it_back(two):
    one, other = two
    for raised in (ValueError, KeyboardInterrupt):
        with pytest.raises(raised):
            seat_and_raise(one, raised)
        assert seats(one) == seats(other) == []
    with transaction(one):  # nothing of it hangs on
        one.execute("INSERT INTO seat VALUES ('bob')")
    assert seats(other) == ["bob"]


def test_who_comes_second_waits_at_the_beginning_where_nothing_is_done_yet(two):
    one, other = two
    with transaction(one), pytest.raises(sqlite3.OperationalError, match="locked"), transaction(other):
        pytest.fail("it began beside the first")
    with transaction(other):
        other.execute("INSERT INTO seat VALUES ('carol')")
    assert seats(one) == ["carol"]
