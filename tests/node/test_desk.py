"""The desk: rules said, listed and explained, by whoever may govern."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import NotFound, Refused, WrongUsage

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


def test_a_rule_for_every_share_opens_every_share(tower, laptop):
    tower.net.allow("bob", "list", "every share")
    assert lists(laptop, "photos")
    assert lists(laptop, "films")
    tower.net.deny("bob", "list", "films")
    assert lists(laptop, "photos")
    assert not lists(laptop, "films")
    tower.net.deny("bob", "list", "every share")
    assert not lists(laptop, "photos")
