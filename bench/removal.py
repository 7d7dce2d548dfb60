"""How soon a removal bites: seconds from `remove` to the cut of what runs, and to the refusal of the next request.

All nodes are real processes on loopback. One member downloads from every other; then the guard removes it. 50 nodes
on two cores take their time to start, and a part of what is measured is their sharing of those cores.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from commonhold.demo.stage import Computer, Stage
from commonhold.errors import CommonholdError, Refused
from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Peer

NETWORKS = (5, 50)  # nodes
LONG = 2**36  # bytes of a file that is not read to its end (it takes no room)
PATIENCE = 60.0  # seconds
Row = tuple[str, str, str]


@dataclass
class Bite:
    """What one removal took, in seconds from the moment at which it was typed."""

    answered: float  # `remove` has returned
    cut: float  # the last download has broken
    refused: float  # the last of the nodes has refused a new request


def rows() -> list[Row]:
    found: list[Row] = []
    for nodes in NETWORKS:
        bite = measure(nodes)
        what = f"`remove` with {nodes} nodes, a download from each: "
        found += [
            (what + "all cut", f"{bite.cut:.2f} s", "≤ 5 s"),
            (what + "all refuse the next request", f"{bite.refused:.2f} s", "≤ 5 s"),
        ]
    return found


def measure(nodes: int) -> Bite:
    with Stage() as stage:
        guard = stage.computer("node0", "person0")
        guard.create("casa", trusting=True)
        computers = [guard]
        for number in range(1, nodes):  # each has its address once those before it hold theirs
            computers.append(stage.computer(f"node{number}", f"person{number}"))
            computers[-1].join(guard)
        *doors, leaving = computers
        for computer in doors:
            folder = computer.folder / "box"
            folder.mkdir()
            with (folder / "long").open("wb") as file:
                file.truncate(LONG)
            computer.net.share(folder, "box")
        _know_one_another(guard, computers)
        return asyncio.run(_bite(guard, doors, leaving))


def _know_one_another(guard: Computer, computers: list[Computer]) -> None:
    """Wait until every node has the roster of all."""
    deadline = time.monotonic() + PATIENCE * 5
    while any(computer.net.status().members < len(computers) for computer in computers):
        if time.monotonic() > deadline:
            raise CommonholdError(f"{guard.name}'s network did not come to know itself.")
        time.sleep(0.5)


async def _bite(guard: Computer, doors: list[Computer], leaving: Computer) -> Bite:
    caller = Caller(Key.load(leaving.home.key), Certificate.parse(leaving.home.certificate.read_bytes()))
    peers = [_peer(door) for door in doors]
    running = [asyncio.create_task(_download(caller, peer)) for peer in peers]
    await asyncio.sleep(1 + len(doors) / 10)  # all of them run
    began = time.monotonic()
    await asyncio.to_thread(guard.net.remove, leaving.name)
    answered = time.monotonic() - began
    cut = max(await asyncio.wait_for(asyncio.gather(*running), PATIENCE)) - began
    refused = max(await asyncio.gather(*(_refused(caller, peer) for peer in peers))) - began
    await caller.close()
    return Bite(answered, cut, refused)


def _peer(door: Computer) -> Peer:
    certificate = Certificate.parse(door.home.certificate.read_bytes())
    return Peer(door.name, certificate.fingerprint, certificate, (Address.parse(door.address),))


async def _download(caller: Caller, peer: Peer) -> float:
    """Slowly, until it breaks: when that was."""
    try:
        async with caller.request(peer, "GET", "/dav/box/long") as answer:
            async for _ in answer.content.iter_any():
                await asyncio.sleep(0.05)
    except CommonholdError:
        return time.monotonic()
    raise CommonholdError("The file was read whole.")


async def _refused(caller: Caller, peer: Peer) -> float:
    """When a request is refused."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await caller.ask(peer, "GET", "/roster")
            except Refused:
                return time.monotonic()
            await asyncio.sleep(0.01)
