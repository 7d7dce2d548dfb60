"""The file that advice rests on: what it says, what it leaves out, and what makes no sense."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.plan.fields import FIELDS
from commonhold.plan.scenario import Provenance, Scenario, Value, parse, told, written
from commonhold.plan.workload import WORKLOADS

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
        ("[money]\nrate = inf", ["rate", "no number"]),
        ("[fleet.hot]\nvalue = 0.5\nlow = 0.6\nhigh = 0.9", ["hot = 0.5", "between its own bounds"]),
        ("[fleet.hot]\nlow = 0.6", ["fleet.hot", "no value"]),
        ("[fleet.hot]\nvalue = 0.5\norigin = 'dreamt'", ["dreamt", "measured"]),
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


@given(st.text(max_size=200))
def test_any_text_is_a_scenario_or_is_refused(text):
    try:
        parse(text)
    except WrongUsage as error:
        assert error.sentence  # noqa: PT017 - it may also be fine
