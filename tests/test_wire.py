"""What goes onto the wire comes back the same; what is hostile does not come in."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.answers import Explanation, JoiningCode, KnownComputer, Place, Ruling, Status
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.home import LendingTerms
from commonhold.names import ComputerName, Fingerprint, PersonId, PersonName, ShareName
from commonhold.wire import convert, from_json, to_json

AMOUNTS = st.integers(0, 2**62 - 1)
HOURS = st.sampled_from(["", "19-7", "9:30-17"])
TERMS = st.builds(LendingTerms, st.sampled_from(["always", "idle", "never"]), AMOUNTS, AMOUNTS, AMOUNTS, HOURS)
st.register_type_strategy(LendingTerms, TERMS)

HEX = "0123456789abcdef"
TEXTS = st.text(max_size=40)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))


class Card(msgspec.Struct, frozen=True):
    computer: ComputerName
    fingerprint: Fingerprint
    person: PersonId
    name: PersonName
    shares: tuple[ShareName, ...] = ()
    at: datetime | None = None
    content: bytes = b""


def made(kind, text):
    try:
        return kind(text)
    except WrongUsage:
        return None


def names(kind):
    return (
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).map(lambda text: made(kind, text)).filter(bool)
    )


CARDS = st.builds(
    Card,
    computer=names(ComputerName),
    fingerprint=st.text(HEX, min_size=64, max_size=64).map(Fingerprint),
    person=st.text(HEX, min_size=32, max_size=32).map(PersonId),
    name=names(PersonName),
    shares=st.lists(names(ShareName), max_size=3).map(tuple),
    at=st.none() | MOMENTS,
    content=st.binary(max_size=60),
)


@given(CARDS)
def test_a_record_goes_there_and_comes_back(card):
    back = from_json(to_json(card), Card)
    assert back == card
    assert type(back.computer) is ComputerName
    assert type(back.fingerprint) is Fingerprint
    assert convert(msgspec.json.decode(to_json(card)), Card) == card


@pytest.mark.parametrize("kind", [Explanation, JoiningCode, KnownComputer, Place, Ruling, Status])
@given(data=st.data())
def test_answers_go_there_and_come_back(kind, data):
    value = data.draw(st.from_type(kind))
    assert from_json(to_json(value), kind) == value


def good():
    return {"computer": "tower", "fingerprint": "a" * 64, "person": "b" * 32, "name": "ann"}


@pytest.mark.parametrize(
    ("field", "hostile"),
    [
        ("computer", "../../etc"),
        ("computer", ""),
        ("computer", "tower\u202e"),
        ("computer", "x" * 64),
        ("computer", "any"),
        ("fingerprint", "A" * 64),
        ("fingerprint", "a" * 63),
        ("fingerprint", "a" * 64 + "\n"),
        ("person", "b" * 33),
        ("name", "members"),
        ("shares", ["fine", "com1"]),
    ],
)
def test_a_hostile_name_is_refused_as_it_is_read(field, hostile):
    with pytest.raises(CommonholdError):
        from_json(msgspec.json.encode(good() | {field: hostile}), Card)
    with pytest.raises(CommonholdError):
        convert(good() | {field: hostile}, Card)


@pytest.mark.parametrize("wrong", [7, None, ["tower"], {"tower": 1}, True, 1.5])
def test_what_is_no_text_is_no_name(wrong):
    with pytest.raises(ValueError, match="computer"):
        from_json(msgspec.json.encode(good() | {"computer": wrong}), Card)


@given(st.binary(max_size=200))
def test_garbage_raises_what_the_readers_catch(garbage):
    with pytest.raises((ValueError, CommonholdError)):
        from_json(garbage, Card)


@given(st.dictionaries(st.sampled_from(sorted(good())), TEXTS | st.integers() | st.none(), max_size=4))
def test_a_record_with_a_wrong_field_is_read_as_none_or_as_checked(fields):
    try:
        card = from_json(msgspec.json.encode(good() | fields), Card)
    except (ValueError, CommonholdError):
        return
    assert ComputerName(card.computer) == card.computer
    assert set(card.fingerprint) <= set(string.hexdigits)


def test_names_are_the_text_that_they_are_on_the_wire():
    assert to_json({"computer": ComputerName("tower"), "at": datetime(2026, 1, 2, tzinfo=UTC)}) == (
        b'{"computer":"tower","at":"2026-01-02T00:00:00Z"}'
    )
