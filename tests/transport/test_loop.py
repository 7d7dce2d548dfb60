from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from commonhold.errors import Refused
from commonhold.transport import LoopThread, run


async def loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    if thread.open:
        thread.close()


def test_the_loop_that_runs_is_the_fast_one(thread):
    assert run(loop_name()).startswith("uvloop")
    assert thread.run(loop_name()).startswith("uvloop")


def test_an_error_crosses_from_the_loops_thread(thread):
    async def refuse() -> None:
        raise Refused("No.")

    with pytest.raises(Refused, match="No"):
        thread.run(refuse())


def test_a_plain_iteration_that_ends_early_closes_its_source(thread):
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            closed.append(True)

    iteration = thread.iterate(numbers())
    assert [next(iteration), next(iteration)] == [0, 1]
    iteration.close()
    assert closed == [True]
    assert list(thread.iterate(numbers())) == list(range(100))


def test_an_iteration_that_is_left_in_the_middle_ends_with_the_loop(thread):
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            closed.append(True)

    iteration = thread.iterate(numbers())
    next(iteration)
    thread.close()
    assert closed == [True]
    iteration.close()  # as the interpreter does at its end: without a complaint


def test_closing_cancels_what_still_runs(thread):
    ended = []

    async def wait() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def begin() -> None:
        begin.task = asyncio.create_task(wait())
        await asyncio.sleep(0)

    thread.run(begin())
    thread.close()
    assert ended == [True]
    assert not thread.open
