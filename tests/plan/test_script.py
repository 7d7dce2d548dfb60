"""What people ask: the same in both shapes, and whenever it is played; as often at the busiest as was said."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.queues.shapes import Shape
from commonhold.plan.queues.workload import WORKLOADS, named
from commonhold.plan.trials.script import Request, Script, lender, prepared, requests, scaled, seat
from commonhold.plan.trials.trial import Arrangement

SERVER, EVEN = Arrangement(Shape.CLIENT_SERVER), Arrangement(Shape.PEER_TO_PEER)
hot = st.sampled_from([0.0, 0.3, 0.5, 0.9])


def script(arrangement: Arrangement, workload: str = "fileserver", computers: int = 8, seed: int = 1) -> Script:
    return Script(named(workload).operations, 0.5, seed, 1, computers, arrangement)


def first(count: int, played: Script, person: int = 0) -> list[Request]:
    return list(islice(requests(played, person, Random), count))


@given(st.sampled_from(sorted(WORKLOADS)), st.integers(2, 40), st.integers(0, 99), st.integers(0, 2**32), hot)
@settings(max_examples=60, deadline=None)
def test_both_shapes_are_asked_the_same_but_for_where(workload, computers, person, seed, part):
    peers = first(30, script(Arrangement(Shape.PEER_TO_PEER, part), workload, computers, seed), person)
    server = first(30, script(SERVER, workload, computers, seed), person)
    assert {each.where for each in server} == {0}
    assert [each._replace(where=0) for each in peers] == server
    assert peers == first(30, script(Arrangement(Shape.PEER_TO_PEER, part), workload, computers, seed), person)
    assert all(0 <= each.where < computers and each.think >= 0 and each.size >= 0 for each in peers)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.8])
def test_the_busiest_computer_gets_the_part_that_was_said_and_nobody_asks_their_own(part):
    played = script(Arrangement(Shape.PEER_TO_PEER, part))
    asked = Counter(each.where for person in range(7) for each in first(2000, played, person))
    shares = {where: count / asked.total() for where, count in asked.items()}
    assert shares[0] == pytest.approx(max(part, 1 / 8), abs=0.01)
    others = [shares[where] for where in range(1, 8)]
    assert others == pytest.approx([(1 - shares[0]) / 7] * 7, rel=0.1)
    for person in range(20):
        assert seat(person, 8) not in {each.where for each in first(200, played, person)} | {lender(played, person)}


def test_kinds_sizes_and_thinking_come_out_as_the_workload_says():
    asked = [each for person in range(10) for each in first(1000, script(EVEN), person)]
    kinds = Counter(each.kind for each in asked)
    assert kinds["write"] / len(asked) == pytest.approx(0.5, abs=0.02)
    assert sum(each.size for each in asked) / len(asked) == pytest.approx(named("fileserver").size, rel=0.03)
    assert sum(each.think for each in asked) / len(asked) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_what_is_read_or_listed_is_what_was_prepared(workload):
    operations = named(workload).operations
    files = prepared(operations, 1, Random)
    for each in first(400, script(EVEN, workload)):
        if each.kind == "read":
            assert files[each.path] == each.size
        if each.kind == "list":
            assert any(path.startswith(f"{each.path}/") for path in files)
    for number, operation in enumerate(operations):
        sizes = [size for path, size in files.items() if path.startswith(f"read-{number}/")]
        if sizes:
            assert sum(sizes) / len(sizes) == pytest.approx(operation.size, rel=0.01)


def test_nobody_stores_what_another_stores():
    stored = [{each.path for each in first(200, script(EVEN), person) if each.kind == "write"} for person in range(9)]
    assert sum(map(len, stored)) == len(set().union(*stored))


@pytest.mark.parametrize("part", [0.25, 0.5])
def test_tasks_of_the_same_part_of_the_people_go_to_the_busiest(part):
    played = script(Arrangement(Shape.PEER_TO_PEER, part), "compute")
    assert sum(lender(played, person) == 0 for person in range(16)) == 16 * part
    assert all(each.where == lender(played, 3) for each in first(20, played, 3))


def test_who_thinks_less_has_smaller_tasks_and_the_same_files():
    office, jobs = scaled(named("office"), 1.0), scaled(named("compute"), 0.5)
    assert office.operations == named("office").operations
    assert jobs.operations[0].seconds == pytest.approx(0.4)
    assert jobs.operations[0].size == named("compute").operations[0].size


def test_one_computer_has_nothing_to_compare():
    with pytest.raises(WrongUsage, match="nothing to compare"):
        next(requests(script(EVEN, computers=1), 0, Random))
