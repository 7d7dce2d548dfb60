"""A wrong code never admits, and no byte changed on the way goes unnoticed."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.errors import Refused
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import Code
from commonhold.identity.join import Confirmation, Hello, Inviter, JoinState, Newcomer, Reply, Welcome
from commonhold.identity.keys import Key

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOWER, LAPTOP = Key.generate(), Key.generate()
CERTIFICATE = self_signed(LAPTOP, NOON)
CODES = st.builds(lambda drawn: Code.draw(7, lambda _: drawn), st.binary(min_size=4, max_size=4))


def both(code: Code, typed: Code) -> tuple[Inviter, Newcomer]:
    return Inviter(code, TOWER.spki, os.urandom), Newcomer(typed, LAPTOP, CERTIFICATE, TOWER.spki, os.urandom)


@given(code=CODES, typed=CODES)
@settings(deadline=None, max_examples=20)
def test_only_the_right_code_admits(code, typed):
    inviter, newcomer = both(code, typed)
    confirmation = newcomer.answered(inviter.greeted(newcomer.hello()), "laptop", "ben")
    if code == typed:
        assert inviter.confirmed(confirmation) == CERTIFICATE
        assert newcomer.welcomed(inviter.welcome(b"x")) == b"x"
    else:
        with pytest.raises(Refused):
            inviter.confirmed(confirmation)
        assert inviter.state is JoinState.REFUSED


def flipped(message, data):
    """The message with one bit of one of its byte fields changed, or one character of a text field."""
    name = data.draw(st.sampled_from([name for name in message.__struct_fields__ if getattr(message, name)]))
    value = getattr(message, name)
    place = data.draw(st.integers(0, 9999)) % len(value)  # lengths differ from run to run
    if isinstance(value, str):
        return msgspec.structs.replace(message, **{name: value[:place] + "¤" + value[place + 1 :]})
    changed = value[place] ^ 1 << data.draw(st.integers(0, 7))
    return msgspec.structs.replace(message, **{name: value[:place] + bytes([changed]) + value[place + 1 :]})


@given(which=st.sampled_from([Hello, Reply, Confirmation, Welcome]), data=st.data())
@settings(deadline=None, max_examples=60)
def test_one_changed_bit_in_any_message_ends_joining(which, data):
    inviter, newcomer = both(Code(7, ("orange", "plate")), Code(7, ("orange", "plate")))

    def carried(message):
        return flipped(message, data) if isinstance(message, which) else message

    def converse() -> None:
        reply = inviter.greeted(carried(newcomer.hello()))
        confirmation = newcomer.answered(carried(reply), "laptop", "ben")
        inviter.confirmed(carried(confirmation))
        newcomer.welcomed(carried(inviter.welcome(b"the roster")))

    with pytest.raises(Refused):
        converse()
    assert newcomer.state is not JoinState.ADMITTED
