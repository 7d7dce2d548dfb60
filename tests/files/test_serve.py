"""The door `/dav/`: real requests of real computers over TLS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import unicodedata
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from commonhold.authority.authority import Door, Verb
from commonhold.errors import Unreachable
from commonhold.files import multistatus
from commonhold.files.multistatus import AnswerReader
from commonhold.files.share import Share
from commonhold.names import SharePath
from commonhold.transport import Knock

from ..authority.suite import BOB, NOON, fingerprint

BIG = os.urandom(3 * 2**20 + 17)


def digest(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def listed(body: bytes) -> list[str]:
    return sorted(item.address for item in AnswerReader().feed(body))


def under_way(share: Share) -> list[Path]:
    return list((share.root / ".commonhold").glob("tmp/*"))


async def settled(condition) -> None:
    """Wait until it holds (what a broken connection leaves behind is cleared away a moment later)."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of the disk there is no event
            await asyncio.sleep(0.01)


async def test_a_file_is_put_read_listed_and_deleted(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    made = await tower.ask("laptop", "PUT", "/dav/photos/a.jpg", b"picture")
    assert made.status == 201
    assert made.headers["Repr-Digest"] == digest(b"picture")
    assert (tower.home / "photos" / "a.jpg").read_bytes() == b"picture"
    got = await tower.ask("laptop", "GET", "/dav/photos/a.jpg")
    assert (got.status, got.body) == (200, b"picture")
    assert got.headers["ETag"] == made.headers["ETag"]
    assert got.headers["Repr-Digest"] == digest(b"picture")
    assert got.headers["Content-Type"] == "image/jpeg"
    assert got.headers["Content-Security-Policy"] == "sandbox"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    head = await tower.ask("laptop", "HEAD", "/dav/photos/a.jpg")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "7", b"")
    assert (await tower.ask("laptop", "DELETE", "/dav/photos/a.jpg")).status == 204
    assert (await tower.ask("laptop", "GET", "/dav/photos/a.jpg")).status == 404
    assert [event for event, _ in tower.events] == ["door opened", "door opened", "deleted"], "to write, and to read"


async def test_options_say_what_there_is(tower):
    answer = await tower.ask("laptop", "OPTIONS", "/dav/")
    assert answer.status == 200
    assert answer.headers["DAV"] == "1, 2, 3"
    assert answer.headers["MS-Author-Via"] == "DAV"
    assert "PROPFIND" in answer.headers["Allow"]
    assert (await tower.ask("laptop", "BIND", "/dav/photos")).status == 405
    assert (await tower.ask("laptop", "GET", "/dav/")).status == 405


async def test_the_list_of_shares_shows_only_what_one_may_list_or_add_to(tower):
    tower.offer("photos", laptop=Verb.READ)
    tower.offer("inbox", laptop=Verb.ADD)
    tower.offer("letters", desk=Verb.READ)
    seen = await tower.ask("laptop", "PROPFIND", "/dav/", Depth="1")
    assert seen.status == 207
    assert listed(seen.body) == ["/dav/", "/dav/inbox/", "/dav/photos/"]
    assert listed((await tower.ask("laptop", "PROPFIND", "/dav", Depth="0")).body) == ["/dav/"]
    everything = await tower.ask("tablet", "PROPFIND", "/dav/", Depth="1")
    assert len(listed(everything.body)) == 4


async def test_a_listing_tells_of_each_entry(tower):
    share = tower.offer("photos", laptop=Verb.LIST)
    (share.root / "été & co <1>.txt").write_bytes(b"12345")
    (share.root / "sub").mkdir()
    (share.root / "link").symlink_to("/etc/passwd")
    answer = await tower.ask("laptop", "PROPFIND", "/dav/photos/", Depth="1")
    own, *inner = AnswerReader().feed(answer.body)
    assert own.folder
    assert own.address == "/dav/photos/"
    by_name = {item.address: item for item in inner}
    assert set(by_name) == {"/dav/photos/sub/", f"/dav/photos/{quote('été & co <1>.txt')}"}
    file = by_name[f"/dav/photos/{quote('été & co <1>.txt')}"]
    assert (file.size, file.folder) == (5, False)
    assert file.etag
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert (await tower.ask("laptop", "PROPFIND", "/dav/photos/", Depth="infinity")).body == multistatus.FINITE_DEPTH
    assert (await tower.ask("laptop", "PROPFIND", "/dav/photos/")).status == 403  # no Depth means infinity
    bomb = b'<!DOCTYPE a [<!ENTITY b "b">]><D:propfind xmlns:D="DAV:"><D:prop>&b;</D:prop></D:propfind>'
    assert (await tower.ask("laptop", "PROPFIND", "/dav/photos/", bomb, Depth="1")).status == 400
    long = b"<D:propfind>" + b" " * 70_000
    assert (await tower.ask("laptop", "PROPFIND", "/dav/photos/", long, Depth="1")).status == 400


async def test_a_long_listing_streams_whole(tower):
    share = tower.offer("photos", laptop=Verb.LIST)
    for number in range(1200):
        (share.root / f"{number}.txt").touch()
    entries = await tower.remote("laptop", "photos").ls(SharePath())
    assert len(entries) == 1200


async def test_each_verb_opens_what_it_says_and_no_more(tower):
    tower.offer("photos", laptop=Verb.LIST, desk=Verb.ADD)
    (tower.home / "photos" / "a.jpg").write_bytes(b"x")

    async def statuses(who: str) -> dict[str, int]:
        asked = {
            "list": ("PROPFIND", "/dav/photos/a.jpg", None),
            "read": ("GET", "/dav/photos/a.jpg", None),
            "head": ("HEAD", "/dav/photos/a.jpg", None),
            "add": ("PUT", f"/dav/photos/{who}.txt", b"new"),
            "folder": ("MKCOL", f"/dav/photos/{who}", None),
            "replace": ("PUT", "/dav/photos/a.jpg", b"other"),
            "delete": ("DELETE", "/dav/photos/a.jpg", None),
        }
        return {
            what: (await tower.ask(who, method, path, data, Depth="0")).status
            for what, (method, path, data) in asked.items()
        }

    no = 403
    assert await statuses("laptop") == {
        "list": 207, "read": no, "head": no, "add": no, "folder": no, "replace": no, "delete": no,
    }  # fmt: skip
    assert await statuses("desk") == {
        "list": no, "read": no, "head": no, "add": 201, "folder": 201, "replace": 201, "delete": no,
    }  # fmt: skip
    assert (tower.home / "photos" / "a.jpg").read_bytes() == b"x", "what was to replace it lies beside it"
    assert (tower.home / "photos" / "a (2).jpg").read_bytes() == b"other"
    refused = [words for event, words in tower.events if event == "door refused"]
    assert {(words["person"], words["door"]) for words in refused} == {("bob", "photos"), ("carol", "photos")}


@pytest.mark.parametrize("method", ["PROPFIND", "GET", "HEAD", "PUT", "MKCOL", "DELETE"])
async def test_a_stranger_to_a_share_learns_nothing(tower, method):
    tower.offer("photos", desk=Verb.WRITE)
    (tower.home / "photos" / "a.jpg").write_bytes(b"x")
    (tower.home / "photos" / "sub").mkdir()
    data = b"x" if method == "PUT" else None
    places = ("photos/a.jpg", "photos/sub/", "photos/none.jpg", "photos/none/none.jpg", "nowhere/a.jpg")
    answers = [await tower.ask("laptop", method, f"/dav/{place}", data, Depth="0") for place in places]
    assert {answer.status for answer in answers} == {403}
    assert len({answer.body.replace(b"nowhere", b"photos") for answer in answers}) == 1
    assert not {"ETag", "Last-Modified"} & {name for answer in answers for name in answer.headers}


async def test_the_owner_hears_that_a_share_is_not_there(tower):
    answer = await tower.ask("tablet", "GET", "/dav/nowhere/a.jpg")
    assert answer.status == 404
    assert b"There is no share nowhere" in answer.body


async def test_without_a_certificate_nothing_is_served(tower):
    tower.offer("photos")
    knock = Knock(tower.listener.addresses[0])
    with pytest.raises(Exception, match="computers of its network only"):
        await knock.ask("/dav/photos/", {})
    await knock.close()


TRAPS = [
    "..", "../", "%2e%2e", "%2E%2e/", ".%2e/", "%252e%252e", "..%2f", "..%5c", "%2e%2e%2fsecret", "sub/../../secret",
    "sub/%2e%2e/%2e%2e/secret", "/secret", "//etc/passwd", "%2fetc%2fpasswd", "sub//a", ".", "sub/./a", "%00",
    "a%00.jpg", "%0d%0aX:%20y",
    ".commonhold", ".commonhold/tmp/", "%2ecommonhold/tmp", ".Commonhold", "sub/.commonhold",
    "%ff", "%zz", "%c0%ae%c0%ae/secret", "link", "folder/key", "pipe", "a.jpg/..", "%5c%5chost%5cshare", "C:%5cWindows",
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
async def test_no_form_of_address_leads_out(tower, trap):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (tower.home / "secret").mkdir()
    (tower.home / "secret" / "key").write_text("secret")
    (share.root / "sub").mkdir()
    (share.root / "a.jpg").write_bytes(b"x")
    (share.root / "link").symlink_to(tower.home / "secret" / "key")
    (share.root / "folder").symlink_to(tower.home / "secret")
    os.mkfifo(share.root / "pipe")
    (share.root / ".commonhold" / "tmp").mkdir(parents=True, exist_ok=True)

    def lying() -> list[Path]:
        return sorted(path for path in tower.home.rglob("*") if "versions" not in path.parts)

    before = lying()
    for method in ("GET", "HEAD", "PROPFIND", "PUT", "MKCOL", "DELETE"):
        answer = await tower.ask("laptop", method, f"/dav/photos/{trap}", b"x" if method == "PUT" else None, Depth="1")
        assert b"secret" not in answer.body.replace(b"/secret", b"")
        if "%252e" not in trap:  # a percent sign is a character like others once it was decoded
            assert answer.status in {400, 403, 404, 405, 409}, (method, answer)
        elif answer.status == 201:
            assert (share.root / "%2e%2e").exists()
            await tower.ask("laptop", "DELETE", f"/dav/photos/{trap}")
    assert lying() == before


async def test_conditions_are_honoured(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    path = "/dav/photos/a.txt"
    first = (await tower.ask("laptop", "PUT", path, b"one", If_None_Match="*")).headers["ETag"]
    assert (await tower.ask("laptop", "PUT", path, b"two", If_None_Match="*")).status == 412
    second = (await tower.ask("laptop", "PUT", path, b"two", If_Match=first)).headers["ETag"]
    assert (await tower.ask("laptop", "PUT", path, b"three", If_Match=first)).status == 412
    assert (await tower.ask("laptop", "DELETE", path, If_Match=first)).status == 412
    assert (await tower.ask("laptop", "PUT", path, b"three", If_Match="first")).status == 400  # nonsense is not ignored
    assert (await tower.ask("laptop", "PUT", "/dav/photos/none", b"x", If_Match="*")).status == 412
    got = await tower.ask("laptop", "GET", path, If_None_Match=second)
    assert (got.status, got.body, got.headers["ETag"]) == (304, b"", second)
    modified = (await tower.ask("laptop", "GET", path, If_Match=second)).headers["Last-Modified"]
    assert (await tower.ask("laptop", "GET", path, If_Modified_Since=modified)).status == 304
    assert (await tower.ask("laptop", "GET", path, If_Match=first)).status == 412
    assert [event for event, _ in tower.events if event != "door opened"] == ["overwritten"]


async def test_of_two_uploads_over_the_same_version_one_wins(tower):
    tower.offer("photos", laptop=Verb.WRITE, desk=Verb.WRITE)
    etag = (await tower.ask("laptop", "PUT", "/dav/photos/a.txt", b"one")).headers["ETag"]
    answers = await asyncio.gather(
        *(
            tower.ask(who, "PUT", "/dav/photos/a.txt", who.encode() * 200_000, If_Match=etag)
            for who in ("laptop", "desk")
        )
    )
    assert sorted(answer.status for answer in answers) == [204, 412]


async def test_ranges_of_small_and_large_files(tower):
    share = tower.offer("photos", laptop=Verb.READ)
    for name, data in (("small", BIG[:1000]), ("large", BIG)):
        (share.root / name).write_bytes(data)
        for text, expected in (
            ("bytes=0-9", data[:10]), ("bytes=10-", data[10:]), ("bytes=-10", data[-10:]), ("bytes=5-5", data[5:6]),
            ("bytes=0-99999999999", data),
        ):  # fmt: skip
            got = await tower.ask("laptop", "GET", f"/dav/photos/{name}", Range=text)
            assert (got.status, got.body) == (206, expected)
            assert got.headers["Content-Range"].endswith(f"/{len(data)}")
        for text in ("lines=1-2", "bytes=9-1", "bytes=-", "bytes=a-b"):
            got = await tower.ask("laptop", "GET", f"/dav/photos/{name}", Range=text)
            assert (got.status, got.body) == (200, data)
        beyond = await tower.ask("laptop", "GET", f"/dav/photos/{name}", Range=f"bytes={len(data)}-")
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
        etag = got.headers["ETag"]
        assert (await tower.ask("laptop", "GET", f"/dav/photos/{name}", Range="bytes=0-1", If_Range=etag)).status == 206
        assert (
            await tower.ask("laptop", "GET", f"/dav/photos/{name}", Range="bytes=0-1", If_Range='"x"')
        ).status == 200
    (share.root / "empty").touch()
    assert (await tower.ask("laptop", "GET", "/dav/photos/empty")).status == 200
    assert (await tower.ask("laptop", "GET", "/dav/photos/empty", Range="bytes=0-")).status == 416


async def test_digests_of_large_files_are_told_when_asked_for(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    put = await tower.ask("laptop", "PUT", "/dav/photos/big", BIG)
    assert put.headers["Repr-Digest"] == digest(BIG)
    assert "Repr-Digest" not in (await tower.ask("laptop", "HEAD", "/dav/photos/big")).headers
    told = await tower.ask("laptop", "HEAD", "/dav/photos/big", Want_Repr_Digest="sha-256=10")
    assert told.headers["Repr-Digest"] == digest(BIG)
    assert (await tower.ask("laptop", "HEAD", "/dav/photos/big")).headers["Repr-Digest"] == digest(BIG)  # remembered
    assert (await tower.ask("laptop", "GET", "/dav/photos/big")).body == BIG


async def test_the_digest_of_a_large_file_is_made_on_the_way_for_whoever_wants_it(tower):
    share = tower.offer("photos", laptop=Verb.READ)
    (share.root / "big").write_bytes(BIG)
    for wanted in ("", "md5=9", "sha-256=0"):
        assert (await tower.ask("laptop", "GET", "/dav/photos/big", Want_Repr_Digest=wanted)).body == BIG
    assert "Repr-Digest" not in (await tower.ask("laptop", "HEAD", "/dav/photos/big")).headers
    assert (await tower.ask("laptop", "GET", "/dav/photos/big", Want_Repr_Digest="sha-256=3")).body == BIG
    assert (await tower.ask("laptop", "GET", "/dav/photos/big")).headers["Repr-Digest"] == digest(BIG)


@pytest.mark.parametrize("size", [10, len(BIG)])
async def test_an_upload_that_arrives_damaged_changes_nothing(tower, size):
    share = tower.offer("photos", laptop=Verb.WRITE)
    await tower.ask("laptop", "PUT", "/dav/photos/a", b"old")
    answer = await tower.ask("laptop", "PUT", "/dav/photos/a", BIG[:size], Repr_Digest=digest(b"other"))
    assert answer.status == 400
    assert b"Damaged" in answer.body
    assert (share.root / "a").read_bytes() == b"old"
    good = await tower.ask("laptop", "PUT", "/dav/photos/a", BIG[:size], Repr_Digest=digest(BIG[:size]))
    assert good.status == 204
    assert (await tower.ask("laptop", "PUT", "/dav/photos/a", b"x", Repr_Digest="sha-256=:AA==:")).status == 400
    assert (await tower.ask("laptop", "PUT", "/dav/photos/a", b"x", Content_Range="bytes 0-0/9")).status == 400
    assert (await tower.ask("laptop", "PUT", "/dav/photos/a", b"x", Content_Encoding="gzip")).status == 400


async def test_a_reader_during_an_upload_sees_the_old_file_or_the_new_one(tower):
    share = tower.offer("photos", laptop=Verb.WRITE, desk=Verb.READ)
    old, new = b"old" * 1_000_000, b"new" * 1_000_000
    (share.root / "a").write_bytes(old)
    half = asyncio.Event()
    go_on = asyncio.Event()

    async def slowly():
        yield new[:2_000_000]
        half.set()
        await go_on.wait()
        yield new[2_000_000:]

    entry = await tower.remote("laptop", "photos").stat(SharePath(("a",)))
    writing = asyncio.create_task(
        tower.remote("laptop", "photos").write(SharePath(("a",)), slowly(), len(new), entry.etag)
    )
    await half.wait()
    await settled(lambda: under_way(share))
    assert (await tower.ask("desk", "GET", "/dav/photos/a")).body == old
    go_on.set()
    await writing
    assert (await tower.ask("desk", "GET", "/dav/photos/a")).body == new


@pytest.mark.parametrize("length", [None, 3_000_000, 200_000])
async def test_an_upload_that_is_cut_changes_nothing_and_leaves_nothing(tower, length):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (share.root / "a").write_bytes(b"old")
    half = asyncio.Event()

    async def endless():
        yield BIG[: (length or 2**21) // 2]
        half.set()
        await asyncio.sleep(60)
        yield b""

    headers = {"Content-Length": str(length)} if length else {}
    laptop = tower.caller("laptop")

    async def upload():
        async with laptop.request(tower.peer, "PUT", "/dav/photos/a", headers=headers, data=endless()):
            pass

    writing = asyncio.create_task(upload())
    await half.wait()
    # A small one is gathered in memory.
    await settled(lambda: tower.watch.running if length == 200_000 else under_way(share))
    tower.cut("laptop")
    with pytest.raises(Unreachable):
        await writing
    await settled(lambda: not under_way(share))
    assert (share.root / "a").read_bytes() == b"old"
    assert sorted(path.name for path in share.root.iterdir() if path.name != ".commonhold") == ["a"]


async def test_what_is_refused_or_does_not_fit_is_refused_before_the_bytes_come(tower):
    tower.offer("photos", laptop=Verb.WRITE, desk=Verb.READ)
    asked = []

    async def body():
        asked.append(True)
        yield b"x" * 1000

    for who, expected in (("laptop", 507), ("desk", 403)):
        headers = {"Expect": "100-continue", "Content-Length": str(2**60)}
        async with tower.caller(who).request(
            tower.peer, "PUT", "/dav/photos/a", headers=headers, data=body(), ok=(507, 403)
        ) as answer:
            assert answer.status == expected
            assert not asked
            answer.close()


async def test_names_with_spaces_and_accents_come_back_as_they_went(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    name = "Été à la plage 100% #1 & +?.txt".replace("?", "")
    composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    assert (await tower.ask("laptop", "PUT", f"/dav/photos/{quote(decomposed)}", b"x")).status == 201
    assert (await tower.ask("laptop", "GET", f"/dav/photos/{quote(composed)}")).body == b"x"
    assert [entry.name for entry in await tower.remote("laptop", "photos").ls(SharePath())] == [decomposed]
    assert (await tower.ask("laptop", "PUT", f"/dav/photos/{quote(composed)}", b"y")).status == 204
    assert (await tower.ask("laptop", "PUT", "/dav/photos/con.txt", b"y")).status == 400
    assert (await tower.ask("laptop", "GET", f"/dav/PHOTOS/{quote(composed)}")).body == b"y"


async def test_folders_over_the_wire(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    assert (await tower.ask("laptop", "MKCOL", "/dav/photos/2026/")).status == 201
    assert (await tower.ask("laptop", "MKCOL", "/dav/photos/2026/")).status == 405
    assert (await tower.ask("laptop", "MKCOL", "/dav/photos/2027/may")).status == 409
    assert (await tower.ask("laptop", "PUT", "/dav/photos/2027/a", b"x")).status == 409
    assert (await tower.ask("laptop", "PUT", "/dav/photos/2026", b"x")).status == 409
    assert (await tower.ask("laptop", "GET", "/dav/photos/2026")).status == 405
    assert (await tower.ask("laptop", "HEAD", "/dav/photos/2026/")).status == 200
    assert (await tower.ask("laptop", "DELETE", "/dav/photos/")).status == 403
    assert (await tower.ask("laptop", "DELETE", "/dav/photos/2026")).status == 204


async def test_the_folder_of_a_job_opens_under_a_pass_and_to_its_person_only(tower):
    folder = tower.home / "job"
    folder.mkdir()
    (folder / "in.txt").write_bytes(b"input")
    door = Door("job", "job-7", ".job-7", BOB)
    tower.shares.add_job(".job-7", folder, door)
    assert (await tower.ask("laptop", "GET", "/dav/.job-7/in.txt")).body == b"input"
    assert (await tower.ask("desk", "GET", "/dav/.job-7/in.txt")).status == 403
    pass_id = tower.casa.passes.issue(
        tower.casa.who("laptop"),
        fingerprint("desk"),
        "7",
        door,
        Verb.READ,
        paths=frozenset({SharePath(("in.txt",))}),
        until=NOON + timedelta(minutes=5),
    )
    under = tower.remote("desk", ".job-7", pass_id)
    assert b"".join([piece async for piece in under.read(SharePath(("in.txt",)))]) == b"input"
    with pytest.raises(Exception, match="pass"):
        await under.stat(SharePath(("other.txt",)))
    tower.shares.drop_job(".job-7")
    assert (await tower.ask("laptop", "GET", "/dav/.job-7/in.txt")).status in {403, 404}
