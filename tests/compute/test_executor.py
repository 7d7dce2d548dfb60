"""`net.executor()`: a person's own functions on lent processors; real nodes, as processes, and real Dask."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import threading
import time
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, BrokenExecutor, CancelledError, as_completed, wait
from pathlib import Path

import psutil
import pytest

from commonhold.api import connect
from commonhold.compute import parcel
from commonhold.errors import CommonholdError, NotFound, Refused, WrongUsage

from ..conftest import processes_of, town, until


class Sour(Exception):
    """An exception of the person's own, which no lender knows."""


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


def square(number):
    return number * number


def slow(number):
    time.sleep(0.4)
    return number


def sour(number):
    if number == 3:
        raise Sour(f"no {number}")
    return number


def tasks(executor, kind="calls"):
    """How many Dask tasks the scheduler has seen of that kind, and done."""

    def count(dask_scheduler):
        return dask_scheduler.task_prefixes[kind].state_counts["memory"] if kind in dask_scheduler.task_prefixes else 0

    return executor._feeder._client.run_on_scheduler(count)


def sandboxes(computer, part):
    """The processes at that computer which are scheduler (`sessions`) or workers (`lent`), by their folders."""
    return processes_of(computer.folder / "home" / part)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann, laptop of bob, who lends ann his processors, and desk of carol, who does not."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, laptop, desk = make("tower", "ann"), make("laptop", "bob"), make("desk", "carol")
        tower.create("casa")
        for other in (laptop, desk):
            other.join(tower)
        tower.knows("tower", "laptop", "desk")
        laptop.net.allow("ann", "run", "compute")
        yield tower, laptop


@pytest.fixture
def tower(network):
    return network[0]


@pytest.fixture
def executor(tower):
    executor = tower.net.executor("tower")
    yield executor
    executor.abandon()  # what a test that failed left running would be waited for


def test_results_come_in_order_from_all_computers(tower):
    with tower.net.executor() as executor:
        assert list(executor.map(square, range(500))) == [number * number for number in range(500)]
        assert list(executor.map(pow, [2, 3, 4], [5, 2])) == [32, 9]
        assert executor.submit(divmod, 7, 2).result() == (3, 1)
        assert executor.submit(int, "ff", base=16).result() == 255
        until(
            lambda: any(note.startswith("desk refused: ann may not run") for note in executor.notes), "desk has said no"
        )


def test_what_a_call_raises_is_raised_here_with_where_it_was_raised(executor):
    results = executor.map(sour, range(6))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Sour, match="no 3") as raised:
        next(results)
    assert "on tower:" in str(raised.value.__cause__)
    assert "raise Sour" in str(raised.value.__cause__)
    with pytest.raises(SystemExit):
        executor.submit(sys.exit, 3).result()


def test_modules_and_classes_of_the_persons_own_travel_along(executor, tmp_path, monkeypatch):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("TAX = 19")
    (tmp_path / "shop" / "till.py").write_text("import shop\ndef gross(net): return net * (100 + shop.TAX) // 100\n")
    monkeypatch.syspath_prepend(tmp_path)
    from shop import till  # type: ignore[import-not-found]

    assert list(executor.map(till.gross, [100, 200])) == [119, 238]
    assert executor.submit(lambda: till.gross(300)).result() == 357
    moved = executor.submit(lambda point: Point(point.x + 1), Point(1)).result()
    assert type(moved) is Point
    assert moved.x == 2


def test_what_no_computer_has_is_said_before_anything_starts(executor, tmp_path, monkeypatch):
    """Installed here, for this user alone, and nowhere else."""
    monkeypatch.setattr(site, "USER_SITE", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    parcel._installed.cache_clear()
    (tmp_path / "rare_find.py").write_text("def gem(): return 1\nclass Stone: pass\n")
    import rare_find  # type: ignore[import-not-found]

    for wish in (lambda: executor.submit(rare_find.gem), lambda: executor.map(str, [rare_find.Stone()])):
        with pytest.raises(NotFound, match=r"No computer has what .* tower has no module “rare_find”") as missing:
            wish()
        assert "install" in missing.value.hint
    assert executor.submit(square, 3).result() == 9
    parcel._installed.cache_clear()


def test_what_is_printed_there_is_printed_here(executor, capfd):
    def speak(number):
        sys.stdout.write(f"number {number}\n")
        sys.stderr.write("trouble\n")

    def babble():
        sys.stdout.write("x" * 200_000)

    executor.submit(speak, 7).result()
    executor.submit(babble).result()
    printed, complained = capfd.readouterr()
    assert printed.startswith("number 7\n")
    assert "134464 characters left out" in printed
    assert complained == "trouble\n"


def test_short_calls_travel_together_and_long_ones_alone(executor):
    list(executor.map(square, range(10)))  # their time is known from now on
    before = tasks(executor)
    assert list(executor.map(square, range(3_000))) == [number * number for number in range(3_000)]
    assert tasks(executor) - before < 100
    before = tasks(executor)
    assert list(executor.map(slow, range(8))) == list(range(8))
    assert tasks(executor) - before == 8
    before = tasks(executor)
    assert len(list(executor.map(square, range(90), chunksize=30))) == 90
    assert tasks(executor) - before == 3
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(square, [1], chunksize=0)


def test_calls_that_are_handed_in_one_by_one_travel_together_too(executor):
    executor.submit(square, 1).result()
    before = tasks(executor)
    calls = [executor.submit(square, number) for number in range(400)]
    assert {call.result() for call in as_completed(calls)} == {number * number for number in range(400)}
    assert tasks(executor) - before < 200


def test_a_batch_that_takes_too_long_comes_back_with_what_it_did_not_begin(executor):
    """A few long calls among many short ones hold nobody up for longer than one of them takes."""

    def uneven(number):
        if number % 50 == 49:
            time.sleep(0.6)
        return number

    assert list(executor.map(uneven, range(200), chunksize=200)) == list(range(200))
    assert tasks(executor) > 1


def test_a_time_out_is_raised_when_it_is_over_and_cancels_the_rest(executor):
    results = executor.map(time.sleep, [0, 600, 600, 600], timeout=1.5)
    assert next(results) is None
    with pytest.raises(TimeoutError):
        next(results)
    assert list(executor.map(square, range(8))) == [number * number for number in range(8)]


def test_calls_are_cancelled_before_they_run_and_while_they_run(executor):
    """A loop of Python is broken off; a call that waits in C takes its process along, and another takes its place."""

    def spin():
        while True:
            pass

    running = [executor.submit(spin), executor.submit(time.sleep, 3600)]
    waiting = [executor.submit(slow, number) for number in range(20)]
    wait(waiting, timeout=1.5)
    assert all(call.cancel() for call in running)
    assert [call.cancel() for call in waiting].count(True) > 10
    assert wait([*running, *waiting], timeout=5, return_when=ALL_COMPLETED).not_done == set()
    with pytest.raises(CancelledError):
        running[0].result()
    assert list(executor.map(slow, range(4))) == [0, 1, 2, 3]


def test_a_call_is_tried_again_as_often_as_one_said(tower):
    def forgetful(name):
        mark = Path.home() / name
        tries = len(mark.read_text()) if mark.exists() else 0
        mark.write_text("x" * (tries + 1))
        if tries < 2:
            raise Sour(tries)
        return tries

    with tower.net.executor("tower", retries=2) as executor:
        assert executor.submit(forgetful, "twice").result() == 2
    with tower.net.executor("tower", retries=1) as executor, pytest.raises(Sour, match="1"):
        executor.submit(forgetful, "once").result()
    with pytest.raises(WrongUsage):
        tower.net.executor(retries=-1)


def test_what_cannot_travel_fails_alone(executor):
    calls = list(executor.map(lambda thing: str(type(thing).__name__), [1, "two"]))
    assert calls == ["int", "str"]
    good, bad = executor.submit(square, 2), executor.submit(type, threading.Lock())
    assert good.result() == 4
    with pytest.raises(TypeError, match="pickle"):
        bad.result()
    with pytest.raises(TypeError, match="pickle"):
        executor.submit(threading.Lock).result()
    assert executor.submit(square, 5).result() == 25


def test_a_call_that_ends_its_process_is_told_of_and_costs_nobody_else_theirs(executor):
    def deadly(number):
        if number == 7:
            os._exit(1)
        return number

    calls = [executor.submit(deadly, number) for number in range(12)]
    with pytest.raises(CommonholdError, match="ended the processes that ran it"):
        calls[7].result()
    assert [call.result() for call in calls if call is not calls[7]] == [n for n in range(12) if n != 7]


def test_a_lender_that_is_killed_in_the_middle_costs_no_result(network):
    tower, laptop = network
    with tower.net.executor("all") as executor:
        until(lambda: len(executor._feeder._client.nthreads()) == 4, "both compute")
        calls = [executor.submit(slow, number) for number in range(24)]
        wait(calls, return_when=FIRST_COMPLETED)
        for process in sandboxes(laptop, "lent"):
            process.kill()
        assert [call.result() for call in calls] == list(range(24))


def test_a_scheduler_that_is_killed_in_the_middle_costs_no_result(tower):
    with tower.net.executor("tower") as executor:
        calls = [executor.submit(slow, number) for number in range(10)]
        wait(calls, return_when=FIRST_COMPLETED)
        for process in sandboxes(tower, "sessions"):
            process.kill()
        assert [call.result() for call in calls] == list(range(10))
        assert any("begun again" in note for note in executor.notes)


def test_where_nobody_lends_any_more_all_that_is_open_says_why(network):
    tower, laptop = network
    with tower.net.executor("laptop") as executor:
        assert executor.submit(square, 3).result() == 9
        laptop.net.deny("ann", "run", "compute")
        try:
            waiting = executor.submit(square, 4)
            with pytest.raises(Refused, match="laptop refused: ann may not run"):
                waiting.result()
            with pytest.raises(BrokenExecutor, match="laptop refused"):
                executor.submit(square, 5)
        finally:
            laptop.net.strike(laptop.net.rules("compute")[-1].number)


def test_many_threads_use_one_executor(executor):
    found = {}

    def use(number):
        found[number] = [executor.submit(square, number).result(), *executor.map(square, [number, number + 1])]

    threads = [threading.Thread(target=use, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {number: [number**2, number**2, (number + 1) ** 2] for number in range(10)}


def test_a_shut_executor_takes_no_more_and_ends_what_it_has(tower):
    executor = tower.net.executor("tower")
    calls = [executor.submit(slow, number) for number in range(12)]
    wait(calls, return_when=FIRST_COMPLETED)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(square, 1)
    executor.shutdown()
    assert all(call.done() for call in calls)
    assert 0 < sum(call.cancelled() for call in calls) < 12
    assert [call.result() for call in calls if not call.cancelled()] == [
        n for n, call in enumerate(calls) if not call.cancelled()
    ]


def test_ctrl_c_cancels_what_runs(tower):
    def interrupted():
        with tower.net.executor("tower") as executor:
            calls.append(executor.submit(time.sleep, 3600))
            wait(calls, timeout=1)
            raise KeyboardInterrupt

    calls = []
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    [call] = calls
    assert call.cancelled()
    with tower.net.executor("tower") as executor:
        assert executor.submit(square, 2).result(timeout=30) == 4


def test_a_fork_of_the_process_does_not_use_its_executor(executor):
    assert executor.submit(square, 2).result() == 4
    child = os.fork()
    if child == 0:
        try:
            executor.submit(square, 2)
        except RuntimeError as error:
            os._exit(7 if "made it" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_process_that_is_killed_leaves_nothing_running(tower):
    program = f"""
import time, commonhold
net = commonhold.connect({str(tower.home.folder)!r})
executor = net.executor("tower", cores=2)
call = executor.submit(time.sleep, 3600)
time.sleep(1)
print(executor._feeder._client.holding.papers.session, flush=True)
time.sleep(3600)
"""
    asking = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert asking.stdout is not None
        session = tower.folder / "home" / "sessions" / asking.stdout.readline().strip()
        assert processes_of(session)
    finally:
        asking.kill()
        asking.wait()
    until(lambda: not processes_of(session), "its session ends")


def test_the_papers_stand_in_no_argument_environment_or_log(tower, executor):
    assert executor.submit(square, 2).result() == 4
    key = executor._feeder._client.holding.papers.key.splitlines()[1]
    for process in [psutil.Process(tower.pid), *psutil.Process(tower.pid).children(recursive=True)]:
        told = " ".join([*process.cmdline(), *process.environ().values()])
        assert key not in told
    assert key not in tower.log() + tower.home.audit.read_text()


def test_closing_the_network_ends_what_its_process_has_running(tower):
    net = connect(tower.home)
    call = net.executor("tower").submit(time.sleep, 3600)
    wait([call], timeout=1)
    net.close()
    assert call.cancelled()
