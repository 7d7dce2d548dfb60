"""A person's tasks in a network without a server: three computers of ann, bob and carol."""

from __future__ import annotations

import gzip
import hashlib
import os
import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.errors import Conflict, NotFound, Refused, WrongUsage

from ..conftest import town, until


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann, laptop of bob, desk of carol: founded and joined by code, over the command line."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, laptop, desk = make("tower", "ann"), make("laptop", "bob"), make("desk", "carol")
        tower.founded = tower.json(
            "create", "casa", "--computer", "tower", "--person", "ann", "--listen", tower.address
        )
        tower.attach()
        code = tower.json("invite")["code"]
        laptop.joined = laptop.typed(
            "join", f"{code}@{tower.address}", "--computer", "laptop", "--person", "bob", "--listen", laptop.address
        ).out
        laptop.attach()
        desk.join(tower)
        for one in (tower, laptop, desk):
            one.knows("tower", "laptop", "desk")
        yield tower, laptop, desk


@pytest.fixture
def tower(network):
    return network[0]


@pytest.fixture
def laptop(network):
    return network[1]


@pytest.fixture
def desk(network):
    return network[2]


@pytest.fixture
def photos(tower, tmp_path):
    """A folder of tower, shared as `photos`, that nobody but ann may open."""
    folder = tmp_path / "photos"
    (folder / "2026" / "été").mkdir(parents=True)
    (folder / "cat.txt").write_text("miau\n")
    (folder / "empty").write_bytes(b"")
    (folder / "2026" / "été" / "mer bleue.jpg").write_bytes(os.urandom(300_000))
    tower.net.share(folder)
    yield folder
    tower.net.unshare("photos")


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".commonhold" not in path.parts
    }


def test_founding_and_joining_say_what_was_done(tower, laptop):
    assert (tower.founded["network"], tower.founded["shape"], tower.founded["role"]) == ("casa", "peer-to-peer", "peer")
    assert len(tower.founded["recovery"].split()) == 12
    assert laptop.joined.startswith("laptop has joined casa (peer-to-peer), invited by tower.\n")


def test_all_know_all_with_the_same_keys(network):
    seen = [[(m.computer, m.person, m.fingerprint, m.role) for m in one.net.members()] for one in network]
    assert seen[0] == seen[1] == seen[2]
    assert [(name, person) for name, person, *_ in seen[0]] == [
        ("desk", "carol"), ("laptop", "bob"), ("tower", "ann"),
    ]  # fmt: skip


def test_a_share_is_closed_until_its_owner_says_more(laptop, photos):
    with pytest.raises(Refused) as refusal:
        laptop.net.ls("tower:photos")
    assert refusal.value.sentence == "bob may not list photos: no rule lets bob list photos."
    assert refusal.value.hint == "ask tower's owner ann, who can type: commonhold allow bob list photos"
    with pytest.raises(Refused) as unknown:  # the same words for one that is not there
        laptop.net.ls("tower:nothing")
    assert unknown.value.sentence == refusal.value.sentence.replace("photos", "nothing")


def test_allowed_to_read_one_lists_and_gets_the_whole_folder(tower, laptop, photos, tmp_path):
    tower.net.allow("bob", "read", "photos")
    listed = {entry.path for entry in laptop.net.ls("tower:photos", recursive=True) if entry.kind == "file"}
    assert listed == {"cat.txt", "empty", "2026/été/mer bleue.jpg"}
    report = laptop.net.get("tower:photos", tmp_path / "copy", recursive=True)
    assert (report.files, report.bytes) == (3, 300_005)
    assert digests(tmp_path / "copy") == digests(photos)
    with laptop.net.open("tower:photos/cat.txt") as file:
        assert file.read() == b"miau\n"
    assert [entry.path for entry in laptop.net.ls("tower:")] == ["photos"]
    assert [entry.path for entry in laptop.net.ls()] == ["desk:", "laptop:", "tower:"]


def test_who_may_read_may_not_write(tower, laptop, photos):
    tower.net.allow("bob", "read", "photos")
    for change in (
        lambda: laptop.net.put(__file__, "tower:photos/x.py"),
        lambda: laptop.net.rm("tower:photos/cat.txt"),
        lambda: laptop.net.mkdir("tower:photos/new"),
    ):
        with pytest.raises(Refused, match="bob may not"):
            change()
    assert (photos / "cat.txt").read_text() == "miau\n"


def test_write_puts_replaces_makes_and_removes(tower, laptop, photos, tmp_path):
    tower.net.allow("bob", "write", "photos")
    new = tmp_path / "new.txt"
    new.write_text("one")
    laptop.net.put(new, "tower:photos/new.txt")
    new.write_text("two, longer")
    laptop.net.put(new, "tower:photos/new.txt")
    assert (photos / "new.txt").read_text() == "two, longer"
    laptop.net.mkdir("tower:photos/a/b", parents=True)
    laptop.net.put(photos / "2026", "tower:photos/a/b", recursive=True)
    assert digests(photos / "a" / "b" / "2026") == digests(photos / "2026")
    with pytest.raises(Conflict):
        laptop.net.mkdir("tower:photos/a")
    with pytest.raises(WrongUsage):
        laptop.net.rm("tower:photos/a")
    laptop.net.rm("tower:photos/a", recursive=True)
    assert not (photos / "a").exists()
    laptop.net.rm("tower:photos/new.txt")
    with pytest.raises(NotFound):
        laptop.net.get("tower:photos/new.txt", tmp_path)


def test_a_drop_box_takes_new_files_and_shows_none(tower, laptop, photos, tmp_path):
    tower.net.allow("bob", "add", "photos")
    (tmp_path / "form.txt").write_text("mine")
    laptop.net.put(tmp_path / "form.txt", "tower:photos/form.txt")
    assert (photos / "form.txt").read_text() == "mine"
    with pytest.raises(Refused):
        laptop.net.ls("tower:photos")
    (tmp_path / "form.txt").write_text("another's")  # stored beside it: whether a name is taken is not told
    laptop.net.put(tmp_path / "form.txt", "tower:photos/form.txt")
    assert (photos / "form.txt").read_text() == "mine"
    assert (photos / "form (2).txt").read_text() == "another's"


@pytest.mark.parametrize("typed", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_names_with_spaces_and_accents_travel_in_either_form(tower, laptop, photos, tmp_path, stored, typed):
    tower.net.allow("bob", "write", "photos")
    name = "Für Zoë, 50 % & mehr #1 + 日本.txt"
    (photos / unicodedata.normalize(stored, name)).write_text("found")
    asked = f"tower:photos/{unicodedata.normalize(typed, name)}"
    assert b"".join(laptop.net.cat(asked)) == b"found"
    (tmp_path / "other").write_text("replaced")
    laptop.net.put(tmp_path / "other", asked)
    same = [path for path in photos.iterdir() if unicodedata.normalize("NFC", path.name) == name]
    assert [path.read_text() for path in same] == ["replaced"]


def test_the_same_over_the_command_line(tower, laptop, photos, tmp_path):
    refused = laptop.cli("ls", "tower:photos", code=4)
    assert refused.err.startswith("commonhold: bob may not list photos: no rule lets bob list photos.\nhint: ")
    tower.typed("allow", "bob", "read", "photos")
    assert laptop.cli("ls", "tower:photos").out == "2026/\ncat.txt\nempty\n"
    assert laptop.json("get", "-r", "tower:photos/2026", tmp_path / "année")["files"] == 1
    assert digests(tmp_path / "année") == digests(photos / "2026")
    assert laptop.json("get", "tower:photos/nothing", tmp_path, code=3)["kind"] == "NotFound"
    assert laptop.json("ls", "ghost:photos", code=3)["error"] == "There is no computer “ghost” in the network casa."


def test_rules_are_listed_and_explained_with_the_deciding_line(tower, laptop, photos):
    tower.net.allow("members", "read", "photos", datetime.now(UTC) + timedelta(hours=1))
    tower.net.allow("carol", "write", "photos")
    assert {(rule.who, rule.verb, rule.effect) for rule in tower.net.rules("photos")} == {
        ("members", "read", "allow"), ("carol", "write", "allow"),
    }  # fmt: skip
    explained = tower.net.explain("bob", "read", "photos/cat.txt")
    assert explained.allowed
    assert (explained.rule or "").startswith("allow members read photos until ")
    assert not tower.net.explain("bob", "write", "photos").allowed
    assert laptop.net.explain("bob", "read", "tower:photos").allowed  # about oneself one may ask
    with pytest.raises(Refused):
        laptop.net.explain("carol", "write", "tower:photos")
    with pytest.raises(Refused):
        laptop.net.rules("tower:photos")
    with pytest.raises(NotFound, match="nobody called “dave”"):
        tower.net.allow("dave", "read", "photos")


def test_a_rule_ends_when_it_says(tower, laptop, photos):
    tower.net.allow("bob", "read", "photos", datetime.now(UTC) + timedelta(seconds=2))

    def over():
        try:
            laptop.net.ls("tower:photos")
        except Refused:
            return True
        return False

    until(over, "the rule ends")


def test_a_later_share_of_the_same_name_inherits_no_rule(tower, laptop, tmp_path):
    for turn in ("first", "second"):
        (tmp_path / turn).mkdir()
    tower.net.share(tmp_path / "first", "again", to="bob", verb="read")
    assert laptop.net.ls("tower:again") == []
    tower.net.unshare("again")
    with pytest.raises(Refused):
        laptop.net.ls("tower:again")
    tower.net.share(tmp_path / "second", "again")
    with pytest.raises(Refused):
        laptop.net.ls("tower:again")
    tower.net.unshare("again")


def test_a_share_that_cannot_be_said_whole_is_not_made_at_all(tower, tmp_path):
    (tmp_path / "half").mkdir()
    with pytest.raises(WrongUsage):
        tower.net.share(tmp_path / "half", to="bob", verb="run")
    with pytest.raises(NotFound):
        tower.net.share(tmp_path / "half", to="nobody", verb="read")
    assert "half" not in {offer.share for offer in tower.net.status().shares}


@pytest.fixture
def texts(tower, tmp_path):
    """Twelve small files of tower that bob may read, and a folder that takes results."""
    folder = tmp_path / "texts"
    (folder / "deep er").mkdir(parents=True)
    for number in range(12):
        (folder / ("deep er" if number % 2 else "") / f"n {number}.txt").write_text(f"line {number}\n" * number)
    (tmp_path / "results").mkdir()
    tower.net.share(folder, to="bob", verb="read")
    tower.net.share(tmp_path / "results", to="bob", verb="write")
    yield folder
    tower.net.unshare("texts")
    tower.net.unshare("results")
    for rule in tower.net.rules("compute"):
        tower.net.deny(rule.who, "run", "compute")


def test_processors_are_closed_until_their_owner_says_more(tower, laptop):
    seen = laptop.typed("run", "--on", "tower", "true", code=4)
    assert "tower refused: bob may not run jobs on compute" in seen.err
    assert laptop.typed("run", "--on", "nowhere", "true", code=3).err.startswith("commonhold: There is no computer")


def test_a_command_runs_over_files_and_its_outputs_equal_a_local_run(tower, laptop, texts, tmp_path):
    tower.net.allow("bob", "run", "compute")
    job = laptop.net.run("gzip -9 -n -c {} > {}.gz", ["tower:texts/**/*.txt"], into="tower:results/packed")
    assert (job.state, job.done, job.failed, job.total) == ("done", 12, 0, 12)
    packed = {path.relative_to(tmp_path / "results" / "packed"): path for path in (tmp_path / "results").rglob("*.gz")}
    assert len(packed) == 12
    for name, path in packed.items():
        assert gzip.decompress(path.read_bytes()) == (texts / name.with_suffix("")).read_bytes(), name
    assert {task.computer for task in laptop.net.log(job.job)} <= {"tower", "laptop"}, "desk lends nothing"


def test_a_task_that_fails_is_reported_and_its_neighbours_are_done(tower, laptop, texts):
    job = laptop.net.run("echo trying; echo no luck >&2; test {} != b", ["a", "b", "c"])
    assert (job.done, job.failed) == (2, 1)
    (failed,) = [task for task in laptop.net.log(job.job) if task.state == "failed"]
    assert (failed.input, failed.exit, failed.output, failed.error) == ("b", 1, "trying\n", "no luck\n")
    seen = laptop.typed("run", "test {} != b", ":::", "a", "b", code=8)
    assert "1 of 2 tasks failed." in seen.err


def test_local_files_are_inputs_too(laptop, tmp_path):
    (tmp_path / "here é.txt").write_text("one two three\n")
    job = laptop.net.run("wc -w < {} > {.}.count", [str(tmp_path / "here é.txt")])
    laptop.net.get(f"laptop:{job.share}/out/here é.count", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_text().split() == ["3"]


def test_a_further_computer_of_the_same_person_has_that_persons_rights(tower, laptop, photos, computer):
    tower.net.allow("bob", "read", "photos")
    phone = computer("phone", "whoever")
    code = tower.json("invite", "--person", "bob")["code"]
    joined = phone.json("join", f"{code}@{tower.address}", "--computer", "phone", "--listen", phone.address)
    assert joined["person"] == "bob"
    phone.attach()
    assert {entry.path for entry in phone.net.ls("tower:photos")} == {"2026", "cat.txt", "empty"}
    assert {m.person for m in tower.net.members() if m.computer in {"phone", "laptop"}} == {"bob"}
    tower.net.remove("phone")
    with pytest.raises(Refused, match="bob's computer phone was removed from the network casa"):
        phone.net.ls("tower:photos")
    assert laptop.net.ls("tower:photos")  # the other computer of the same person stays


def test_a_removed_computer_is_refused_at_every_door_from_its_next_request_on(network, photos, tmp_path, computer):
    tower, laptop, desk = network
    guest = computer("guest", "gus")
    guest.join(tower)
    for one in network:
        one.knows("tower", "laptop", "desk", "guest")
    (tmp_path / "shelf").mkdir()
    tower.net.allow("gus", "read", "photos")
    laptop.net.share(tmp_path / "shelf", "shelf", to="gus", verb="read")
    assert guest.net.ls("tower:photos")
    assert guest.net.ls("laptop:shelf") == []
    with pytest.raises(Refused, match="no guard"):
        laptop.net.remove("guest")
    until(lambda: any(each.addresses for each in tower.net.members() if each.computer == "guest"), "where to tell it")
    removal = tower.net.remove("guest")
    assert removal.computers == ("guest",)
    assert set(removal.told) == {"laptop", "desk"}
    for door in ("tower:photos", "laptop:shelf"):
        with pytest.raises(Refused, match="gus's computer guest was removed from the network casa"):
            guest.net.ls(door)
    for one in (tower, laptop, desk):
        one.knows("tower", "laptop", "desk")
    with pytest.raises(NotFound):
        tower.net.remove("guest")
    laptop.net.unshare("shelf")
    # It may start again, and says what became of it.
    guest.net.close()
    assert guest.typed("down").out == "The node of guest has stopped.\n"
    guest.up()
    with pytest.raises(Refused, match="removed"):
        guest.net.ls("tower:photos")
    until(lambda: "removed" in guest.net.status().alarm, "it has heard of its removal")


def test_only_a_guard_invites(laptop):
    with pytest.raises(Refused) as refusal:
        laptop.net.invite()
    assert refusal.value.sentence == "This computer is no guard: it neither admits nor removes."
    assert refusal.value.hint == "type it on tower"


def test_a_trusting_network_is_open_at_once_and_a_denial_wins(computer, tmp_path):
    nas, tablet = computer("nas", "dora"), computer("tablet", "emil")
    nas.create("lab", trusting=True)
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "b.txt").write_text("once\n")
    nas.net.share(tmp_path / "books")
    tablet.join(nas)
    assert b"".join(tablet.net.cat("nas:books/b.txt")) == b"once\n"
    nas.net.deny("emil", "run", "compute")
    with pytest.raises(Refused, match="nas refused"):
        tablet.net.run("true", on="nas")
    nas.net.allow("emil", "run", "compute")
    job = tablet.net.run("cat {}", ["nas:books/*.txt"], on="nas")
    assert [(task.computer, task.output) for task in tablet.net.log(job.job)] == [("nas", "once\n")]
    with pytest.raises(Refused):
        tablet.net.put(__file__, "nas:books/x.py")
    nas.net.deny("emil", "read", "books")
    with pytest.raises(Refused, match="“deny emil read books” stands against it"):
        b"".join(tablet.net.cat("nas:books/b.txt"))
    nas.net.deny("emil", "list", "books")
    with pytest.raises(Refused, match="no rule lets emil list books"):  # not told that there is such a share
        tablet.net.ls("nas:books")
    for verb in ("list", "read"):  # what is said last counts
        nas.net.allow("emil", verb, "books")
    assert b"".join(tablet.net.cat("nas:books/b.txt")) == b"once\n"
