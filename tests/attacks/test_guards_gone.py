"""Guards that have not heard, and guards that were thrown out, against real nodes."""

from __future__ import annotations

import asyncio
import json

import pytest

from commonhold.authority.facts import FactStore
from commonhold.authority.newcomer import join
from commonhold.authority.roster import admit, remove
from commonhold.errors import CommonholdError
from commonhold.identity.certificate import self_signed
from commonhold.identity.code import Code
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, PersonId, PersonName
from commonhold.node.state import open_state
from commonhold.transport import Address, Knock
from commonhold.wire import to_json

from ..conftest import NOON, town, until
from .reach import As


@pytest.fixture(scope="module")
def casa(tmp_path_factory):
    """tower and nas, both guards; laptop of bob; desk of mallory. tower's recovery key."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, nas = make("tower", "ann"), make("nas", "nina")
        laptop, desk = make("laptop", "bob"), make("desk", "mallory")
        words = ("--computer", "tower", "--person", "ann", "--listen", tower.address)
        recovery = tower.json("create", "casa", *words)["recovery"]
        tower.attach()
        for each in (nas, laptop, desk):
            each.join(tower)
        tower.net.guard_add("nas")
        for each in (tower, nas, laptop):
            each.knows("tower", "nas", "laptop", "desk")
        until(
            lambda: {m.computer for m in nas.net.members() if m.guard} == {"tower", "nas"}, "nas knows that it guards"
        )
        yield tower, nas, laptop, desk, recovery


def roster_of(computer):
    with open_state(computer.home.state) as state:
        return FactStore(state, computer.home.settings().network).roster


def test_a_guard_that_has_not_heard_brings_no_removed_computer_back(casa):
    tower, nas, laptop, desk, _ = casa
    for each in (nas, laptop, desk):  # desk's own node would hear of it, and tell nas when that greets it
        each.down()
    tower.net.remove("desk")
    tower.down()
    nas.up()  # to nas, desk is a member still: nobody else is there who could tell
    assert As(nas, desk)("GET", "/roster").status == 200
    facts = admit(
        Key.load(nas.home.key),
        roster_of(nas),
        As(nas, desk).certificate,
        name=ComputerName("desk"),
        person=next(m.person for m in roster_of(nas).members.values() if m.name == "desk"),
    )
    assert As(nas, nas)("POST", "/roster", {"envelopes": json.loads(to_json(facts))}).status == 200, "nas vouches again"
    tower.up()
    laptop.up()
    for each in (tower, nas, laptop):
        until(lambda each=each: {m.computer for m in each.net.members()} == {"tower", "nas", "laptop"}, each.name)
        assert As(each, desk)("GET", "/roster").status == 403, f"it is out at {each.name}, for ever"
    code = Code.parse(nas.net.invite().code)
    with pytest.raises(CommonholdError):
        asyncio.run(knocking(nas, code, Key.load(desk.home.key)))


async def knocking(guard, code, key):
    knock = Knock(Address.parse(guard.address))
    try:
        names = ComputerName("desk"), PersonName("mallory")
        return await join(knock, key, self_signed(key, NOON), code, computer=names[0], person=names[1])
    finally:
        await knock.close()


def test_what_a_guard_signs_after_it_was_thrown_out_is_void_and_what_it_did_before_stays(casa, tmp_path):
    """Facts have no dates and no numbers: it cannot pretend to have signed them before."""
    tower, nas, laptop, _, recovery = casa
    with town(tmp_path) as make:
        phone = make("phone", "eve")
        phone.join(nas)  # nas admits her, honestly
        tower.knows("tower", "nas", "laptop", "phone")
        before, thief = roster_of(nas), Key.load(nas.home.key)
        tower.typed("recover", "--remove", "nas", "--yes", input=f"{recovery}\n")
        for each in (tower, laptop):
            each.knows("tower", "laptop", "phone")
        stranger = Key.generate()
        forged = [
            *admit(
                thief,
                before,
                self_signed(stranger, NOON),
                name=ComputerName("stranger"),
                person=PersonId("f" * 32),
                person_name=PersonName("stranger"),
            ),
            *remove(thief, before, next(m.fingerprint for m in before.members.values() if m.name == "laptop")),
        ]
        for each in (tower, laptop):
            told = As(each, phone)("POST", "/roster", {"envelopes": json.loads(to_json(forged))})
            assert told.status == 200, "any member may carry envelopes"
            assert {m.computer for m in each.net.members()} == {"tower", "laptop", "phone"}
            assert As(each, nas)("GET", "/roster").status == 403
