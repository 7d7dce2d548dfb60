"""laptop (bob's) copies from tower to desk, which fetches from tower itself; where that cannot be, through laptop."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import pytest
from msgspec.structs import replace

from commonhold.authority.authority import Verb
from commonhold.errors import Changed, NotFound, Refused, Unreachable
from commonhold.files.fetchwords import FETCH
from commonhold.files.used import crossing
from commonhold.files.used.copy import Copies
from commonhold.files.used.tally import Report
from commonhold.files.used.tree import Manner
from commonhold.names import SharePath
from commonhold.transport import Address

from ..authority.suite import fingerprint
from .conftest import Tower

LARGE = os.urandom(30_000_001)  # more than what lies in buffers on the way
SLOW = 12_000_000  # bytes a second
SIX = timedelta(minutes=6)


def reading(tower) -> bool:
    """Whether desk reads a file of tower's at this moment."""
    return any(work.subject.computer == fingerprint("desk") for work in tower.watch.running)


def came(desk) -> int:
    """Bytes of a file that is on its way to desk."""
    workshop = desk.home / "box" / ".commonhold" / "tmp"
    return sum(each.stat().st_size for each in workshop.iterdir()) if workshop.exists() else 0


async def eventually(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other threads set no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def desk(tmp_path, tower):
    (tmp_path / "desk").mkdir()
    made = Tower(tmp_path / "desk", "desk")
    made.others[fingerprint("tower")] = tower.peer
    made.offer("box", laptop=Verb.WRITE)
    tower.offer("photos", laptop=Verb.WRITE)
    (tower.home / "photos" / "large").write_bytes(LARGE)
    (tower.home / "photos" / "small").write_bytes(b"small")
    await made.open()
    yield made
    await made.close()


async def cp(tower, desk, source: str = "", target: str = "", move: bool = False, **how) -> Report:
    with Copies(Manner(recursive=True, **how)) as copies:
        caller = tower.caller("laptop")
        here, there = copies.remote(caller, tower.peer, "photos"), copies.remote(caller, desk.peer, "box")
        work = copies.move if move else copies.across
        await work(here, SharePath.parse(source), there, SharePath.parse(target), False)
        return copies.counts.report()


def whole(desk) -> bool:
    return (desk.home / "box" / "large").read_bytes() == LARGE


async def test_it_goes_straight(tower, desk):
    report = await cp(tower, desk)
    assert (report.files, report.straight, report.bytes) == (2, 2, len(LARGE) + 5)
    assert whole(desk)
    assert not tower.casa.passes._passes, "and what let it is given back"


@pytest.mark.parametrize("which", ["the first", "the second"])
async def test_a_computer_of_an_older_version_is_passed_by(tower, desk, which):
    if which == "the first":
        tower.locked.add("/readings")
    else:
        desk.unknown.add(FETCH)
    report = await cp(tower, desk)
    assert (report.files, report.straight) == (2, 0)
    assert whole(desk)


async def test_computers_that_do_not_reach_one_another_are_joined_here(tower, desk):
    desk.others[fingerprint("tower")] = replace(tower.peer, addresses=(Address("127.0.0.1", 1),))
    for number in range(50):
        (tower.home / "photos" / f"{number}").write_text(str(number))
    report = await cp(tower, desk)
    assert (report.files, report.straight) == (52, 0)
    assert whole(desk)
    del desk.others[fingerprint("tower")]
    (desk.home / "box" / "large").unlink()
    assert (await cp(tower, desk)).straight == 0
    assert whole(desk)


async def test_a_way_that_breaks_is_taken_up_where_it_broke(tower, desk):
    copying = asyncio.create_task(cp(tower, desk, "large", "large", limit=SLOW))
    for times in (1, 2):
        await eventually(lambda had=5_000_000 * times: came(desk) > had and reading(tower))
        tower.cut("desk")
    report = await copying
    assert (report.files, report.straight) == (1, 1)
    assert whole(desk)


async def test_a_pass_is_prolonged_as_long_as_the_copy_takes(tower, desk, monkeypatch):
    monkeypatch.setattr(crossing, "PROLONG", 0.1)
    copying = asyncio.create_task(cp(tower, desk, "large", "large", limit=SLOW))
    await eventually(lambda: reading(tower))
    for _ in range(3):
        tower.casa.later(minutes=6)
        await eventually(lambda: all(each.until - tower.casa.now > SIX for each in tower.casa.passes._passes.values()))
    assert (await copying).straight == 1
    assert whole(desk)


async def test_a_pass_that_nobody_prolongs_ends_what_it_opened(tower, desk):
    (desk.home / "box" / "large").write_bytes(b"old")
    copying = asyncio.create_task(cp(tower, desk, "large", "large", limit=SLOW))
    await eventually(lambda: came(desk) and reading(tower))
    tower.casa.later(minutes=11)
    tower.watch.look()
    with pytest.raises(Refused, match="that pass is over"):
        await copying
    assert (desk.home / "box" / "large").read_bytes() == b"old"


async def test_what_changed_at_either_end_is_not_copied_over(tower, desk):
    with pytest.raises(NotFound):
        await cp(tower, desk, "nothing", "x")
    (desk.home / "box" / "small").write_bytes(b"theirs")
    with pytest.raises(Changed):
        await cp(tower, desk, "small", "small", move=True)
    assert (desk.home / "box" / "small").read_bytes() == b"theirs"
    assert (tower.home / "photos" / "small").exists()


async def test_mv_goes_straight_and_takes_away_what_has_landed(tower, desk):
    report = await cp(tower, desk, "*", move=True)
    assert (report.files, report.straight) == (2, 2)
    assert whole(desk)
    assert not [path for path in (tower.home / "photos").iterdir() if path.name != ".commonhold"]


async def test_digests_tell_what_is_the_same(tower, desk):
    assert (await cp(tower, desk, checksum=True)).straight == 2
    os.utime(desk.home / "box" / "large", (1, 1))
    assert (await cp(tower, desk, checksum=True)).same == 2


async def test_a_second_computer_that_is_gone_ends_it(tower, desk):
    copying = asyncio.create_task(cp(tower, desk, limit=SLOW))
    await eventually(lambda: reading(tower))
    desk.cut("laptop")
    with pytest.raises(Unreachable):
        await copying
