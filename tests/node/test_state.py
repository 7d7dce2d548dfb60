"""What a node remembers, and what is said when its disk is full or its file is broken."""

from __future__ import annotations

import errno
import sqlite3
import stat
from contextlib import closing

import pytest

from commonhold.errors import Damaged, NoSpace
from commonhold.node.state import disk_watched, open_state


def test_the_state_is_private_and_written_through(tmp_path):
    with closing(open_state(tmp_path / "state.db")) as state:
        assert state.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert state.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        state.execute("CREATE TABLE kept (what TEXT)")
        state.execute("INSERT INTO kept VALUES ('this')")
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    with closing(open_state(tmp_path / "state.db")) as state:
        assert state.execute("SELECT what FROM kept").fetchall() == [("this",)]


@pytest.mark.parametrize("content", [b"nothing of the kind" * 50, b"SQLite format 3\0" + b"\xaa" * 4096])
def test_a_broken_state_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(Damaged, match="it was left as it is") as damaged:
        open_state(path)
    assert str(path) in damaged.value.sentence
    assert path.read_bytes() == content


def test_a_page_that_rotted_is_noticed(tmp_path):
    path = tmp_path / "state.db"
    with closing(open_state(path)) as state:
        state.execute("CREATE TABLE kept (what TEXT)")
        state.executemany("INSERT INTO kept VALUES (?)", [("x" * 500,) for _ in range(100)])
    rotten = bytearray(path.read_bytes())
    rotten[4096:4200] = b"\xff" * 104
    path.write_bytes(rotten)
    with pytest.raises(Damaged):
        open_state(path)


def test_a_full_disk_is_told_whoever_meets_it(tmp_path):
    with closing(open_state(tmp_path / "state.db")) as state:
        state.execute("CREATE TABLE kept (what TEXT)")
        state.execute("PRAGMA max_page_count=3")
        with pytest.raises(NoSpace, match="is full") as full, disk_watched(tmp_path):
            state.execute("INSERT INTO kept VALUES (?)", ("x" * 50_000,))
        assert full.value.exit_code == 7
    with pytest.raises(NoSpace), disk_watched(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_troubles_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError), disk_watched(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(sqlite3.OperationalError), disk_watched(tmp_path), closing(sqlite3.connect(":memory:")) as state:
        state.execute("SELECT * FROM nothing")
