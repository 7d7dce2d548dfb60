"""People with accounts: a server with 200 accounts and 1,000 rules."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
from rows import Row, seconds

from commonhold.demo.stage import Computer, Stage
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Peer

ACCOUNTS, RULES, SHARES = 200, 1000, 40
REQUESTS, ROUNDS = 400, 5
FLOOD = 60  # wrong passwords at once
PASSWORD = "harbour lamp otter"  # noqa: S105 - of nobody
CHANCE = random.Random(7)  # noqa: S311 - the same rules in every run
Ask = Callable[[], Awaitable[int]]


def rows() -> list[Row]:
    """A real server and one client of it; requests read a small file over one kept connection."""
    with Stage() as stage:
        tower, laptop = stage.computer("tower", "ann"), stage.computer("laptop", "bob")
        tower.create("office", "client-server")
        laptop.join(tower)
        made = seconds(lambda: _fill(stage, tower))
        found = [Row(f"{ACCOUNTS} accounts made, {RULES:,} rules said, {SHARES} folders offered", f"{made:.0f} s")]
        found += asyncio.run(_measured(tower, laptop))
        stage.clear()
    return found


def _fill(stage: Stage, tower: Computer) -> None:
    names = [f"person{number}" for number in range(ACCOUNTS)]
    for name in names:
        tower.net.add_person(name, PASSWORD)
    shares = [f"share{number}" for number in range(SHARES)]
    for share in shares:
        (stage.folder / share).mkdir()
        tower.net.share(stage.folder / share)
    (stage.folder / shares[0] / "small.txt").write_text("x" * 1000)
    tower.net.allow("members", "read", shares[0])
    said: set[tuple[str, str, str]] = set()
    while len(said) < RULES - 1:
        rule = CHANCE.choice(names), CHANCE.choice(("list", "read", "add", "write")), CHANCE.choice(shares)
        if rule not in said:
            tower.net.allow(*rule)
            said.add(rule)


async def _measured(tower: Computer, laptop: Computer) -> list[Row]:
    url = f"https://{tower.address}"
    file = "/dav/share0/small.txt"
    caller, peer = _caller(tower, laptop)
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def asked(method: str, path: str, **more: object) -> aiohttp.ClientResponse:
            async with session.request(method, url + path, **more) as answer:  # type: ignore[arg-type]
                await answer.read()
                return answer

        async def certificate() -> int:
            async with caller.request(peer, "GET", file) as answer:
                await answer.read()
                return answer.status

        def password(name: str, word: str = PASSWORD) -> Ask:
            headers = {"Authorization": aiohttp.encode_basic_auth(name, word, "utf-8")}

            async def ask() -> int:
                return (await asked("GET", file, headers=headers)).status

            return ask

        begun = await asked("POST", "/session", json={"person": "person1", "password": PASSWORD})
        cookie = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}

        async def in_session() -> int:
            return (await asked("GET", file, headers=cookie)).status

        first = [await _timed(password(f"person{number}")) for number in range(2, 12)]
        ways = {
            "a member's certificate": certificate,
            "a password (Basic)": password("person2"),
            "a session": in_session,
        }
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):  # in turns, so that what else the machine does concerns all alike
            for way, ask in ways.items():
                rates[way].append(await _rate(ask))
        flood = asyncio.gather(*(password(f"nobody{number}", "a wrong one")() for number in range(FLOOD)))
        beside = [await _timed(certificate) for _ in range(50)]
        statuses = await flood
    await caller.close()
    return [
        Row("the first request with a password, hashed", f"{statistics.median(first) * 1000:.0f} ms"),
        *(Row(f"requests a second with {way}", f"{statistics.median(rate):.0f}") for way, rate in rates.items()),
        Row(
            f"a member's request while {FLOOD} strangers try passwords, median and longest of {len(beside)}",
            f"{statistics.median(beside) * 1000:.1f} and {max(beside) * 1000:.0f} ms",
        ),
        Row("of those passwords, how many cost a hash", str(statuses.count(401)), "≤ 20"),
    ]


def _caller(tower: Computer, laptop: Computer) -> tuple[Caller, Peer]:
    mine, theirs = (Certificate.parse(each.home.certificate.read_bytes()) for each in (laptop, tower))
    peer = Peer("tower", theirs.fingerprint, theirs, (Address.parse(tower.address),))
    return Caller(Key.load(laptop.home.key), mine), peer


async def _timed(ask: Ask) -> float:
    began = time.perf_counter()
    if (status := await ask()) != 200:
        raise RuntimeError(f"answered {status}")
    return time.perf_counter() - began


async def _rate(ask: Ask) -> float:
    """Requests a second, one after the other."""
    began = time.perf_counter()
    for _ in range(REQUESTS):
        if (status := await ask()) != 200:
            raise RuntimeError(f"answered {status}")
    return REQUESTS / (time.perf_counter() - began)


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")  # noqa: T201 - what a bench is for
