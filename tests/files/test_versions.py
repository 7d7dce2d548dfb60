"""What is overwritten or deleted is kept: through crashes, for its owner and nobody else, and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from commonhold.authority.authority import Door, Verb
from commonhold.errors import Conflict, NotFound, Refused
from commonhold.files import retiring
from commonhold.files.entry import NONE
from commonhold.files.moving import Wish
from commonhold.files.quota import Limit
from commonhold.files.returning import Foresight
from commonhold.files.share import Share
from commonhold.names import SharePath

from ..authority.suite import ANN, BOB, Casa
from .conftest import Folder, catalogue

EARLY = datetime.now(UTC) - timedelta(hours=1)


def history(folder: Folder, path: str = "") -> list:
    return folder.share.returning.history(folder.permit(Verb.READ, path))


def delete(folder: Folder, path: str) -> None:
    folder.share.delete(folder.permit(Verb.WRITE, path))


def restore(folder: Folder, path: str, version: str | None = None) -> None:
    row, at = folder.share.returning.choose(folder.permit(Verb.WRITE, path), version, None)
    folder.share.returning.restore(folder.permit(Verb.WRITE, at), row, NONE)


def kept(folder: Folder) -> list[Path]:
    """The files that lie in our own folder."""
    return [path for path in (folder.root / ".commonhold" / "versions").rglob("*") if path.is_file()]


def test_what_was_overwritten_is_kept_and_comes_back_and_what_was_there_is_kept_in_turn(folder):
    for text in (b"one", b"two", b"three"):
        folder.put("a.txt", text)
    assert [(each.path, each.size, each.why) for each in history(folder, "a.txt")] == [
        ("a.txt", 3, "overwritten"),
        ("a.txt", 3, "overwritten"),
    ]
    restore(folder, "a.txt", history(folder, "a.txt")[-1].version)
    assert folder.read("a.txt") == b"one"
    assert {path.read_bytes() for path in kept(folder)} == {b"two", b"three"}
    assert not folder.rubbish()
    assert folder.names() == {"a.txt"}  # and no listing shows what is kept


def test_of_a_share_itself_nothing_comes_back_and_it_is_named(folder):
    with pytest.raises(NotFound, match=f"Nothing is kept of “{folder.share.door.name}”"):
        restore(folder, "")


def test_what_was_deleted_comes_back_with_all_that_was_in_it(folder):
    folder.share.mkdir(folder.permit(Verb.WRITE, "trip"))
    folder.put("trip/a.txt", b"one")
    inode = (folder.root / "trip/a.txt").stat().st_ino
    delete(folder, "trip")
    assert not folder.names()
    restore(folder, "trip")
    assert folder.read("trip/a.txt") == b"one"
    assert (folder.root / "trip/a.txt").stat().st_ino == inode  # nothing was copied
    with pytest.raises(NotFound):
        restore(folder, "trip")


def test_a_share_that_is_offered_again_has_its_history_and_another_computers_stays_its_own(folder):
    folder.put("a.txt", b"one")
    folder.put("a.txt", b"two")
    again = Folder(Share(Door("share", "0" * 32, "other", ANN), folder.root, folder.share.catalogue), folder.casa)
    assert [each.version for each in history(again)] == [each.version for each in history(folder)]
    stranger = Folder(Share(Door("share", "0" * 32, "other", ANN), folder.root, catalogue()), folder.casa)
    assert history(stranger) == []
    assert [path.read_bytes() for path in kept(folder)] == [b"one"]


def test_who_may_only_read_or_add_changes_nothing_and_learns_nothing(folder):
    folder.put("a.txt", b"one")
    delete(folder, "a.txt")
    reading, adding = folder.permit(Verb.READ, "a.txt"), folder.permit(Verb.ADD, "a.txt", "desk")
    with pytest.raises(Refused):
        folder.share.returning.choose(reading, None, None)
    with pytest.raises(Refused):
        folder.share.returning.history(adding)
    (row,) = folder.share.versions.find("kept")
    with pytest.raises(Refused):
        folder.share.returning.restore(reading, row, NONE)


def test_the_folder_of_a_job_keeps_nothing(tmp_path):
    beside = catalogue()
    assert Share(Door("job", "1" * 32, ".job-1", ANN), tmp_path, beside).returning is None
    assert not beside.find("SELECT name FROM sqlite_master WHERE name = 'stores'")


def test_what_was_written_down_before_moves_between_shares_were_is_read_still(folder):
    folder.put("a.txt", b"one")
    folder.put("a.txt", b"two")
    with folder.share.catalogue.changing() as db:
        db.execute("ALTER TABLE changes DROP COLUMN origin")
    again = Folder(Share(folder.share.door, folder.root, folder.share.catalogue), folder.casa)
    assert [each.size for each in history(again, "a.txt")] == [3]
    assert undo(again) == [("overwritten", "a.txt", ""), ("created", "a.txt", "")]


def test_nothing_is_kept_through_a_link_that_somebody_laid_at_our_folder(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder.root / "a.txt").write_bytes(b"one")
    (folder.root / ".commonhold").mkdir()
    (folder.root / ".commonhold" / "versions").symlink_to(elsewhere)
    with pytest.raises((NotFound, Conflict)):
        delete(folder, "a.txt")
    assert (folder.root / "a.txt").read_bytes() == b"one"
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("way", ["exchanged", "copied"])
def test_a_disk_without_links_exchanges_the_two_or_copies_the_old_one(folder, monkeypatch, way):
    monkeypatch.setattr(retiring, "_linked", lambda *_: False)
    if way == "copied":
        monkeypatch.setattr(retiring, "exchange", lambda *_: False)
    folder.put("a.txt", b"one")
    folder.put("a.txt", b"two")
    assert folder.read("a.txt") == b"two"
    assert [path.read_bytes() for path in kept(folder)] == [b"one"]
    assert not folder.rubbish()


# -- undo


def undo(folder: Folder, path: str = "", who: str = "tower") -> list[tuple[str, str, str]]:
    returning, subject = folder.share.returning, folder.casa.who(who)
    done = []
    for row in returning.deeds("", EARLY, SharePath.parse(path), subject):
        done.append((row.why, row.path, returning.undo(folder.permit(Verb.WRITE, row.path), row)[0]))
    return done


def test_undo_takes_back_all_that_one_person_did_newest_first_and_once(folder):
    (folder.root / "old.txt").write_bytes(b"old")
    (folder.root / "gone.txt").write_bytes(b"gone")
    folder.put("old.txt", b"new")
    folder.put("old.txt", b"newer")
    delete(folder, "gone.txt")
    folder.share.mkdir(folder.permit(Verb.WRITE, "trip"))
    folder.put("trip/a.txt", b"made")
    assert all(not reason for _, _, reason in undo(folder))
    assert folder.names() == {"old.txt", "gone.txt"}
    assert (folder.read("old.txt"), folder.read("gone.txt")) == (b"old", b"gone")
    assert undo(folder) == []
    assert {b"new", b"newer", b"made"} <= {path.read_bytes() for path in kept(folder)}


def test_undo_goes_back_through_what_was_restored_meanwhile_and_foresees_the_same(folder):
    (folder.root / "a.txt").write_bytes(b"old")
    folder.put("a.txt", b"new")
    restore(folder, "a.txt")
    delete(folder, "a.txt")
    returning, foreseen = folder.share.returning, Foresight()
    rows = returning.deeds("", EARLY, SharePath(), folder.casa.who("tower"))
    assert [returning.trouble(row, foreseen) for row in rows] == ["", "", ""]
    assert [reason for _, _, reason in undo(folder)] == ["", "", ""]
    assert folder.read("a.txt") == b"old"


def last(folder: Folder) -> tuple[str, str, str]:
    """What was done last, and why it could not be taken back."""
    row = folder.share.returning.deeds("", None, SharePath(), folder.casa.who("tower"))[0]
    return row.why, row.path, folder.share.returning.trouble(row, Foresight())


def test_a_folder_that_came_as_a_whole_goes_as_a_whole_but_not_with_what_came_into_it_since(folder):
    folder.share.mkdir(folder.permit(Verb.WRITE, "trip"))
    folder.put("trip/a.txt", b"one")
    sleep(0.1)  # more than a disk's clock is behind ours
    delete(folder, "trip")
    restore(folder, "trip")
    assert last(folder) == ("created", "trip", "")
    (folder.root / "trip/somebody.txt").write_bytes(b"else")
    assert last(folder) == ("created", "trip", "something is in it")
    (folder.root / "trip/somebody.txt").unlink()
    assert [reason for _, _, reason in undo(folder)] == [""] * 4  # the restore, the deletion, and what there was before
    assert not folder.names()


def test_what_is_in_a_folder_that_would_come_back_first_is_foreseen(folder):
    folder.share.mkdir(folder.permit(Verb.WRITE, "trip"))
    (folder.root / "trip/somebody.txt").write_bytes(b"else")
    delete(folder, "trip")
    returning, foreseen = folder.share.returning, Foresight()
    rows = returning.deeds("", EARLY, SharePath(), folder.casa.who("tower"))
    planned = [(row.why, row.path, returning.trouble(row, foreseen)) for row in rows]
    assert planned == [("deleted", "trip", ""), ("created", "trip", "something is in it")]
    assert undo(folder) == planned


def test_what_somebody_has_changed_since_is_left_and_named(folder):
    folder.put("a.txt", b"one")
    folder.put("b.txt", b"one")
    (folder.root / "a.txt").write_bytes(b"changed at its own computer")
    assert [(path, bool(reason)) for _, path, reason in undo(folder)] == [("b.txt", False), ("a.txt", True)]
    assert folder.names() == {"a.txt"}


# -- crashes

SCRIPT = """
    import itertools, os, sqlite3, sys
    from pathlib import Path
    from commonhold.authority.authority import Door, Verb, permit
    from commonhold.files.catalogue import Catalogue
    from commonhold.files.share import Share
    from commonhold.files.entry import NONE
    from commonhold.files.moving import Wish
    from commonhold.names import SharePath
    from tests.authority.suite import ANN, Casa

    what, casa = sys.argv[2], Casa("peer")

    def act(home, what, last):
        database = sqlite3.connect(home / "files.db", isolation_level=None, check_same_thread=False)
        share = Share(Door("share", "5a17" * 8, "photos", ANN), home / "photos", Catalogue(database))
        given = permit(casa.authority, casa.who("tower"), Verb.WRITE, share.door, SharePath.parse("a.txt"))
        if what == "overwrite":
            upload = share.write(given)
            upload.write(b"new")
        other = share
        if what == "move in":
            other = Share(Door("share", "5a18" * 8, "desk", ANN), home / "desk", share.catalogue)
        source = permit(casa.authority, casa.who("tower"), Verb.WRITE, other.door, SharePath.parse("b.txt"))
        count = itertools.count(1)

        def counted(call):
            def run(*arguments, **words):
                if next(count) == last:
                    os._exit(9)
                return call(*arguments, **words)
            return run

        for name in ("link", "rename", "unlink", "fsync", "stat"):
            setattr(os, name, counted(getattr(os, name)))
        if what == "overwrite":
            upload.commit()
        elif what == "delete":
            share.delete(given)
        elif what in {"move", "move in"}:
            other.move(source, share, given, Wish())
        else:
            row, _ = share.returning.choose(given, None, None)
            share.returning.restore(given, row, NONE)

    def child(*arguments):
        pid = os.fork()
        if not pid:
            act(*arguments)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    for last in itertools.count(1):
        home = Path(sys.argv[1]) / str(last)
        (home / "photos").mkdir(parents=True)
        (home / "photos" / "a.txt").write_bytes(b"old")
        if what == "restore":
            assert child(home, "overwrite", 0) == 0
        if what in {"move", "move in"}:
            source = home / ("photos" if what == "move" else "desk") / "b.txt"
            source.parent.mkdir(exist_ok=True)
            source.write_bytes(b"new")
        if (ended := child(home, what, last)) == 0:
            break
        assert ended == 9, ended
"""


@pytest.mark.parametrize("what", ["overwrite", "delete", "restore", "move", "move in"])
def test_a_death_at_any_call_forgets_no_byte_and_leaves_no_half(tmp_path, what):
    """Whatever had the name is under it still, or a version; and the next start finds each version whole."""
    subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT), tmp_path, what], check=True)
    homes = list(tmp_path.iterdir())
    assert len(homes) > 5
    for home in homes:
        share = Share(Door("share", "5a17" * 8, "photos", ANN), home / "photos", catalogue(home / "files.db"))
        found = Folder(share, Casa("peer"))
        files = kept(found)
        assert {path.name for path in files} == {each.version for each in history(found)}
        there = home / "photos" / "a.txt"
        assert there.exists() or what == "delete"
        names = [path for path in (there, there.with_name("b.txt"), home / "desk" / "b.txt") if path.exists()]
        contents = sorted(path.read_bytes() for path in [*files, *names])
        assert contents in ([b"old"], [b"new", b"old"])
        assert not found.rubbish()


# -- against a model


class Model(RuleBasedStateMachine):
    """Every content that was ever acknowledged is under its name, or kept."""

    folder: Folder
    places = st.sampled_from(["a", "b", "d/a", "d"])

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.temporary = tempfile.TemporaryDirectory()
        root = Path(self.temporary.name) / "photos"
        root.mkdir()
        self.folder = Folder(Share(Door("share", "5a17" * 8, "photos", ANN), root, catalogue()), Casa("peer"))
        self.seen: set[bytes] = set()

    @rule(path=places, number=st.integers(0, 10**9))
    def put(self, path: str, number: int) -> None:
        data = f"{path} {number} {len(self.seen)}".encode()
        try:
            self.folder.put(path, data)
        except Conflict:
            return
        self.seen.add(data)

    @rule(path=places)
    def mkdir(self, path: str) -> None:
        try:
            self.folder.share.mkdir(self.folder.permit(Verb.WRITE, path))
        except Conflict:
            return

    @rule(path=places)
    def remove(self, path: str) -> None:
        try:
            delete(self.folder, path)
        except NotFound:
            return

    @rule(path=places)
    def back(self, path: str) -> None:
        try:
            restore(self.folder, path)
        except (NotFound, Conflict):
            return

    @rule(path=places)
    def undone(self, path: str) -> None:
        undo(self.folder, path)

    @rule()
    def again(self) -> None:
        door, root = self.folder.share.door, self.folder.root
        self.folder = Folder(Share(door, root, self.folder.share.catalogue), self.folder.casa)

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "seen"):
            return
        every = [path for path in self.folder.root.rglob("*") if path.is_file()]
        assert {path.read_bytes() for path in every} == self.seen
        named = {path.name for path in (self.folder.root / ".commonhold").glob("versions/*/*")}
        assert named == {row.id for row in self.folder.share.versions.find("kept")}

    def teardown(self) -> None:
        if hasattr(self, "temporary"):
            self.temporary.cleanup()


def test_every_content_is_under_its_name_or_kept():
    run_state_machine_as_test(Model, settings=settings(max_examples=25, stateful_step_count=20, deadline=None))


# -- through the door


async def ask(tower, who: str, method: str, path: str, **body):
    answer = await tower.ask(who, method, path, json.dumps(body).encode() if body else None)
    return answer.status, json.loads(answer.body) if answer.body else None


async def test_the_door_tells_brings_back_undoes_and_erases(tower):
    share = tower.offer("papers", laptop=Verb.WRITE, desk=Verb.READ)
    for text in (b"one", b"two"):
        await tower.ask("laptop", "PUT", "/dav/papers/a.txt", text)
    status, found = await ask(tower, "desk", "GET", "/history/papers/a.txt")
    assert (status, [(each["person"], each["computer"], each["size"]) for each in found]) == (
        200,
        [("bob", "laptop", 3)],
    )
    assert (await ask(tower, "desk", "POST", "/history/papers/a.txt", version=found[0]["version"]))[0] == 403
    assert (await ask(tower, "laptop", "POST", "/history/papers/a.txt", to="deep/b.txt"))[0] == 200
    assert (share.root / "deep/b.txt").read_bytes() == b"one"
    since = EARLY.isoformat()
    assert (await ask(tower, "desk", "POST", "/undo/papers", since=since))[0] == 403
    assert (await ask(tower, "laptop", "POST", "/undo/papers", since=since, person="ann"))[0] == 403
    status, planned = await ask(tower, "tablet", "POST", "/undo/papers", since=since, person="bob", dry_run=True)
    assert (status, (share.root / "a.txt").exists()) == (200, True)
    assert all(each["undone"] for each in planned)
    last = (await ask(tower, "laptop", "POST", "/undo/papers", dry_run=True))[1]
    assert (await ask(tower, "laptop", "POST", "/undo/papers", dry_run=True, since=last[0]["when"]))[1] == last
    status, undone = await ask(tower, "tablet", "POST", "/undo/papers", since=since, person="bob")
    assert (status, len(undone)) == (200, len(planned))
    assert (await ask(tower, "laptop", "PATCH", "/history/papers", days=3))[0] == 403
    usual = (await ask(tower, "tablet", "PATCH", "/history/papers"))[1]
    assert (await ask(tower, "tablet", "PATCH", "/history/papers", days=3))[1]["days"] == 3
    assert (await ask(tower, "tablet", "PATCH", "/history/papers", bytes=5))[1]["bytes"] == 5
    assert (await ask(tower, "tablet", "PATCH", "/history/papers", bytes="usual"))[0] == 400
    said = (await ask(tower, "tablet", "PATCH", "/history/papers", bytes="default"))[1]
    assert (said["days"], said["bytes"], share.versions.policy.bytes) == (3, usual["bytes"], None)
    assert (await ask(tower, "tablet", "PATCH", "/history/papers", days="default"))[1]["days"] == 30
    assert (await ask(tower, "laptop", "DELETE", "/history/papers"))[0] == 403
    assert (await ask(tower, "tablet", "DELETE", "/history/papers"))[1]["versions"] == 0
    assert not [path for path in (share.root / ".commonhold" / "versions").rglob("*") if path.is_file()]


async def test_history_follows_a_move_and_undo_takes_it_back_with_what_it_replaced(tower):
    share = tower.offer("papers", laptop=Verb.WRITE)
    (share.root / "d").mkdir()
    (share.root / "d" / "a.txt").write_bytes(b"old")
    (share.root / "b.txt").write_bytes(b"replaced")
    await tower.ask("laptop", "PUT", "/dav/papers/d/a.txt", b"new")
    assert (await tower.ask("laptop", "MOVE", "/dav/papers/d/a.txt", Destination="/dav/papers/b.txt")).status == 204
    assert (await tower.ask("laptop", "MOVE", "/dav/papers/d", Destination="/dav/papers/e")).status == 201
    await tower.ask("laptop", "PUT", "/dav/papers/e/c.txt", b"made")
    told = {(each["path"], each["size"]) for each in (await ask(tower, "laptop", "GET", "/history/papers/b.txt"))[1]}
    assert told == {("d/a.txt", 3), ("b.txt", 8)}
    since = EARLY.isoformat()
    planned = (await ask(tower, "laptop", "POST", "/undo/papers", since=since, dry_run=True))[1]
    assert [each["reason"] for each in planned] == [""] * 5
    assert (await ask(tower, "laptop", "POST", "/undo/papers", since=since))[1] == planned
    files = {str(path.relative_to(share.root)): path.read_bytes() for path in share.root.glob("[!.]*/*")}
    assert files == {"d/a.txt": b"old"}
    assert (share.root / "b.txt").read_bytes() == b"replaced"
    assert (await ask(tower, "laptop", "POST", "/undo/papers", since=since))[1] == []


COLOUR = (
    b'<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x:colour xmlns:x="urn:x">blue</x:colour></D:prop></D:set>'
    b"</D:propertyupdate>"
)


async def test_undo_takes_what_was_moved_to_another_share_back_to_its_own_with_what_belongs_to_it(tower):
    papers, archive = tower.offer("papers", laptop=Verb.WRITE), tower.offer("archive", laptop=Verb.WRITE)
    for text in (b"one", b"two"):
        await tower.ask("laptop", "PUT", "/dav/papers/a.txt", text)
    assert (await tower.ask("laptop", "PROPPATCH", "/dav/papers/a.txt", COLOUR)).status == 207
    (archive.root / "b.txt").write_bytes(b"replaced")
    assert (await tower.ask("laptop", "MOVE", "/dav/papers/a.txt", Destination="/dav/archive/b.txt")).status == 204
    since = EARLY.isoformat()
    planned = (await ask(tower, "laptop", "POST", "/undo/archive", since=since, dry_run=True))[1]
    assert [(each["was"], each["path"], each["reason"]) for each in planned] == [
        ("moved", "b.txt", ""), ("overwritten", "b.txt", ""),
    ]  # fmt: skip
    assert (await ask(tower, "laptop", "POST", "/undo/archive", since=since))[1] == planned
    assert ((papers.root / "a.txt").read_bytes(), (archive.root / "b.txt").read_bytes()) == (b"two", b"replaced")
    assert b"blue" in (await tower.ask("laptop", "PROPFIND", "/dav/papers/a.txt", Depth="0")).body
    assert [each["size"] for each in (await ask(tower, "laptop", "GET", "/history/papers/a.txt"))[1]] == [3]
    assert tower.ledger.used(BOB).bytes == len(b"two" + b"replaced")  # which he brought back
    for share in ("archive", "papers"):
        again = (await ask(tower, "laptop", "POST", f"/undo/{share}", since=since, dry_run=True))[1]
        assert "moved" not in [each["was"] for each in again], "nothing is taken back twice"


async def test_what_came_from_another_share_stays_where_that_is_closed_taken_or_gone(tower):
    papers, archive = tower.offer("papers", laptop=Verb.WRITE), tower.offer("archive", laptop=Verb.WRITE)
    (papers.root / "a.txt").write_bytes(b"one")
    await tower.ask("laptop", "MOVE", "/dav/papers/a.txt", Destination="/dav/archive/a.txt")

    async def reason(**wish: object) -> str:
        (answer,) = (await ask(tower, "laptop", "POST", "/undo/archive", since=EARLY.isoformat(), **wish))[1]
        assert answer["undone"] == (not answer["reason"])
        return answer["reason"]

    assert await reason(dry_run=True) == ""
    (papers.root / "a.txt").write_bytes(b"new")
    for wish in ({}, {"dry_run": True}):
        assert await reason(**wish) == "something else is where it was"
    (papers.root / "a.txt").unlink()
    tower.casa.deny(BOB, Verb.WRITE, papers.door)
    assert "bob may not write to papers" in await reason()
    tower.shares.withdraw("papers")
    assert await reason() == "the share that it came from is not offered any more"
    assert (archive.root / "a.txt").read_bytes() == b"one"


async def test_whoever_may_only_add_learns_nothing_of_what_was(tower):
    share = tower.offer("papers", laptop=Verb.ADD, tablet=Verb.WRITE)
    await tower.ask("tablet", "PUT", "/dav/papers/a.txt", b"one")
    await tower.ask("tablet", "DELETE", "/dav/papers/a.txt")
    answers = [
        await tower.ask("laptop", method, f"{root}papers/{name}", b"{}" if method == "POST" else None)
        for method, root in (("GET", "/history/"), ("POST", "/history/"), ("DELETE", "/history/"), ("POST", "/undo/"))
        for name in ("a.txt", "never.txt")
    ]
    assert {each.status for each in answers} == {403}
    for was, never in zip(answers[::2], answers[1::2], strict=True):
        assert was.body == never.body
    assert [path.name for path in share.root.iterdir()] == [".commonhold"]


@pytest.mark.parametrize("trap", ["..", "%2e%2e/x", ".commonhold/versions", "a%2fb", "%00", "a//b"])
async def test_no_address_of_a_history_leads_out(tower, trap):
    tower.offer("papers", laptop=Verb.WRITE)
    for method, root in (("GET", "/history/"), ("POST", "/history/"), ("POST", "/undo/"), ("DELETE", "/history/")):
        answer = await tower.ask("laptop", method, f"{root}papers/{trap}", b"{}" if method == "POST" else None)
        assert answer.status in {400, 403, 404}
    answer = await tower.ask("laptop", "POST", "/history/papers/a", json.dumps({"to": "../x"}).encode())
    assert answer.status in {400, 404}


async def test_what_comes_back_is_charged_to_whoever_restores_and_respects_a_lock(tower):
    share = tower.offer("papers", laptop=Verb.WRITE, desk=Verb.WRITE)
    await tower.ask("desk", "PUT", "/dav/papers/a.txt", b"one")
    await tower.ask("desk", "DELETE", "/dav/papers/a.txt")
    kinds = b"<D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>"
    lock = b'<D:lockinfo xmlns:D="DAV:">' + kinds + b"</D:lockinfo>"
    assert (await tower.ask("desk", "LOCK", "/dav/papers/a.txt", lock)).status == 201
    assert (await ask(tower, "laptop", "POST", "/history/papers/a.txt", at=EARLY.isoformat()))[0] == 423
    assert (share.root / "a.txt").read_bytes() == b""  # a lock on what is not there makes an empty file
    assert (await ask(tower, "laptop", "POST", "/history/papers/a.txt", to="b.txt"))[0] == 200
    assert tower.ledger.used(BOB).bytes == 3


async def test_no_quota_is_got_around_by_deleting_and_undoing(tower):
    share = tower.offer("papers", laptop=Verb.WRITE)
    tower.ledger.set_limit(BOB, Limit(bytes=10))
    for name in ("a", "b", "c"):
        assert (await tower.ask("laptop", "PUT", f"/dav/papers/{name}", b"x" * 9)).status == 201
        await tower.ask("laptop", "DELETE", f"/dav/papers/{name}")
    answers = [await tower.ask("laptop", "POST", f"/undo/papers/{name}", b"{}") for name in ("a", "b", "c")]
    said = [json.loads(each.body)[0] for each in answers]
    assert [each["undone"] for each in said] == [True, False, False]
    assert all("does not fit in" in each["reason"] for each in said[1:])
    assert tower.ledger.used(BOB).bytes == sum(each.stat().st_size for each in share.root.iterdir() if each.is_file())


async def test_a_time_that_no_clock_shows_or_that_is_nobodys_is_no_error_of_ours(tower):
    tower.offer("papers", laptop=Verb.WRITE)
    for text in (b"one", b"two"):
        await tower.ask("laptop", "PUT", "/dav/papers/a.txt", text)
    for time, status in ("2026-01-01T00:00:00", 400), ("0001-01-01T00:00:00Z", 200), ("9999-12-31T23:59:59Z", 200):
        assert (await ask(tower, "laptop", "POST", "/undo/papers", since=time, dry_run=True))[0] == status
        back = await ask(tower, "laptop", "POST", "/history/papers/a.txt", at=time)
        assert back[0] == (404 if time.startswith("9999") else status)


@pytest.mark.parametrize("what", ["overwrite", "move", "copy", "restore"])
@pytest.mark.parametrize("save", ["by rename", "by deleting"])
def test_what_a_program_of_the_owner_does_in_the_very_moment_of_a_change_is_not_lost(folder, monkeypatch, save, what):
    folder.put("a", b"second")
    folder.put("a", b"first")
    folder.put("b", b"second")
    exchange, path = retiring.exchange, folder.root / "a"

    def in_the_moment(*names: Any) -> bool:
        if save == "by rename":
            (folder.root / "a.saving").write_bytes(b"the owner's")
            (folder.root / "a.saving").rename(path)
        else:
            path.unlink()
        return exchange(*names)

    monkeypatch.setattr(retiring, "exchange", in_the_moment)
    replace(folder, what)
    assert folder.read("a") == b"second"
    kept = [file.read_bytes() for file in (folder.root / ".commonhold" / "versions").glob("*/*")]
    assert {b"first"} | ({b"the owner's"} if save == "by rename" else set()) == set(kept) - {b"second"}
    assert len(folder.share.versions.find("kept AND settled")) == len(kept)
    assert folder.names() == ({"a"} if what == "move" else {"a", "b"})
    assert not folder.rubbish()


def replace(folder: Folder, what: str) -> None:
    """Let `a` be what `b` is, or what a version of it was."""
    given, at = folder.permit(Verb.WRITE, "b"), folder.permit(Verb.WRITE, "a")
    if what == "overwrite":
        folder.put("a", b"second")
    elif what == "restore":
        restore(folder, "a", history(folder, "a")[-1].version)
    elif what == "move":
        folder.share.move(given, folder.share, at, Wish())
    else:
        copying = folder.share.copy(given, folder.share, at, Wish())
        copying.fill()
        copying.commit()


@pytest.mark.parametrize("room", ["free", "taken"])
def test_what_is_saved_under_the_former_name_of_what_moves_away_stays(folder, monkeypatch, room):
    """`taken`: and again before it could be put back; then the first is a version."""
    folder.put("a", b"first")
    folder.put("b", b"second")
    exchange, put_back = retiring.exchange, retiring.rename_new

    def save(text: bytes) -> None:
        (folder.root / "b.saving").write_bytes(text)
        (folder.root / "b.saving").rename(folder.root / "b")

    def in_the_moment(*names: Any) -> bool:
        save(b"the owner's")
        return exchange(*names)

    def late(*names: Any) -> None:
        if room == "taken":
            save(b"and once more")
        put_back(*names)

    monkeypatch.setattr(retiring, "exchange", in_the_moment)
    monkeypatch.setattr(retiring, "rename_new", late)
    replace(folder, "move")
    assert folder.read("a") == b"second"
    assert folder.read("b") == (b"and once more" if room == "taken" else b"the owner's")
    assert {b"first"} | ({b"the owner's"} if room == "taken" else set()) == {path.read_bytes() for path in kept(folder)}
    assert {path.name for path in kept(folder)} == {each.version for each in history(folder)}
