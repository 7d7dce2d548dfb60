from __future__ import annotations

import os
from datetime import UTC, datetime

import msgspec
import pytest

from commonhold.errors import Refused, WrongCode
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import Code
from commonhold.identity.join import NEXT, Candidate, Inviter, JoinState, Newcomer, Reply, Welcome
from commonhold.identity.keys import Key

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CODE, OTHER = Code(7, ("orange", "plate")), Code(7, ("orange", "zoo"))
TOWER, LAPTOP, THIEF = Key.generate(), Key.generate(), Key.generate()


def newcomer(code=CODE, key=LAPTOP, shown=TOWER) -> Newcomer:
    return Newcomer(code, key, self_signed(key, NOON), shown.spki, os.urandom)


def inviter(code=CODE, key=TOWER) -> Inviter:
    return Inviter(code, key.spki, os.urandom)


def test_with_the_right_code_both_sides_prove_themselves():
    new, inv = newcomer(), inviter()
    confirmation = new.answered(inv.greeted(new.hello()), "laptop", "ben")
    assert inv.confirmed(confirmation).fingerprint == LAPTOP.fingerprint
    assert inv.state is JoinState.PROVEN
    assert new.welcomed(inv.welcome(b"the roster")) == b"the roster"
    assert new.state is inv.state is JoinState.ADMITTED


def test_with_a_wrong_code_the_inviter_says_nothing_and_stays_refusing():
    new, inv = newcomer(OTHER), inviter()
    confirmation = new.answered(inv.greeted(new.hello()), "laptop", "ben")
    with pytest.raises(WrongCode):
        inv.confirmed(confirmation)
    assert inv.state is JoinState.REFUSED
    with pytest.raises(Refused):
        inv.confirmed(confirmation)
    with pytest.raises(Refused):
        inv.welcome(b"the roster")


def test_somebody_who_pretends_to_invite_is_found_out_by_the_newcomer():
    new, false = newcomer(), inviter(OTHER)
    new.answered(false.greeted(new.hello()), "laptop", "ben")
    false.state = JoinState.PROVEN  # it lies to itself
    with pytest.raises(WrongCode, match="does not know the code"):
        new.welcomed(false.welcome(b"a false roster"))
    assert new.state is JoinState.REFUSED


def test_who_is_told_to_wait_knows_by_whom():
    new, inv = newcomer(), inviter()
    inv.confirmed(new.answered(inv.greeted(new.hello()), "laptop", "ben"))
    assert new.asked(inv.waiting("tower")) == new.asked(inv.waiting("tower")) == "tower"
    assert new.state is inv.state is JoinState.ASKED
    waiting = inv.waiting("tower")
    with pytest.raises(WrongCode):
        new.asked(msgspec.structs.replace(waiting, computer="other"))
    assert new.state is JoinState.REFUSED


def test_somebody_without_the_code_keeps_nobody_waiting():
    new, false = newcomer(), inviter(OTHER)
    new.answered(false.greeted(new.hello()), "laptop", "ben")
    false.state = JoinState.PROVEN  # it lies to itself
    with pytest.raises(WrongCode, match="does not know the code"):
        new.asked(false.waiting("tower"))


def test_an_answer_of_one_kind_never_passes_for_the_other():
    new, inv = newcomer(), inviter()
    inv.confirmed(new.answered(inv.greeted(new.hello()), "laptop", "ben"))
    with pytest.raises(WrongCode):
        new.welcomed(Welcome(b"tower", inv.waiting("tower").mac))


def test_what_was_remembered_believes_the_same_inviter_and_nobody_else():
    """As after a restart of both sides."""
    new, inv = newcomer(), inviter()
    inv.confirmed(new.answered(inv.greeted(new.hello()), "laptop", "ben"))
    assert Candidate.again(new.remembered).welcomed(inv.remembered.welcome(b"the roster")) == b"the roster"
    other = inviter()
    other.greeted(newcomer().hello())
    with pytest.raises(WrongCode):
        Candidate.again(new.remembered).welcomed(other.remembered.welcome(b"the roster"))


def test_a_relay_that_shows_its_own_key_to_each_side_gets_nowhere():
    """It passes every message on unchanged; TLS ends at the relay on both sides."""
    new, inv = newcomer(shown=THIEF), inviter()
    confirmation = new.answered(inv.greeted(new.hello()), "laptop", "ben")
    with pytest.raises(WrongCode):
        inv.confirmed(confirmation)


def test_a_relay_that_puts_its_own_certificate_into_the_hello_gets_nowhere():
    new, inv = newcomer(), inviter()
    hello = msgspec.structs.replace(new.hello(), certificate=self_signed(THIEF, NOON).der)
    confirmation = new.answered(inv.greeted(hello), "laptop", "ben")
    with pytest.raises(WrongCode):
        inv.confirmed(confirmation)


@pytest.mark.parametrize("change", [{"computer": "tower"}, {"person": "ann"}, {"mac": b""}, {"mac": bytes(32)}])
def test_what_the_newcomer_confirms_cannot_be_changed_on_the_way(change):
    new, inv = newcomer(), inviter()
    confirmation = new.answered(inv.greeted(new.hello()), "laptop", "ben")
    with pytest.raises(WrongCode):
        inv.confirmed(msgspec.structs.replace(confirmation, **change))


def test_knowing_the_code_is_not_enough_without_the_key():
    """The thief has the code and shows the laptop's certificate."""
    thief, inv = newcomer(), inviter()
    thief._key = THIEF
    with pytest.raises(WrongCode):
        inv.confirmed(thief.answered(inv.greeted(thief.hello()), "laptop", "ben"))


def test_what_the_inviter_tells_cannot_be_changed_on_the_way():
    new, inv = newcomer(), inviter()
    inv.confirmed(new.answered(inv.greeted(new.hello()), "laptop", "ben"))
    welcome = inv.welcome(b"the roster")
    with pytest.raises(WrongCode):
        new.welcomed(msgspec.structs.replace(welcome, contents=b"another roster"))


def test_a_recorded_conversation_is_of_no_use_later():
    new, inv = newcomer(), inviter()
    hello = new.hello()
    confirmation = new.answered(inv.greeted(hello), "laptop", "ben")
    again = inviter()
    again.greeted(hello)
    with pytest.raises(WrongCode):
        again.confirmed(confirmation)


def test_the_last_answer_can_be_asked_for_again_with_the_same_proof_only():
    new, inv = newcomer(), inviter()
    confirmation = new.answered(inv.greeted(new.hello()), "laptop", "ben")
    inv.confirmed(confirmation)
    first = inv.welcome(b"the roster")
    assert inv.confirmed(confirmation).fingerprint == LAPTOP.fingerprint
    assert inv.welcome(b"the roster") == first
    with pytest.raises(Refused):
        inv.confirmed(msgspec.structs.replace(confirmation, computer="tower"))


@pytest.mark.parametrize("message", [b"", b"A", b"B" * 33, b"A" + bytes(32), b"A" + b"\xff" * 32, b"A" * 1000])
def test_a_hostile_message_is_one_kind_of_error(message):
    new = newcomer()
    hello = new.hello()
    with pytest.raises(Refused):
        new.answered(Reply(b"session", message), "laptop", "ben")
    assert new.state is JoinState.REFUSED
    with pytest.raises(Refused):
        inviter().greeted(msgspec.structs.replace(hello, spake=b"B" + message[1:]))


def test_ones_own_message_sent_back_is_refused():
    new = newcomer()
    hello = new.hello()
    with pytest.raises(Refused):
        new.answered(Reply(b"session", b"A" + hello.spake[1:]), "laptop", "ben")


def test_nothing_happens_out_of_order():
    new, inv = newcomer(), inviter()
    with pytest.raises(Refused):
        new.answered(Reply(b"", b""), "laptop", "ben")
    hello = new.hello()
    with pytest.raises(Refused):
        new.hello()
    reply = inv.greeted(hello)
    with pytest.raises(Refused):
        inv.greeted(hello)
    with pytest.raises(Refused):
        inv.welcome(b"the roster, without a proof")
    new.answered(reply, "laptop", "ben")
    with pytest.raises(Refused):
        new.answered(reply, "laptop", "ben")


def test_every_state_is_in_the_table_and_none_leads_out_of_refused():
    assert NEXT.keys() == set(JoinState)
    assert not NEXT[JoinState.REFUSED]
    assert all(
        JoinState.ADMITTED not in NEXT[state] for state in (JoinState.WAITING, JoinState.PROVING, JoinState.REFUSED)
    )
