"""`kill -9` in the middle of copies that go straight: of the computer that fetches, and of the one that has the files.

bob has nas fetch from tower; what nas has told him that it has is there and whole, and nothing else is left.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from random import Random

import pytest

from commonhold.errors import CommonholdError
from commonhold.files.fetchwords import FETCH
from commonhold.transport import Caller

from ..attacks.reach import As, enrol
from ..conftest import town, until

KILLS = 4
SIZES = (0, 1, 5_000, 200_000, 300_000, 1_500_000, 33_554_432 + 5 * 4096 + 7)
AT_ONCE = 10
COPY = "0123456789abcdef"


@pytest.fixture
def network(tmp_path):
    with town(tmp_path) as make:
        tower, nas, laptop = make("tower", "ann"), make("nas", "carol"), make("laptop", "bob")
        tower.create("casa")
        nas.join(tower)
        enrol(laptop, tower)
        nas.knows("tower", "nas", "laptop")
        for one, name, verb in ((tower, "src", "read"), (nas, "dst", "write")):
            (tmp_path / name).mkdir()
            one.net.share(tmp_path / name, to="bob", verb=verb)
        nas.net.set_quota("bob", bytes=10**12)
        yield tower, nas, laptop, tmp_path / "src", tmp_path / "dst"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Copying:
    """bob's: `there` is what was told of, by target; `maybe` what was asked for and not told of."""

    def __init__(self, tower, nas, laptop, src):
        self.there, self.maybe, self.begun = {}, {}, threading.Event()
        self._tower, self._nas = As(tower, laptop), As(nas, laptop)
        self._digests = {path.name: sha256(path) for path in src.iterdir()}

    def run(self, dice):
        names = dice.sample(sorted(self._digests), AT_ONCE)
        targets = [name if dice.random() < 0.5 else f"{name}-{dice.randrange(10**6)}" for name in names]
        self.maybe = {target: self._digests[name] for target, name in zip(targets, names, strict=True)}
        try:
            asyncio.run(self._ask(names, targets))
        except CommonholdError:
            return

    async def _ask(self, names, targets):
        caller = Caller(self._nas.key, self._nas.certificate)
        try:
            files = [
                {"source": name, "etag": await self._etag(self._tower, "src", name), "target": target,
                 "before": await self._etag(self._nas, "dst", target)}
                for name, target in zip(names, targets, strict=True)
            ]  # fmt: skip
            wish = {"copy": COPY, "bearer": self._nas.peer.fingerprint, "share": "src", "paths": names}
            token = (await self._tower.ask("POST", "/readings", wish)).document
            wish = {"computer": self._tower.peer.fingerprint, "share": "src", "token": token, "files": files}
            asked = caller.request(
                self._nas.peer, "POST", "/dav/dst", headers={"Content-Type": FETCH}, data=json.dumps(wish).encode()
            )
            async with asked as answer:
                self.begun.set()
                async for line in answer.content:
                    told = json.loads(line)
                    if told.get("status") in {201, 204}:
                        target = targets[told["number"]]
                        self.there[target] = self.maybe.pop(target)
        finally:
            await caller.close()

    async def _etag(self, at, share, name):
        headers = (await at.ask("HEAD", f"/dav/{share}/{name}")).headers
        return {each.lower(): value for each, value in headers.items()}.get("etag", "").strip('"')


def test_a_copy_that_goes_straight_loses_and_tears_nothing_when_either_node_is_killed(network):
    tower, nas, laptop, src, dst = network
    seed = int(os.environ.get("SEED", "0"))
    dice = Random(seed)
    for number in range(2 * len(SIZES) - 1):
        (src / f"f{number}").write_bytes(Random(number).randbytes(SIZES[number % len(SIZES)]))
    copying = Copying(tower, nas, laptop, src)
    for kill in range(KILLS):
        copying.begun.clear()
        asking = threading.Thread(target=copying.run, args=(dice,))
        asking.start()
        assert copying.begun.wait(20)
        asking.join(dice.uniform(0.0, 0.6))
        one = tower if kill % 2 else nas
        one.kill()
        asking.join()
        one.up()
        found = {path.name: sha256(path) for path in dst.glob("[!.]*")}
        for target, digest in found.items():
            if digest == copying.maybe.get(target):
                copying.there[target] = digest
        assert found == copying.there, (seed, kill)
        workshop = dst / ".commonhold" / "tmp"
        until(lambda at=workshop: not (at.exists() and list(at.iterdir())), "nothing is left of what broke off")
    assert copying.there, "something was copied"
    nas.net.set_quota("bob", bytes=0)
    assert As(nas, laptop)("PUT", "/dav/dst/more", b"x").status == 507, "it is counted anew before that"
    (counted,) = (each.bytes for each in nas.net.quotas() if each.person == "bob")
    assert counted == sum(path.stat().st_size for path in dst.glob("[!.]*"))
