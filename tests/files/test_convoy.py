"""Small uploads that come at the same time are stored together, and each of them ends as if it had come alone."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from commonhold.authority.authority import Verb
from commonhold.files import disk
from commonhold.files import nameless as named
from commonhold.files.entry import NONE
from commonhold.files.gathered import Bundled
from commonhold.files.quota import Limit, Payer, QuotaLedger
from commonhold.files.served.convoy import TURNS, Convoys
from commonhold.files.share import Share

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


@pytest.mark.parametrize("nameless", [True, False])
async def test_on_any_disk_what_is_replaced_is_a_version_and_nothing_is_left_beside_it(tower, monkeypatch, nameless):
    """FAT and some network disks have no files without a name."""
    if not nameless:
        monkeypatch.setattr(named, "_NAMELESS", 0)
    share = tower.offer("photos", laptop=Verb.WRITE)
    for status, body in ((201, b"one"), (204, b"two")):
        (share.root / "mode").touch(0o600)
        asked = [tower.ask("laptop", "PUT", f"/dav/photos/{name}", body) for name in ("a", "Zo%C3%AB", "mode")]
        answers = await asyncio.gather(*asked)
        assert [answer.status for answer in answers] == [status, status, 204]
    assert [(share.root / name).read_bytes() for name in ("a", "Zoë", "mode")] == [b"two"] * 3
    assert (share.root / "mode").stat().st_mode & 0o777 == 0o600
    kept = [path.read_bytes() for path in (share.root / ".commonhold" / "versions").glob("*/*")]
    assert sorted(kept) == [b"", b"one", b"one", b"one"]
    assert not list((share.root / ".commonhold" / "tmp").iterdir())
    refused = await tower.ask("laptop", "PUT", "/dav/photos/a", b"three", If_None_Match="*")
    assert (refused.status, (share.root / "a").read_bytes()) == (412, b"two")
    assert not list((share.root / ".commonhold" / "tmp").iterdir())


@pytest.mark.parametrize("nameless", [True, False])
async def test_a_name_that_a_program_of_the_owner_takes_in_that_moment_is_not_replaced_but_kept(
    tower, monkeypatch, nameless
):
    if not nameless:
        monkeypatch.setattr(named, "_NAMELESS", 0)
    share = tower.offer("photos", laptop=Verb.WRITE)
    link = named.Nameless.link

    def late(self, folder, wanted):
        with suppress(FileExistsError), (share.root / "a").open("x") as file:
            file.write("the owner's")
        link(self, folder, wanted)

    monkeypatch.setattr(named.Nameless, "link", late)
    assert (await tower.ask("laptop", "PUT", "/dav/photos/a", b"theirs")).status == 204
    assert (share.root / "a").read_bytes() == b"theirs"
    (kept,) = (share.root / ".commonhold" / "versions").glob("*/*")
    assert kept.read_text() == "the owner's"


def test_a_quick_disk_is_asked_in_one_thread_and_a_slow_one_in_many():
    """With all at once none of them would wait for another: so none is let go before all are there."""
    together, seen = disk.Together(), []
    together(lambda _: seen.append(threading.current_thread()), range(8))
    assert set(seen) == {threading.current_thread()}
    together(lambda _: threading.Event().wait(2 * disk.QUICK), range(2))
    met = threading.Barrier(7)
    together(lambda number: number == 0 or met.wait(30), range(8))
    assert not met.broken


async def test_what_comes_in_one_breath_of_the_loop_travels_together(folder, tmp_path, monkeypatch):
    ledger = QuotaLedger(tmp_path / "quota.db", lambda *_: None, lambda: "the owner")
    gather, groups = Share.gather, []
    monkeypatch.setattr(Share, "gather", lambda *what: groups.append(what) or gather(*what))

    async def bring(number: int) -> Bundled:
        for _ in range(number % TURNS):  # not all are asked about in the same turn
            await asyncio.sleep(0)
        file = Bundled(folder.permit(Verb.WRITE, f"{number}"), b"x", b"", NONE)
        with ledger.begin(Payer(None, "ann"), folder.share.door.id, f"{number}", 1) as storing:
            await convoys.bring(folder.share, file, storing)
        return file

    with ThreadPoolExecutor() as threads:
        convoys = Convoys(threads, ledger)
        files = await asyncio.gather(*map(bring, range(12)))
    ledger.close()
    assert all(file.entry and not file.failed for file in files)
    assert len(groups) == 1
