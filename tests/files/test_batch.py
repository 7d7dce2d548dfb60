"""Many small files in one request, and in one answer: the frames, the door, and what hostile people send."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.authority import ROOT, Verb
from commonhold.errors import Unreachable, WrongUsage
from commonhold.files import gathered
from commonhold.files.batch import (
    ASKED,
    END,
    FILES,
    LARGEST,
    LONGEST_HEAD,
    MAGIC,
    Answered,
    Given,
    Sent,
    Unpacking,
    pack,
)
from commonhold.files.quota import Limit
from commonhold.files.served import batching
from commonhold.files.served.problem import problem
from commonhold.files.used import copy
from commonhold.names import SharePath

from ..authority.suite import BOB, fingerprint

LOCK = (
    b'<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype>'
    b"</D:lockinfo>"
)


def sent(path: str, data: bytes, **more) -> bytes:
    return pack(Sent(path, len(data), hashlib.sha256(data).digest(), **more), data)


def stream(*frames: bytes) -> bytes:
    return MAGIC + b"".join(frames) + END


def lines(body: bytes) -> list[Answered]:
    return [msgspec.json.decode(line, type=Answered) for line in body.splitlines()]


async def store(tower, who: str, address: str, *frames: bytes) -> list[Answered]:
    answer = await tower.ask(who, "POST", address, stream(*frames), Content_Type=FILES)
    assert answer.status == 200, answer.body
    return lines(answer.body)


async def fetch(tower, who: str, address: str, paths: list[str]) -> list[tuple[Given, bytes]]:
    answer = await tower.ask(who, "POST", address, msgspec.json.encode({"paths": paths}), Content_Type=ASKED)
    assert answer.status == 200, answer.body
    unpacking = Unpacking(Given)
    found = list(unpacking.feed(answer.body))
    unpacking.finish()
    return found


# -- the frames


@given(
    st.lists(st.tuples(st.text(max_size=50), st.binary(max_size=300), st.booleans()), max_size=8),
    st.lists(st.integers(1, 200), min_size=1),
)
def test_what_is_packed_comes_out_whatever_the_pieces(files, cuts):
    whole = stream(*(sent(path, data, new=new) for path, data, new in files))
    unpacking, found, at = Unpacking(Sent), [], 0
    while at < len(whole):
        for cut in cuts:
            found += unpacking.feed(whole[at : at + cut])
            at += cut
    unpacking.finish()
    assert [(head.path, data, head.new) for head, data in found] == files


@given(st.binary(max_size=200), st.integers(0, 400))
def test_rubbish_is_refused_and_what_came_before_it_holds(rubbish, cut):
    whole = stream(sent("a", b"1"), sent("b", b"2" * 100))
    unpacking, found = Unpacking(Sent), []
    broken = whole[:cut] + rubbish
    try:
        found.extend(unpacking.feed(broken))
        unpacking.finish()
    except WrongUsage:
        pass
    else:
        assert broken.startswith(MAGIC)
        assert broken.endswith(END)
    if cut >= len(whole) - 4 - 100:
        assert found[0][1] == b"1"


@pytest.mark.parametrize(
    "body",
    [
        b"CHfiles2" + END,
        MAGIC + (LONGEST_HEAD + 1).to_bytes(4, "big"),
        MAGIC + b"\xff\xff\xff\xff" + b"{" * 100,
        MAGIC + (2).to_bytes(4, "big") + b"{}",
        MAGIC + (2).to_bytes(4, "big") + b"\xff\xff",
        MAGIC + pack(Sent("a", LARGEST + 1, bytes(32))),
        MAGIC + pack(Sent("a", -1, bytes(32))),
        MAGIC + pack(Sent("a", 1, bytes(31)), b"1"),
        MAGIC + pack(Sent("a" * (LONGEST_HEAD + 1), 1, bytes(32)), b"1"),
        MAGIC + END + b"more",
        MAGIC + sent("a", b"1"),
        MAGIC,
        b"",
    ],
)
def test_a_hostile_stream_is_refused(body):
    def unpack() -> None:
        unpacking = Unpacking(Sent)
        for _ in unpacking.feed(body):
            pass
        unpacking.finish()

    with pytest.raises(WrongUsage):
        unpack()


# -- into a share


async def test_many_files_are_stored_by_one_request(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    files = {f"2026/{n % 7}/{n}.txt": os.urandom(n) for n in range(300)} | {"top": b"", "été/ü": b"x"}
    frames = (sent(path, data, modified=1_700_000_000_123_456_000) for path, data in files.items())
    outcomes = await store(tower, "laptop", "/dav/photos", *frames)
    assert [(o.number, o.status) for o in outcomes] == [(n, 201) for n in range(302)]
    for path, data in files.items():
        assert (share.root / path).read_bytes() == data
        assert (share.root / path).stat().st_mtime_ns == 1_700_000_000_123_456_000
    assert not list((share.root / ".commonhold" / "tmp").iterdir())
    got = await tower.ask("laptop", "HEAD", "/dav/photos/2026/3/3.txt")
    assert got.headers["ETag"] == f'"{outcomes[3].etag}"'
    assert not tower.watch.running


async def test_each_file_stands_for_itself(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (share.root / "folder").mkdir()
    (share.root / "link").symlink_to("/tmp")
    (share.root / "old").write_bytes(b"old")
    (share.root / "old").chmod(0o600)
    etag = (await tower.ask("laptop", "HEAD", "/dav/photos/old")).headers["ETag"].strip('"')
    hostile = ["../out", "a/../../out", "/a//b", "a\\b", ".commonhold/x", "nul.txt", "a?b", "x" * 256, "", "folder"]
    frames = [
        sent("good", b"1"),
        sent("old", b"never", new=True),
        sent("old", b"never", etag="another"),
        sent("old", b"new", etag=etag),
        pack(Sent("lies", 3, hashlib.sha256(b"abc").digest()), b"abd"),
        sent("link/x", b"1"),
        sent("old/x", b"1"),
        sent("twice", b"1", new=True),
        sent("twice", b"2", new=True),
        *(sent(path, b"1") for path in hostile),
        sent("sub/last", b"2"),
    ]
    outcomes = await store(tower, "laptop", "/dav/photos/", *frames)
    assert [o.status for o in outcomes[:9]] == [201, 412, 412, 204, 400, 409, 409, 201, 412]
    assert all(o.status in {400, 409} and o.failed for o in outcomes[9:-1])
    assert outcomes[-1].status == 201
    kept = {str(p.relative_to(share.root)) for p in share.root.rglob("*") if ".commonhold" not in p.parts}
    assert kept == {"folder", "link", "old", "good", "twice", "sub", "sub/last"}
    assert (share.root / "old").read_bytes() == b"new"
    assert (share.root / "old").stat().st_mode & 0o777 == 0o600
    assert [words["path"] for event, words in tower.events if event == "overwritten"] == ["old"]
    assert not list((share.root / ".commonhold" / "tmp").iterdir())


async def test_a_drop_box_tells_nothing(tower):
    share = tower.offer("inbox", laptop=Verb.ADD)
    (share.root / "a").write_bytes(b"somebody's")
    outcomes = await store(tower, "laptop", "/dav/inbox", sent("a", b"1"), sent("b", b"2"), sent("deep/er/c", b"3"))
    assert [(o.status, bool(o.etag)) for o in outcomes] == [(201, True)] * 3
    assert (share.root / "a").read_bytes() == b"somebody's"
    assert (share.root / "a (2)").read_bytes() == b"1"
    assert (share.root / "deep" / "er" / "c").read_bytes() == b"3"
    refused = await tower.ask("laptop", "POST", "/dav/inbox", b'{"paths": ["a", "none"]}', Content_Type=ASKED)
    nowhere = await tower.ask("laptop", "POST", "/dav/nobox", b'{"paths": ["a"]}', Content_Type=ASKED)
    assert (refused.status, nowhere.status) == (403, 403)
    assert (await tower.ask("desk", "POST", "/dav/inbox", stream(sent("a", b"1")), Content_Type=FILES)).status == 403


async def test_whoever_may_add_replaces_nothing(tower):
    share = tower.offer("photos", laptop=Verb.ADD)
    tower.casa.allow(BOB, Verb.LIST, share.door)
    (share.root / "a").write_bytes(b"old")
    outcomes = await store(tower, "laptop", "/dav/photos", sent("a", b"1"), sent("sub/b", b"2"))
    assert [o.status for o in outcomes] == [409, 201]
    assert (share.root / "a").read_bytes() == b"old"


async def test_a_quota_holds_for_each_file_of_a_batch(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    tower.ledger.set_limit(BOB, Limit(bytes=2_500, files=20))
    outcomes = await store(tower, "laptop", "/dav/photos", *(sent(str(n), bytes(1000)) for n in range(4)))
    assert [o.status for o in outcomes] == [201, 201, 507, 507]
    assert tower.ledger.used(BOB) == (2000, 2)
    outcomes = await store(tower, "laptop", "/dav/photos", sent("0", bytes(1400)), sent("1", bytes(1100)))
    assert [o.status for o in outcomes] == [204, 204], "what is replaced makes room"
    assert tower.ledger.used(BOB) == (2500, 2)
    (share.root / "0").unlink()
    outcomes = await store(tower, "laptop", "/dav/photos", *(sent(f"sub/{n}", b"") for n in range(30)))
    assert [o.status for o in outcomes] == [201] * 18 + [507] * 12, "the folder counts as one"
    assert tower.ledger.used(BOB) == (1100, 20)


async def test_a_file_that_is_there_is_answered_before_the_next_is_sent(tower):
    """So that whoever is cut off knows what is done; and a stream that breaks leaves what it has stored."""
    share = tower.offer("photos", laptop=Verb.WRITE)
    answered = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield MAGIC + sent("first", b"1") + sent("second", b"2")[:20]
        await answered.wait()
        tower.cut("laptop")

    with pytest.raises(Unreachable):  # noqa: PT012 - the answer is read while it is sent
        async with tower.caller("laptop").request(
            tower.peer, "POST", "/dav/photos", headers={"Content-Type": FILES}, data=slowly()
        ) as answer:
            assert lines(await answer.content.readline())[0].status == 201
            assert (share.root / "first").read_bytes() == b"1"
            answered.set()
            await answer.read()
    assert not (share.root / "second").exists()


async def test_a_stream_that_stops_making_sense_keeps_what_came_before(tower, monkeypatch):
    share = tower.offer("photos", laptop=Verb.WRITE)
    answer = await tower.ask("laptop", "POST", "/dav/photos", MAGIC + sent("a", b"1") + b"\xff" * 9, Content_Type=FILES)
    first, last = (msgspec.json.decode(line) for line in answer.body.splitlines())
    assert (first["status"], last["status"]) == (201, 400)
    assert (share.root / "a").exists()
    assert (await tower.ask("laptop", "POST", "/dav/photos", b"x", Content_Type="text/plain")).status == 415
    assert (await tower.ask("laptop", "POST", "/dav/photos", b"x" * 2**20 + b"x", Content_Type=ASKED)).status == 400
    assert (await tower.ask("laptop", "POST", "/dav/photos", b'{"paths": [1]}', Content_Type=ASKED)).status == 400

    monkeypatch.setattr(batching, "PATIENCE", 0.05)

    async def nothing() -> AsyncIterator[bytes]:
        yield MAGIC
        await asyncio.sleep(60)

    async with tower.caller("laptop").request(
        tower.peer, "POST", "/dav/photos", headers={"Content-Type": FILES}, data=nothing()
    ) as answer:
        assert b"Nothing came" in await answer.content.readline()


async def test_a_right_that_ends_cuts_a_batch_and_few_permits_are_held_at_a_time(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    share = tower.shares.find("photos")
    held: list[int] = []

    async def many() -> AsyncIterator[bytes]:
        yield MAGIC
        for number in range(20_000):
            yield b"".join(sent(f"{number % 5}/{number}-{n}", b"") for n in range(500))
            held.extend(len(work.permits) for work in tower.watch.running)
            if number == 6:
                tower.casa.deny(BOB, Verb.WRITE, share.door)
                tower.watch.look()

    with pytest.raises(Unreachable):
        async with tower.caller("laptop").request(
            tower.peer, "POST", "/dav/photos", headers={"Content-Type": FILES}, data=many()
        ) as answer:
            await answer.read()
    assert 0 < max(held) < 6_000
    there = sum(len(files) for _, _, files in os.walk(share.root))
    assert there <= 4_000
    assert [words["what"] for event, words in tower.events if event == "cut"] == ["POST /dav/photos"]


# -- out of a share


async def test_many_files_come_in_one_answer(tower):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "sub").mkdir()
    files = {f"sub/{n}": os.urandom(n * 10) for n in range(100)} | {"empty": b"", "most": os.urandom(LARGEST)}
    for path, data in files.items():
        (share.root / path).write_bytes(data)
    os.utime(share.root / "empty", ns=(1_700_000_000_123_456_000,) * 2)
    (share.root / "large").write_bytes(bytes(LARGEST + 1))
    (share.root / "link").symlink_to("empty")
    others = ["large", "none", "sub", "link", "../x", ""]
    found = await fetch(tower, "laptop", "/dav/photos", [*files, *others])
    assert [head.number for head, _ in found] == list(range(len(files) + len(others)))
    for (head, data), expected in zip(found, files.values(), strict=False):
        assert (head.status, data, head.sha256) == (200, expected, hashlib.sha256(expected).digest())
    assert found[100][0].modified == 1_700_000_000_123_456_000
    assert [head.status for head, _ in found[102:]] == [413, 404, 400, 404, 400, 400]
    below = await fetch(tower, "laptop", "/dav/photos/sub", ["7"])
    assert below[0][1] == files["sub/7"]
    assert fingerprint("laptop") not in {work.subject.computer for work in tower.watch.running}


# -- both ends


def tree(root) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and ".commonhold" not in p.parts
    }


async def test_a_folder_of_small_files_goes_there_and_back_in_few_requests(tower, tmp_path, monkeypatch):
    share = tower.offer("photos", laptop=Verb.WRITE)
    local, back = tmp_path / "local", tmp_path / "back"
    for n in range(300):
        (local / f"d{n % 3}").mkdir(parents=True, exist_ok=True)
        (local / f"d{n % 3}" / f"{n}.txt").write_bytes(os.urandom(n))
    (local / "d0" / "large").write_bytes(bytes(LARGEST + 1))
    asked: list[str] = []
    begin = tower.watch.begin
    monkeypatch.setattr(tower.watch, "begin", lambda who, what, end: asked.append(what) or begin(who, what, end))
    caller = tower.caller("laptop")
    report = await copy.put(caller, tower.peer, local, "photos", ROOT, recursive=True)
    assert (report.files, report.failed) == (301, [])
    assert tree(share.root / "local") == tree(local)
    report = await copy.get(caller, tower.peer, "photos", SharePath(("local",)), back, recursive=True)
    assert (report.files, report.failed) == (301, [])
    assert tree(back) == tree(local)
    assert not [each for each in back.rglob("*") if each.name.startswith(".")]
    assert len([what for what in asked if what.startswith(("PUT", "GET", "POST"))]) < 20

    asked.clear()

    async def older(self, request, name, path):
        return problem(WrongUsage("POST is not understood here."), 405)

    monkeypatch.setattr(batching.Batching, "post", older)
    shutil.rmtree(back)
    again = await copy.put(caller, tower.peer, local, "photos", SharePath(("older",)), recursive=True)
    report = await copy.get(caller, tower.peer, "photos", SharePath(("local",)), back, recursive=True)
    assert (again.files, report.files, again.failed, report.failed) == (301, 301, [], [])
    assert tree(back) == tree(share.root / "older") == tree(local)


async def test_what_fails_in_a_bundle_is_told_of_each_file(tower, tmp_path):
    share = tower.offer("photos", laptop=Verb.WRITE)
    local = tmp_path / "local"
    local.mkdir()
    for name in ("a", "b", "nul.txt", "c?d"):
        (local / name).write_bytes(b"x")
    report = await copy.put(tower.caller("laptop"), tower.peer, local, "photos", ROOT, recursive=True)
    assert report.files == 2
    assert sorted(path for path, _ in report.failed) == ["local/c?d", "local/nul.txt"]
    (share.root / "local" / "b").write_bytes(b"changed there")
    tower.ledger.set_limit(BOB, Limit(bytes=2))
    (local / "c").write_bytes(b"12345")
    (local / "d").write_bytes(b"12345")
    report = await copy.put(tower.caller("laptop"), tower.peer, local, "photos", ROOT, recursive=True)
    assert "local/c" in dict(report.failed)
    assert "has stored" in dict(report.failed)["local/d"]


async def test_what_lies_very_deep_goes_by_itself_and_many_folders_are_not_all_open_at_once(tower, monkeypatch):
    """A hundred kilobytes of such names held up everybody for minutes, and had twenty thousand handles open."""
    tower.offer("work", laptop=Verb.WRITE)
    handles, real = [], batching._Storing.run
    monkeypatch.setattr(gathered, "sync_folder", lambda _: handles.append(len(os.listdir("/dev/fd"))))  # noqa: PTH208
    permits = []
    monkeypatch.setattr(batching._Storing, "run", lambda *what: (permits.append(len(what[0]._folders)), real(*what))[1])
    deep = [sent("/".join([f"deep{n}", *["a"] * 1000]), b"x") for n in range(20)]
    wide = [sent("/".join([f"wide{n}", *["b"] * 20]), b"x") for n in range(50)]
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    answers = await store(tower, "laptop", "/dav/work", *deep, *wide)
    assert [each.status for each in answers] == [413] * 20 + [201] * 50
    assert max(permits) < batching.MOST_FOLDERS + batching.DEEPEST
    assert max(handles) < before + 50
    assert (tower.home / "work" / "wide49" / "/".join(["b"] * 20)).read_bytes() == b"x"
    alone = await tower.ask("laptop", "PUT", f"/dav/work/{'/'.join(['wide0', *['b'] * 19, *['c'] * 1500])}", b"x")
    assert alone.status == 409  # and not an error of its own


async def test_folders_on_the_way_are_made_with_the_locks_that_are_shown(tower):
    tower.offer("work", laptop=Verb.WRITE)
    lock = await tower.ask("laptop", "LOCK", "/dav/work", LOCK)
    shown = f"</dav/work> ({lock.headers['Lock-Token']})"
    for header, status in ({"If": shown}, 201), ({}, 423):
        answer = await tower.ask(
            "laptop", "POST", "/dav/work", stream(sent(f"new/{status}/a", b"x")), Content_Type=FILES, **header
        )
        assert [each.status for each in lines(answer.body)] == [status]


@pytest.mark.parametrize("nameless", [True, False])
async def test_a_disk_that_has_no_place_for_one_more_is_told_of_and_breaks_no_answer(tower, monkeypatch, nameless):
    tower.offer("work", laptop=Verb.WRITE)

    def full(_):
        raise OSError(errno.ENOSPC, "no inode left")

    monkeypatch.setattr(gathered.Ground, "room", full)
    monkeypatch.setattr(gathered.Ground, "new_file", full)
    monkeypatch.setattr(gathered, "open_nameless", full if nameless else lambda _: None)
    answer = await tower.ask("laptop", "POST", "/dav/work", stream(sent("a", b"x")), Content_Type=FILES)
    assert (answer.status, b"The disk that holds work is full" in answer.body) == (200, True)
    answer = await tower.ask("laptop", "PUT", "/dav/work/a", b"x")
    assert (answer.status, b"The disk that holds work is full" in answer.body) == (507, True)
