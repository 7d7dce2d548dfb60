"""What becomes of readings: values with their spread, day and source; and what of several measurements counts."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.plan.values.fields import FIELDS
from commonhold.plan.values.fitting import Middle
from commonhold.plan.values.measured import (
    Reached,
    Round,
    Timing,
    figures,
    links,
    merged,
    rates,
    strength,
    thought,
    value,
    written,
)
from commonhold.plan.values.scenario import Provenance, Value, parse

TODAY = date(2026, 11, 30)
SIZES = (4_096, 65_536, 1_048_576)


def round_(read: float, read_byte: float, write: float, write_byte: float) -> Round:
    reads, writes = (
        tuple(Timing(size, 10, 10 * (each + byte * size)) for size in SIZES)
        for each, byte in ((read, read_byte), (write, write_byte))
    )
    return Round(reads, writes, 0.004)


def test_rates_are_what_the_rounds_were_made_of():
    found = rates([round_(2e-4, 1e-9, 5e-4, 2e-9), round_(4e-4, 3e-9, 5e-4, 2e-9)], "doors", TODAY)
    assert found["read"].number == pytest.approx(3e-4)
    assert (found["read"].low, found["read"].high) == pytest.approx((2.2e-4, 3.8e-4))
    assert found["read_byte"].number == pytest.approx(2.0), "in nanoseconds"
    assert found["write_byte"].number == pytest.approx(2.0)
    assert found["listing"] == Value(0.004, Provenance.MEASURED, "doors", 0.004, 0.004, TODAY)


def test_the_link_is_what_passed_each_way():
    reached = [Reached("nas", sending=10e6, receiving=12.5e6), Reached("desk", troubles=("distance: it sleeps",))]
    assert links(reached, TODAY)["link"].number == 90
    assert links(reached[1:], TODAY) == {}


def test_the_server_is_as_strong_as_it_is_beside_the_median_of_the_others():
    speeds = {"tower": [0.9, 1.0, 1.1], "nas": [3.0], "desk": [2.0]}
    assert strength(speeds, "", TODAY)["strength"].number == 2, "the fastest would be it: 3 beside 1.5"
    found = strength(speeds, "tower", TODAY)["strength"]
    assert found.number == pytest.approx(1 / 2.5)
    assert found.low < found.number < found.high
    assert strength({"tower": [1.0]}, "", TODAY) == {}
    assert strength({"tower": [1.0], "desk": [1.0]}, "nas", TODAY) == {}, "the server was not measured"


VALUES = st.dictionaries(
    st.sampled_from(sorted(FIELDS)),
    st.tuples(st.floats(0, 1e6), st.dates(date(2020, 1, 1), TODAY)),
    max_size=6,
)


@given(VALUES, VALUES)
def test_the_newest_of_each_value_counts_and_the_file_holds_them_all(before, now):
    def made(readings, source):
        return {name: value(name, Middle(*[x] * 3), source, day) for name, (x, day) in readings.items()}

    old, new = made(before, "before"), made(now, "now")
    found = merged(old, new)
    assert found.keys() == old.keys() | new.keys()
    for name, each in found.items():
        assert each in {old.get(name), new.get(name)}
        assert each.day == max(side[name].day for side in (old, new) if name in side)
    if not any(found[name].number for name in ("think", "processor", "disk", "transfer", "computing") if name in found):
        found = {name: each for name, each in found.items() if FIELDS[name].section != "work"}
    again = parse(written(found, ["nas: it sleeps\nstill"]))
    assert {name: each for name, each in again if each.origin is Provenance.MEASURED} == found
    assert [each.name for each in figures(found)] == [name for name in FIELDS if name in found]


def test_large_figures_are_written_out():
    (told,) = figures({"link": value("link", Middle(1570.4, 884, 1600), "files", TODAY)})
    assert "(link): 1,570 Mbit/s, 8 of 10 from 884 to 1,600; files" in told.sentence


@given(st.sampled_from(sorted(FIELDS)), st.floats(-1e12, 1e12))
def test_whatever_is_measured_lies_within_the_bounds_of_its_field(name, number):
    found = value(name, Middle(number, number, number), "a probe", TODAY)
    assert FIELDS[name].least <= found.number <= FIELDS[name].most
    assert not FIELDS[name].whole or found.number == int(found.number)


def test_how_long_people_think_is_told_only_from_enough_pauses():
    few = [{"event": "pauses", "people": 2, "pauses": 20, "seconds": 5.0}, {"event": "pauses", "pauses": "many"}, {}]
    assert thought(few, True, TODAY) == {}
    found = thought([*few, {"event": "pauses", "people": 1, "pauses": 60, "seconds": 9.0}], False, TODAY)["think"]
    assert (found.number, found.low, found.high) == pytest.approx((8, 5.4, 8.6))
    assert "at most" in found.source
