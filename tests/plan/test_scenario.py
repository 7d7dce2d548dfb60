"""The file that advice rests on: what it says, what it leaves out, and what makes no sense."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.queues.workload import WORKLOADS
from commonhold.plan.values.fields import FIELDS
from commonhold.plan.values.scenario import Provenance, Scenario, Value, parse, told, written

WITH_EVERYTHING = """
workload = "media"
[fleet]
computers = 12
hot = 0.5
[fleet.strength]
value = 3.1
origin = "measured"
source = "measure, at tower"
date = 2026-11-30
low = 2.9
high = 3.3
[need]
strict = true
"""


def test_a_value_says_where_it_comes_from():
    scenario = parse(WITH_EVERYTHING)
    assert scenario.workload.name == "media"
    assert scenario.value("computers") == Value(12, Provenance.TOLD, "told", 12, 12)
    measured = Value(3.1, Provenance.MEASURED, "measure, at tower", 2.9, 3.3, date(2026, 11, 30))
    assert scenario.value("strength") == measured
    assert scenario["strict"] == 1
    rate = scenario.value("rate")
    assert (rate.origin, rate.number, rate.source) == (
        Provenance.ASSUMED,
        FIELDS["rate"].assumed,
        FIELDS["rate"].source,
    )


def test_what_is_not_said_follows_from_what_is():
    scenario = parse(WITH_EVERYTHING)
    assert scenario["people"] == 12
    assert scenario["think"] == WORKLOADS["media"].think
    assert parse('workload = "media"\n[fleet]\nlink = 10').value("transfer").number == pytest.approx(
        100 * parse('workload = "media"\n[fleet]\nlink = 1000')["transfer"]
    )
    assert parse("[fleet]\ncomputers = 9\npeople = 3")["people"] == 3


SAID = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), st.floats(0, 1).map(lambda part: _between(name, part)), st.text(max_size=20))
)


def _between(name: str, part: float) -> float:
    field = FIELDS[name]
    number = field.least + part * (min(field.most, 1e6) - field.least)
    return float(round(number)) if field.whole else number


@given(st.lists(SAID, max_size=8), st.sampled_from(sorted(WORKLOADS)), st.sampled_from(Provenance))
def test_what_is_written_is_read_again(said, workload, origin):
    values = {name: Value(number, origin, source, number, number, date(2026, 1, 2)) for name, number, source in said}
    values["think"] = Value(1.0, Provenance.TOLD, "told", 1.0, 1.0)
    scenario = Scenario(values, workload)
    again = parse(written(scenario))
    assert list(again) == list(scenario)
    assert again.workload == scenario.workload


def test_a_file_of_assumptions_still_follows_what_is_changed():
    """Whoever saves a scenario, and then says another number of computers, has as many people."""
    saved = parse(written(Scenario({})))
    assert saved.but(computers=40)["people"] == 40
    assert parse(written(Scenario({})).replace("value = 30\n", "value = 31\n"))["rate"] == 31


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("computers = 12", ["computers", "no section"]),
        ("[flet]\ncomputers = 12", ["flet", "no section"]),
        ("[fleet]\ncomputer = 12", ["computer", "did you mean computers?"]),
        ("[work]\ncomputers = 12", ["work", "computers"]),
        ("[fleet]\ncomputers = -3", ["computers = -3", "between 1 and 10000"]),
        ("[fleet]\ncomputers = 2.5", ["computers = 2.5", "no whole number"]),
        ("[fleet]\ncomputers = 'many'", ["computers", "no number"]),
        ("[fleet]\ncomputers = nan", ["computers", "no number"]),
        ("[fleet]\ncomputers = true", ["computers", "no number"]),
        ("[fleet]\nhot = 1.5", ["hot = 1.5", "between 0 and 1"]),
        ("[money]\nrate = inf", ["rate", "no number", "between 0 and 1000"]),
        (f"[money]\nrate = {'9' * 400}", ["rate", "no number", "999…"]),
        (f"[money]\nrate = {'9' * 5000}", ["no scenario", "digits"]),
        (f"[money]\nrate = {'[' * 3000}", ["no scenario"]),
        ("[[money.rate]]\nvalue = 3", ["rate", "no number"]),
        ("[rates]\nsync = -1", ["sync = -1", "between 0 and 10 s"]),
        ("[rates]\ndisk_rate = 0", ["disk_rate = 0", "MB/s"]),
        ("[fleet.hot]\nvalue = 0.5\nlow = -1", ["hot = -1, its low end", "between 0 and 1"]),
        ("[fleet.hot]\nvalue = 0.5\nlow = 0.6\nhigh = 0.9", ["hot = 0.5", "between its own bounds"]),
        ("[fleet.hot]\nlow = 0.6", ["fleet.hot", "no value"]),
        ("[fleet.hot]\nvalue = 0.5\norigin = 'dreamt'", ["dreamt", "measured"]),
        ("[fleet.hot]\nvalue = 0.5\norigin = [1]", ["[1]", "measured"]),
        ("[fleet.hot]\nvalue = 0.5\norigin = {a = 1}", ["origin", "measured"]),
        ("[fleet.hot]\nvalue = 0.5\ndate = 'today'", ["date", "2026-11-30"]),
        ("[fleet.hot]\nvalue = 0.5\nhigher = 0.6", ["higher"]),
        ("[work]\nthink = 0\nprocessor = 0\ndisk = 0\ntransfer = 0", ["without end"]),
        ("workload = 'games'", ["games", "office"]),
        ("workload = 3", ["workload"]),
        ("[fleet", ["no scenario"]),
    ],
)
def test_what_makes_no_sense_names_field_value_and_bound(text, words):
    with pytest.raises(WrongUsage) as refused:
        parse(text)
    said = f"{refused.value.sentence} {refused.value.hint}"
    assert all(word in said for word in words), said


def test_a_value_that_is_told_by_a_wrong_name_is_not_lost():
    with pytest.raises(WrongUsage, match="rat"):
        told({"rat": 3})


def test_no_forecast_goes_far_beyond_what_was_measured_without_a_warning():
    assert not Scenario(told({"computers": 40, "measured": 10})).warnings()
    (warning,) = Scenario(told({"computers": 41, "measured": 10})).warnings()
    assert "41" in warning
    assert "10" in warning


def test_what_is_hardly_meant_is_warned_of():
    assert not Scenario({}).warnings(today=date(2026, 11, 30))
    (warning,) = parse("[fleet]\ncomputers = 5\nhot = 0.1").warnings()
    assert warning == "Hot: 0.1 is less than an equal part of 5 computers: they are taken to have 0.2 each."
    (warning,) = parse("[fleet]\ncomputers = 2\n[money]\ndependants = 7").warnings()
    assert warning.startswith("Dependants: 7 are more than all people")


def test_old_measurements_and_those_of_a_day_to_come_are_warned_of():
    scenario = parse(WITH_EVERYTHING)
    assert not scenario.warnings(today=date(2026, 12, 1))
    (warning,) = scenario.warnings(today=date(2027, 8, 1))
    assert warning.startswith("strength: measured more than 183 days ago, the first on 2026-11-30")
    (warning,) = scenario.warnings(today=date(2026, 10, 1))
    assert warning.startswith("strength (2026-11-30): measured on a day that is yet to come")
    assert parse(WITH_EVERYTHING.replace("2026-11-30", "2026-11-30T12:00:00Z")).value("strength").day == date(
        2026, 11, 30
    )


def test_times_follow_from_rates_that_are_told():
    slow = parse("[rates]\nread = 0.5\nwrite_byte = 900")
    assert slow["processor"] > 100 * Scenario({})["processor"]
    assert slow.value("processor").source == "the workload office, at rates that were said"
    assert slow["think"] == Scenario({})["think"]
    assert parse("workload = 'compute'\n[rates]\nstart = 2")["computing"] == 6


ANYTHING = st.one_of(
    st.integers(),
    st.integers(-(10**420), 10**420),
    st.floats(),
    st.booleans(),
    st.dates(),
    st.text("ab é'", max_size=5),
).map(lambda value: repr(value) if not isinstance(value, bool | date) else str(value).lower())


@given(
    st.sampled_from(sorted(FIELDS)), st.sampled_from(["{}", "{{ value = {} }}", "{{ value = 1, high = {} }}"]), ANYTHING
)
def test_whatever_a_value_is_given_it_lies_within_its_bounds_or_is_named_with_them(name, form, said):
    field = FIELDS[name]
    try:
        scenario = parse(f"[{field.section}]\n{name} = {form.format(said)}")
    except WrongUsage as error:
        words = f"{error.sentence} {error.hint}"
        assert name in words or "no scenario" in words
        if "no number" in words or "out of bounds" in words:
            assert f"between {field.least:g} and {field.most:g}" in words
    else:
        value = scenario.value(name)
        assert field.least <= value.low <= value.number <= value.high <= field.most


@given(st.text(max_size=200))
def test_any_text_is_a_scenario_or_is_refused(text):
    try:
        parse(text)
    except WrongUsage as error:
        assert error.sentence  # noqa: PT017 - it may also be fine
