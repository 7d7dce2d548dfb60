"""Locks at the door: who holds one changes what is locked, and nobody else does; what everybody is told of it.

bob asks from his laptop and by a pass, carol from her desk, ann (whose tower it is) from her tablet.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from defusedxml.ElementTree import fromstring

from commonhold.authority.authority import Verb
from commonhold.errors import Changed, Locked, NoSpace, Refused
from commonhold.files import locks as table
from commonhold.files.clearance import holder
from commonhold.files.entry import NONE, Conditions
from commonhold.files.locks import Locks
from commonhold.files.lockwords import LONGEST, LONGEST_OWNER, LockWish, parse_timeout
from commonhold.files.share import Share
from commonhold.names import SharePath

from ..authority.suite import BOB, CAROL
from .conftest import catalogue

OWNER = '<D:owner><o:name xmlns:o="urn:office">Bob &amp; co</o:name></D:owner>'


def wish(scope: str = "exclusive", owner: str = OWNER) -> bytes:
    return (
        f'<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:{scope}/></D:lockscope>'
        f"<D:locktype><D:write/></D:locktype>{owner}</D:lockinfo>"
    ).encode()


class Door:
    """The share “work”, which bob and carol write, and what each of them asks as a program for WebDAV does."""

    def __init__(self, tower):
        self.tower = tower
        self.share = tower.offer("work", laptop=Verb.WRITE, desk=Verb.WRITE)
        self.root = self.share.root
        (self.root / "sub").mkdir()
        (self.root / "a.txt").write_bytes(b"old")
        (self.root / "sub" / "b.txt").write_bytes(b"old")

    async def ask(self, who, method, path, data=None, **headers):
        return await self.tower.ask(who, method, f"/dav/work/{path}", data, Accept="*/*", **headers)

    async def status(self, *words, **headers) -> int:
        return (await self.ask(*words, **headers)).status

    async def lock(self, who, path, scope="exclusive", depth="0", **headers) -> str:
        answer = await self.ask(who, "LOCK", path, wish(scope), Depth=depth, **headers)
        assert answer.status in {200, 201}, answer.body
        return answer.headers["Lock-Token"]

    async def discovered(self, who, path) -> list:
        question = b'<propfind xmlns="DAV:"><prop><lockdiscovery/><supportedlock/></prop></propfind>'
        answer = await self.ask(who, "PROPFIND", path, question, Depth="0")
        assert answer.status == 207
        found = fromstring(answer.body)
        assert len(list(found.iter("{DAV:}lockentry"))) == 2
        return list(found.iter("{DAV:}activelock"))


@pytest.fixture
async def door(tower):
    return Door(tower)


async def test_a_lock_is_its_persons_alone(door):
    answer = await door.ask("laptop", "LOCK", "a.txt", wish(), Depth="0", Timeout="Second-600")
    assert answer.status == 200
    (active,) = fromstring(answer.body).iter("{DAV:}activelock")
    token = answer.headers["Lock-Token"]
    assert re.fullmatch("<urn:uuid:[0-9a-f-]{36}>", token)
    assert active.findtext("{DAV:}locktoken/{DAV:}href") == token[1:-1]
    assert active.findtext("{DAV:}lockroot/{DAV:}href") == "/dav/work/a.txt"
    assert active.findtext("{DAV:}depth") == "0"
    assert active.findtext("{DAV:}timeout") in {"Second-600", "Second-599"}
    assert active.findtext("{DAV:}owner/{urn:office}name") == "Bob & co", "as it was sent"

    refused = await door.ask("desk", "PUT", "a.txt", b"carol's")
    assert refused.status == 423
    error = fromstring(refused.body)
    assert error.findtext("{DAV:}lock-token-submitted/{DAV:}href") == "/dav/work/a.txt"
    for method in ("PUT", "DELETE"):
        assert await door.status("laptop", method, "a.txt", b"", If="(<DAV:no-lock>) (Not <DAV:no-lock>)") == 423
        assert await door.status("desk", method, "a.txt", b"", If=f"({token})") == 412, "it is not hers"
        assert await door.status("desk", method, "a.txt", b"", If=f"({token}) (Not <DAV:no-lock>)") == 423
    assert (door.root / "a.txt").read_bytes() == b"old"
    assert await door.status("laptop", "PUT", "a.txt", b"new", If=f"({token})") == 204
    assert await door.status("laptop", "PUT", "a.txt", b"newer", If=f"</dav/work/a.txt> ({token})") == 204
    assert await door.status("laptop", "UNLOCK", "a.txt", Lock_Token=token) == 204
    assert await door.status("desk", "PUT", "a.txt", b"carol's") == 204


async def test_a_large_upload_is_refused_before_its_bytes_come(door):
    await door.lock("laptop", "a.txt")

    async def never():
        yield b"x" * 100_000
        raise AssertionError("it was read on")

    path, there = SharePath.parse("a.txt"), door.tower.remote("desk", "work")
    etag = (await there.stat(path)).etag
    with pytest.raises(Locked):
        await there.write(path, never(), 10**9, etag)


async def test_our_own_programs_hear_who_holds_it_and_until_when(door):
    until = datetime.now(UTC) + timedelta(seconds=600)
    await door.lock("laptop", "a.txt", Timeout="Second-600")
    entry = await door.tower.remote("desk", "work").stat(SharePath.parse("a.txt"))
    with pytest.raises(Locked, match=f"“a.txt” in work is locked by bob at laptop until {until:%Y-%m-%d %H}") as error:
        await door.tower.remote("desk", "work").write(SharePath.parse("a.txt"), b"x", 1, entry.etag)
    assert error.value.exit_code == 6
    with pytest.raises(Locked):
        await door.tower.remote("desk", "work").rm(SharePath.parse("a.txt"))


async def test_a_locked_folder_keeps_its_names_and_below_it_only_when_deep(door):
    shallow = await door.lock("laptop", "sub", depth="0")
    assert await door.status("desk", "PUT", "sub/b.txt", b"new") == 204, "what is in it may change"
    for method, path in (("PUT", "sub/c.txt"), ("MKCOL", "sub/d"), ("DELETE", "sub/b.txt"), ("DELETE", "sub")):
        assert await door.status("desk", method, path) == 423, "its names may not"
    assert await door.status("laptop", "PUT", "sub/c.txt", b"", If=f"</dav/work/sub> ({shallow})") == 201
    assert await door.status("laptop", "UNLOCK", "sub", Lock_Token=shallow) == 204
    deep = await door.lock("laptop", "sub", depth="infinity")
    assert await door.status("desk", "PUT", "sub/b.txt", b"new") == 423
    assert await door.status("laptop", "PUT", "sub/b.txt", b"new", If=f"({deep})") == 204, "it is on what is below, too"
    (active,) = await door.discovered("laptop", "sub/b.txt")
    assert active.findtext("{DAV:}lockroot/{DAV:}href") == "/dav/work/sub"
    assert await door.status("laptop", "UNLOCK", "sub/b.txt", Lock_Token=deep) == 204, "from below, too"


async def test_what_is_below_holds_up_what_is_above(door):
    token = await door.lock("laptop", "sub/b.txt")
    for method, data, condition in (("DELETE", None, "lock-token-submitted"), ("LOCK", wish(), "no-conflicting-lock")):
        answer = await door.ask("desk", method, "sub", data)
        assert answer.status == 207
        said = [(each[0].text, each[1].text) for each in fromstring(answer.body).iter("{DAV:}response")]
        assert said == [
            ("/dav/work/sub/b.txt", "HTTP/1.1 423 Locked"),
            ("/dav/work/sub", "HTTP/1.1 424 Failed Dependency"),
        ]
        assert condition.encode() in answer.body
    assert (door.root / "sub" / "b.txt").exists()
    assert await door.status("laptop", "DELETE", "sub", If=f"</dav/work/sub/b.txt> ({token})") == 204
    assert await door.status("desk", "PUT", "sub", b"a file now") == 201
    assert await door.discovered("desk", "sub") == [], "a lock goes with what it was on"


async def test_shared_locks_stand_beside_one_another(door):
    bobs, carols = await door.lock("laptop", "a.txt", "shared"), await door.lock("desk", "a.txt", "shared")
    answer = await door.ask("desk", "LOCK", "a.txt", wish(), Depth="0")
    assert answer.status == 423
    assert b"no-conflicting-lock" in answer.body
    assert len(await door.discovered("desk", "a.txt")) == 2
    assert await door.status("laptop", "PUT", "a.txt", b"1", If=f"({bobs})") == 204
    assert await door.status("desk", "PUT", "a.txt", b"2", If=f"({carols})") == 204
    assert await door.status("desk", "PUT", "a.txt", b"3") == 423
    assert await door.status("tablet", "PUT", "a.txt", b"3") == 423, "the owner's programs, too"


async def test_who_sees_a_token_and_who_may_end_it(door):
    token = await door.lock("laptop", "a.txt")
    tokens = {
        who: [each.findtext("{DAV:}locktoken/{DAV:}href") for each in await door.discovered(who, "a.txt")]
        for who in ("laptop", "desk", "tablet")
    }
    assert tokens == {"laptop": [token[1:-1]], "desk": [None], "tablet": [token[1:-1]]}
    assert await door.status("desk", "UNLOCK", "a.txt", Lock_Token=token) == 403
    assert await door.status("desk", "UNLOCK", "sub", Lock_Token=token) == 409
    assert await door.status("laptop", "UNLOCK", "a.txt") == 400
    assert await door.status("tablet", "UNLOCK", "a.txt", Lock_Token=token) == 204
    broken = {"person": "ann", "computer": "tablet", "door": "work", "path": "a.txt", "of": "bob at laptop"}
    assert ("lock broken", broken) in door.tower.events
    assert await door.status("laptop", "UNLOCK", "a.txt", Lock_Token=token) == 409


async def test_a_new_name_is_locked_with_an_empty_file(door):
    answer = await door.ask("laptop", "LOCK", "new.txt", wish(), Depth="0")
    token = answer.headers["Lock-Token"]
    assert answer.status == 201
    assert (door.root / "new.txt").read_bytes() == b""
    assert await door.status("desk", "PUT", "new.txt", b"mine") == 423
    assert await door.status("laptop", "PUT", "new.txt", b"all", If=f"({token})") == 204
    assert await door.status("laptop", "LOCK", "nowhere/new.txt", wish(), Depth="0") == 409
    assert await door.status("laptop", "LOCK", "other.txt", wish(), Depth="0", If=f"({token})") == 412
    assert not (door.root / "other.txt").exists()
    await door.lock("laptop", "sub")
    assert await door.status("desk", "LOCK", "sub/new.txt", wish(), Depth="0") == 423, "the folder's names are locked"
    assert door.share.locks.over(table.place(door.root, SharePath.parse("sub/new.txt"))) == []


async def test_a_lock_is_renewed_with_its_token_and_no_body(door):
    token = await door.lock("laptop", "sub", depth="infinity", Timeout="Second-60")
    answer = await door.ask("laptop", "LOCK", "sub/b.txt", If=f"({token})", Timeout="Infinite, Second-4100000000")
    (timeout,) = fromstring(answer.body).iter("{DAV:}timeout")
    assert answer.status == 200
    assert int(timeout.text.removeprefix("Second-")) > 60
    assert await door.status("laptop", "LOCK", "sub") == 400
    assert await door.status("desk", "LOCK", "sub", If=f"({token})") == 412
    assert await door.status("laptop", "LOCK", "a.txt", If=f"({token}) (Not <DAV:no-lock>)") == 412


@pytest.mark.parametrize(
    "body",
    [
        b"<no xml",
        b"<lockinfo/>",
        wish("both"),
        wish(owner=f"<D:owner>{'x' * LONGEST_OWNER}</D:owner>"),
        wish() + b" " * 20_000,
        b'<!DOCTYPE a [<!ENTITY b "b">]>' + wish(),
    ],
)
async def test_what_is_no_lock(door, body):
    assert await door.status("laptop", "LOCK", "a.txt", body, Depth="0") == 400
    assert await door.status("laptop", "LOCK", "a.txt", wish(), Depth="1") == 400
    assert await door.status("laptop", "PUT", "a.txt", b"x", If="(garbage") == 400


async def test_to_whom_a_share_is_a_drop_box_nothing_tells_of_locks(tower):
    """carol may add to the inbox and see nothing there: what she is answered is the same, whatever bob has locked."""
    share = tower.offer("inbox", laptop=Verb.WRITE, desk=Verb.ADD)
    (share.root / "sub").mkdir()

    async def answers() -> list:
        said = []
        for method, path, headers in (
            ("PUT", "a.txt", {}), ("PUT", "a.txt", {"If": "(<urn:uuid:1>)"}), ("PUT", "sub/b.txt", {}),
            ("MKCOL", "sub", {}), ("LOCK", "a.txt", {"Depth": "0"}), ("UNLOCK", "a.txt", {"Lock_Token": "<urn:x>"}),
        ):  # fmt: skip
            data = wish() if method == "LOCK" else b"x" if method == "PUT" else None
            answer = await tower.ask("desk", method, f"/dav/inbox/{path}", data, **headers)
            said.append((method, answer.status, sorted(answer.headers), answer.body))
        return said

    before = await answers()
    door = Door(tower)
    for path in ("", "a.txt", "sub"):
        assert (await door.tower.ask("laptop", "LOCK", f"/dav/inbox/{path}", wish("shared"))).status in {200, 201}
    assert await answers() == before
    assert [status for _, status, *_ in before] == [201, 412, 201, 201, 403, 403]


async def test_shares_inside_one_another_have_the_same_locks(tower):
    door = Door(tower)
    inner = tower.shares.offer(door.root / "sub")
    tower.casa.allow(CAROL, Verb.WRITE, inner.door)
    await door.lock("laptop", "sub", depth="infinity")
    refused = await tower.ask("desk", "PUT", "/dav/sub/b.txt", b"new", Accept="*/*")
    assert refused.status == 423
    assert b"work" not in refused.body, "what is around it is not hers to know"
    tower.shares.withdraw("work")
    assert (await tower.ask("desk", "PUT", "/dav/sub/b.txt", b"new")).status == 204


def test_seconds_have_bounds():
    for header, seconds in {
        None: 3600, "Second-10": 10, "Second-0": 1, "Infinite": LONGEST, "Second-4100000000": LONGEST,
        "Extend, Second-20": 20, "rubbish": 3600, "Second-99999999999": 3600,
    }.items():  # fmt: skip
        assert parse_timeout(header) == seconds


# -- without a network


class Clock:
    def __init__(self):
        self.at = datetime(2026, 11, 24, tzinfo=UTC)

    def now(self):
        return self.at


def lock(folder, path, who="laptop", seconds=60, **words):
    permit = folder.permit(Verb.WRITE, path, who)
    with folder.share.locksmith.making(permit, LockWish(seconds=seconds, **words), NONE) as made:
        return made


@pytest.fixture
def timed(folder, tmp_path):
    """The folder with a clock of our own, and its catalogue in a file."""
    for person in (BOB, CAROL):
        folder.casa.allow(person, Verb.WRITE, folder.share.door)
    folder.clock = Clock()

    def restart():
        locks = Locks(catalogue(tmp_path / "files.db"), folder.clock.now)
        folder.share = Share(folder.share.door, folder.root, locks._catalogue, locks)

    folder.restart = restart
    restart()
    return folder


def test_a_lock_outlives_a_restart_and_not_its_time(timed):
    (timed.root / "a").write_bytes(b"old")
    token = lock(timed, "a").token
    timed.restart()
    with pytest.raises(Locked):
        timed.put("a", b"new", who="desk")
    timed.share.locksmith.renew(timed.permit(Verb.WRITE, "a", "laptop"), Conditions(tokens=frozenset({token})), 600)
    timed.clock.at += timedelta(seconds=61)
    timed.restart()
    with pytest.raises(Locked):
        timed.put("a", b"new", who="desk")
    timed.clock.at += timedelta(seconds=600)
    timed.put("a", b"new", who="desk")
    lock(timed, "a", "desk")
    timed.restart()
    assert [each.holder for each in timed.share.locksmith.on("a")] == [holder(CAROL)]
    assert len(timed.share.locks._catalogue.find("SELECT * FROM locks")) == 1, "what is over is taken out"


def test_nobody_holds_more_than_a_few_locks_and_what_is_over_does_not_count(timed, monkeypatch):
    monkeypatch.setattr(table, "MOST", 3)
    for name in "abc":
        lock(timed, name, shared=True)
    with pytest.raises(NoSpace):
        lock(timed, "d")
    lock(timed, "d", "desk")
    timed.clock.at += timedelta(seconds=61)
    lock(timed, "d")


def test_a_permit_and_its_conditions_decide_before_a_lock_does(timed):
    (timed.root / "a").write_bytes(b"old")
    with pytest.raises(Refused):
        timed.share.clearance.unseen(NONE).require(SharePath.parse("a"), table.How.GOES)
    with pytest.raises(Changed):
        timed.share.delete(timed.permit(Verb.WRITE, "a", "laptop"), Conditions(if_match=frozenset({"x"})))
    with timed.share.clearance.changing(timed.permit(Verb.WRITE, "a"), NONE, None) as cleared:
        pass
    with pytest.raises(Refused):
        cleared.require(SharePath.parse("a"), table.How.COMES)


def test_what_a_file_holds_under_a_lock_is_what_its_holder_wrote(timed):
    """20 programs of two people lock it, write it and unlock it, and write it without a lock too, all at once."""
    (timed.root / "a").write_bytes(b"")
    share = timed.share
    permits = [timed.permit(Verb.WRITE, "a", who) for who in ("laptop", "desk")]  # the rules are asked by one thread

    def write(permit, data, *tokens):
        upload = share.write(permit)
        upload.write(data)
        upload.commit(Conditions(tokens=frozenset(tokens)))

    def program(number: int) -> int:
        permit, granted, mine = permits[number % 2], 0, str(number).encode()
        for _ in range(15):
            try:
                with share.locksmith.making(permit, LockWish(), NONE) as held:
                    pass
            except Locked:
                with suppress(Locked):  # between two locks it may
                    write(permit, b"torn")
                continue
            granted += 1
            write(permit, mine, held.token)
            assert (timed.root / "a").read_bytes() == mine
            share.locksmith.release(permit, held.token, False)
        return granted

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(program, range(20))) >= 1
    assert share.locksmith.on("a") == []
    assert share.locks._root.inner == {}, "nothing is left of them"


async def test_a_folder_is_made_where_a_lock_is_shown_and_only_as_its_conditions_say(door):
    token = await door.lock("laptop", "sub")
    held = {"If": f"</dav/work/sub> ({token})"}
    assert await door.status("laptop", "MKCOL", "sub/new") == 423
    assert await door.status("laptop", "MKCOL", "sub/new", **held) == 201
    assert await door.status("laptop", "MKCOL", "other", If="(<urn:uuid:none>)") == 412
    door.tower.offer("box", laptop=Verb.ADD)
    assert (await door.tower.ask("laptop", "MKCOL", "/dav/box/new", If="(<urn:uuid:none>)")).status == 412
    assert not list((door.tower.home / "box").glob("[!.]*"))


async def test_what_a_lock_says_of_its_owner_is_not_nested_without_end(door):
    owner = f"<D:owner>{'<a>' * 1100}{'</a>' * 1100}</D:owner>"
    assert await door.status("laptop", "LOCK", "a.txt", wish(owner=owner)) == 400


async def test_listings_do_not_swell_by_what_others_lock_or_by_what_is_asked(door):
    """A thousand locks of one folder were told anew for each file in it: half a gigabyte for twenty of them."""
    for _ in range(table.MOST_SHARED):
        await door.lock("laptop", "sub", "shared", depth="infinity")
    for path, depth in ("sub", "infinity"), ("", "infinity"), ("sub/b.txt", "0"):
        assert await door.status("desk", "LOCK", path, wish("shared"), Depth=depth) == 507
    assert await door.status("desk", "LOCK", "a.txt", wish("shared"), Depth="0") == 200
    name = "u:" + "&amp;" * 5000
    question = f'<D:propfind xmlns:D="DAV:"><D:prop><x:a xmlns:x="{name}"/></D:prop></D:propfind>'.encode()
    assert await door.status("desk", "PROPFIND", "", question, Depth="1") == 400
