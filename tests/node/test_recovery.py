"""Using the recovery key: what is refused before anything is signed, and what counts once it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from commonhold.answers import Recovered, RecoveryDraft
from commonhold.authority.charter import KIND
from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.identity.code import recovery_key
from commonhold.identity.envelope import sign

from ..conftest import town, until

NOBODYS = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's test vector


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower guards; laptop is a member, and desk was one."""
    with town(tmp_path_factory.mktemp("recovery")) as make:
        tower, laptop, desk = make("tower", "ann"), make("laptop", "bob"), make("desk", "carol")
        tower.recovery = tower.json(
            "create", "casa", "--computer", "tower", "--person", "ann", "--listen", tower.address
        )["recovery"]
        tower.attach()
        laptop.join(tower)
        desk.join(tower)
        until(lambda: all(each.addresses for each in tower.net.members()), "tower knows where all are")
        tower.net.remove("desk")
        until(lambda: desk.net.status().alarm, "desk has heard of its removal")
        laptop.knows("tower", "laptop")
        yield tower, laptop, desk


def guards(one):
    return {each.computer for each in one.net.members() if each.guard}


def test_what_makes_no_sense_is_refused_before_anything_is_signed(network):
    tower, laptop, desk = network
    now = datetime.now(UTC)
    for typed, error, sentence in (
        (lambda: laptop.net.recover(NOBODYS), Refused, "not the recovery key of casa"),
        (lambda: laptop.net.recover(tower.recovery, ["boat"]), NotFound, "no computer “boat”"),
        (lambda: laptop.net.recover(tower.recovery, ["laptop"]), WrongUsage, "cannot put itself out"),
        (lambda: laptop.net.recover(tower.recovery, since=now), WrongUsage, "Whose words since then"),
        (lambda: laptop.net.recover(tower.recovery, ["tower"], now - timedelta(days=900)), Refused, "founding charter"),
        (lambda: desk.net.recover(tower.recovery), Refused, "This computer was removed from the network"),
    ):
        with pytest.raises(error, match=sentence) as refusal:
            typed()
        assert refusal.value.sentence.endswith((".", "?"))
    assert guards(laptop) == {"tower"}
    assert tower.net.status().alarm == ""


def test_who_looks_at_the_draft_and_says_no_has_changed_nothing(network):
    tower, laptop, _ = network
    seen: list[RecoveryDraft] = []

    def no(draft):
        seen.append(draft)
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        laptop.net.recover(tower.recovery, ["tower"], agreed=no)
    assert (seen[0].guards, seen[0].removed, seen[0].restarts) == (("laptop",), ("tower",), False)
    assert guards(laptop) == guards(tower) == {"tower"}


def test_words_of_another_network_sign_nothing_even_where_a_draft_is_at_hand(network):
    """A program at the gateway that signs the draft with some other key."""
    tower, laptop, _ = network
    drafts = []
    with pytest.raises(Conflict):
        laptop.net.recover(tower.recovery, agreed=lambda draft: drafts.append(draft) or stop())
    forged = sign(drafts[0].charter, KIND, [recovery_key(NOBODYS)])
    with pytest.raises(Conflict, match="does not hold"):
        laptop.net._ask("POST", "/api/recovery", forged, answer=Recovered)
    with pytest.raises(WrongUsage, match="That is no charter"):
        laptop.net._ask("POST", "/api/recovery", sign(b"{}", KIND, [recovery_key(NOBODYS)]), answer=Recovered)
    assert guards(laptop) == guards(tower) == {"tower"}


def stop():
    raise Conflict("stop")


def test_the_words_make_this_computer_a_guard_beside_the_other_and_are_in_no_file(network):
    tower, laptop, _ = network
    done = laptop.net.recover(tower.recovery, ["desk"])  # removed already, by somebody else: it stays out
    assert (done.guards, done.removed, done.restarts) == (("laptop", "tower"), ("desk",), False)
    assert done.recovery == "", "the key is the same"
    until(lambda: guards(tower) == {"laptop", "tower"}, "tower has heard")
    laptop.knows("tower", "laptop")
    words = tower.recovery.split()
    for one in (tower, laptop):
        for path in one.home.folder.rglob("*"):
            if path.is_file():
                assert " ".join(words[:3]).encode() not in path.read_bytes(), path
