"""Trust: connections, joining, the record, and what an idle network says."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiohttp import web
from rows import Row, seconds

from commonhold.authority.audit import Audit
from commonhold.authority.lines import verify
from commonhold.demo.stage import Stage
from commonhold.identity.certificate import SERVER_NAME, Certificate, self_signed
from commonhold.identity.keys import Key
from commonhold.node import background, founding
from commonhold.transport import Address, Listener, run
from commonhold.transport.tls import calling_context

NODES = (5, 20, 50)
STARTING = 5.0  # seconds in which a node has started and announced itself
SETTLING = 90.0  # seconds after the last start: greetings are over, and the connections that they left are closed
WATCHED = 60.0  # seconds: each node compares with two others once
MDNS = 5353
OUTGOING = 4  # PACKET_OUTGOING (linux/if_packet.h): on loopback each packet is seen twice
LINES = 20_000


def rows() -> list[Row]:
    return [*connections(), *joining(), *record(), *idle()]


# -- a new connection


def connections() -> list[Row]:
    ours, plain, kept = run(_connections())
    return [
        Row(
            "a request on a new connection: both ends prove their keys, 50 members",
            f"{ours:.2f} ms, {ours / plain:.2f} times plain aiohttp's (TLS 1.3, the server's certificate only)",
        ),
        Row("the same without TLS's part, on a kept connection", f"{kept:.2f} ms"),
    ]


async def _connections() -> tuple[float, float, float]:
    """Milliseconds: ours, plain aiohttp, and ours kept; both ends in this process, taken in turns."""
    now = datetime.now(UTC)
    members = [(key, self_signed(key, now)) for key in (Key.generate() for _ in range(50))]
    (server, certificate), client = members[0], members[1]
    listener = Listener(_hello(), server, certificate)
    listener.trust([certificate for _, certificate in members])
    await listener.start([Address("127.0.0.1", 0)])
    runner, port = await _plain(server, certificate)
    mutual = calling_context(*client, certificate)
    one_sided = ssl.create_default_context(cadata=certificate.pem)
    one_sided.check_hostname = False
    one_sided.verify_flags |= 0x200000 | ssl.VERIFY_X509_PARTIAL_CHAIN
    here = f"https://127.0.0.1:{listener.addresses[0].port}/"
    there = f"https://127.0.0.1:{port}/"
    async with _session(mutual, True) as ours, _session(one_sided, True) as plain, _session(mutual, False) as kept:
        asked = [(ours, here), (plain, there), (kept, here)]
        took: list[list[float]] = [[], [], []]
        for _ in range(300):
            for place, (session, url) in enumerate(asked):
                took[place].append(await _timed(lambda s=session, u=url: _ask(s, u)))
    await listener.close()
    await runner.cleanup()
    found = [statistics.median(each[20:]) * 1000 for each in took]
    return found[0], found[1], found[2]


def _hello() -> web.Application:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.add_routes([web.get("/", hello)])
    return app


async def _plain(key: Key, certificate: Certificate) -> tuple[web.AppRunner, int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with tempfile.NamedTemporaryFile() as file:
        file.write(key.pem() + certificate.pem.encode())
        file.flush()
        context.load_cert_chain(file.name)
    runner = web.AppRunner(_hello(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    return runner, runner.addresses[0][1]


def _session(context: ssl.SSLContext, new_each_time: bool) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, force_close=new_each_time))


async def _ask(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url, server_hostname=SERVER_NAME) as answer:
        await answer.read()


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


# -- joining


def joining() -> list[Row]:
    """Real nodes and the real command; the code is handed to it, so that nobody types."""
    with Stage() as stage:
        tower = stage.computer("tower", "ann")
        tower.create("casa")
        alone, whole = [], []
        for number in range(5):
            other = stage.computer(f"laptop{number}", f"bob{number}")
            where = f"{tower.net.invite().code}@{tower.address}"
            words = (other.home, where, other.person, other.name, [_free()])
            alone.append(seconds(lambda words=words: founding.join(*words)))
            other = stage.computer(f"desk{number}", f"carol{number}")
            where = f"{tower.net.invite().code}@{tower.address}"
            command = [sys.executable, "-m", "commonhold", "--home", str(other.home), "join", where]
            command += ["--person", other.person, "--computer", other.name, "--listen", _free()]
            whole.append(seconds(lambda command=command: subprocess.run(command, check=True, capture_output=True)))
        for computer in stage.computers:
            if background.running(computer.home):
                background.stop(computer.home)
        return [
            Row("joining by code beside the typing: the ceremony", f"{statistics.median(alone):.2f} s", "≤ 1 s"),
            Row(
                "`commonhold join`, whole: Python's start, the ceremony, the node's",
                f"{statistics.median(whole):.2f} s",
            ),
        ]


def _free() -> str:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{trial.getsockname()[1]}"


# -- the record


def record() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        audit = Audit(path)
        took = []
        for number in range(LINES):
            began = time.perf_counter()
            audit.record(
                "overwritten", person="ann", computer="tower", door="photos", path=f"2026/{number}", size=number
            )
            took.append(time.perf_counter() - began)
        audit.close()
        checked = seconds(lambda: verify(path))
        return [
            Row("one line of the record, as the event loop feels it", f"{statistics.median(took) * 1e6:.0f} µs"),
            Row("`audit verify`", f"{LINES / checked:,.0f} lines/s"),
        ]


# -- an idle network


def idle() -> list[Row]:
    """Real nodes in a network namespace of their own, whose loopback carries nothing else."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return [Row("bytes a minute of an idle network", "not measured: needs unshare and ip")]
    with ThreadPoolExecutor() as together:  # each in a network of its own: nobody's bytes depend on the others
        measured = dict(zip(NODES, together.map(_measured, NODES), strict=True))
    found = []
    for count, told in measured.items():
        tcp, mdns = told["tcp"] / 1000, told["mdns"] / 1000
        each = f"{tcp / count:.1f} kB/min between nodes, {mdns / count:.1f} kB/min of mDNS"
        text = f"{each} (in all {tcp + mdns:.0f} kB/min)"
        found.append(Row(f"an idle network of {count} computers (real nodes), for each computer", text))
    begun = measured[NODES[-1]]["mdns_of_starting"] / 1000
    found.append(Row(f"mDNS while one more node starts among {NODES[-1]}", f"{begun:.1f} kB"))
    return found


def _measured(count: int) -> dict[str, float]:
    inside = ["unshare", "--map-root-user", "--net", sys.executable, __file__, str(count)]
    done = subprocess.run(inside, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def _inside(count: int) -> None:
    """In the namespace: found, join, start, wait, and count what passes; prints one JSON document."""
    for words in ("link set lo up", "link set lo multicast on", "route add 224.0.0.0/4 dev lo"):
        subprocess.run(["ip", *words.split()], check=True)
    with Stage() as stage:
        tower = stage.computer("tower", "ann")
        tower.create("casa")
        for number in range(1, count):
            other = stage.computer(f"computer{number}", f"person{number}")
            where = f"{tower.net.invite().code}@{tower.address}"
            founding.join(other.home, where, other.person, other.name, [other.address])
            if number < count - 1:
                background.start(other.home)
        time.sleep(STARTING)
        last = threading.Thread(target=background.start, args=(other.home,))
        last.start()
        begun = _watched(STARTING)
        last.join()
        time.sleep(SETTLING)
        counted = _watched(WATCHED)
        for computer in stage.computers[1:]:
            background.stop(computer.home)
    told = {kind: octets * 60 / WATCHED for kind, octets in counted.items()}
    print(json.dumps(told | {"mdns_of_starting": begun["mdns"]}))  # noqa: T201 - for `idle`


def _watched(duration: float) -> dict[str, int]:
    """Bytes of IP packets on loopback."""
    counted = {"tcp": 0, "mdns": 0}
    until = time.monotonic() + duration
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as seen:
        seen.bind(("lo", 0))
        while (left := until - time.monotonic()) > 0:
            seen.settimeout(left)
            try:
                packet, (_, _, kind, *_) = seen.recvfrom(65536)
            except TimeoutError:
                break
            if kind != OUTGOING:
                version = packet[0] >> 4
                header = (packet[0] & 15) * 4 if version == 4 else 40
                protocol = packet[9] if version == 4 else packet[6]
                port = struct.unpack_from("!H", packet, header + 2)[0]
                counted["mdns" if protocol == socket.IPPROTO_UDP and port == MDNS else "tcp"] += len(packet)
    return counted


if __name__ == "__main__":
    _inside(int(sys.argv[1]))
