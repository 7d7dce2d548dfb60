"""Which tasks of a worker run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from commonhold.compute.sandboxed.turnstile import Turnstile


class Tasks:
    """Tasks that wait at a turnstile and stay inside until they are let go."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.turnstile = Turnstile()
        self.inside: list[str] = []
        self._threads = threads
        self._ends: dict[str, threading.Event] = {}
        self._running: dict[str, Future[None]] = {}

    def begin(self, name: str, alone: bool = False, cores: int = 1) -> None:
        self._ends[name] = threading.Event()
        wanted = self.turnstile._wanted
        self._running[name] = self._threads.submit(self._pass, name, alone, cores)
        self._until(lambda: self.turnstile._wanted == wanted + cores)

    def _pass(self, name: str, alone: bool, cores: int) -> None:
        with self.turnstile.passed(alone, cores):
            self.inside.append(name)
            assert self._ends[name].wait(20)
            self.inside.remove(name)

    def end(self, name: str) -> None:
        self._ends[name].set()
        self._running[name].result(20)

    def are(self, *names: str) -> None:
        """Just these come to run: whoever is not to run has had the time to."""
        self._until(lambda: sorted(self.inside) == sorted(names))
        time.sleep(0.02)
        assert sorted(self.inside) == sorted(names)

    def end_all(self) -> None:
        self.turnstile.use(1000)
        for end in self._ends.values():
            end.set()

    def _until(self, condition: object) -> None:
        deadline = time.monotonic() + 20
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline, self.inside
            time.sleep(0.001)


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    with ThreadPoolExecutor(8) as threads:
        tasks = Tasks(threads)
        yield tasks
        tasks.end_all()


def test_whoever_is_told_nothing_runs_all(tasks: Tasks):
    for name in "abc":
        tasks.begin(name)
    tasks.are("a", "b", "c")


def test_fewer_cores_stop_nothing_and_let_nothing_new_in(tasks: Tasks):
    for name in "ab":
        tasks.begin(name)
    tasks.are("a", "b")
    tasks.turnstile.use(1)
    tasks.begin("c")
    tasks.are("a", "b")
    tasks.end("a")
    tasks.are("b")
    tasks.end("b")
    tasks.are("c")


def test_more_cores_let_the_waiting_in(tasks: Tasks):
    tasks.turnstile.use(0)
    for name in "abc":
        tasks.begin(name)
    tasks.are()
    tasks.turnstile.use(3)
    tasks.are("a", "b", "c")


def test_a_task_counts_as_many_cores_as_it_has(tasks: Tasks):
    tasks.turnstile.use(3)
    tasks.begin("two", cores=2)
    tasks.begin("also two", cores=2)
    tasks.begin("one")
    tasks.are("two", "one")
    tasks.end("two")
    tasks.are("also two", "one")


def test_a_task_that_needs_more_than_there_is_runs_by_itself(tasks: Tasks):
    tasks.turnstile.use(1)
    tasks.begin("wide", cores=4)
    tasks.are("wide")
    tasks.begin("small")
    tasks.are("wide")
    tasks.end("wide")
    tasks.are("small")


def test_who_wants_to_be_alone_is_and_goes_first(tasks: Tasks):
    tasks.begin("a")
    tasks.are("a")
    tasks.begin("alone", alone=True)
    tasks.begin("late")
    tasks.are("a")
    tasks.end("a")
    tasks.are("alone")
    tasks.end("alone")
    tasks.are("late")


def test_who_wants_to_be_alone_waits_for_a_core_as_all_do(tasks: Tasks):
    tasks.turnstile.use(0)
    tasks.begin("alone", alone=True)
    tasks.are()
    tasks.turnstile.use(1)
    tasks.are("alone")


def test_what_is_wanted_is_what_runs_and_what_waits_and_a_moment_of_it_is_not_missed(tasks: Tasks):
    calls = []
    turnstile = tasks.turnstile
    turnstile.on_wanted = lambda: calls.append(1)
    turnstile.use(1)
    assert turnstile.look() == 0
    tasks.begin("a", cores=2)
    tasks.begin("b")
    assert calls == [1], "once, after a rest"
    tasks.are("a")
    tasks.end("a")
    assert turnstile.look() == 3, "at most, since the last look"
    assert turnstile.look() == 1
    tasks.end("b")
    assert (turnstile.look(), turnstile.look()) == (1, 0)
    tasks.begin("c")
    assert calls == [1, 1]
    assert turnstile.look() == 1


def test_nothing_runs_beside_a_task_that_runs_alone():
    turnstile, inside, seen = Turnstile(), list[bool](), list[tuple[bool, ...]]()

    def pass_through(alone: bool) -> None:
        with turnstile.passed(alone):
            inside.append(alone)
            time.sleep(0.02)
            seen.append(tuple(inside))
            inside.remove(alone)

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(pass_through, number % 3 == 0) for number in range(24)]:
            done.result(10)
    assert len(seen) == 24
    assert all(beside == (True,) for beside in seen if True in beside)
    assert any(len(beside) > 1 for beside in seen), "the others run side by side"
