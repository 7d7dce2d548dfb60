"""Small files that are asked for one after the other on one connection of laptop's: answered at once, and rightly.

The fixture's middleware shuts the usual way: what is answered with 200 behind it was answered at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import time

import psutil
import pytest

from commonhold.authority.authority import Verb
from commonhold.files import athand, webdav
from commonhold.files.athand import Hand
from commonhold.transport.tls import calling_context

from ..authority.suite import BOB, computer

pytestmark = pytest.mark.skipif(athand._syscall is None, reason="this system cannot say what is at hand")


class Line:
    """One connection, and requests that differ in their path only."""

    def __init__(self, tower, who="laptop"):
        self._tower = tower
        self._context = calling_context(*computer(who), computer("tower")[1])

    async def __aenter__(self):
        where = self._tower.listener.addresses[0]
        self._reader, self._writer = await asyncio.open_connection(
            *where, ssl=self._context, server_hostname="commonhold"
        )
        return self

    async def __aexit__(self, *_):
        self._writer.transport.abort()

    async def get(self, path, headers=""):
        self._writer.write(f"GET /dav/photos/{path} HTTP/1.1\r\nHost: tower\r\n{headers}\r\n".encode())
        head = (await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)).decode()
        first, *lines = head.strip().split("\r\n")
        told = dict(each.split(": ", 1) for each in lines)
        body = await self._reader.readexactly(int(told.get("Content-Length", 0)))
        return int(first.split()[1]), told, body


@pytest.fixture
def photos(tower):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "trip").mkdir()
    for name in ("a.txt", "b.jpg", "trip/c", "trip/large"):
        (share.root / name).write_bytes(os.urandom(300_000 if name == "trip/large" else 1000 * len(name)))
    return share


async def test_what_is_answered_at_once_is_what_is_answered_in_the_usual_way(tower, photos):
    async with Line(tower) as line, Line(tower) as other:
        await line.get("a.txt")
        tower.locked = {f"/dav/photos/{name}" for name in ("a.txt", "b.jpg", "trip/c")}
        at_once = [await line.get(name) for name in ("a.txt", "b.jpg", "trip/c", "a.txt")]
        tower.locked = set()
        for name, (status, told, body) in zip(("a.txt", "b.jpg", "trip/c", "a.txt"), at_once, strict=True):
            usual = await other.get(name, "X-Other: 1\r\n")
            assert body == (photos.root / name).read_bytes()
            assert (status, told | {"Date": ""}, body) == (usual[0], usual[1] | {"Date": ""}, usual[2])


async def test_what_the_owner_changes_underneath_is_seen_at_once(tower, photos):
    file = photos.root / "a.txt"
    seen = set()
    async with Line(tower) as line:
        await line.get("a.txt")
        tower.locked = {"/dav/photos/a.txt"}
        for turn in range(20):
            if turn % 3 == 0:
                file.write_bytes(b"%04d" % turn)
            elif turn % 3 == 1:
                with file.open("r+b") as opened:
                    opened.write(b"%04d" % turn)
            else:
                (photos.root / "new").write_bytes(b"%04d" % turn)
                (photos.root / "new").rename(file)
            if turn == 10:
                os.utime(file, (0, 0))  # what is kept may not rest on a time that anybody can set
            status, told, body = await line.get("a.txt")
            assert (status, body) == (200, b"%04d" % turn)
            seen.add(told["ETag"])
            assert (await line.get("a.txt"))[2] == body
    assert len(seen) >= 14  # what is written twice in one tick of the clock keeps its times


async def test_what_is_kept_of_a_file_that_rests_goes_when_it_changes(tower, photos, monkeypatch):
    monkeypatch.setattr("commonhold.files.served.download.RESTED", 0.05)
    (photos.root / "a.txt").write_bytes(b"before" * 2000)
    await asyncio.sleep(0.1)
    async with Line(tower) as line:
        first = [await line.get("a.txt") for _ in range(3)]
        (photos.root / "a.txt").write_bytes(b"after!" * 2000)
        _, told, body = await line.get("a.txt")
    assert {each[2] for each in first} == {b"before" * 2000}
    assert body == b"after!" * 2000
    assert len({each[1]["Repr-Digest"] for each in first}) == 1
    assert told["Repr-Digest"] != first[0][1]["Repr-Digest"]
    assert told["ETag"] != first[0][1]["ETag"]


@pytest.mark.parametrize("size", [3000, 30_000])
async def test_what_a_program_writes_into_a_file_that_it_maps_is_never_told_with_an_older_digest(tower, photos, size):
    """In the file's times it shows when the system brings it to the disk: half a minute later, or not at all."""
    file = photos.root / "mapped"
    file.write_bytes(bytes(size))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), size) as mapped:
        os.fsync(opened.fileno())
        mapped[0] = 1
        await asyncio.sleep(2.1)  # many ticks of the clock
        async with Line(tower) as line:
            for turn in range(6):
                mapped[1] = turn // 2
                _, told, body = await line.get("mapped")
                assert body == mapped[:]
                assert told["Repr-Digest"] == webdav.digest_header(hashlib.sha256(body).digest())


async def test_a_digest_of_a_large_file_that_does_not_rest_is_believed_for_a_while_only(tower, photos, monkeypatch):
    monkeypatch.setattr("commonhold.files.served.download.RESTED", 0.5)
    file = photos.root / "mapped"
    file.write_bytes(bytes(300_000))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 300_000) as mapped:
        os.fsync(opened.fileno())
        for turn in range(2):
            mapped[1] = turn
            asked = "laptop", "HEAD", "/dav/photos/mapped"
            told = (await tower.ask(*asked, Want_Repr_Digest="sha-256=10")).headers["Repr-Digest"]
            assert told == webdav.digest_header(hashlib.sha256(mapped).digest()), turn
            assert (await tower.ask(*asked)).headers["Repr-Digest"] == told, "nobody reads all of it again"
            await asyncio.sleep(0.7)


async def test_a_right_that_is_taken_back_opens_nothing_more(tower, photos):
    async with Line(tower) as line:
        await line.get("a.txt")
        assert (await line.get("a.txt"))[0] == 200
        tower.casa.deny(BOB, Verb.READ, photos.door)
        assert (await line.get("a.txt"))[0] == 403
        tower.casa.allow(BOB, Verb.READ, photos.door)
        assert [(await line.get("a.txt"))[0] for _ in range(2)] == [200, 200]
        tower.casa.remove("laptop")
        assert (await line.get("a.txt"))[0] == 403


async def test_nothing_leads_out_and_nothing_is_opened_that_is_no_file(tower, photos, tmp_path):
    (tmp_path / "secret").write_bytes(b"hush hush")
    (photos.root / "link").symlink_to(tmp_path / "secret")
    (photos.root / "way").symlink_to(tmp_path)
    os.mkfifo(photos.root / "pipe")
    async with Line(tower) as line:
        for path in ("link", "way/secret", "pipe", "../secret", "%2e%2e/secret", ".commonhold/x", "nothing", "trip"):
            await line.get("a.txt")
            assert (await line.get("a.txt"))[0] == 200
            status, _, body = await line.get(path)
            assert status in {400, 404, 405}
            assert b"hush" not in body
        await line.get("a.txt")
        (photos.root / "b.jpg").unlink()
        (photos.root / "b.jpg").symlink_to(tmp_path / "secret")
        assert (await line.get("b.jpg"))[0] == 404
        assert (await line.get("trip/large"))[2] == (photos.root / "trip/large").read_bytes()


async def test_the_record_tells_of_the_visit(tower, photos):
    async with Line(tower) as line:
        for _ in range(5):
            await line.get("a.txt")
    assert [event for event, _ in tower.events] == ["door opened"]


def only_on_disk(file):
    """It is not in memory any more, if the disk is one that lets go."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def waits(file):
    """Whether the system says that a reader would wait for the disk. It begins to read all the same (measured: one
    time in twenty a fast disk has then brought the file before the answer), so that each file is asked once."""
    with file.open("rb") as opened:
        try:
            return os.preadv(opened.fileno(), [bytearray(40_000)], 0, os.RWF_NOWAIT) < 40_000
        except BlockingIOError:
            return True


def test_a_file_that_is_only_on_the_disk_is_not_waited_for(folder, tmp_path):
    trials = [tmp_path / str(number) for number in range(12)]
    for trial in trials:
        trial.write_bytes(os.urandom(40_000))
        only_on_disk(trial)
    if not any(waits(trial) for trial in trials):
        pytest.skip("this disk keeps everything in memory")
    left = []
    for name in (str(number) for number in range(12)):
        folder.put(name, os.urandom(40_000))
        only_on_disk(folder.root / name)
        permit = folder.permit(Verb.READ, name)
        if folder.share.hand.read(permit, 65536) is None:
            left.append(name)
        content = folder.read(name)
        at_hand = folder.share.hand.read(permit, 65536)
        assert at_hand is not None
        assert at_hand.data == content
    assert left  # to wait for the disk would have brought every one of them


def test_what_is_at_hand_opens_with_a_permit_for_that_door_only(folder, tmp_path):
    folder.put("a", b"abc")
    other = Hand(folder.share.door.__class__("share", "0" * 32, "other", BOB), tmp_path)
    with pytest.raises(Exception, match="does not open this door"):
        other.read(folder.permit(Verb.READ, "a"), 10)
    assert folder.share.hand.read(folder.permit(Verb.READ, "a"), 2) is None
    handles = psutil.Process().num_fds()
    assert folder.share.hand.read(folder.permit(Verb.READ, "a"), 3).data == b"abc"
    assert folder.share.hand.read(folder.permit(Verb.READ, "none"), 3) is None
    assert psutil.Process().num_fds() == handles
    assert time.time() - folder.share.hand.read(folder.permit(Verb.READ, "a"), 3).status.st_mtime < 60
