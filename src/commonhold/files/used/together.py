"""Some of many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """`work` for every item, `at_once` at a time. The first error ends all, and is raised as it is."""
    rest = iter(items)

    async def worker() -> None:
        for item in rest:
            await work(item)

    await all_of(*(worker() for _ in range(at_once)))


async def all_of(*works: Coroutine[Any, Any, None]) -> None:
    """All at the same time. The first error ends all, and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
