"""What a node records by itself: members that come and go, charters, alarms, and a clock that was set."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.authority.events import check
from commonhold.node.chronicle import AHEAD, Chronicle, ClockWatch

from ..authority.suite import Casa, fingerprint

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Lines(list):
    def __call__(self, event, **words):
        check(event, words)
        self.append((event, words))


def test_who_came_and_who_went_whoever_signed_it():
    roster = Casa("peer").roster
    laptop = fingerprint("laptop")
    without = replace(roster, members={known: m for known, m in roster.members.items() if known != laptop})
    lines = Lines()
    chronicle = Chronicle(lines, roster)
    chronicle.heard(roster)
    assert lines == []
    chronicle.heard(without)
    chronicle.heard(roster)
    words = {"computer": "laptop", "person": "bob", "fingerprint": laptop}
    assert lines == [("gone", words), ("admit", words)]


def test_a_new_charter_a_new_shape_and_an_alarm():
    roster = Casa("peer").roster
    lines = Lines()
    chronicle = Chronicle(lines, roster)
    tower = fingerprint("tower")
    charter = replace_charter(roster.charter, number=2, shape="client-server", server=tower)
    second = replace(roster, charter=charter, charter_id="2" * 64)
    chronicle.heard(second)
    disputed = replace(second, alarm="Two different charters have the number 3.")
    chronicle.heard(disputed)
    chronicle.heard(disputed)
    assert [event for event, _ in lines] == ["charter", "shape change", "alarm"]
    assert lines[0][1]["number"] == 2
    assert lines[1][1] == {"shape": "client-server", "before": "peer-to-peer", "server": "tower"}
    assert lines[2][1] == {"reason": "Two different charters have the number 3."}


def replace_charter(charter, **changes):
    import msgspec

    return msgspec.structs.replace(charter, **changes)


@pytest.mark.parametrize(
    ("wall", "steady", "jumped"),
    [
        (15, 15, None),
        (16, 15, None),
        (15 + AHEAD + 1, 15, 61),
        (-30, 15, -45),
        (12, 15, -3),
        (8 * 3600, 8 * 3600, None),  # a laptop that slept, by a clock that counts sleep
    ],
)
def test_a_clock_that_was_set_is_noticed(wall, steady, jumped):
    time = {"wall": NOON, "steady": 100.0}
    lines = Lines()
    watch = ClockWatch(lines, None, lambda: time["wall"], lambda: time["steady"])
    time.update(wall=NOON + timedelta(seconds=wall), steady=100.0 + steady)
    watch.look()
    watch.look()
    assert lines == ([] if jumped is None else [("clock jump", {"seconds": jumped})])


def test_a_clock_set_back_while_the_node_was_down_is_noticed_by_the_last_line():
    lines = Lines()
    ClockWatch(lines, NOON + timedelta(days=1), lambda: NOON, lambda: 0.0)
    assert lines == [("clock jump", {"seconds": -86400})]
    ClockWatch(lines, NOON - timedelta(days=1), lambda: NOON, lambda: 0.0)
    assert len(lines) == 1
