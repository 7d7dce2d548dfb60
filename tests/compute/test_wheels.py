"""The wheels that a hub keeps for a person: each whole or not there, and never more than fit."""

from __future__ import annotations

import hashlib
import os

import pytest
from tests.compute.conftest import ANN, BOB
from tests.compute.packages import wheel as made_wheel

from commonhold.compute import wheels
from commonhold.compute.environment import Environment, Wheel
from commonhold.compute.wheels import Wheelhouse, Wheelhouses
from commonhold.errors import Damaged, NoSpace, NotFound


def filled(house: Wheelhouse, content: bytes) -> Wheel:
    wheel = Wheel(f"x{content[0]}-1.0-py3-none-any.whl", hashlib.sha256(content).hexdigest(), len(content))
    with house.begin(wheel, 0) as file:
        file.write(content)
        house.finish(wheel, file)
    return wheel


def of(*found: Wheel) -> Environment:
    return Environment("3.11", "x86_64", found)


@pytest.fixture
def house(tmp_path):
    return Wheelhouse(tmp_path / "wheels")


def test_a_wheel_is_whole_or_its_beginning_is_known(house):
    content = os.urandom(1000)
    wheel = Wheel("a-1-py3-none-any.whl", hashlib.sha256(content).hexdigest(), 1000)
    assert [(each.sha256, each.have) for each in house.lacking(of(wheel))] == [(wheel.sha256, 0)]
    with house.begin(wheel, 0) as file:
        file.write(content[:400])
    assert house.lacking(of(wheel))[0].have == 400
    with pytest.raises(Damaged):
        house.begin(wheel, 401)
    with house.begin(wheel, 300) as file:
        file.write(content[300:])
        house.finish(wheel, file)
    assert house.lacking(of(wheel)) == []
    house.require(of(wheel))
    assert house.file(wheel).read_bytes() == content


def test_what_is_damaged_is_forgotten(house):
    wheel = Wheel("a-1-py3-none-any.whl", "0" * 64, 3)
    with house.begin(wheel, 0) as file:
        file.write(b"abc")
        with pytest.raises(Damaged, match=r"a-1-py3-none-any.whl arrived damaged"):
            house.finish(wheel, file)
    assert house.lacking(of(wheel))[0].have == 0
    with pytest.raises(NotFound, match="not here any more"):
        house.require(of(wheel))


def test_one_that_lost_its_end_is_fetched_again(house):
    """As after a power cut, if a disk has lied about what it had written."""
    wheel = filled(house, b"a" * 100)
    with house.file(wheel).open("r+b") as file:
        file.truncate(10)
    assert not house.has(wheel)
    assert len(house.lacking(of(wheel))) == 1


def test_what_was_not_used_for_longest_gives_way(house, monkeypatch):
    monkeypatch.setattr(wheels, "MOST_KEPT", 350)
    found = [filled(house, bytes([number]) * 100) for number in (1, 2, 3)]
    for age, wheel in enumerate(found):
        os.utime(house.file(wheel), (age, age))
    house.lacking(of(found[0]))  # it counts as used now
    house.make_room(120, {found[2].sha256})
    assert [house.has(each) for each in found] == [True, False, True]
    with pytest.raises(NoSpace, match="There is room for"):
        house.make_room(251, {found[2].sha256})


def test_a_wheel_from_elsewhere_keeps_its_name_and_comes_once(house, tmp_path):
    first = house.take(made_wheel(tmp_path / "one", "helper"))
    again = house.take(made_wheel(tmp_path / "two", "helper"))
    assert first.name == "helper-1.0-py3-none-any.whl"
    assert house.has(first)
    assert (first == again) is (first.sha256 == again.sha256)


def test_each_person_has_their_own(tmp_path):
    houses = Wheelhouses(tmp_path, owner=ANN)
    wheel = filled(houses.of(BOB), b"secret")
    assert not houses.of(ANN).has(wheel)
    assert houses.of(BOB).has(wheel)
    assert sorted(each.name for each in tmp_path.iterdir()) == [str(BOB)]
