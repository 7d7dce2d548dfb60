from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.transport import Address, private_addresses


@pytest.mark.parametrize("text", ["127.0.0.2:7440", "tower.local:1", "[fd00::2]:7440", "my_nas:65535", "[::1]:0"])
def test_an_address_reads_as_it_is_written(text):
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "tower", ":7440", "tower:", "tower:-1", "tower:70000", "tower:٣", "tower:1 ", "x" * 254 + ":1"),
        *("fd00::2:7440", "[tower:1", "[a]b:1", "a b:1", "a/b:1", "u@tower:1", "a\x1b:1"),
    ],
)
def test_what_could_mean_something_else_is_no_address(text):
    with pytest.raises(WrongUsage):
        Address.parse(text)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_wrong_usage(text):
    try:
        address = Address.parse(text)
    except WrongUsage:
        return
    assert Address.parse(str(address)) == address


def test_the_default_addresses_are_private_ones():
    found = private_addresses()
    assert found
    assert all(ipaddress.ip_address(text).is_private or text.startswith("100.") for text in found)
