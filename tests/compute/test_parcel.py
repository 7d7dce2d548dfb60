"""What a pickle needs where it is opened, read without opening it."""

from __future__ import annotations

import decimal
import json
import pickle

import cloudpickle
import msgspec
import pytest

from commonhold.compute.parcel import modules_of, pack


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_names_of_modules_are_read_from_the_instructions(protocol: int):
    data = pickle.dumps([decimal.Decimal, decimal.Decimal(1), json.dumps], protocol)
    assert {"decimal", "json"} <= modules_of(data)


def test_a_module_that_a_function_uses_is_found():
    assert "msgspec.json" in pack(lambda text: [msgspec.json.decode(text)]).modules


def test_what_is_everywhere_is_not_asked_for():
    assert pack(lambda text: [json.loads(text)]).modules == frozenset()


def test_the_list_of_what_travels_is_as_it_was_afterwards():
    def own(number):
        return number

    before = cloudpickle.list_registry_pickle_by_value()
    assert [module.__name__.partition(".")[0] for module in pack(own).carried] in ([], ["tests"])
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_reading_executes_nothing():
    class Trap:
        def __reduce__(self):
            return exec, ("raise SystemExit('it was opened')",)

    assert "builtins" in modules_of(pickle.dumps(Trap()))
