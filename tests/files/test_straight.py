"""Large files past the system's cache: the same bytes, whatever the disk can and however they come."""

from __future__ import annotations

import errno
import fcntl
import os
from random import Random

import pytest

from commonhold.files import straight
from commonhold.files.straight import BLOCK, ROOM, Straight, in_room

STRAIGHT = os.O_DIRECT


def written(path, pieces) -> bytes:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        file, at = Straight(handle), 0
        for data in in_room(pieces):
            rest = data
            while rest:
                done = file.write(rest, at)
                rest, at = rest[done:], at + done
    finally:
        os.close(handle)
    return path.read_bytes()


def pieces_of(data: bytes, seed: int) -> list[bytes | memoryview]:
    dice, pieces, at = Random(seed), [], 0  # noqa: S311
    while at < len(data):
        length = dice.choice((1, 100, BLOCK, 16_384, 300_000, ROOM + 5))
        pieces.append(dice.choice((bytes, memoryview))(data[at : at + length]))
        at += length
    return pieces


@pytest.fixture
def ways(monkeypatch) -> list[bool]:
    """Of each write, whether it went past the cache."""
    seen, write = [], os.write

    def watched(handle, data):
        seen.append(bool(fcntl.fcntl(handle, fcntl.F_GETFL) & STRAIGHT))
        return write(handle, data)

    monkeypatch.setattr(straight.os, "write", watched)
    monkeypatch.setattr(straight, "CACHED", 2 * ROOM)
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_in_any_pieces_is_written_as_it_is_the_beginning_through_the_cache(tmp_path, ways, seed):
    data = Random(seed).randbytes(6 * ROOM + 12_345)  # noqa: S311
    assert written(tmp_path / "file", pieces_of(data, seed)) == data
    assert ways[:2] == [False, False]
    assert ways[-1] is False  # what is no whole block
    assert any(ways)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP])
def test_a_disk_that_cannot_is_asked_once(tmp_path, ways, monkeypatch, number):
    watched, refused = os.write, []

    def refusing(handle, data):
        if fcntl.fcntl(handle, fcntl.F_GETFL) & STRAIGHT:
            refused.append(len(data))
            raise OSError(number, "not this way")
        return watched(handle, data)

    monkeypatch.setattr(straight.os, "write", refusing)
    data = os.urandom(6 * ROOM + 7)
    assert written(tmp_path / "file", [data]) == data
    assert len(refused) == 1
    assert not any(ways)


def test_a_full_disk_is_told(tmp_path, ways, monkeypatch):
    def full(handle, data):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(straight.os, "write", full)
    with pytest.raises(OSError, match="full"):
        written(tmp_path / "file", [bytes(3 * ROOM)])


def test_a_piece_of_a_few_bytes_takes_no_room():
    (view,) = in_room([b"few"])
    assert bytes(view) == b"few"
    assert list(in_room([])) == []
    assert list(in_room([b""])) in ([], [b""])
