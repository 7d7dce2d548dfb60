"""Tasks that came to a worker together."""

from __future__ import annotations

import threading
from typing import Any

from commonhold.compute.sandboxed.series import MOST_TOLD, Series, Word


def specs(count: int) -> list[dict[str, Any]]:
    return [{"key": str(number)} for number in range(1, count + 1)]


def outcome(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "exit": 0, "output": "", "error": ""} | more


def keys(word: Word) -> tuple[list[str], list[str]]:
    return [each["key"] for each in word.ended], word.back


def test_short_ones_are_told_together_when_the_last_has_ended():
    told: list[Word] = []
    series = Series("batch-1", specs(3), told.append)
    while spec := series.next():
        assert told == []
        series.ended(outcome(spec["key"]))
    assert [keys(word) for word in told] == [(["1", "2", "3"], [])]
    assert told[0].batch == "batch-1"


def test_one_that_is_alone_is_told_at_once_and_has_no_moment():
    told: list[Word] = []
    series = Series("batch-1", specs(1), told.append)
    assert not series.several
    assert series.next() == {"key": "1"}
    series.ended(outcome("1"))
    series.hurry()
    assert [keys(word) for word in told] == [(["1"], [])]


def test_after_a_moment_what_has_not_begun_goes_back_and_every_end_is_told_at_once():
    told: list[Word] = []
    series = Series("batch-1", specs(4), told.append)
    series.next()
    series.ended(outcome("1"))
    series.next()
    series.hurry()
    assert keys(told.pop()) == (["1"], ["3", "4"])
    series.ended(outcome("2"))
    assert keys(told.pop()) == (["2"], [])
    assert series.next() is None
    series.hurry()
    assert told == []


def test_what_has_stored_outputs_is_told_before_the_next_begins():
    told: list[Word] = []
    series = Series("batch-1", specs(3), told.append)
    series.next()
    series.ended(outcome("1", outputs=["a.txt"]))
    assert keys(told.pop()) == (["1"], [])


def test_much_that_was_printed_is_told_in_portions():
    told: list[Word] = []
    series = Series("batch-1", specs(100), told.append)
    while spec := series.next():
        series.ended(outcome(spec["key"], output="x" * (MOST_TOLD // 4), error="y"))
    assert [len(word.ended) for word in told] == [4] * 25


def test_whenever_the_moment_ends_each_task_is_told_of_once():
    """The end of the moment comes in another thread than the tasks."""
    for _ in range(200):
        told: list[Word] = []
        series = Series("batch-1", specs(20), told.append)
        hurrying = threading.Thread(target=series.hurry)
        hurrying.start()
        begun = []
        while spec := series.next():
            begun.append(spec["key"])
            series.ended(outcome(spec["key"]))
        hurrying.join()
        ended = [key for word in told for key in keys(word)[0]]
        back = [key for word in told for key in keys(word)[1]]
        assert ended == begun
        assert ended + back == [spec["key"] for spec in specs(20)]
