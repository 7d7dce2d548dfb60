"""What tasks wait for in their threads."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from commonhold.compute.sandboxed.grants import Grants


def waits(threads: ThreadPoolExecutor, grants: Grants, key: str, asked: list[str]) -> Future[None]:
    """A task that waits; returns when it has asked."""
    waiting = threads.submit(grants.wait, key, lambda: asked.append(key))
    deadline = time.monotonic() + 20
    while key not in asked:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return waiting


def test_a_task_waits_until_it_is_granted_and_no_other_is():
    grants, asked = Grants(), list[str]()
    with ThreadPoolExecutor(2) as threads:
        first, second = (waits(threads, grants, key, asked) for key in ("1-1-1", "1-2-1"))
        grants.grant("1-2-1")
        second.result(20)
        assert not first.done()
        grants.grant("1-1-1")
        first.result(20)


def test_what_is_granted_while_it_is_asked_for_is_not_missed():
    grants = Grants()
    grants.wait("1-1-1", lambda: grants.grant("1-1-1"))


def test_what_nobody_waits_for_is_granted_to_nobody():
    grants, asked = Grants(), list[str]()
    grants.grant("1-1-1")
    with ThreadPoolExecutor(1) as threads:
        waiting = waits(threads, grants, "1-1-1", asked)
        assert not waiting.done()
        grants.grant("1-1-1")
        waiting.result(20)


def test_the_tasks_of_a_job_that_is_over_wait_no_more():
    grants, asked = Grants(), list[str]()
    with ThreadPoolExecutor(2) as threads:
        over, other = (waits(threads, grants, key, asked) for key in ("1-1-1", "11-1-1"))
        grants.forget(1)
        over.result(20)
        assert not other.done()
        grants.forget(11)
        other.result(20)
