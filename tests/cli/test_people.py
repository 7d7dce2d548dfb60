"""`group`, `rules --strike`: what can be told from the words alone, and one whole story with a server and an admin."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("words", [("add",), ("remove",), ("add", "choir"), ("fill", "choir", "bob")])
def test_a_group_is_changed_by_name(cli, sleeping, words):
    seen = cli("group", *words)
    assert seen.code == 2
    assert "hint: commonhold group" in seen.err


def test_an_admin_keeps_groups_and_rules_of_the_server_from_a_client(computer, tmp_path):
    tower, laptop, desk = computer("tower", "ann"), computer("laptop", "bob"), computer("desk", "carol")
    tower.create("office", "client-server")
    laptop.join(tower)
    desk.join(tower)
    (tmp_path / "plans").mkdir()
    tower.net.share(tmp_path / "plans")
    assert "bob does not keep the doors of tower" in laptop.cli("group", "list", code=4).err

    assert tower.cli("group", "add", "admins", "bob").out == "In admins: bob.\n"
    assert laptop.cli("group", "add", "architects", "carol").out == "In architects: carol.\n"
    laptop.cli("allow", "architects", "read", "tower:plans")
    assert desk.cli("ls", "tower:plans").out == ""
    said = desk.cli("explain", "carol", "read", "tower:plans").out
    assert "rule: allow architects read plans" in said
    assert "ann or one of the admins can take that back: commonhold deny architects read plans" in said
    assert laptop.json("group") == [
        {"group": "admins", "persons": ["bob"], "ended": []},
        {"group": "architects", "persons": ["carol"], "ended": []},
    ]
    listed = laptop.cli("rules", "tower:")
    assert listed.out.splitlines()[1].split()[1:-1] == ["allow", "architects", "read", "plans"]
    assert "commonhold rules tower: --strike NO" in listed.err

    tower.net.remove("carol")
    assert laptop.cli("group", "list").out.split() == ["GROUP", "PERSONS", "admins", "bob"]
    assert laptop.json("rules", "tower:") == [], "the last one left, and the group's rule with it"
    laptop.cli("allow", "members", "read", "tower:plans")
    number = laptop.json("rules", "tower:")[0]["number"]
    assert laptop.cli("rules", "tower:", "--strike", number).out == "struck out “allow members read plans”.\n"
    assert laptop.json("rules", "tower:") == []
