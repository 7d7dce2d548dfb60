"""How many calls travel together."""

from __future__ import annotations

from commonhold.compute.batching import LARGEST, MOMENT, MOST, BatchPace
from commonhold.compute.parcel import pack
from commonhold.compute.submitter.queues import Call as Asked
from commonhold.compute.submitter.queues import Queues


def paced(seconds: float, size: int = 1) -> BatchPace:
    pace = BatchPace()
    pace.heed(1, seconds, size)
    return pace


def test_of_a_function_that_nobody_knows_one_call_travels_alone():
    assert BatchPace().size(10_000, 2) == 1


def test_as_many_as_take_a_moment_go_together_and_long_ones_alone():
    assert paced(MOMENT / 50).size(10_000, 2) == 50
    assert paced(60).size(10_000, 2) == 1
    assert paced(0).size(10**6, 2) == MOST


def test_large_arguments_make_small_batches():
    assert paced(1e-6, LARGEST // 3).size(10_000, 2) == 3


def test_the_last_ones_are_divided_among_all():
    assert paced(1e-6).size(16, 4) == 2
    assert paced(1e-6).size(3, 4) == 1


def test_the_latest_times_count_most():
    pace = paced(MOMENT)
    for _ in range(20):
        pace.heed(100, MOMENT, 100)
    assert 90 < pace.size(100_000, 2) <= 100


def test_a_call_that_may_have_ended_its_processes_goes_before_all_others_and_by_itself():
    lines, calls = Queues(), [Asked((number,), {}) for number in range(4)]
    lines.add(pack(len), calls, 4)
    line, taken = lines.take(1) or (None, [])
    assert line is not None
    calls[1].kills = calls[2].kills = 1
    lines.put_back(line, taken)
    assert lines.suspected
    assert set(lines.calls()) == set(calls)
    calls[2].future.cancel()
    assert [call.words for call in (lines.take(1) or (None, []))[1]] == [(1,)]
    assert [call.words for call in (lines.take(1) or (None, []))[1]] == [(0,), (3,)]
    assert not lines


def test_functions_take_turns_and_what_was_cancelled_is_left_out():
    lines, calls = Queues(), [Asked((number,), {}) for number in range(4)]
    one, other = pack(len), pack(sum)
    lines.add(one, calls[:3], 2)
    lines.add(other, calls[3:], None)
    calls[0].future.cancel()
    taken = [lines.take(1) for _ in range(2)]
    assert [[call.words for call in batch[1]] for batch in taken if batch] == [[(1,), (2,)], [(3,)]]
    assert lines.take(1) is None
    assert taken[0] is not None
    lines.put_back(*taken[0])
    lines.add(one, [Asked((9,), {})], 2)
    assert [call.words for call in lines.calls()] == [(1,), (2,), (9,)]
