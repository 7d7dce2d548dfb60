"""A member with a computer of the network, who may do little or nothing, against another's real node."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commonhold.authority import roster as rosters
from commonhold.authority.facts import MANY, FactStore
from commonhold.authority.roster import Roster
from commonhold.files.fetchwords import FETCH
from commonhold.identity.certificate import Certificate, self_signed
from commonhold.identity.envelope import Envelope, Signature
from commonhold.identity.keys import Key
from commonhold.names import ComputerName, NetworkName, PersonId, PersonName
from commonhold.transport import Address, Caller, Peer
from commonhold.trees import erase

from ..conftest import town
from .reach import enrol

DEEP = 1500  # folders one in the other: more than Python calls itself
LATER = "2100-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """tower of ann, desk of mallory."""
    with town(tmp_path_factory.mktemp("casa")) as make:
        tower, desk = make("tower", "ann"), make("desk", "mallory")
        tower.create("casa")
        enrol(desk, tower)
        tower.knows("tower", "desk")
        yield tower, desk


@pytest.fixture
def tower(network):
    return network[0]


@pytest.fixture
def ask(network):
    """Sends anything from mallory's computer to tower: (status, body)."""
    tower, desk = network
    mine, theirs = (Certificate.parse(each.home.certificate.read_bytes()) for each in (desk, tower))
    peer = Peer("tower", theirs.fingerprint, theirs, (Address.parse(tower.address),))

    def asking(method, path, headers=None, data=None):
        async def once():
            caller = Caller(Key.load(desk.home.key), mine)
            try:
                async with caller.request(peer, method, path, headers=headers, data=data, ok=range(100, 600)) as answer:
                    return answer.status, (await answer.read()).decode()
            finally:
                await caller.close()

        return asyncio.run(once())

    asking.lender = mine.fingerprint
    return asking


def deepen(folder: Path, levels: int) -> None:
    """No path is that long: each folder is made in the one before."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)


def test_a_share_is_not_given_away_by_the_spelling_of_its_name(tower, ask, tmp_path):
    (tmp_path / "Diaries").mkdir()
    tower.net.share(tmp_path / "Diaries")

    def answers(name):
        wish = {"lender": ask.lender, "job": "1", "share": name, "verb": "read", "until": LATER}
        reading = {"copy": "0" * 16, "bearer": ask.lender, "share": name, "paths": ["a"]}
        saying = {"effect": "allow", "who": "mallory", "verb": "read", "door": name}
        said = [
            ask("PROPFIND", f"/dav/{name}/", {"Depth": "0"}),
            ask("GET", f"/dav/{name}/a"),
            ask("HEAD", f"/dav/{name}/a"),
            ask("PUT", f"/dav/{name}/a", data=b"a"),
            ask("MKCOL", f"/dav/{name}/a"),
            ask("DELETE", f"/dav/{name}/a"),
            ask("OPTIONS", f"/dav/{name}/a"),
            ask("LOCK", f"/dav/{name}/a"),
            ask("GET", f"/explanation?who=mallory&verb=read&door={name}"),
            ask("GET", f"/explanation?who=ann&verb=read&door={name}"),
            ask("GET", f"/rules?door={name}"),
            ask("POST", "/rules", data=json.dumps(saying).encode()),
            ask("POST", "/passes", data=json.dumps(wish).encode()),
            ask("POST", "/readings", data=json.dumps(reading).encode()),
            ask("POST", f"/dav/{name}/a", {"Content-Type": FETCH}, data=b"{}"),
        ]
        return [(status, body.replace(name, "NAME")) for status, body in said]

    assert answers("diARIES") == answers("noTHING")


def test_a_job_is_not_given_away_by_the_kind_of_refusal(tower, ask):
    job = tower.net.run("true").job
    there, not_there = (ask("GET", f"/explanation?who=mallory&verb=read&door=.job-{n}") for n in (job, 999))
    assert there[0] == not_there[0]
    assert there[1].replace(f"job-{job}", "") == not_there[1].replace("job-999", "")


def test_folders_without_end_are_deleted_and_do_not_keep_the_node_from_starting(tower, ask, tmp_path):
    share = tmp_path / "inbox"
    share.mkdir()
    (share / "top").mkdir()
    deepen(share / "top", DEEP)
    tower.net.share(share, to="mallory", verb="write")
    assert ask("DELETE", "/dav/inbox/top")[0] == 204
    assert list((share / ".commonhold" / "versions").glob("*/*")), "what was deleted is kept"
    tower.net.forget("tower:inbox/top")
    assert not list((share / ".commonhold" / "versions").glob("*/*"))
    (share / ".commonhold" / "tmp" / "left").mkdir(parents=True)  # as a node that was killed on the way leaves it
    deepen(share / ".commonhold" / "tmp" / "left", DEEP)
    tower.down()
    tower.up()
    assert not list((share / ".commonhold" / "tmp").iterdir())


def test_whatever_lies_in_a_folder_is_erased_and_no_link_is_followed(tmp_path):
    keep, top = tmp_path / "keep", tmp_path / "top"
    for folder in (keep, top, top / "a" / "b", top / "closed" / "inner"):
        folder.mkdir(parents=True)
    (keep / "file").write_text("kept")
    (top / "a" / "b" / "link").symlink_to(keep)
    (top / "a" / "file").write_text("gone")
    os.link(keep / "file", top / "a" / "hard")
    os.mkfifo(top / "a" / "b" / "pipe")
    deepen(top / "a", DEEP)
    (top / "closed" / "inner").chmod(0)
    (top / "closed").chmod(0)
    erase(top)
    assert not top.exists()
    assert (keep / "file").read_text() == "kept"
    erase(tmp_path / "nothing")


@pytest.mark.parametrize("job", ["", "x" * 100_000, "-1", "1\n", "1/2"])
def test_a_pass_is_for_the_number_of_a_job(tower, ask, tmp_path, job):
    wish = {"lender": ask.lender, "job": job, "share": "every", "verb": "read", "until": LATER}
    assert ask("POST", "/passes", data=json.dumps(wish).encode())[0] == 400


def test_a_time_without_a_zone_is_refused(ask):
    wish = {"lender": ask.lender, "job": "1", "share": "a", "verb": "read", "until": LATER.removesuffix("Z")}
    assert ask("POST", "/passes", data=json.dumps(wish).encode())[0] == 400


@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 99999999999999999999 00:00:00 +0000", "1 Jan 2020 00:00 +9999999999999999"]
)
@pytest.mark.parametrize("header", ["If-Modified-Since", "If-Unmodified-Since", "If-Range"])
def test_no_date_breaks_an_answer(tower, ask, tmp_path, header, date):
    share = tmp_path / "dates"
    share.mkdir()
    (share / "a").write_text("a")
    tower.net.share(share, to="mallory", verb="read")
    try:
        assert ask("GET", "/dav/dates/a", {header: date}) == (200, "a")
    finally:
        tower.net.unshare("dates")


@pytest.mark.alone
async def test_rubbish_in_a_guards_name_is_sorted_out_where_it_holds_nobody_up():
    guard, mallory = Key.generate(), Key.generate()
    now = datetime.now(UTC)
    charter = rosters.found(
        key=guard,
        certificate=self_signed(guard, now),
        network=NetworkName("casa"),
        shape="peer-to-peer",
        trusting=False,
        computer=ComputerName("tower"),
        person=PersonName("ann"),
        person_id=PersonId("a" * 32),
        recovery=Key.generate(),
        now=now,
    )
    store = FactStore(sqlite3.connect(":memory:", isolation_level=None), charter.id)
    store.add([charter])
    kind = "application/vnd.commonhold.remove+json"
    forged = (Signature(guard.fingerprint, mallory.sign(b"anything")),) * 4
    rubbish = [Envelope(b"%d" % number, kind, forged) for number in range(MANY + 1)]
    true = rosters.admit(
        guard,
        Roster.of(charter.id, [charter]),
        self_signed(mallory, now),
        name=ComputerName("desk"),
        person=PersonId("b" * 32),
        person_name=PersonName("mallory"),
    )
    longest = asyncio.create_task(longest_wait())
    assert await store.hear([*rubbish, *true])
    assert {each.id for each in store.roster.envelopes} == {charter.id, *(each.id for each in true)}
    longest.cancel()
    assert await longest < 2.0, "seconds; to verify all of it takes longer, and happens in a thread"


async def longest_wait():
    """Seconds that the loop did not come round, until cancelled."""
    longest, before = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(0.001)
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
    except asyncio.CancelledError:
        return longest
