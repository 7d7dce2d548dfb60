"""`get` and `put`: files and folders between computers, over a real door."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import unicodedata
from pathlib import Path

import pytest
from aiohttp import web

from commonhold.authority.authority import ROOT, Verb
from commonhold.errors import Changed, Conflict, Damaged, NotFound, Refused, Unreachable, WrongUsage
from commonhold.files import multistatus
from commonhold.files.listing import Lines, form
from commonhold.files.used import copy, remote
from commonhold.files.used.part import Part
from commonhold.files.used.tally import Progress
from commonhold.names import SharePath
from commonhold.transport import Address, Caller, Listener, Peer

from ..authority.suite import BOB, CAROL, computer

BIG = os.urandom(5 * 2**20 + 123)


def path(text: str) -> SharePath:
    return SharePath.parse(text)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with all kinds of files and names."""
    root = tmp_path / "holiday"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty folder").mkdir()
    (root / "a.txt").write_bytes(b"a")
    (root / "empty").touch()
    (root / "big.bin").write_bytes(BIG)
    (root / "sub" / unicodedata.normalize("NFD", "été & co #1 100%.txt")).write_bytes(b"x" * 10_000)
    for number in range(30):
        (root / "sub" / "deep" / f"{number}.txt").write_bytes(os.urandom(number * 1000))
    return root


def contents(root: Path) -> dict[str, bytes | None]:
    return {
        str(each.relative_to(root)): each.read_bytes() if each.is_file() else None
        for each in root.rglob("*")
        if ".commonhold" not in each.parts
    }


async def test_a_folder_goes_there_and_comes_back_the_same(tower, tree, tmp_path):
    share = tower.offer("photos", laptop=Verb.WRITE)
    seen: list[Progress] = []
    caller = tower.caller("laptop")
    report = await copy.put(caller, tower.peer, tree, "photos", ROOT, recursive=True, progress=seen.append)
    size = sum(len(data or b"") for data in contents(tree).values())
    assert (report.files, report.bytes, report.failed) == (34, size, [])
    assert contents(share.root / "holiday") == contents(tree)
    last = seen[-1]
    assert (last.done_files, last.total_files, last.done_bytes, last.total_bytes) == (34, 34, size, size)
    assert all(one.done_bytes <= two.done_bytes for one, two in itertools.pairwise(seen))

    back = tmp_path / "back"
    report = await copy.get(caller, tower.peer, "photos", path("holiday"), back, recursive=True, progress=seen.append)
    assert (report.files, report.bytes, report.failed) == (34, size, [])
    assert contents(back) == contents(tree)
    assert seen[-1].done_bytes == size

    again = await copy.put(caller, tower.peer, tree, "photos", ROOT, recursive=True)  # over what is there
    assert (again.files, again.failed) == (34, [])
    assert not list((share.root / ".commonhold" / "tmp").iterdir())


async def test_single_files_go_into_a_folder_or_under_a_name(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (share.root / "sub").mkdir()
    caller, peer = tower.caller("laptop"), tower.peer
    for name, data in (("small.txt", b"small"), ("big.bin", BIG), ("empty", b"")):
        local = tmp_path / name
        local.write_bytes(data)
        for target, where in ((ROOT, name), (path("sub"), f"sub/{name}"), (path(f"x-{name}"), f"x-{name}")):
            report = await copy.put(caller, peer, local, "photos", target)
            assert (report.files, report.bytes) == (1, len(data))
            assert (share.root / where).read_bytes() == data
        into = tmp_path / "into"
        into.mkdir(exist_ok=True)
        await copy.get(caller, peer, "photos", path(name), into)
        await copy.get(caller, peer, "photos", path(name), into / f"y-{name}")
        assert (into / name).read_bytes() == (into / f"y-{name}").read_bytes() == data
    assert not [each for each in into.iterdir() if each.name.startswith(".")]


async def test_what_makes_no_sense_is_said(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "sub").mkdir()
    (share.root / "a").write_bytes(b"x")
    caller, peer = tower.caller("laptop"), tower.peer
    with pytest.raises(WrongUsage, match="is a folder"):
        await copy.get(caller, peer, "photos", path("sub"), tmp_path)
    with pytest.raises(WrongUsage, match="“photos” is a folder"):
        await copy.get(caller, peer, "photos", ROOT, tmp_path)
    with pytest.raises(WrongUsage, match="needs one share"):
        await copy.get(caller, peer, "", ROOT, tmp_path, recursive=True)
    with pytest.raises(WrongUsage, match="is a folder"):
        await copy.put(caller, peer, tmp_path, "photos", ROOT)
    with pytest.raises(Conflict, match=r"“a” is a file, and .* is a folder"):
        await copy.put(caller, peer, tmp_path, "photos", path("a"), recursive=True)
    with pytest.raises(NotFound):
        await copy.put(caller, peer, tmp_path / "none", "photos", ROOT)
    with pytest.raises(NotFound):
        await copy.get(caller, peer, "photos", path("none"), tmp_path)
    with pytest.raises(NotFound):
        await copy.get(caller, peer, "photos", path("a"), tmp_path / "none" / "a")
    with pytest.raises(Refused):
        await copy.put(caller, peer, Path(__file__), "photos", ROOT)
    tower.offer("secret")
    with pytest.raises(Refused, match="may not read secret"):  # to list is not what was asked for
        await copy.get(caller, peer, "secret", path("a"), tmp_path)
    (tmp_path / "taken" / "a").mkdir(parents=True)
    with pytest.raises(Conflict, match="is a folder"):
        await copy.get(caller, peer, "photos", path("a"), tmp_path / "taken")


async def test_into_a_drop_box_one_puts_new_files_only(tower, tree):
    share = tower.offer("inbox", desk=Verb.ADD)
    caller = tower.caller("desk")
    report = await copy.put(caller, tower.peer, tree, "inbox", ROOT, recursive=True)
    assert report.files == 34
    assert contents(share.root / "holiday") == contents(tree)
    before = contents(share.root)
    await copy.put(caller, tower.peer, tree, "inbox", ROOT, recursive=True)
    assert before.items() < contents(share.root).items(), "what lay there is untouched; the new lies beside it"
    for name in ("drop.py", "drop (2).py", "drop (3).py"):
        await copy.put(caller, tower.peer, Path(__file__), "inbox", path("drop.py"))
        assert (share.root / name).read_bytes() == Path(__file__).read_bytes()


async def test_whoever_may_list_and_add_is_told_that_a_name_is_taken(tower):
    share = tower.offer("inbox", desk=Verb.ADD)
    tower.casa.allow(CAROL, Verb.LIST, share.door)
    (share.root / "a").write_bytes(b"there")
    with pytest.raises(Conflict, match="may only add"):
        await copy.put(tower.caller("desk"), tower.peer, Path(__file__), "inbox", path("a"))
    assert [file.name for file in share.root.iterdir() if file.name != ".commonhold"] == ["a"]


async def test_a_file_that_changed_there_since_one_looked_is_not_replaced(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (share.root / "a").write_bytes(b"one")
    there = tower.remote("laptop", "photos")
    seen = await there.stat(path("a"))
    (share.root / "a").write_bytes(b"somebody else's")
    with pytest.raises(Changed):
        await there.write(path("a"), b"mine", 4, seen.etag)
    with pytest.raises(Changed):
        await there.write(path("a"), b"mine", 4)
    assert (share.root / "a").read_bytes() == b"somebody else's"


async def test_of_many_files_those_that_fail_are_named_and_the_others_arrive(tower, tree, tmp_path):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (tree / "what?.txt").write_bytes(b"x")
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "back\\slash").write_bytes(b"x")
    (tree / ".commonhold").mkdir()
    (tree / ".commonhold" / "ours").write_bytes(b"x")
    (share.root / "holiday" / "a.txt").mkdir(parents=True)
    report = await copy.put(tower.caller("laptop"), tower.peer, tree, "photos", ROOT, recursive=True)
    assert report.files == 33
    assert {Path(name).name for name, _ in report.failed} == {"what?.txt", "back\\slash", "a.txt"}
    assert [Path(name).name for name in report.links] == ["link"]
    assert not (share.root / "holiday" / ".commonhold").exists()
    (tmp_path / "back" / "holiday" / "empty").mkdir(parents=True)
    report = await copy.get(
        tower.caller("laptop"), tower.peer, "photos", path("holiday"), tmp_path / "back", recursive=True
    )
    assert [name for name, _ in report.failed] == ["holiday/empty"]


async def test_a_download_that_breaks_goes_on_where_it_stopped(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "big.bin").write_bytes(BIG)
    etag = (await tower.remote("laptop", "photos").stat(path("big.bin"))).etag
    target = tmp_path / "big.bin"
    part = Part.begin(target, etag)
    part.write(BIG[: 4 * 2**20])
    part.close()
    seen: list[Progress] = []
    await copy.get(tower.caller("laptop"), tower.peer, "photos", path("big.bin"), target, progress=seen.append)
    assert target.read_bytes() == BIG
    moving = [each for each in seen if each.done_bytes]
    assert min(each.done_bytes for each in moving) == 4 * 2**20  # what was there counts at once
    assert {each.total_bytes for each in moving} == {len(BIG)}  # and how much it will be is known before it has come
    assert not list(tmp_path.glob(".*part"))


@pytest.mark.parametrize("what", ["another etag", "all of it", "nothing"])
async def test_a_part_of_an_older_file_or_a_whole_one_does_no_harm(tower, tmp_path, what):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "big.bin").write_bytes(BIG)
    etag = (await tower.remote("laptop", "photos").stat(path("big.bin"))).etag
    target = tmp_path / "big.bin"
    part = Part.begin(target, etag if what != "another etag" else "0" * 24)
    part.write({"another etag": b"old" * 100, "all of it": BIG, "nothing": b""}[what])
    part.close()
    await copy.get(tower.caller("laptop"), tower.peer, "photos", path("big.bin"), target)
    assert target.read_bytes() == BIG
    assert not list(tmp_path.glob(".*part"))


async def test_a_right_that_ends_before_the_digest_is_asked_for_is_told_by_its_reason(tower):
    """The digest is asked for by HEAD, whose answers have no body."""
    share = tower.offer("photos", laptop=Verb.READ)
    (tower.home / "photos" / "a").write_text("new")
    there = tower.remote("laptop", "photos")
    entry = await there.stat(SharePath(("a",)))
    assert await there.digest(SharePath(("a",)), entry.etag) == hashlib.sha256(b"new").digest()
    tower.casa.deny(BOB, Verb.READ, share.door)
    with pytest.raises(Refused, match="may not read photos: "):
        await there.digest(SharePath(("a",)), entry.etag)


async def test_wrong_bytes_in_a_part_are_found_by_the_digest(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "big.bin").write_bytes(BIG)
    etag = (await tower.remote("laptop", "photos").stat(path("big.bin"))).etag
    target = tmp_path / "big.bin"
    target.write_bytes(b"what I had")
    part = Part.begin(target, etag)
    part.write(b"\0" * 2**20)
    part.close()
    with pytest.raises(Damaged):
        await copy.get(tower.caller("laptop"), tower.peer, "photos", path("big.bin"), target)
    assert target.read_bytes() == b"what I had"
    await copy.get(tower.caller("laptop"), tower.peer, "photos", path("big.bin"), target)
    assert target.read_bytes() == BIG


async def test_a_connection_that_is_cut_on_the_way_is_taken_up_again(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.READ)
    data = os.urandom(2**20) * 48
    (share.root / "big.bin").write_bytes(data)
    cuts = iter([8 * 2**20, 24 * 2**20])
    following = [next(cuts)]

    def cut(progress: Progress) -> None:
        if following and progress.done_bytes >= following[0]:
            following[:] = list(cuts)[:1]
            tower.cut("laptop")

    target = tmp_path / "big.bin"
    report = await copy.get(tower.caller("laptop"), tower.peer, "photos", path("big.bin"), target, progress=cut)
    assert report.bytes == len(data)
    assert target.read_bytes() == data


async def test_an_interrupted_get_leaves_the_old_file_and_what_it_has_for_the_next_time(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.READ)
    data = os.urandom(2**20) * 32
    (share.root / "big.bin").write_bytes(data)
    target = tmp_path / "big.bin"
    target.write_bytes(b"old")
    far = asyncio.Event()

    def watch(progress: Progress) -> None:
        if progress.done_bytes > 4 * 2**20:
            far.set()

    caller = tower.caller("laptop")
    getting = asyncio.create_task(copy.get(caller, tower.peer, "photos", path("big.bin"), target, progress=watch))
    await far.wait()
    getting.cancel()
    await asyncio.gather(getting, return_exceptions=True)
    assert target.read_bytes() == b"old"
    (left,) = tmp_path.glob(".big.bin.*.commonhold-part")
    assert 4 * 2**20 < left.stat().st_size < len(data)
    await copy.get(caller, tower.peer, "photos", path("big.bin"), target)
    assert target.read_bytes() == data
    assert not left.exists()


async def test_a_computer_that_is_gone_ends_a_folder_s_copy_at_once(tower, tree, tmp_path):
    tower.offer("photos", laptop=Verb.WRITE)
    caller, peer = tower.caller("laptop"), tower.peer
    await tower.listener.close()
    with pytest.raises(Unreachable):
        await copy.put(caller, peer, tree, "photos", ROOT, recursive=True)
    with pytest.raises(Unreachable):
        await copy.get(caller, peer, "photos", ROOT, tmp_path, recursive=True)


async def test_a_local_file_that_changes_while_it_is_sent_is_not_sent(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.WRITE)
    local = tmp_path / "log"
    local.write_bytes(BIG)

    def write(progress: Progress) -> None:
        if progress.done_bytes:
            with local.open("r+b") as file:
                file.write(b"changed")
            os.utime(local, ns=(1, progress.done_bytes))

    with pytest.raises(Conflict, match="changed while it was sent"):
        await copy.put(tower.caller("laptop"), tower.peer, local, "photos", ROOT, progress=write)
    assert not (share.root / "log").exists()


async def test_folders_and_files_by_themselves(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    caller, peer = tower.caller("laptop"), tower.peer
    with pytest.raises(Conflict):
        await remote.mkdir(caller, peer, "photos", path("a/b/c"))
    await remote.mkdir(caller, peer, "photos", path("a/b/c"), parents=True)
    await remote.mkdir(caller, peer, "photos", path("a/b/c"), parents=True)
    with pytest.raises(Conflict):
        await remote.mkdir(caller, peer, "photos", path("a/b/c"))
    (share.root / "a" / "x.txt").write_bytes(BIG)
    (share.root / "a" / "b" / "y.txt").write_bytes(b"y")
    entries = await remote.ls(caller, peer, "photos", path("a"))
    assert [(entry.path, entry.kind, entry.size) for entry in entries] == [
        ("a/b", "folder", 0),
        ("a/x.txt", "file", len(BIG)),
    ]
    every = [entry.path for entry in await remote.ls(caller, peer, "photos", ROOT, recursive=True)]
    assert every == ["a", "a/b", "a/b/c", "a/b/y.txt", "a/x.txt"]
    assert [entry.path for entry in await remote.ls(caller, peer, "photos", path("a/x.txt"))] == ["a/x.txt"]
    assert b"".join([piece async for piece in remote.read(caller, peer, "photos", path("a/x.txt"))]) == BIG
    assert [(entry.path, entry.kind) for entry in await remote.shares(caller, peer)] == [("photos", "share")]
    with pytest.raises(Conflict):
        await remote.mkdir(caller, peer, "photos", path("a/x.txt"), parents=True)
    with pytest.raises(WrongUsage, match="is a folder"):
        await remote.rm(caller, peer, "photos", path("a"))
    await remote.rm(caller, peer, "photos", path("a/x.txt"))
    await remote.rm(caller, peer, "photos", path("a"), recursive=True)
    assert await remote.ls(caller, peer, "photos", ROOT) == []


async def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_arrives(tower, tmp_path):
    """The door refuses what the system refuses its owner; root, who runs tests, must be told to."""
    share = tower.offer("photos", laptop=Verb.READ)
    for name in ("locked", "open"):
        (share.root / name).mkdir()
        (share.root / name / "a.txt").write_bytes(b"x")

    tower.locked.add("/dav/photos/locked")
    report = await copy.get(tower.caller("laptop"), tower.peer, "photos", ROOT, tmp_path / "here", recursive=True)
    assert (report.files, report.failed) == (1, [("locked", "Nobody may look into it.")])
    assert contents(tmp_path / "here")["open/a.txt"] == b"x"


HOSTILE = [
    "/dav/photos/", "/dav/photos/.%63ommonhold", "/dav/photos/a%5c..", "/dav/photos/%ff", "/dav/photos/%zz",
    "/dav/photos/../evil", "/dav/photos/%2e%2e", "/dav/photos/a%2fb", "/dav/photos/sub/inner", "/dav/papers/a",
    "/etc/passwd", "http://elsewhere/dav/photos/a", "/dav/photos/.commonhold", "/dav/photos/a%00", "",
    "/dav/photos/%5c",
]  # fmt: skip


@pytest.mark.parametrize("as_ours", [True, False])
@pytest.mark.parametrize("address", HOSTILE)
async def test_a_hostile_listing_names_nothing_outside_of_the_folder(tmp_path, address, as_ours):
    """A member's computer that answers whatever it likes, as ours write it or otherwise."""

    def ours() -> bytes:
        question, now = multistatus.parse_question(multistatus.QUESTION), tmp_path.stat()
        lines = (("folder", Lines(["/dav/photos/"], ["photos"], [now])), ("file", Lines([address], ["x"], [now])))
        text = "".join(form(question, kind).fill(line) for kind, line in lines)
        return multistatus.HEAD + text.encode() + multistatus.TAIL

    async def lie(request: web.Request) -> web.Response:
        kind = "<D:propstat><D:prop><D:resourcetype>{}</D:resourcetype></D:prop></D:propstat>"
        entry = "<D:response><D:href>{}</D:href>" + kind + "</D:response>"
        own = entry.format("/dav/photos/", "<D:collection/>")
        body = f'<D:multistatus xmlns:D="DAV:">{own}{entry.format(address, "")}</D:multistatus>'
        return web.Response(status=207, body=ours() if as_ours else body.encode(), content_type="application/xml")

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", lie)])
    key, certificate = computer("tower")
    listener = Listener(app, key, certificate)
    listener.trust([computer("laptop")[1]])
    await listener.start([Address("127.0.0.1", 0)])
    caller = Caller(*computer("laptop"))
    try:
        peer = Peer("tower", key.fingerprint, certificate, listener.addresses)
        with pytest.raises(Damaged):
            await copy.get(caller, peer, "photos", ROOT, tmp_path / "here", recursive=True)
        assert not list(tmp_path.rglob("*"))
    finally:
        await caller.close()
        await listener.close()
