"""What is out of one job, and what a worker gets of each task."""

from __future__ import annotations

from commonhold.authority.authority import Standing, Subject
from commonhold.compute.hub.running import Running
from commonhold.compute.job import Input, JobSpec, State
from commonhold.compute.papers import RemoteFile
from commonhold.names import Fingerprint


def laid_out(count: int) -> Running:
    inputs = tuple(Input("value", str(number)) for number in range(1, count + 1))
    target = RemoteFile(Fingerprint("0" * 64), "out", "")
    running = Running(7, Subject(standing=Standing.MEMBER), JobSpec("echo {}", inputs), "tower:out", target)
    running.lay_out(list(inputs), {}, {})
    return running


def test_what_is_handed_out_is_out_before_the_first_of_it_is_taken():
    running = laid_out(3)
    orders = running.hand_out([3, 1, 2])
    assert running.waiting == set()
    assert {task: running.key(task) for task in running.out} == {1: "7-1-1", 2: "7-2-1", 3: "7-3-1"}
    assert [order["words"] for order in orders] == [("sh", "-c", f"echo {number}") for number in (1, 2, 3)]


def test_what_ended_or_waits_again_before_it_was_taken_goes_to_no_worker():
    running = laid_out(4)
    orders = running.hand_out([1, 2, 3, 4])
    assert next(orders)["key"] == "7-1-1"
    running.end(2, State.FAILED)
    running.take_back(["7-3-1"])
    assert [order["key"] for order in orders] == ["7-4-1"]
    assert [order["key"] for order in running.hand_out(running.waiting)] == ["7-3-2"]
