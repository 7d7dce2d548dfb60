"""In which batches tasks go to workers."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.batching import AHEAD
from commonhold.compute.job import key_of
from commonhold.compute.sandboxed.stock import MOMENT, Label, Lot, Stock


def label(job: int = 1, turn: int = 1, retries: int = 0, cores: int = 1, on: tuple[str, ...] = ()) -> Label:
    return Label(job, turn, retries, cores, 0, on)


def specs(count: int, job: int = 1, turn: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [{"key": key_of(job, task, turn), "alone": False} | more for task in range(1, count + 1)]


def tasks(lot: Lot) -> list[str]:
    return [key.split("-")[1] for key in lot.specs]


def out(stock: Stock, places: int = 1) -> list[Lot]:
    return list(stock.next(lambda _: places))


def finish(stock: Stock, lot: Lot, seconds: float) -> None:
    for key in list(lot.specs):
        stock.end(lot, key, seconds, 0)
    assert stock.close(lot.name) == []


def known(count: int, seconds: float, places: int = 1, **more: Any) -> Stock:
    """So many tasks wait, and an earlier one of the same job took so long."""
    stock = Stock()
    stock.add(label(**more), specs(1))
    [lot] = out(stock, places)
    stock.add(label(**more), [{**spec, "key": f"1-{task}-1"} for task, spec in enumerate(specs(count), 2)])
    finish(stock, lot, seconds)
    return stock


def test_of_a_job_that_nobody_knows_tasks_travel_alone_and_no_more_than_find_room():
    stock = Stock()
    stock.add(label(), specs(100))
    assert [tasks(lot) for lot in out(stock, 2)] == [["1"], ["2"], ["3"], ["4"]]
    assert out(stock, 2) == []


def test_without_a_worker_they_wait():
    stock = Stock()
    stock.add(label(), specs(3))
    assert out(stock, 0) == []
    assert len(out(stock, 1)) == AHEAD


def test_short_ones_go_together_and_long_ones_alone():
    assert [len(lot.specs) for lot in out(known(1000, MOMENT / 20))] == [20, 20]
    assert [len(lot.specs) for lot in out(known(1000, 60))] == [1, 1]


def test_the_last_ones_are_divided_among_all_places():
    assert [len(lot.specs) for lot in out(known(8, MOMENT / 20, 2), 2)] == [2, 2, 1, 1]


def test_what_is_tried_again_by_dask_and_what_is_to_be_alone_travels_alone():
    assert [len(lot.specs) for lot in out(known(100, 0.001, retries=2))] == [1, 1]
    stock = known(4, 0.001)
    stock.add(label(), specs(1, 2, alone=True) + specs(4, 3))
    assert [tasks(lot) for lot in out(stock)] == [["2", "3", "4", "5"], ["1"]]


def test_what_was_lost_once_goes_first_and_jobs_do_not_share_a_batch():
    stock = Stock()
    stock.add(label(job=1), specs(2, 1))
    stock.add(label(job=2), specs(2, 2))
    stock.add(label(job=1, turn=2), specs(1, 1, 2))
    assert [(lot.label.job, lot.label.turn) for lot in out(stock)] == [(1, 2), (1, 1), (1, 1), (2, 1), (2, 1)]


def test_what_comes_back_goes_before_what_waited_longer_and_in_its_order():
    stock = known(9, MOMENT / 4)
    first, _ = out(stock)
    assert tasks(first) == ["2", "3", "4", "5"]
    stock.end(first, "1-2-1", 1.0, 0)
    assert stock.put_back(first, ["1-2-1", "1-4-1", "1-5-1", "1-99-1"]) == ["1-4-1", "1-5-1"]
    assert tasks(first) == ["3"]
    stock.end(first, "1-3-1", 60.0, 0)
    stock.close(first.name)
    assert [tasks(lot) for lot in out(stock)] == [["4"]]


def test_a_batch_whose_worker_is_lost_is_forgotten_with_what_had_not_ended():
    stock = known(4, MOMENT / 2)
    [lot, _] = out(stock)
    stock.end(lot, "1-2-1", 0.1, 0)
    assert stock.close(lot.name) == ["1-3-1"]
    assert stock.lot(lot.name) is None
    assert stock.close(lot.name) == []


def test_a_task_that_is_there_anew_under_its_key_is_another_than_the_dropped_one():
    """`again` begins a job anew while the last of what was cancelled still runs: its word is of another batch."""
    stock = Stock()
    for _ in range(2):
        stock.add(label(), specs(1))
        [lot] = out(stock)
        assert stock.drop(list(lot.specs)) == [lot.name]
    stock.add(label(), specs(1))
    [last] = out(stock)
    assert stock.lot(lot.name) is None
    assert last.name != lot.name
    assert tasks(last) == ["1"]


def test_what_is_dropped_goes_to_nobody_and_its_batch_is_told_when_nothing_else_is_in_it():
    stock = known(20, MOMENT / 2)
    first, second = out(stock)
    assert stock.drop(["1-2-1"]) == []
    assert stock.drop(["1-3-1", *(f"1-{task}-1" for task in range(6, 30))]) == [first.name]
    assert stock.drop(list(second.specs)) == [second.name]
    assert out(stock) == []


@given(
    st.integers(0, 40),
    st.lists(
        st.tuples(st.sampled_from(["end", "back", "lose", "drop", "give"]), st.integers(0, 40), st.integers(0, 3))
    ),
)
def test_whatever_happens_each_task_is_in_one_place_and_comes_to_one_end(count, events):
    stock, ended, lost = Stock(), [], []
    stock.add(label(), specs(count))
    open_now: dict[str, Lot] = {}
    for what, number, places in [*events, *[("give", 0, 2), ("end", 0, 0)] * (3 * count + 3)]:
        key = key_of(1, number, 1)
        holder = next((lot for lot in open_now.values() if key in lot.specs), None)
        if what == "give":
            open_now |= {lot.name: lot for lot in out(stock, places)}
        elif what == "end" and open_now:
            lot = open_now.pop(min(open_now))
            ended += list(lot.specs)
            finish(stock, lot, number / 1000)
        elif what == "back" and holder:
            assert stock.put_back(holder, [key]) == [key]
        elif what == "lose" and holder:
            lost += stock.close(holder.name)
            del open_now[holder.name]
        elif what == "drop" and key not in ended + lost and 0 < number <= count:
            for name in stock.drop([key]):
                open_now.pop(name)
            lost.append(key)
    assert sorted(ended + lost) == sorted(spec["key"] for spec in specs(count))
    assert not open_now
    assert out(stock, 9) == []
