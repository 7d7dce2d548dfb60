"""The rule of what is too much, and who is to blame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from commonhold.compute.lender import bounds
from commonhold.compute.lender.bounds import (
    WORTH,
    Disk,
    Lent,
    Machine,
    Room,
    Unit,
    Use,
    blamed,
    eviction,
    near,
    verdicts,
)

MIB, GIB = 2**20, 2**30
PLENTY = Machine(16 * GIB, 12 * GIB)
LENT = Lent(2 * GIB, 10 * GIB)
DISK = Disk(100 * GIB, 60 * GIB)

units = st.builds(Unit, st.integers(1, 99), st.booleans(), st.integers(0, 3 * GIB), st.integers(1, 300), st.just(0))
uses = st.builds(Use, st.integers(0, GIB), st.integers(1, 20), st.lists(units, max_size=12).map(tuple), st.just(256))
rooms = st.builds(
    lambda shares, other: Room(sum(shares.values()) + other, shares),
    st.dictionaries(st.text(min_size=1) | st.integers(), st.integers(0, 9 * GIB), max_size=12),
    st.integers(0, GIB),
)


def task(memory: int, number: int = 7, processes: int = 1) -> Unit:
    return Unit(number, True, memory, processes)


def test_what_is_lent_may_be_used_to_the_full():
    assert verdicts([Use(units=(task(GIB),)), Use(units=(task(GIB),))], LENT, PLENTY, "tower") == []


def test_one_task_alone_that_takes_more_is_told_so():
    [verdict] = verdicts([Use(), Use(60 * MIB, units=(task(GIB, 5), task(3 * GIB, 6)))], LENT, PLENTY, "tower")
    assert verdict.guest == 1
    assert [unit.number for unit in verdict.units] == [6]
    assert verdict.why == "It used more than 2 GiB of memory, which is what tower lends."


def test_the_largest_of_many_goes_and_hears_that_it_was_together():
    [verdict] = verdicts([Use(units=(task(1500 * MIB, 5), task(700 * MIB, 6)))], LENT, PLENTY, "tower")
    assert [unit.number for unit in verdict.units] == [5]
    assert "used more than 2 GiB of memory together" in verdict.why
    assert "of this task it was 1500 MiB, the most." in verdict.why


def test_a_guest_ends_as_a_whole_where_nobody_in_it_is_to_blame():
    """Its worker itself holds it, or too many processes hold a little each."""
    assert verdicts([Use(3 * GIB)], LENT, PLENTY, "tower")[0].units == ()
    crowd = tuple(task(64 * MIB, number) for number in range(60))
    assert verdicts([Use(units=crowd)], LENT, PLENTY, "tower")[0].units == ()


def test_where_the_computer_is_short_of_memory_guests_go_before_the_owner_s_programs():
    short = Machine(16 * GIB, 100 * MIB)
    [verdict] = verdicts([Use(units=(task(900 * MIB),))], LENT, short, "tower")
    assert [unit.number for unit in verdict.units] == [7]
    assert verdict.why.startswith("tower was short of memory, and its owner's programs come first")
    assert verdicts([Use(50 * MIB, units=(task(20 * MIB),))], LENT, short, "tower") == [], "little would come of it"


def test_processes_are_counted_for_each_guest():
    crowded = Use(own_processes=10, units=(task(0, 5, 20), task(0, 6, 300)), most_processes=320)
    [verdict] = verdicts([crowded, crowded._replace(most_processes=330)], LENT, PLENTY, "tower")
    assert [unit.number for unit in verdict.units] == [6]
    assert verdict.why == "It started more than 320 processes and threads, which is what tower lends."


def test_more_cores_mean_more_threads():
    assert bounds.threads(2) == 384
    assert bounds.threads(64) > 64 * 64


def test_it_is_looked_more_often_when_it_may_soon_be_too_much():
    assert not near([Use(units=(task(MIB),))], LENT, PLENTY)
    assert near([Use(units=(task(1100 * MIB),))], LENT, PLENTY)
    assert near([Use(units=(task(0, 5, 200),))], LENT, PLENTY)
    assert near([], LENT, Machine(16 * GIB, GIB - 1))


def test_of_the_disk_the_largest_goes():
    room = Room(12 * GIB, {"3-1-1": 3 * GIB, "3-2-1": 8 * GIB, 55: GIB})
    evicted = eviction([Room(), room], LENT, DISK, "tower")
    assert evicted == (1, ("3-2-1",), "It took more than 10 GiB of the disk, which is what tower lends.")


def test_of_a_disk_that_is_nearly_full_guests_give_what_they_have():
    full = Disk(100 * GIB, 4 * GIB)
    evicted = eviction([Room(2 * GIB, {"3-1-1": 2 * GIB})], LENT, full, "tower")
    assert evicted == (0, ("3-1-1",), "The disk of tower was nearly full, and it took the most of it.")
    assert eviction([Room(WORTH - 1, {"3-1-1": WORTH - 1})], LENT, full, "tower") is None
    assert eviction([], LENT, full, "tower") is None


def test_without_terms_half_of_what_is_free_is_lent():
    """What guests have taken counts as free: the bound does not fall as they fill it."""
    assert bounds.lent_disk([Room(20 * GIB)], Lent(GIB), Disk(100 * GIB, 60 * GIB)) == 40 * GIB
    assert eviction([Room(41 * GIB)], Lent(GIB), Disk(100 * GIB, 39 * GIB), "tower") is not None


@given(st.dictionaries(st.integers(), st.integers(0, 1000), max_size=20), st.integers(1, 3000))
def test_the_blamed_suffice_are_few_and_none_is_smaller_than_one_that_goes_on(shares: dict[int, int], excess: int):
    found = blamed(shares, excess)
    assert len(found) <= bounds.MOST_BLAMED
    if found:
        assert sum(shares[one] for one in found) >= excess
        assert sum(shares[one] for one in found[:-1]) < excess
        spared = [size for one, size in shares.items() if one not in found]
        assert min(shares[one] for one in found) >= max(spared, default=0)
    else:
        assert sum(sorted(shares.values())[-bounds.MOST_BLAMED :]) < excess


@given(st.lists(uses, max_size=5), st.integers(1, 8 * GIB), st.integers(0, 16 * GIB))
def test_whatever_is_ended_frees_what_was_too_much_or_is_a_whole_guest(found: list[Use], lent: int, available: int):
    machine = Machine(16 * GIB, available)
    judged = verdicts(found, Lent(lent), machine, "tower")
    excess = sum(use.memory for use in found) - lent
    for verdict in judged:
        assert verdict.why.endswith(".")
        assert set(verdict.units) <= set(found[verdict.guest].units)
    if excess > 0:
        assert any(not each.units or sum(unit.memory for unit in each.units) >= excess for each in judged)
    elif available >= bounds.floor(machine) and all(use.processes <= use.most_processes for use in found):
        assert judged == []


@given(st.lists(rooms, max_size=4), st.integers(1, 20 * GIB), st.integers(0, 100 * GIB))
def test_who_takes_no_more_than_is_lent_of_a_disk_with_room_is_left_alone(found: list[Room], lent: int, free: int):
    disk = Disk(100 * GIB, free)
    evicted = eviction(found, Lent(GIB, lent), disk, "tower")
    too_much = sum(room.total for room in found) > lent
    if not too_much and free >= bounds.reserve(disk.total):
        assert evicted is None
    if too_much:
        assert evicted is not None
        assert found[evicted.guest].total == max(room.total for room in found)
        assert set(evicted.named) <= set(found[evicted.guest].shares)
