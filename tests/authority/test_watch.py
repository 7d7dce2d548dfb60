"""What runs ends with the right to it: at a real door, over real TLS, with a real roster and rule book."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from aiohttp import web

from commonhold.authority.authority import Permit, Verb, permit
from commonhold.authority.gate import PASS_HEADER, SUBJECT, gate
from commonhold.authority.watch import Watch
from commonhold.errors import Refused, Unreachable
from commonhold.transport import Address, Caller, Listener, Peer, problems

from .suite import ALL_SHARES, ANN, BOB, CAROL, NOON, PHOTOS, Casa, computer, fingerprint, path, roster_of

SOON = 20.0  # seconds: bounds a wait


class Door:
    """tower's listener: photos that never end, an upload that never is full, and a request that only waits."""

    def __init__(self) -> None:
        self.casa = Casa("peer")
        self.callers: dict[str, Caller] = {}
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.ended: list[str] = []  # how handlers ended
        self.permits: list[Permit] = []
        self.cuts: list[dict[str, str]] = []
        self.left: list[asyncio.Task[None]] = []
        self.watch = Watch(lambda: self.casa.authority, lambda event, **words: self.cuts.append(words))
        self.casa.book.on_change.append(self.watch.look)
        self.casa.passes.on_change.append(self.watch.look)
        app = web.Application(middlewares=[problems, gate(self.watch)])
        app.add_routes(
            [
                web.get("/photos/{path}", self._download),
                web.put("/photos/{path}", self._upload),
                web.post("/silent", self._silent),
                web.post("/deny-me", self._deny),
                web.post("/leave-behind", self._leave_behind),
            ]
        )
        self.listener = Listener(app, *computer("tower"))

    async def open(self) -> None:
        self.listener.trust(self.casa.roster.anchors)
        await self.listener.start([Address("127.0.0.1", 0)])

    async def close(self) -> None:
        self.watch.close()
        for caller in self.callers.values():
            await caller.close()
        await self.listener.close()

    def remove(self, name: str) -> None:
        self.casa.remove(name)
        self.watch.look()

    def request(self, name: str, method: str, where: str, pass_id: str = "", data=None):
        caller = self.callers.setdefault(name, Caller(*computer(name)))
        tower = Peer("tower", fingerprint("tower"), computer("tower")[1], self.listener.addresses)
        return caller.request(tower, method, where, headers={PASS_HEADER: pass_id} if pass_id else {}, data=data)

    async def until_cut(self, name: str, method: str, where: str, pass_id: str = "", data=None) -> None:
        """Ask, and read until the connection breaks."""
        async with self.request(name, method, where, pass_id, data) as answer:
            while await answer.content.readany():
                pass

    @asynccontextmanager
    async def running(self, name: str, method: str = "GET", where: str = "/photos/a", pass_id: str = "", data=None):
        """While this runs; it must have been cut afterwards, for both sides and in the record."""
        cuts = len(self.cuts)
        asking = asyncio.create_task(self.until_cut(name, method, where, pass_id, data))
        await asyncio.wait_for(self.begun.get(), SOON)
        yield
        with pytest.raises(Unreachable, match="The connection to tower broke"):
            await asyncio.wait_for(asking, SOON)
        assert self.ended.pop() == "CancelledError"
        assert len(self.cuts) == cuts + 1
        assert (self.cuts[-1]["computer"], self.cuts[-1]["what"]) == (name, f"{method} {where}")

    def _begin(self, request: web.Request, verb: Verb) -> None:
        opened = permit(self.casa.authority, request[SUBJECT], verb, PHOTOS, path(request.match_info["path"]))
        self.permits.append(opened)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self._begin(request, Verb.READ)
        answer = web.StreamResponse()
        await answer.prepare(request)
        with self._ending():
            await answer.write(b"x" * 65_536)
            self.begun.put_nowait("download")
            while True:
                await asyncio.sleep(0.001)
                with suppress(ConnectionError):
                    await answer.write(b"x" * 1024)

    async def _upload(self, request: web.Request) -> web.Response:
        self._begin(request, Verb.ADD)
        with self._ending():
            await request.content.readany()
            self.begun.put_nowait("upload")
            async for _ in request.content.iter_any():
                pass
        return web.Response()

    async def _silent(self, request: web.Request) -> web.Response:
        with self._ending():
            self.begun.put_nowait("silent")
            await asyncio.sleep(60)
        return web.Response()

    async def _deny(self, request: web.Request) -> web.Response:
        permit(self.casa.authority, request[SUBJECT], Verb.READ, PHOTOS)
        self.casa.deny(BOB, Verb.READ, PHOTOS)
        return web.json_response("done")

    async def _leave_behind(self, request: web.Request) -> web.Response:
        async def later() -> None:
            await asyncio.sleep(0.05)
            self.permits.append(permit(self.casa.authority, request[SUBJECT], Verb.READ, PHOTOS))

        self.left.append(asyncio.create_task(later()))
        return web.json_response("done")

    def _ending(self) -> Ending:
        return Ending(self.ended)


class Ending:
    """Notes how a block ended."""

    def __init__(self, ended: list[str]) -> None:
        self.ended = ended

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, at) -> None:
        self.ended.append(kind.__name__ if kind else "")


@pytest.fixture
async def door():
    made = Door()
    await made.open()
    yield made
    await made.close()


async def endless():
    while True:
        yield b"x" * 65_536


async def test_cutting_a_computer_ends_its_download_and_no_other(door):
    door.casa.allow("members", Verb.READ, PHOTOS)
    async with door.request("desk", "GET", "/photos/b") as other:
        await other.content.readexactly(1000)
        await door.begun.get()
        async with door.running("laptop"):
            door.remove("laptop")
        await other.content.readexactly(100_000)
    with pytest.raises(Refused, match="bob's computer laptop was removed from the network casa"):
        await door.until_cut("laptop", "GET", "/photos/a")
    assert [cut["reason"] for cut in door.cuts] == ["bob's computer laptop was removed from the network casa."]


async def test_cutting_a_computer_ends_its_upload_from_a_source_that_never_waits(door):
    door.casa.allow(BOB, Verb.ADD, PHOTOS)
    async with door.running("laptop", "PUT", data=endless()):
        door.remove("laptop")


async def test_a_removed_computer_is_cut_where_nothing_had_to_be_permitted_too(door):
    async with door.running("laptop", "POST", "/silent"):
        door.remove("laptop")


async def test_a_deny_of_a_person_cuts_and_of_another_verb_does_not(door):
    door.casa.allow("members", Verb.READ, PHOTOS)
    async with door.running("laptop"):
        door.casa.deny(BOB, Verb.ADD, PHOTOS)
        door.casa.deny(CAROL, Verb.READ, PHOTOS)
        assert not door.cuts
        door.casa.deny(BOB, Verb.READ, PHOTOS)
    with pytest.raises(Refused, match="bob may not read photos"):
        await door.until_cut("laptop", "GET", "/photos/a")


async def test_a_deny_of_a_computer_cuts_its_owner_s_too(door):
    async with door.running("tablet"):
        door.casa.deny(fingerprint("tablet"), Verb.READ, ALL_SHARES)


async def test_to_take_back_the_rule_or_to_leave_the_group_cuts(door):
    door.casa.allow("members", Verb.READ, PHOTOS)
    async with door.running("laptop"):
        door.casa.deny("members", Verb.READ, PHOTOS)
    door.casa.book.join("choir", BOB)
    door.casa.allow("group:choir", Verb.READ, PHOTOS)
    async with door.running("laptop"):
        door.casa.book.leave("choir", BOB)


async def test_the_end_of_a_rule_cuts_without_anybody_s_saying(door):
    door.casa.allow(BOB, Verb.READ, PHOTOS, NOON + timedelta(hours=1))
    async with door.running("laptop"):
        door.casa.later(hours=1)
    assert "no rule lets bob read photos" in door.cuts[0]["reason"]


@pytest.mark.parametrize("how", ["void", "time", "submitter", "deny"])
async def test_the_end_of_a_pass_cuts_its_lender(door, how):
    door.casa.allow(BOB, Verb.READ, PHOTOS)
    laptop = door.casa.who("laptop")
    words = {"paths": frozenset({path("a")}), "until": NOON + timedelta(hours=1)}
    pass_id = door.casa.passes.issue(laptop, fingerprint("desk"), "job 7", PHOTOS, Verb.READ, **words)
    async with door.running("desk", pass_id=pass_id):
        if how == "void":
            door.casa.passes.void("job 7", laptop)
        elif how == "time":
            door.casa.later(hours=1)
        elif how == "submitter":
            door.remove("laptop")
        else:
            door.casa.deny(CAROL, Verb.READ, PHOTOS)


async def test_a_door_that_is_no_more_is_shut_for_its_owner_too(door):
    async with door.running("tablet"):
        door.watch.shut("another door")
        assert not door.cuts
        door.watch.shut(PHOTOS.id)
    assert door.cuts[0]["reason"] == "photos is not shared any more."


async def test_a_computer_that_is_somebody_else_s_now_is_cut(door):
    async with door.running("laptop", "POST", "/silent"):
        door.casa.roster = roster_of("peer-to-peer", laptop=ANN)
        door.watch.look()


async def test_the_request_that_ends_its_own_right_is_answered(door):
    door.casa.allow(BOB, Verb.READ, PHOTOS)
    async with door.request("laptop", "POST", "/deny-me") as answer:
        assert await answer.json() == "done"
    assert not door.cuts


async def test_a_permit_whose_work_was_cut_opens_nothing_in_any_thread(door):
    door.casa.allow(BOB, Verb.READ, PHOTOS)
    async with door.running("laptop"):
        (opened,) = door.permits
        opened.require(Verb.READ, PHOTOS.id)
        door.casa.deny(BOB, Verb.READ, PHOTOS)
        with pytest.raises(Refused, match="bob may not read photos"):
            await asyncio.to_thread(opened.require, Verb.READ, PHOTOS.id)


async def test_what_is_answered_is_watched_no_more_nor_what_it_left_behind(door):
    door.casa.allow(BOB, Verb.READ, PHOTOS)
    async with door.request("laptop", "POST", "/leave-behind"):
        pass
    await asyncio.gather(*door.left)
    assert len(door.permits) == 1
    assert not door.watch.running
    door.casa.deny(BOB, Verb.READ, PHOTOS)
    assert not door.cuts
