"""Computers and people that bear the name of somebody else, or of a group."""

from __future__ import annotations

import pytest

from commonhold.errors import Conflict

from ..conftest import town
from .reach import As, enrol


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann, whose group `family` has bob in it; mallory's computers are called like bob and like the group."""
    folder = tmp_path_factory.mktemp("casa")
    (folder / "Diaries").mkdir()
    with town(folder) as make:
        tower, laptop = make("tower", "ann"), make("laptop", "bob")
        tower.create("casa")
        enrol(laptop, tower)
        tower.net.group_add("family", "bob")
        tower.net.share(folder / "Diaries", to="family", verb="read")
        tower.net.allow("bob", "read", "Diaries")
        bob, family = make("bob", "mallory", "m1"), make("family", "mallory", "m2")
        enrol(bob, tower)
        enrol(family, tower, "mallory")
        yield tower, bob, make("pew", "choir")


@pytest.mark.parametrize(("name", "status"), [("bob", 403), ("family", 200)], ids=["a person", "a group"])
def test_a_computer_called_like_somebody_else_hears_nothing_about_them(network, name, status):
    """Of her own computer she may ask, and not learn that a group of that name is there."""
    tower, mallory, _ = network

    def explained(door):
        said = As(tower, mallory)("GET", f"/explanation?who={name}&verb=read&door={door}")
        return said.status, said.body.decode().replace(door, "DOOR")

    assert explained("diaries") == explained("nothing")
    assert explained("diaries")[0] == status


def test_a_newcomer_that_takes_the_name_of_a_group_is_not_given_what_the_group_is(network, tmp_path):
    tower, _, mallory = network
    (tmp_path / "hymns").mkdir()
    (tmp_path / "hymns" / "one.txt").write_text("sing\n")
    tower.net.share(tmp_path / "hymns")
    tower.net.group_add("choir", "bob")
    enrol(mallory, tower)
    with pytest.raises(Conflict, match="a group here and also a person"):
        tower.net.allow("choir", "read", "hymns")
    tower.net.allow("group:choir", "read", "hymns")
    assert As(tower, mallory)("GET", "/dav/hymns/one.txt").status == 403
