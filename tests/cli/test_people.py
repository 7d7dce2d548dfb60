"""`group`, `rules --strike`: what can be told from the words alone, and one whole story with a server and an admin."""

from __future__ import annotations

import pytest

from ..conftest import town


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """tower is the server of ann; laptop of bob and desk of carol are its clients."""
    with town(tmp_path_factory.mktemp("office")) as make:
        tower, laptop, desk = make("tower", "ann"), make("laptop", "bob"), make("desk", "carol")
        tower.create("office", "client-server")
        laptop.join(tower)
        desk.join(tower)
        yield tower, laptop, desk


@pytest.mark.parametrize("words", [("add",), ("remove",), ("add", "choir"), ("fill", "choir", "bob")])
def test_a_group_is_changed_by_name(cli, sleeping, words):
    seen = cli("group", *words)
    assert seen.code == 2
    assert "hint: commonhold group" in seen.err


def test_an_admin_keeps_groups_and_rules_of_the_server_from_a_client(office, tmp_path):
    tower, laptop, desk = office
    (tmp_path / "plans").mkdir()
    tower.net.share(tmp_path / "plans")
    assert "bob does not keep the doors of tower" in laptop.typed("group", "list", code=4).err

    assert tower.typed("group", "add", "admins", "bob").out == "In admins: bob.\n"
    assert laptop.typed("group", "add", "architects", "carol").out == "In architects: carol.\n"
    laptop.typed("allow", "architects", "read", "tower:plans")
    assert desk.typed("ls", "tower:plans").out == ""
    said = desk.typed("explain", "carol", "read", "tower:plans").out
    assert "rule: allow architects read plans" in said
    assert "ann or one of the admins can take that back: commonhold deny architects read plans" in said
    assert laptop.json("group") == [
        {"group": "admins", "persons": ["bob"], "ended": []},
        {"group": "architects", "persons": ["carol"], "ended": []},
    ]
    listed = laptop.typed("rules", "tower:")
    assert listed.out.splitlines()[1].split()[1:-1] == ["allow", "architects", "read", "plans"]
    assert "commonhold rules tower: --strike NO" in listed.err

    tower.net.remove("carol")
    assert laptop.typed("group", "list").out.split() == ["GROUP", "PERSONS", "admins", "bob"]
    assert laptop.json("rules", "tower:") == [], "the last one left, and the group's rule with it"
    laptop.typed("allow", "members", "read", "tower:plans")
    number = laptop.json("rules", "tower:")[0]["number"]
    assert laptop.typed("rules", "tower:", "--strike", number).out == "struck out “allow members read plans”.\n"
    assert laptop.json("rules", "tower:") == []
    tower.typed("group", "remove", "admins", "bob")
    tower.net.unshare("plans")


NO_QUOTA = [("--bytes", "1MB"), ("--none",), ("bob", "--none", "--files", "1"), ("bob", "--bytes", "much")]
NO_QUOTA += [
    ("--cores", "1"),
    ("bob", "--cores", "0"),
    ("bob", "--memory", "much"),
    ("bob", "--tasks", "-1"),
    ("bob", "--none", "--jobs", "1"),
]


@pytest.mark.parametrize("words", NO_QUOTA)
def test_a_quota_is_for_somebody_and_a_size(cli, sleeping, words):
    assert cli("quota", *words).code == 2


def test_a_quota_of_nobody_and_of_somebody_without(office):
    tower, *_ = office
    assert tower.typed("quota", "eve", code=3).err.startswith(
        "commonhold: There is no person “eve” in the network office."
    )
    assert "nothing about ann that you may see here: no limit" in tower.typed("quota", "Ann").err


def test_a_quota_at_a_server_is_set_seen_kept_and_outlives_a_kill(office, tmp_path):
    tower, laptop, _ = office
    (tmp_path / "plans").mkdir()
    tower.net.share(tmp_path / "plans", to="bob", verb="write")
    (tmp_path / "half").write_bytes(b"x" * 600)

    assert "does not keep the doors" in laptop.typed("quota", "bob", "--bytes", "1GB", code=4).err
    assert "ann owns these doors" in tower.typed("quota", "ann", "--files", "1", code=2).err
    assert "no person “eve”" in tower.typed("quota", "eve", "--files", "1", code=3).err
    said = tower.typed("quota", "bob", "--bytes", "1kB").out
    assert said == "bob may store at most 1.0 kB; 0 B in 0 files are stored.\n"
    assert "at most 1.0 kB in 3 files" in tower.typed("quota", "bob", "--files", "3").out

    laptop.typed("put", tmp_path / "half", "tower:plans/one")
    refused = laptop.typed("put", tmp_path / "half", "tower:plans/two", code=7)
    assert "bob has stored 600 of the 1,000 bytes that tower's owner ann or one of the admins allows" in refused.err
    assert "commonhold quota bob" in refused.hint
    tower.kill()
    tower.up()
    laptop.typed("put", tmp_path / "half", "tower:plans/two", code=7)
    own = {"person": "bob", "bytes": 600, "files": 1, "most_bytes": 1000, "most_files": 3, "jobs": 0, "tasks": 0}
    own |= dict.fromkeys(("most_cores", "most_memory", "most_jobs", "most_tasks"))
    assert laptop.json("quota") == tower.json("quota", "bob") == [own]
    tower.typed("allow", "bob", "run", "compute")
    assert laptop.net.run("head -c 900 /dev/zero > out", into="tower:plans").failed == 1, "results count, too"
    (tmp_path / "plans" / "one").unlink()
    laptop.typed("put", tmp_path / "half", "tower:plans/two")
    assert "as much as there is room for" in tower.typed("quota", "bob", "--none").out
    laptop.typed("put", tmp_path / "half", "tower:plans/three")
    assert laptop.typed("quota").out.splitlines()[1].split() == ["bob", "1.2", "kB", *"-2---0-0-"]


def test_a_quota_of_processors_at_a_server_is_said_seen_recorded_and_outlives_a_kill(office):
    tower, laptop, _ = office
    tower.net.allow("bob", "run", "compute")
    before, jobs = tower.json("audit", "--event", "quota"), laptop.net.jobs()
    assert "does not keep the doors" in laptop.typed("quota", "bob", "--cores", "8", code=4).err
    said = tower.typed("quota", "bob", "--cores", "1", "--tasks", "3").out.splitlines()
    assert said[1] == "bob may compute with at most 1 core, 3 tasks; 0 tasks of 0 jobs are unfinished."
    assert "at most 1 core, 2 jobs, 3 tasks" in tower.typed("quota", "bob", "--jobs", "2").out

    assert "256 MiB of memory at least" in tower.typed("quota", "bob", "--memory", "1MB", code=2).err
    tower.typed("quota", "bob", "--memory", "2GB")
    refused = laptop.typed("run", "true {}", ":::", *range(4), code=7)
    assert refused.err.splitlines()[0] == (
        "commonhold: bob has 0 of the 3 unfinished tasks that tower's owner ann or one of the admins allows;"
        " 4 more are too many."
    )
    assert refused.hint.endswith("commonhold quota bob --tasks N")
    assert laptop.net.jobs() == jobs
    assert laptop.net.run("true {}", ["1", "2", "3"]).done == 3

    tower.kill()
    tower.up()
    assert "bob: at most 1 core, 2.0 GB of memory, 2 jobs, 3 tasks" in tower.typed("status").out
    assert laptop.typed("quota").out.splitlines()[1].split()[-7:] == ["1", "2.0", "GB", "0", "2", "0", "3"]
    assert laptop.net.run("true {}", ["1", "2", "3"]).done == 3, "what has ended counts no more"
    laptop.typed("run", "true {}", ":::", *range(4), code=7)
    tower.typed("quota", "bob", "--none")
    assert laptop.net.run("true {}", ["1", "2", "3", "4"]).done == 4
    said = tower.json("audit", "--event", "quota")[len(before) :]
    assert [line["memory"] for line in said] == [None, None, 2_000_000_000, None]
    line = said[1]
    assert (line["by"], line["who"], line["cores"], line["jobs"], line["tasks"]) == ("ann", "bob", 1, 2, 3)


def test_what_a_trusting_network_starts_with_is_taken_back_line_by_line_with_its_words(tmp_path):
    with town(tmp_path) as make:
        tower = make("tower", "ann")
        tower.create("home", trusting=True)
        rules = tower.json("rules")
        assert [rule["rule"] for rule in rules] == ["allow members read every share", "allow members run compute"]
        for left, rule in zip((1, 0), rules, strict=True):
            assert tower.typed("deny", rule["who"], rule["verb"], rule["door"]).out == f"took back “{rule['rule']}”.\n"
            assert len(tower.json("rules")) == left
