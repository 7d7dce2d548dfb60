"""What a guard has seen of other computers' records: kept, signed, and compared."""

from __future__ import annotations

import msgspec
import pytest

from commonhold.authority import witness
from commonhold.authority.lines import BEFORE_ALL
from commonhold.authority.witness import Telling, Witness, by_line, checked
from commonhold.errors import Conflict, Refused
from commonhold.wire import from_json

from .conftest import Computer

LINES = tuple(f"{number:064x}" for number in range(1, 9))


@pytest.fixture
def tower(tmp_path):
    """A guard with a clock, which sees its own record for simplicity's sake: it is a member."""
    made = Computer("tower", tmp_path / "state.db")
    made.time = 1_800_000_000.0
    made.witness = Witness(made.connection, made.key, made.facts, made.record, lambda: made.time)
    made.tell = lambda after, at, *lines: made.witness.take(made.key.fingerprint, Telling(after, at, lines))
    return made


def test_what_was_told_is_signed_and_told_again(tower):
    own = tower.key.fingerprint
    envelope = tower.tell(0, BEFORE_ALL, *LINES[:3])
    head = checked(envelope, own, tower.key.spki, tower.facts.network_id, own)
    assert (head.after, head.lines) == (0, LINES[:3])
    tower.tell(3, LINES[2], *LINES[3:])
    first, second = tower.witness.sightings(own)
    assert (first.lines, second.after, second.lines) == (LINES[:3], 3, LINES[3:])
    assert [sight.hash for sights in by_line([first, second]).values() for sight in sights] == list(LINES)
    assert tower.witness.sightings(own, first.id) == [second]
    assert tower.witness.alarms() == ()


def test_who_lost_count_hears_where_to_go_on(tower):
    tower.tell(0, BEFORE_ALL, *LINES[:3])
    with pytest.raises(Conflict) as told:
        tower.tell(0, BEFORE_ALL, *LINES[:5])
    assert told.value.more["number"] == 3
    assert tower.witness.alarms() == ()


@pytest.mark.parametrize("at", [None, LINES[7]])
def test_another_line_where_one_was_seen_is_an_alarm_once_in_an_hour(tower, at):
    tower.tell(0, BEFORE_ALL, *LINES[:3])
    for _ in range(2):
        with pytest.raises(Conflict) as told:
            tower.tell(3, at)
        assert told.value.more["number"] == 0
        tower.tell(0, BEFORE_ALL, *LINES[1:4])
    assert [event for event, _ in tower.events] == ["record rewritten"]
    (alarm,) = tower.witness.alarms()
    assert alarm.startswith("tower: its record was rewritten: line 3,")
    seen = by_line(tower.witness.sightings(tower.key.fingerprint))
    assert {sight.hash for sight in seen[1]} == {LINES[0], LINES[1]}, "both stay, so that no record fits any more"
    tower.time += witness.REPORTED + 1
    assert tower.witness.alarms() == ()


def test_what_is_kept_of_one_computer_is_bounded(tower, monkeypatch):
    monkeypatch.setattr(witness, "KEPT", 20 * witness.ROW)
    monkeypatch.setattr(witness, "TIDY_EVERY", 1)
    after, at = 0, BEFORE_ALL
    for number in range(100):
        lines = (f"{number + 1:064x}",)
        tower.tell(after, at, *lines)
        after, at = after + 1, lines[0]
    kept = tower.witness.sightings(tower.key.fingerprint)
    assert 15 <= len(kept) <= 20
    assert kept[-1].lines == (at,), "the oldest go first"


def test_computers_that_take_turns_fill_no_guards_disk(tower, tmp_path, monkeypatch):
    """Rows were tidied by their number: whoever left the right ones to an accomplice was never tidied."""
    monkeypatch.setattr(witness, "KEPT", 20 * witness.ROW)
    monkeypatch.setattr(witness, "TIDY_EVERY", 2)
    greedy, accomplice = (Computer(name, tmp_path / f"{name}.db").key.fingerprint for name in ("desk", "shed"))
    after, at = 0, BEFORE_ALL
    for number in range(100):
        lines = (f"{number + 1:064x}",)
        for computer in (greedy, accomplice):
            tower.witness.take(computer, Telling(after, at, lines))
        after, at = after + 1, lines[0]
    assert all(len(tower.witness.sightings(each)) <= 22 for each in (greedy, accomplice))


def test_a_head_for_another_computer_or_by_another_key_is_none(tower, tmp_path):
    own = tower.key.fingerprint
    envelope = tower.tell(0, BEFORE_ALL, *LINES[:1])
    other = Computer("laptop", tmp_path / "other.db")
    with pytest.raises(Refused):
        checked(envelope, own, tower.key.spki, tower.facts.network_id, other.key.fingerprint)
    with pytest.raises(Refused):
        checked(envelope, other.key.fingerprint, other.key.spki, tower.facts.network_id, own)
    with pytest.raises(Refused):
        checked(envelope, own, tower.key.spki, other.facts.network_id, own)
    for kind in ("application/vnd.commonhold.admit+json", ""):
        disguised = msgspec.structs.replace(envelope, payload_type=kind)
        with pytest.raises(Refused):
            checked(disguised, own, tower.key.spki, tower.facts.network_id, own)


@pytest.mark.parametrize(
    "body",
    [
        b'{"after":-1,"at":null,"lines":[]}',
        b'{"after":0,"at":"00","lines":[]}',
        b'{"after":0,"at":null,"lines":["%s\\n"]}' % (b"0" * 64),
        b'{"after":0,"at":null,"lines":[%s]}' % b",".join([b'"%s"' % (b"0" * 64)] * (witness.MOST_LINES + 1)),
        b'{"after":99999999999999999999,"at":null,"lines":[]}',
    ],
)
def test_hostile_tellings_are_none(body):
    with pytest.raises(ValueError, match=r".+"):
        from_json(body, Telling)
