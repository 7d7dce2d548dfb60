"""Who guards: further guards, what takes two of them, a lost one, a stolen one, and the recovery key."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest

from commonhold.authority.facts import FactStore
from commonhold.authority.roster import next_charter
from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.identity.keys import Key
from commonhold.node.state import open_state

from ..conftest import until

OTHER_WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's test vector


def founded(make, *others: str, shape: str = "peer-to-peer"):
    """A network of tower and others, who know one another. -> the computers; tower's has `recovery`."""
    tower = make("tower")
    tower.recovery = tower.json(
        "create", "casa", "--shape", shape, "--computer", "tower", "--person", "ann", "--listen", tower.address
    )["recovery"]
    tower.attach()
    joined = [make(name, f"owner-of-{name}") for name in others]
    for one in joined:
        one.join(tower)
    for one in (tower, *joined):
        one.knows("tower", *others)
        until(lambda one=one: all(map(found_at, one.net.members())), f"{one.name} knows where they are")
    return tower, *joined


def found_at(member) -> bool:
    """Or is nowhere to be found, as a client."""
    return member.here or member.role == "client" or bool(member.addresses)


def guards(one) -> set[str]:
    return {member.computer for member in one.net.members() if member.guard}


def again(one):
    """What its node says of itself, which may have begun anew meanwhile, elsewhere."""
    one.net.close()
    one.attach()
    return one.net.status()


def signed_at(one, keys, **changes) -> bytes:
    """Slip a charter into the state of a computer whose node is down, as a thief with its keys could."""
    with closing(open_state(one.home.state)) as state:
        facts = FactStore(state, one.home.settings().network)
        charter = next_charter(facts.roster, datetime.now(UTC), **changes)
        facts.add([charter.signed(keys)])
    return charter


def test_a_second_guard_and_then_both_must_agree(computer):
    tower, nas, laptop = founded(computer, "nas", "laptop")
    for typed, error, sentence in (
        (lambda: laptop.net.guard_add("laptop"), Refused, "This computer is no guard"),
        (lambda: tower.net.guard_add("boat"), NotFound, "no computer “boat”"),
        (lambda: tower.net.guard_add("tower"), Conflict, "tower is a guard already"),
        (lambda: tower.net.guard_remove("nas"), Conflict, "nas is no guard"),
        (lambda: tower.net.guard_remove("tower"), Conflict, "tower is the last guard"),
        (lambda: tower.net.remove("tower"), Conflict, "tower is the last guard"),
    ):
        with pytest.raises(error, match=sentence) as refusal:
            typed()
        assert refusal.value.hint

    assert tower.typed("guard", "add", "nas").out == "Guards are nas, tower.\n"
    for one in (tower, nas, laptop):
        until(lambda one=one: guards(one) == {"tower", "nas"}, f"{one.name} knows both guards")
    assert nas.net.invite().code, "a guard lets others in"

    # Of two guards both must sign: nas hears what is wished, and nothing is changed until its owner types the same.
    seen = tower.typed("guard", "add", "laptop").out
    assert seen.splitlines() == [
        "Signed here, and nothing is changed yet: 1 more must agree.",
        "Next: commonhold guard add laptop, typed on nas",
    ]
    (wish,) = until(lambda: nas.net.status().proposals, "nas has heard the wish")
    assert (wish.wish, wish.signed, wish.waiting_for, wish.here) == ("guard add laptop", ("tower",), ("nas",), True)
    assert "wish:" in nas.typed("status").out
    troubles = nas.json("doctor", code=1)
    assert [each["code"] for each in troubles if each["severity"] == "warning"] == ["wish-waits"]
    assert troubles[0]["cure"] == "if you agree: commonhold guard add laptop"
    assert guards(laptop) == {"tower", "nas"}
    again = tower.net.guard_add("laptop")
    assert not again.done, "one guard twice is one guard"
    assert len(tower.net.status().proposals) == 1

    assert nas.net.guard_add("laptop").done
    for one in (tower, nas, laptop):
        until(lambda one=one: guards(one) == {"tower", "nas", "laptop"}, f"{one.name} knows three guards")
        until(lambda one=one: not one.net.status().proposals, f"{one.name} waits for nothing")

    # A wish outlives a restart, and reaches a guard that was off. Of three guards two are enough.
    nas.down()
    laptop.down()
    assert tower.net.remove("nas").wish.missing == 1
    tower.down()
    tower.up()
    (wish,) = tower.net.status().proposals
    assert (wish.wish, wish.signed, wish.here) == ("remove nas", ("tower",), False)
    laptop.up()
    until(lambda: laptop.net.status().proposals, "laptop has heard when it came back")
    done = laptop.typed("remove", "nas", "--yes").out
    assert done.startswith("nas is removed for ever.\n")
    for one in (tower, laptop):
        one.knows("tower", "laptop")
    nas.up()
    with pytest.raises(Refused, match="removed from the network"):
        nas.net.ls("tower:")


def test_two_charters_of_one_number_alarm_and_the_recovery_key_settles_them(computer):
    tower, nas, laptop = founded(computer, "nas", "laptop")
    key = Key.load(tower.home.key)
    nas.down()
    signed_at(nas, [key], guards={Key.load(nas.home.key).fingerprint})
    tower.net.guard_add("laptop")  # meanwhile, the other charter of that number
    until(lambda: guards(laptop) == {"tower", "laptop"}, "laptop guards")
    nas.up()
    for one in (tower, laptop, nas):
        until(lambda one=one: "Two different charters have the number 2" in one.net.status().alarm, f"{one.name} sees")
        assert guards(one) == {"tower"}, "the older one stays in force"
    troubles = laptop.json("doctor", code=1)
    assert (troubles[0]["code"], troubles[0]["severity"]) == ("two-charters", "alarm")
    assert troubles[0]["cure"].startswith("commonhold recover")
    with pytest.raises(Conflict, match="Two different charters") as refusal:
        tower.net.guard_add("nas")
    assert refusal.value.hint == "commonhold recover"

    with pytest.raises(Refused, match="not the recovery key of casa"):
        laptop.net.recover(OTHER_WORDS)
    with pytest.raises(WrongUsage, match="twelve words"):
        laptop.net.recover("three words only")
    done = laptop.typed("recover", json_=True, input=f"{tower.recovery}\n").document
    assert done["guards"] == ["laptop", "tower"]
    for one in (tower, laptop, nas):
        until(lambda one=one: guards(one) == {"tower", "laptop"}, f"{one.name} knows what was settled")
        assert one.net.status().alarm == ""


def test_a_rogue_guard_is_undone_by_one_charter_of_the_recovery_key(computer):
    tower, nas, laptop = founded(computer, "nas", "laptop")
    before = datetime.now(UTC)
    # The thief of tower throws laptop out and lets a stranger in.
    stranger = computer("stranger", "mallory")
    stranger.join(tower)
    tower.net.remove("laptop")
    nas.knows("tower", "nas", "stranger")
    seen = []
    done = nas.net.recover(tower.recovery, ["tower"], before, new_key=True, agreed=seen.append)
    assert (done.guards, done.removed, done.back, done.out) == (("nas",), ("tower",), ("laptop",), ("stranger",))
    assert seen[0].back == done.back
    assert guards(nas) == {"nas"}
    nas.knows("nas", "laptop")
    # laptop is told, though it believed itself removed, and answers again.
    until(lambda: laptop.net.status().alarm == "", "laptop belongs again")
    laptop.knows("nas", "laptop")
    with pytest.raises(Refused):
        tower.net.ls("nas:")
    # The old words are void, the new ones are not.
    with pytest.raises(Refused, match="not the recovery key"):
        laptop.net.recover(tower.recovery)
    assert laptop.net.recover(done.recovery).guards == ("laptop", "nas")


def test_a_client_takes_the_place_of_a_dead_server(computer, tmp_path):
    server, first, second = founded(computer, "first", "second", shape="client-server")
    with pytest.raises(Conflict, match="the server tower is the one guard"):
        server.net.guard_add("first")
    server.down()
    pid = first.net.status().pid
    refused = first.typed("recover", input=server.recovery, code=2)
    assert refused.hint == "commonhold recover --yes"
    refused = first.typed("recover", "--remove", "tower", "--new-key", input=server.recovery, code=2)
    assert refused.hint == "commonhold recover --remove tower --new-key --yes"
    assert "first becomes the server of casa." in refused.err
    assert "It begins with no shares, rules and accounts" in refused.err
    done = first.typed("recover", "--yes", input=server.recovery)
    assert done.out.startswith("first is the server now.\n")
    until(lambda: again(first).role == "server", "its node has begun anew")
    assert first.net.status().pid == pid, "in the same process"
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.txt").write_text("miau\n")
    first.net.share(photos, to="owner-of-second", verb="read")

    # The other client finds its new server by itself, and so does the old server when it comes back: as a client.
    def seen() -> bytes:
        again(second)  # it begins anew when it has heard
        with second.net.open("first:photos/cat.txt") as file:
            return file.read()

    assert until(seen, "second reads at its new server") == b"miau\n"
    until(lambda: again(second).jobs_at == "first", "and its jobs run there")
    server.up()
    until(lambda: again(server).role == "client", "the old server is a client")


def test_two_servers_after_two_recoveries_are_told_apart_by_a_third(computer):
    server, first, second = founded(computer, "first", "second", shape="client-server")
    server.down()
    second.down()
    first.net.recover(server.recovery)
    until(lambda: again(first).role == "server", "first took its place")
    first.down()
    second.up()
    second.net.recover(server.recovery)
    until(lambda: again(second).role == "server", "so did second, which has not heard of it")
    first.up()
    for one in (first, second):
        until(lambda one=one: "number 2" in again(one).alarm, f"{one.name} alarms")
        until(lambda one=one: again(one).jobs_at == "tower", f"at {one.name} the older charter stays in force")
    second.net.recover(server.recovery, ["tower"])
    until(lambda: again(second).role == "server", "second has settled it")
    until(lambda: again(first).jobs_at == "second", "first has heard")
    for one in (first, second):
        assert until(lambda one=one: again(one), f"{one.name} serves").alarm == ""

    # The old one was off all the while, and says that it was taken out when it is back.
    server.up()

    def told():
        return [each for each in server.net.doctor() if each.code == "turned-away"]

    (trouble,) = until(told, "the old server hears that it is out")
    assert trouble.text.startswith("second says: ")
    assert "computer tower was removed from the network casa." in trouble.text


def test_doctor_at_a_computer_alone(computer, tmp_path):
    tower = computer("tower")
    tower.create("casa")
    troubles = tower.net.doctor()
    assert {each.severity for each in troubles} <= {"note"}, "a new network is well"
    if not troubles:
        assert tower.typed("doctor").out == "All is well.\n"
    tower.json("doctor")

    photos = tmp_path / "photos"
    photos.mkdir()
    tower.net.share(photos)
    photos.rmdir()
    tower.home.key.chmod(0o644)
    lines = tower.home.audit.read_bytes().splitlines(keepends=True)
    tower.home.audit.write_bytes(lines[0].replace(b"founding", b"pounding") + b"".join(lines[1:]))
    found = {each["code"]: each for each in tower.json("doctor", code=1)}
    assert {"broken-record", "home-open", "share-missing"} <= found.keys()
    assert "Line 2 of the record" in found["broken-record"]["text"]
    assert found["share-missing"]["cure"] == "bring the disk back, or commonhold unshare photos"
    assert str(tower.home.key) in found["home-open"]["text"]

    tower.down()
    down = tower.typed("doctor", code=1)
    assert "warning: The node of tower is not running: others reach nothing here.\n  cure: commonhold up" in down.out
    assert down.err.startswith("commonhold: Not all is well: the record was changed, and 3 more.")
    tower.home.state.write_bytes(b"no database")
    codes = {each["code"] for each in json.loads(tower.typed("doctor", code=1, json_=True).out)}
    assert {"damaged", "node-down"} <= codes
