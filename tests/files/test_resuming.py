"""Uploads that break go on where they stopped, whoever breaks them: the network, the sender, or the computer there."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import pytest

from commonhold.authority.authority import ROOT, Verb
from commonhold.errors import Unreachable
from commonhold.files import unfinished
from commonhold.files.incoming import Resumed
from commonhold.files.quota import Limit
from commonhold.files.share import Share
from commonhold.files.used import copy, send
from commonhold.names import SharePath

from ..authority.suite import BOB
from .test_serve import settled

TOKEN = "ab" * 16
DATA = os.urandom(3 * 2**20 + 17)


def waiting(share: Share) -> list:
    return list((share.root / ".commonhold").glob("tmp/*"))


def come(share: Share) -> set[tuple[str, int]]:
    return {(path.name, size) for path in waiting(share) if (size := path.stat().st_size)}


async def offset(tower, who: str, address: str, token: str = TOKEN, total: int = len(DATA)) -> int:
    answer = await tower.ask(who, "PUT", address, Upload_Token=token, Content_Range=f"bytes */{total}")
    assert answer.status == 204, answer.body
    return int(answer.headers["Upload-Offset"])


async def go_on(tower, who: str, address: str, first: int, data: bytes = DATA, **more: str):
    headers = {"Upload_Token": TOKEN, "Content_Range": f"bytes {first}-{len(data) - 1}/{len(data)}", **more}
    return await tower.ask(who, "PUT", address, data[first:], **headers)


async def broken(tower, who: str, address: str, first: int, end: int) -> None:
    """Bytes of DATA from one place to another, and then the connection breaks."""

    share = tower.shares.find(address.split("/")[2])
    before = come(share)

    async def some() -> AsyncIterator[bytes]:
        yield DATA[first:end]
        await settled(lambda: come(share) - before)
        tower.cut(who)

    headers = {
        "Upload-Token": TOKEN,
        "Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}",
        "Content-Length": str(len(DATA) - first),
    }
    with pytest.raises(Unreachable):
        async with tower.caller(who).request(tower.peer, "PUT", address, headers=headers, data=some()):
            pass


async def test_an_upload_goes_on_where_it_broke(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    assert await offset(tower, "laptop", "/dav/photos/a") == 0
    await broken(tower, "laptop", "/dav/photos/a", 0, 2 * 2**20)
    first = await offset(tower, "laptop", "/dav/photos/a")
    assert 0 < first <= 2 * 2**20
    assert [path.stat().st_size for path in waiting(share)] == [first]
    assert not (share.root / "a").exists()
    wrong = await go_on(tower, "laptop", "/dav/photos/a", first + 1)
    assert (wrong.status, wrong.headers["Upload-Offset"]) == (409, str(first))
    await broken(tower, "laptop", "/dav/photos/a", first, first + 2**20)
    second = await offset(tower, "laptop", "/dav/photos/a")
    assert second >= first
    done = await go_on(tower, "laptop", "/dav/photos/a", second, X_OC_Mtime="1700000000")
    assert done.status == 201
    assert (share.root / "a").read_bytes() == DATA
    assert (share.root / "a").stat().st_mtime == 1_700_000_000
    assert waiting(share) == []
    assert await offset(tower, "laptop", "/dav/photos/a") == 0


async def test_what_has_come_outlives_the_node_and_other_rubbish_does_not(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    await broken(tower, "laptop", "/dav/photos/a", 0, 2 * 2**20)
    first = await offset(tower, "laptop", "/dav/photos/a")
    (share.root / ".commonhold" / "tmp" / "rubbish").write_bytes(b"x")
    (share.root / ".commonhold" / "tmp" / "unfinished-none").write_bytes(b"x")
    kept = waiting(share)
    with next(path for path in kept if path.stat().st_size == first).open("ab") as file:
        file.write(b"bytes that nobody is sure of")
    Share(share.door, share.root, tower.shares.catalogue)  # as after a start
    assert len(waiting(share)) == 1
    assert (await go_on(tower, "laptop", "/dav/photos/a", first)).status == 201
    assert (share.root / "a").read_bytes() == DATA


async def test_an_upload_belongs_to_who_began_it(tower):
    share = tower.offer("inbox", laptop=Verb.ADD, desk=Verb.ADD)
    await broken(tower, "laptop", "/dav/inbox/a", 0, 2 * 2**20)
    first = await offset(tower, "laptop", "/dav/inbox/a")
    assert first
    assert await offset(tower, "desk", "/dav/inbox/a") == 0, "another person's"
    assert await offset(tower, "laptop", "/dav/inbox/b") == 0, "another place"
    assert await offset(tower, "laptop", "/dav/inbox/a", "cd" * 16) == 0, "another token"
    assert await offset(tower, "laptop", "/dav/inbox/a", total=len(DATA) + 1) == 0, "another file"
    assert (await go_on(tower, "desk", "/dav/inbox/a", first)).status == 409
    (share.root / "a").write_bytes(b"somebody's")
    assert (await go_on(tower, "laptop", "/dav/inbox/a", first)).status == 201
    assert (share.root / "a").read_bytes() == b"somebody's"
    assert (share.root / "a (2)").read_bytes() == DATA
    other = tower.offer("letters", desk=Verb.WRITE)
    assert (
        await tower.ask("laptop", "PUT", "/dav/letters/a", Upload_Token=TOKEN, Content_Range="bytes */9")
    ).status == 403
    assert not waiting(other)


async def test_conditions_and_digests_hold_at_the_end(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    await broken(tower, "laptop", "/dav/photos/a", 0, 2**20)
    first = await offset(tower, "laptop", "/dav/photos/a")
    (share.root / "a").write_bytes(b"came between")
    assert (await go_on(tower, "laptop", "/dav/photos/a", first, If_None_Match="*")).status == 412
    assert (share.root / "a").read_bytes() == b"came between"
    assert await offset(tower, "laptop", "/dav/photos/a") == 0, "it was whole, and refused"
    bad = await go_on(tower, "laptop", "/dav/photos/b", 0, Repr_Digest="sha-256=:" + "A" * 43 + "=:")
    assert bad.status == 400
    assert waiting(share) == []
    for headers in (
        {"Upload_Token": "short", "Content_Range": "bytes */9"},
        {"Upload_Token": TOKEN},
        {"Upload_Token": TOKEN, "Content_Range": "bytes 0-1/9"},
        {"Upload_Token": TOKEN, "Content_Range": "bytes 5-2/3"},
        {"Content_Range": "bytes 0-0/1"},
    ):
        assert (await tower.ask("laptop", "PUT", "/dav/photos/b", b"x", **headers)).status == 400


async def test_unfinished_uploads_are_few_count_and_go(tower, monkeypatch):
    share = tower.offer("photos", laptop=Verb.WRITE)
    tower.ledger.set_limit(BOB, Limit(bytes=5 * 2**20))
    await broken(tower, "laptop", "/dav/photos/a", 0, 2 * 2**20)
    assert await offset(tower, "laptop", "/dav/photos/a")
    full = await tower.ask("laptop", "PUT", "/dav/photos/b", DATA + bytes(2**20))
    assert full.status == 507
    monkeypatch.setattr(unfinished, "MOST", 1)
    await broken(tower, "laptop", "/dav/photos/c", 0, 2**20)
    assert await offset(tower, "laptop", "/dav/photos/c")
    assert await offset(tower, "laptop", "/dav/photos/a") == 0
    assert len(waiting(share)) == 1
    monkeypatch.setattr(unfinished, "STAYS", -1.0)
    assert (await go_on(tower, "laptop", "/dav/photos/d", 0)).status == 201
    assert waiting(share) == []


async def test_an_unfinished_upload_goes_in_time_though_nobody_begins_another(tower, monkeypatch):
    share = tower.offer("photos", laptop=Verb.WRITE)
    tower.ledger.set_limit(BOB, Limit(bytes=4 * 2**20))
    await broken(tower, "laptop", "/dav/photos/a", 0, 2 * 2**20)
    assert await offset(tower, "laptop", "/dav/photos/a")
    done: list[bool] = []
    tower.shares.on_round.append(lambda: done.append(True))
    rounds = asyncio.create_task(tower.shares.keep_pruned())
    await settled(lambda: done)
    assert await offset(tower, "laptop", "/dav/photos/a"), "it stays for two days"
    rounds.cancel()
    assert (await tower.ask("laptop", "PUT", "/dav/photos/b", DATA)).status == 507, "and takes of bob's room"
    monkeypatch.setattr(unfinished, "STAYS", -1.0)
    rounds = asyncio.create_task(tower.shares.keep_pruned())
    await settled(lambda: not waiting(share))
    rounds.cancel()
    assert (await tower.ask("laptop", "PUT", "/dav/photos/b", DATA)).status == 201


async def test_put_goes_on_by_itself_and_in_a_later_command(tower, tmp_path, monkeypatch):
    share = tower.offer("photos", laptop=Verb.WRITE)
    monkeypatch.setattr(send, "RESUMED", 2**20)
    monkeypatch.setattr(send, "CHUNK", 2**18)
    local = tmp_path / "large"
    local.write_bytes(DATA)

    async def cut_twice() -> None:
        for _ in range(2):
            had = come(share)
            await settled(lambda had=had: come(share) - had)
            tower.cut("laptop")

    seen: list[copy.Progress] = []
    pace = copy.Manner(limit=8 * 2**20, progress=seen.append)
    with copy.Copies(pace) as copies:
        cutter = asyncio.create_task(cut_twice())
        await copies.put(local, copies.remote(tower.caller("laptop"), tower.peer, "photos"), ROOT)
        await cutter
    assert (share.root / "large").read_bytes() == DATA
    assert seen[-1].done_bytes == len(DATA)
    assert waiting(share) == []

    monkeypatch.setattr(send, "TRIES", 1)
    with copy.Copies(pace) as copies:
        cutter = asyncio.create_task(cut_twice())
        there = copies.remote(tower.caller("laptop"), tower.peer, "photos")
        with pytest.raises(Unreachable):
            await copies.put(local, there, SharePath(("again",)))
        cutter.cancel()
        await settled(lambda: not tower.watch.running)
        (path,) = waiting(share)
        assert (had := path.stat().st_size) > 0
        seen.clear()
        await copies.put(local, there, SharePath(("again",)))
    assert next(each.done_bytes for each in seen if each.done_bytes) >= had
    assert (share.root / "again").read_bytes() == DATA


async def test_what_breaks_off_has_its_room_while_it_is_put_aside(tower, monkeypatch):
    """The sync takes its time: who hangs up meanwhile begins no other upload in the same room."""
    share = tower.offer("photos", laptop=Verb.WRITE)
    tower.ledger.set_limit(BOB, Limit(bytes=4 * 2**20))
    leaving, go_on_leaving, leave = threading.Event(), threading.Event(), Resumed.leave

    def late(upload: Resumed) -> bool:
        leaving.set()
        assert go_on_leaving.wait(20)
        return leave(upload)

    monkeypatch.setattr(Resumed, "leave", late)
    await broken(tower, "laptop", "/dav/photos/a", 0, 2 * 2**20)
    await asyncio.to_thread(leaving.wait, 20)
    assert (await tower.ask("laptop", "PUT", "/dav/photos/b", DATA)).status == 507
    go_on_leaving.set()
    first = await offset(tower, "laptop", "/dav/photos/a")
    too_much = bytes(4 * 2**20 - first + 1)
    assert (await tower.ask("laptop", "PUT", "/dav/photos/b", too_much)).status == 507, "what has come counts"
    assert (await tower.ask("laptop", "PUT", "/dav/photos/b", too_much[1:])).status == 201, "and no more than that"
    assert (await tower.ask("laptop", "DELETE", "/dav/photos/b")).status == 204
    assert (await go_on(tower, "laptop", "/dav/photos/a", first)).status == 201
    assert tower.ledger.used(BOB).bytes == len(DATA)
    assert (await tower.ask("laptop", "PUT", "/dav/photos/b", bytes(4 * 2**20 - len(DATA)))).status == 201
    assert not waiting(share)
