"""Small uploads that come at the same time are stored together, and each of them ends as if it had come alone."""

from __future__ import annotations

import asyncio
import errno
import os

from commonhold.authority.authority import Verb
from commonhold.files import disk
from commonhold.files.quota import Limit

from ..authority.suite import BOB


async def test_of_many_at_once_each_is_whole_and_what_is_wrong_with_one_is_wrong_with_none_beside_it(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (share.root / "there.txt").write_text("before")
    asked = [tower.ask("laptop", "PUT", f"/dav/photos/{number}.txt", b"%d" % number) for number in range(40)]
    wrong = [
        (409, tower.ask("laptop", "PUT", "/dav/photos/nowhere/a.txt", b"x")),
        (412, tower.ask("laptop", "PUT", "/dav/photos/there.txt", b"x", If_None_Match="*")),
        (400, tower.ask("laptop", "PUT", "/dav/photos/bad.txt", b"x", Repr_Digest="sha-256=:" + "A" * 43 + "=:")),
        (409, tower.ask("laptop", "PUT", "/dav/photos/0.txt/below", b"x")),
    ]
    answers = await asyncio.gather(*asked, *(ask for _, ask in wrong))
    assert [answer.status for answer in answers] == [201] * 40 + [status for status, _ in wrong]
    assert {path.name: path.read_text() for path in share.root.glob("*.txt")} == {
        "there.txt": "before",
        **{f"{number}.txt": str(number) for number in range(40)},
    }
    assert not list((share.root / ".commonhold" / "tmp").iterdir())


async def test_a_quota_holds_for_those_that_come_together(tower):
    tower.offer("photos", laptop=Verb.WRITE)
    tower.ledger.set_limit(BOB, Limit(files=5))
    answers = await asyncio.gather(*(tower.ask("laptop", "PUT", f"/dav/photos/{n}", b"x") for n in range(20)))
    assert sorted(answer.status for answer in answers) == [201] * 5 + [507] * 15
    assert tower.ledger.used(BOB).files == 5


async def test_one_name_that_many_write_at_once_has_one_of_them_and_the_others_are_versions(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    answers = await asyncio.gather(*(tower.ask("laptop", "PUT", "/dav/photos/a", b"%02d" % n) for n in range(20)))
    assert sorted(answer.status for answer in answers) == [201] + [204] * 19
    kept = [path.read_bytes() for path in (share.root / ".commonhold" / "versions").glob("*/*")]
    assert sorted([*kept, (share.root / "a").read_bytes()]) == [b"%02d" % n for n in range(20)]


async def test_when_the_disk_fails_at_one_sync_only_that_file_is_not_acknowledged(tower, monkeypatch):
    share = tower.offer("photos", laptop=Verb.WRITE)
    real = os.fsync

    def failing(handle: int) -> None:
        if os.fstat(handle).st_size == 13:
            raise OSError(errno.ENODEV, "broken")
        real(handle)

    monkeypatch.setattr(disk.os, "fsync", failing)
    bodies = [b"x" * (13 if number == 7 else 5) for number in range(12)]
    answers = await asyncio.gather(
        *(tower.ask("laptop", "PUT", f"/dav/photos/{number}", body) for number, body in enumerate(bodies))
    )
    assert [answer.status for answer in answers] == [500 if number == 7 else 201 for number in range(12)]
    assert len(list(share.root.glob("[0-9]*"))) == 11
