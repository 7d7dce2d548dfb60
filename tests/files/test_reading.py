"""Large files on their way out: every byte once, in order, whatever is in memory and whoever keeps what was read."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from commonhold.errors import Damaged
from commonhold.files.ranges import Span
from commonhold.files.served.reading import CHUNK, Reading

from .test_atonce import only_on_disk

CONTENT = os.urandom(3 * CHUNK + 12_345)
WHOLE = [Span(0, len(CONTENT))]
PARTS = [b"head", Span(5, 7), b"between", Span(CHUNK, len(CONTENT)), Span(3, 3 + CHUNK), b"end"]


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "large"
    made.write_bytes(CONTENT)
    return made


def expected(plan):
    return b"".join(each if isinstance(each, bytes) else CONTENT[slice(*each)] for each in plan)


def opened(file, plan, *, hashing=False):
    reading = Reading(file.open("rb", buffering=0), plan)
    reading.hashing = hashing
    return reading


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(("plan", "hashing"), [(WHOLE, False), (WHOLE, True), (PARTS, False)])
async def test_what_is_planned_comes_whatever_is_in_memory(file, threads, plan, hashing, cold):
    if cold:
        only_on_disk(file)
    reading = opened(file, plan, hashing=hashing)
    got = b""
    async for piece in reading.pieces(threads):
        got += piece
        del piece
    assert got == expected(plan)
    if hashing:
        assert reading._hash.digest() == hashlib.sha256(CONTENT).digest()
    assert len(reading._buffers) == 1 + hashing
    reading.close()


@pytest.mark.parametrize("hashing", [False, True])
async def test_whoever_keeps_what_was_read_keeps_it_right(file, threads, hashing):
    """A connection that cannot send at once holds on to it."""
    reading = opened(file, WHOLE, hashing=hashing)
    kept = [piece async for piece in reading.pieces(threads)]
    assert b"".join(kept) == CONTENT
    reading.close()


@pytest.mark.parametrize("hashing", [False, True])
async def test_a_file_that_becomes_shorter_is_damaged(file, threads, hashing):
    reading = opened(file, WHOLE, hashing=hashing)
    pieces = reading.pieces(threads)
    await anext(pieces)
    os.truncate(file, CHUNK // 2)
    with pytest.raises(Damaged):
        [each async for each in pieces]
    reading.close()
