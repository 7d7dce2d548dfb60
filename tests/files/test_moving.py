"""COPY and MOVE at the real door: what arrives, what is refused, who pays, and that nothing is ever half there."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commonhold.authority.authority import Verb
from commonhold.errors import Changed
from commonhold.files import copying, renaming
from commonhold.files.locks import Lock
from commonhold.files.quota import Limit, Stored
from commonhold.files.share import Share
from commonhold.names import ShareName, SharePath

from ..authority.suite import BOB, CAROL
from .test_serve import settled, under_way

CHAPTERS = {"one.txt": b"1", "deep/two.txt": b"22", "deep/deeper/three.txt": b"333"}


def lay(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def tree(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".commonhold")}


@pytest.fixture
def desk(tower):
    """bob writes into `desk`, and may only add to carol's `inbox`."""
    share = tower.offer("desk", laptop=Verb.WRITE)
    lay(share.root, {"a.txt": b"a", "b.txt": b"b"} | {f"book/{name}": data for name, data in CHAPTERS.items()})
    return share


@contextmanager
def elsewhere(tower) -> Iterator[Share]:
    """A share on another disk than the rest: memory."""
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tower.home.stat().st_dev:
        pytest.skip("no other disk here")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        share = tower.shares.offer(Path(folder), ShareName("far"))
        tower.casa.allow(BOB, Verb.WRITE, share.door)
        yield share
        tower.shares.withdraw("far")


async def bring(tower, method: str, path: str, to: str, who: str = "laptop", **headers: str):
    return await tower.ask(who, method, f"/dav/desk/{path}", Destination=to, **headers)


async def test_a_file_is_copied_with_its_time_and_then_moved(tower, desk):
    os.utime(desk.root / "a.txt", (1_000_000_000, 1_000_000_000))
    (desk.root / "a.txt").chmod(0o640)
    assert (await bring(tower, "COPY", "a.txt", "/dav/desk/c.txt")).status == 201
    copy = (desk.root / "c.txt").stat()
    assert (copy.st_mtime, copy.st_mode & 0o777) == (1_000_000_000, 0o640)
    assert (await bring(tower, "MOVE", "c.txt", "/dav/desk/b.txt")).status == 204
    assert tree(desk.root) == {"a.txt": b"a", "b.txt": b"a"} | {f"book/{n}": d for n, d in CHAPTERS.items()}
    assert [event for event, _ in tower.events if event != "door opened"] == ["moved", "overwritten"]
    await settled(lambda: not under_way(desk))


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
async def test_a_folder_arrives_whole_also_over_another_and_over_a_file(tower, desk, method):
    lay(desk.root / "old", {"gone.txt": b"old"})
    (desk.root / "book" / "link").symlink_to("/etc/passwd")
    for place in ("new", "old", "b.txt"):
        lay(desk.root / "book", CHAPTERS)
        status = (await bring(tower, method, "book", f"/dav/desk/{place}")).status
        assert status == (201 if place == "new" else 204)
        arrived = {path.name for path in (desk.root / place).rglob("*")}
        assert arrived - {"link"} == {"one.txt", "deep", "two.txt", "deeper", "three.txt"}
        assert (desk.root / "book").exists() == (method == "COPY")
        assert (desk.root / "new" / "link").is_symlink() == (method == "MOVE"), "what is not listed is not copied"
    assert (await bring(tower, method, "a.txt", "/dav/desk/new")).status == 204, "a file over a folder"
    assert (desk.root / "new").read_bytes() == b"a"
    await settled(lambda: not under_way(desk))


async def test_a_disk_that_cannot_exchange_names_replaces_folders_all_the_same(tower, desk, monkeypatch):
    lay(desk.root / "old", {"gone.txt": b"old"})
    monkeypatch.setattr(renaming, "_rename", None)
    assert (await bring(tower, "COPY", "book", "/dav/desk/old")).status == 204
    assert (await bring(tower, "MOVE", "book", "/dav/desk/new")).status == 201
    assert tree(desk.root / "old") == tree(desk.root / "new") == CHAPTERS


async def test_a_copy_without_depth_is_the_folder_alone(tower, desk):
    assert (await bring(tower, "COPY", "book", "/dav/desk/empty", Depth="0")).status == 201
    assert list((desk.root / "empty").iterdir()) == []
    assert (await bring(tower, "COPY", "book", "/dav/desk/x", Depth="1")).status == 400
    assert (await bring(tower, "MOVE", "book", "/dav/desk/x", Depth="0")).status == 400


@pytest.mark.parametrize("method", ["COPY", "MOVE"])
async def test_what_cannot_be_is_refused_and_nothing_changes(tower, desk, method):
    before = tree(desk.root)
    lay(desk.root, {unicodedata.normalize("NFD", "é"): b"e"})
    before = tree(desk.root)
    refused = {
        ("a.txt", "/dav/desk/none/c.txt", ""): 409,
        ("a.txt", "/dav/desk/b.txt/c.txt", ""): 409,
        ("a.txt", "/dav/desk/b.txt", "F"): 412,
        ("a.txt", "/dav/desk/c.txt", "maybe"): 400,
        ("none", "/dav/desk/c.txt", ""): 404,
        ("a.txt", "/dav/desk/a.txt", ""): 403,
        ("%C3%A9", "/dav/desk/e%CC%81", ""): 403,  # one name, composed and decomposed
        ("book", "/dav/desk/book/deep/book", ""): 403,
        ("book/deep", "/dav/desk/book", ""): 403,
        ("a.txt", "/dav/desk/", ""): 403,
        ("a.txt", "/dav/", ""): 400,
        ("a.txt", "/dav/desk/what%3f", ""): 400,  # no name that every platform holds
    }
    for (path, to, overwrite), status in refused.items():
        headers = {"Overwrite": overwrite} if overwrite else {}
        assert (await bring(tower, method, path, to, **headers)).status == status, (path, to)
    stale = await bring(tower, method, "a.txt", "/dav/desk/c.txt", If_Match='"other"')
    assert stale.status == 412
    assert tree(desk.root) == before
    assert not under_way(desk)


async def test_a_share_itself_is_copied_and_never_moved(tower, desk):
    other = tower.offer("other", laptop=Verb.WRITE)
    assert (await bring(tower, "COPY", "", "/dav/other/all")).status == 201
    assert tree(other.root / "all") == tree(desk.root)
    assert (await bring(tower, "MOVE", "", "/dav/other/moved")).status == 403


DESTINATIONS = {
    "": 400, "c.txt": 502, "//evil/dav/desk/c.txt": 400, "https://evil/dav/desk/c.txt": 502,
    "https://{host}@evil/dav/desk/c.txt": 502, "https://evil@{host}/dav/desk/c.txt": 502, "https://{host}": 400,
    "ftp://{host}/dav/desk/c.txt": 502, "https://{host}.evil/dav/desk/c.txt": 502, "https:///dav/desk/c.txt": 502,
    "/": 400, "/da": 400, "/davdesk/c.txt": 400, "/dav/desk/../desk/c.txt": 400, "/dav/desk/%2e%2e/c.txt": 400,
    "/dav/desk/c.txt#x": 400, "/dav/desk/c.txt?x": 400, "/dav/desk/c%2ftxt": 400, "/dav/desk/c%5ctxt": 400,
    "/dav/desk/c%00.txt": 400, "/dav/desk/%zz": 400, "/dav/desk/%ff": 400, "/dav/desk//c.txt": 400,
    "/dav/desk/.commonhold/tmp/c": 400, "/dav/desk/%2Ecommonhold/c": 400, "/dav/.job-1/c.txt": 403,
    "/dav/nowhere/c.txt": 403, "/api/c.txt": 400,
    "https://{host}/dav/desk/%63.txt": 201, "HTTP://{host}/dav/desk/c.txt": 204, " /dav/desk/c.txt ": 204,
}  # fmt: skip


async def test_no_destination_leads_elsewhere(tower, desk):
    host = "tower:7440"
    outside = tower.offer("letters", desk=Verb.READ).root
    for form, status in DESTINATIONS.items():
        answer = await bring(tower, "COPY", "a.txt", form.format(host=host), Host=host)
        assert answer.status == status, form
    assert set(tree(desk.root)) == {"a.txt", "b.txt", "c.txt"} | {f"book/{name}" for name in CHAPTERS}
    told = [(await bring(tower, "COPY", "a.txt", f"/dav/{place}")) for place in ("letters/x", "lettres/x")]
    assert [answer.status for answer in told] == [403, 403]
    assert told[0].body == told[1].body.replace(b"lettres", b"letters"), "whether a share exists is not told"
    assert not tree(outside)


async def test_each_end_asks_for_its_own_right(tower, desk):
    other = tower.offer("other", laptop=Verb.READ, desk=Verb.WRITE)
    lay(other.root, {"theirs.txt": b"t"})
    to_mine = {"Destination": "/dav/desk/got.txt"}
    assert (await tower.ask("laptop", "MOVE", "/dav/other/theirs.txt", **to_mine)).status == 403
    assert (await tower.ask("laptop", "COPY", "/dav/other/theirs.txt", **to_mine)).status == 201
    assert (await bring(tower, "COPY", "a.txt", "/dav/other/a.txt")).status == 403
    assert (await bring(tower, "COPY", "a.txt", "/dav/other/a.txt", who="desk")).status == 403
    assert tree(other.root) == {"theirs.txt": b"t"}


async def test_between_shares_a_move_is_a_rename_too(tower, desk):
    other = tower.offer("other", laptop=Verb.WRITE)
    inode = (desk.root / "book").stat().st_ino
    remote = tower.remote("laptop", "desk")
    book, a, c = (SharePath.parse(name) for name in ("book", "a.txt", "c.txt"))
    assert await remote.relocate("MOVE", book, "other", book)
    assert (other.root / "book").stat().st_ino == inode
    assert await remote.relocate("COPY", a, "other", c)
    with pytest.raises(Changed):
        await remote.relocate("COPY", a, "other", c)
    with pytest.raises(Changed):
        await remote.relocate("MOVE", a, "other", c, etag="another")
    there = await tower.remote("laptop", "other").stat(c)
    assert await remote.relocate("MOVE", a, "other", c, etag=there.etag), "a condition on what it replaces, elsewhere"
    assert not (desk.root / "a.txt").exists()


async def test_no_lock_of_another_is_moved_away_or_replaced(tower, desk):
    tower.casa.allow(CAROL, Verb.WRITE, desk.door)
    until, owner = datetime.now(UTC) + timedelta(hours=1), "person carol"
    mine = Lock("urn:uuid:1", desk.door.id, str(desk.root), "book/one.txt", False, False, owner, "carol", "", until)
    assert tower.shares.locks.hold(mine) == []
    for method, path, to in [("MOVE", "book", "x"), ("MOVE", "book/one.txt", "x"), ("COPY", "a.txt", "book/one.txt"),
                             ("MOVE", "a.txt", "book"), ("COPY", "a.txt", "book")]:  # fmt: skip
        assert (await bring(tower, method, path, f"/dav/desk/{to}")).status == 423, (method, path, to)
    assert (await bring(tower, "COPY", "book", "/dav/desk/x")).status == 201
    assert tree(desk.root / "x") == tree(desk.root / "book") == CHAPTERS


async def test_to_a_drop_box_every_name_seems_free(tower, desk):
    inbox = tower.offer("inbox", laptop=Verb.ADD, desk=Verb.WRITE)
    lay(inbox.root, {"a.txt": b"carol's", "book": b"a file"})
    for method, path, to, overwrite in [
        ("COPY", "a.txt", "a.txt", "F"), ("COPY", "a.txt", "new.txt", "F"), ("COPY", "book", "book", "T"),
        ("COPY", "a.txt", "none/there/a.txt", "T"), ("MOVE", "b.txt", "a.txt", "T"), ("MOVE", "book", "none", "F"),
    ]:  # fmt: skip
        answer = await bring(tower, method, path, f"/dav/inbox/{to}", Overwrite=overwrite)
        assert (answer.status, answer.body) == (201, b""), (method, path, to)
    assert tree(inbox.root) == {
        "a.txt": b"carol's", "a (2).txt": b"a", "a (3).txt": b"b", "new.txt": b"a", "book": b"a file",
        "none/there/a.txt": b"a",
    } | {f"{place}/{name}": data for place in ("book (2)", "none (2)") for name, data in CHAPTERS.items()}  # fmt: skip
    assert tree(desk.root) == {"a.txt": b"a"}


async def test_who_may_only_add_replaces_nothing(tower, desk):
    tower.casa.allow(CAROL, Verb.ADD, desk.door)
    tower.casa.allow(CAROL, Verb.READ, desk.door)
    assert (await bring(tower, "COPY", "a.txt", "/dav/desk/b.txt", who="desk")).status == 409
    assert (await bring(tower, "COPY", "a.txt", "/dav/desk/c.txt", who="desk")).status == 201
    assert (await bring(tower, "MOVE", "a.txt", "/dav/desk/d.txt", who="desk")).status == 403


async def test_a_copy_is_charged_to_who_made_it_and_a_move_takes_the_payer_along(tower, desk):
    tower.casa.allow(CAROL, Verb.WRITE, desk.door)
    await tower.ask("laptop", "PUT", "/dav/desk/mine.txt", b"12345")
    assert (await bring(tower, "COPY", "book", "/dav/desk/copy", who="desk")).status == 201
    assert tower.ledger.used(CAROL) == Stored(6, 6)  # three files of 6 bytes, three folders
    assert (await bring(tower, "MOVE", "mine.txt", "/dav/desk/copy/mine.txt", who="desk")).status == 201
    assert (await bring(tower, "MOVE", "copy", "/dav/desk/moved", who="laptop")).status == 201
    tower.ledger.recount()
    assert (tower.ledger.used(BOB), tower.ledger.used(CAROL)) == (Stored(5, 1), Stored(6, 6))
    assert (await bring(tower, "MOVE", "b.txt", "/dav/desk/moved", who="laptop")).status == 204
    assert tower.ledger.used(CAROL) == tower.ledger.used(BOB) == Stored(0, 0), "what was replaced counts no more"
    tower.ledger.set_limit(CAROL, Limit(bytes=5))
    full = await bring(tower, "COPY", "book", "/dav/desk/copy", who="desk")
    assert full.status == 507
    assert not (desk.root / "copy").exists()
    await settled(lambda: not under_way(desk))


async def test_what_cannot_be_read_is_said_and_the_rest_is_copied(tower, desk, monkeypatch):
    real = os.open

    def closed(path, *arguments, **more):  # as a system would answer whose user is not root
        if path in {"two.txt", "sealed"} and arguments[0] & os.O_CREAT == 0:
            raise PermissionError(13, "closed")
        return real(path, *arguments, **more)

    lay(desk.root / "book" / "sealed", {"x": b"x"})
    monkeypatch.setattr(copying.os, "open", closed)
    answer = await bring(tower, "COPY", "book", "/dav/desk/copy")
    assert answer.status == 207
    assert answer.body.count(b"<D:status>HTTP/1.1 403 Forbidden</D:status>") == 2
    assert b"<D:href>/dav/desk/book/deep/two.txt</D:href>" in answer.body
    assert set(tree(desk.root / "copy")) == {"one.txt", "deep/deeper/three.txt"}
    assert not (desk.root / "copy" / "sealed").exists()


async def test_across_disks_a_move_copies_then_deletes(tower, desk):
    with elsewhere(tower) as far:
        await tower.ask("laptop", "PUT", "/dav/desk/book/mine.txt", b"12345")
        assert (await bring(tower, "MOVE", "book", "/dav/far/book")).status == 201
        assert tree(far.root / "book") == CHAPTERS | {"mine.txt": b"12345"}
        assert not (desk.root / "book").exists()
        tower.ledger.recount()
        assert tower.ledger.used(BOB) == Stored(5, 1)
        (desk.root / "odd").mkdir()
        (desk.root / "odd" / "link").symlink_to("/etc/passwd")
        assert (await bring(tower, "MOVE", "odd", "/dav/far/odd")).status == 409, "it would lose the link"
        assert (desk.root / "odd" / "link").is_symlink()
        assert {path.name for path in far.root.iterdir()} == {"book", ".commonhold"}


async def test_each_kind_of_thing_says_what_may_be_asked_of_it(tower, desk):
    tower.offer("inbox", laptop=Verb.ADD)
    (desk.root.parent / "inbox" / "a.txt").write_bytes(b"a")

    async def allowed(place: str) -> set[str]:
        answer = await tower.ask("laptop", "OPTIONS", f"/dav/{place}")
        assert (answer.status, answer.headers["DAV"]) == (200, "1, 2, 3")
        return set(answer.headers["Allow"].split(", "))

    file, folder, new = [await allowed(f"desk/{name}") for name in ("a.txt", "book", "none")]
    assert {"GET", "PUT", "COPY", "MOVE", "PROPPATCH", "LOCK"} < file
    assert "COPY" in folder
    assert not {"PUT", "MKCOL", "GET"} & folder
    assert new == {"OPTIONS", "PUT", "MKCOL", "LOCK"}
    assert await allowed("inbox/a.txt") == await allowed("inbox/none") == await allowed("nowhere/x"), "nothing is told"
