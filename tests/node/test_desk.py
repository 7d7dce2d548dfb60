"""The desk: rules said, listed and explained, by whoever may govern."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import Conflict, NotFound, Refused, WrongUsage
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Peer
from commonhold.transport.answers import read_json
from commonhold.wire import to_json

from ..conftest import town


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with town(tmp_path_factory.mktemp("desk")) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        laptop.join(tower)
        for name in ("photos", "films"):
            (tower.folder / name).mkdir()
            tower.net.share(tower.folder / name)
        yield tower, laptop


@pytest.fixture
def tower(network):
    """With no rule in its book."""
    yield network[0]
    for name in ("photos", "films"):
        network[0].net.unshare(name)
        network[0].net.share(network[0].folder / name)


@pytest.fixture
def laptop(network):
    return network[1]


@pytest.fixture
def ask_tower(network):
    """Sends anything from bob's computer to tower's desk: (status, document)."""

    def asking(method, path, body=None):
        async def once():
            caller = Caller(Key.load(laptop.home.key), mine)
            try:
                sent = to_json(body) if body else None
                async with caller.request(peer, method, path, data=sent, ok=range(100, 600)) as answer:
                    return answer.status, await read_json(answer)
            finally:
                await caller.close()

        return asyncio.run(once())

    tower, laptop = network
    mine, theirs = (Certificate.parse(each.home.certificate.read_bytes()) for each in (laptop, tower))
    peer = Peer("tower", theirs.fingerprint, theirs, (Address.parse(tower.address),))
    return asking


def lists(computer, share):
    try:
        computer.net.ls(f"tower:{share}")
    except Refused:
        return False
    return True


def test_what_was_said_is_told_back(tower):
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    ruling = tower.net.allow("BOB", "read", "Photos", until)
    assert (ruling.who, ruling.verb, ruling.door, ruling.effect, ruling.until) == (
        "bob", "read", "photos", "allow", until,
    )  # fmt: skip
    assert ruling.done
    assert [(rule.who, rule.until) for rule in tower.net.rules("photos")] == [("bob", until)]
    assert tower.net.rules("films") == []


def test_a_computer_can_be_denied_by_its_name(tower, laptop):
    tower.net.allow("bob", "write", "photos")
    assert lists(laptop, "photos")
    tower.net.deny("laptop", "list", "photos")
    assert not lists(laptop, "photos")
    assert "took back “deny laptop list photos”" in tower.net.allow("laptop", "list", "photos").done
    assert lists(laptop, "photos")
    with pytest.raises(WrongUsage, match="“laptop” is a computer, and rules let people in"):
        tower.net.allow("laptop", "read", "photos")


def test_rules_of_processors_speak_of_running_alone(tower):
    for who, verb, door in (("bob", "run", "photos"), ("bob", "read", "compute"), ("bob", "govern", "photos")):
        with pytest.raises(WrongUsage):
            tower.net.allow(who, verb, door)
    with pytest.raises(NotFound, match="No folder is shared as “nothing” here"):
        tower.net.allow("bob", "read", "nothing")
    with pytest.raises(NotFound):
        tower.net.allow("nobody", "read", "photos")
    with pytest.raises(WrongUsage):
        tower.net.allow("bob", "read", "a/b")
    assert tower.net.rules("photos") == []


def test_only_the_owner_says_and_sees_rules(tower, laptop):
    tower.net.allow("bob", "write", "photos")
    for wish in (
        lambda: laptop.net.allow("bob", "write", "tower:films"),
        lambda: laptop.net.deny("ann", "read", "tower:photos"),
        lambda: laptop.net.rules("tower:photos"),
        lambda: laptop.net.rules("tower:nothing"),
        lambda: laptop.net.rules("tower:"),
        lambda: laptop.net.explain("ann", "read", "tower:photos"),
        lambda: laptop.net.explain("members", "read", "tower:photos"),
    ):
        with pytest.raises(Refused):
            wish()


def test_about_oneself_one_learns_what_the_refusal_tells(tower, laptop):
    told = laptop.net.explain("bob", "read", "tower:photos")
    nothing = laptop.net.explain("bob", "read", "tower:nothing")
    assert not told.allowed
    assert nothing.reason == told.reason.replace("photos", "nothing")
    tower.net.deny("bob", "read", "photos")
    assert laptop.net.explain("bob", "read", "tower:photos").reason == told.reason  # not that there is such a share
    assert "stands against it" in tower.net.explain("bob", "read", "photos").reason


def test_explanations_of_people_groups_and_paths(tower):
    assert tower.net.explain("ann", "write", "photos").reason == "ann is the owner of photos"
    tower.net.allow("members", "read", "photos")
    assert tower.net.explain("members", "read", "photos/deep/file.txt").allowed
    assert not tower.net.explain("guests", "read", "photos").allowed
    with pytest.raises(WrongUsage):
        tower.net.explain("bob", "read", "photos/../films")


def test_a_group_is_asked_about_like_anybody(tower, laptop):
    tower.net.group_add("choir", "bob")
    tower.net.allow("choir", "read", "photos")
    said = tower.net.explain("choir", "list", "photos")
    assert (said.allowed, said.rule) == (True, "allow choir read photos")
    assert said.hint == "tower's owner ann can take that back: commonhold deny choir read photos"
    assert not tower.net.explain("choir", "write", "photos").allowed
    assert laptop.net.explain("bob", "list", "tower:photos").rule == "allow choir read photos"
    tower.net.group_remove("choir", "bob")
    assert not lists(laptop, "photos")
    assert tower.net.rules("photos") == []


def test_the_record_tells_when_a_rule_ends(tower):
    end = datetime.now(UTC) + timedelta(hours=1)
    tower.net.allow("bob", "read", "photos", until=end)
    tower.net.deny("bob", "read", "photos")
    ended, taken = tower.json("audit", "--event", "rule", "--door", "photos")[-2:]
    assert datetime.fromisoformat(ended["until"]) == end
    assert "until" not in taken or taken["until"] is None


def test_who_there_is_and_which_groups_is_not_told_by_an_explanation(tower, laptop):
    tower.net.group_add("choir", "ann")
    heard = set()
    for who in ("ann", "choir", "nobody", "members", "tower"):
        with pytest.raises(Refused) as refused:
            laptop.net.explain(who, "read", "tower:photos")
        heard.add(refused.value.sentence)
    assert heard == {"bob may not decide about photos: bob does not keep the doors of tower."}
    tower.net.group_remove("choir")


def test_a_group_needs_a_name_of_its_own_and_persons_that_there_are(tower):
    for name in ("bob", "LAPTOP"):
        with pytest.raises(Conflict, match="of the network already"):
            tower.net.group_add(name, "ann")
    for name in ("members", "guests"):
        with pytest.raises(WrongUsage):
            tower.net.group_add(name, "ann")
    with pytest.raises(NotFound, match="There is no person “laptop”") as stopped:
        tower.net.group_add("choir", "ann", "laptop")
    assert stopped.value.hint == "name its person: bob"
    with pytest.raises(NotFound):
        tower.net.group_remove("choir")
    assert tower.net.groups() == []


def test_only_the_keeper_of_the_rules_sees_and_changes_groups(tower, ask_tower):
    change = {"change": "add", "group": "admins", "persons": ["bob"]}
    assert ask_tower("GET", "/groups")[0] == 403
    assert ask_tower("POST", "/groups", change)[0] == 403
    assert ask_tower("DELETE", "/rules/1") == ask_tower("DELETE", "/rules/999999")
    assert tower.net.groups() == []


def test_a_struck_rule_leaves_nothing_in_its_place(tower, laptop):
    tower.net.allow("members", "read", "photos")
    tower.net.deny("bob", "list", "photos")
    assert not lists(laptop, "photos")
    (denial,) = [rule for rule in tower.net.rules("photos") if rule.effect == "deny"]
    assert tower.net.strike(denial.number).done == "struck out “deny bob list photos”."
    assert [rule.rule for rule in tower.net.rules("photos")] == ["allow members read photos"]
    assert lists(laptop, "photos")
    with pytest.raises(NotFound):
        tower.net.strike(denial.number)


def test_the_computer_that_keeps_the_doors_is_not_denied_its_own(tower):
    with pytest.raises(WrongUsage, match="tower is this computer itself"):
        tower.net.deny("tower", "list", "photos")
    assert tower.net.rules("photos") == []


def test_a_rule_for_every_share_opens_every_share(tower, laptop):
    tower.net.allow("bob", "list", "every share")
    assert lists(laptop, "photos")
    assert lists(laptop, "films")
    tower.net.deny("bob", "list", "films")
    assert lists(laptop, "photos")
    assert not lists(laptop, "films")
    tower.net.deny("bob", "list", "every share")
    assert not lists(laptop, "photos")
