"""tower's real node shares a folder, bob asks it from a program of his own, and the disk shows what came of it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sqlite3
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

from commonhold.files.unfinished import PREFIX
from commonhold.identity.keys import Key
from commonhold.transport import Address, Caller, Peer

from ..attacks.reach import certificate_of, enrol
from ..conftest import Computer, Make
from .wishes import Part, Shelf, Wish

EVERY = range(100, 600)


class Rig:
    """`shared` is the folder of the share of that name, in which bob may write. bob's own node sleeps."""

    def __init__(self, make: Make, folder: Path) -> None:
        self.tower: Computer = make("tower", "ann")
        self.tower.create("casa")
        self.laptop = laptop = make("laptop", "bob")
        enrol(laptop, self.tower)
        self.key, self.certificate = Key.load(laptop.home.key), certificate_of(laptop)
        theirs = certificate_of(self.tower)
        self.peer = Peer("tower", theirs.fingerprint, theirs, (Address.parse(self.tower.address),))
        self.shared = folder / "shared"
        self.shared.mkdir()
        self.tower.net.share(self.shared, "shared")
        self.tower.net.allow("bob", "write", "shared")

    @asynccontextmanager
    async def program(self) -> AsyncIterator[Program]:
        """Something that speaks WebDAV, with a certificate of bob's; its connections are its own."""
        caller = Caller(self.key, self.certificate)
        try:
            yield Program(caller, self.peer)
        finally:
            await caller.close()

    def rubbish(self) -> list[Path]:
        """Uploads and removals that nobody is at any more, but for those that can go on."""
        with closing(sqlite3.connect(f"file:{self.tower.home.files}?mode=ro", uri=True)) as catalogue:
            known = {PREFIX + key for (key,) in catalogue.execute("SELECT key FROM unfinished")}
        return [path for path in (self.shared / ".commonhold").glob("tmp/*") if path.name not in known]

    async def ask(self, wish: Wish, at: str = "") -> Answer:
        """Over a connection of its own."""
        async with self.program() as program:
            return await program.ask(wish, at)

    def astray(self) -> set[str]:
        """Versions without a row, and rows without what they say is kept."""
        with closing(sqlite3.connect(f"file:{self.tower.home.files}?mode=ro", uri=True)) as catalogue:
            rows = {
                f"{store}/{version}" for store, version in catalogue.execute("SELECT store, id FROM changes WHERE kept")
            }
        versions = self.shared / ".commonhold" / "versions"
        return rows ^ {path.relative_to(versions).as_posix() for path in versions.glob("*/*")}

    async def counted_anew(self) -> None:
        """Let bob's quota be used up for one request: before it is refused, the ledger follows the disk."""
        net = self.tower.net
        await asyncio.to_thread(net.set_quota, "bob", bytes=0)
        answer = await self.ask(Wish("PUT", "too-much", {}, b"1"))
        assert answer.status == 507, answer
        await asyncio.to_thread(net.set_quota, "bob")

    def charged(self) -> dict[str, int]:
        """Size by path, as the ledger of quotas has it."""
        with closing(sqlite3.connect(f"file:{self.tower.home.state}?mode=ro", uri=True)) as ledger:
            return dict(ledger.execute("SELECT path, size FROM stored"))


class Answer(NamedTuple):
    status: int
    body: bytes
    etag: str  # as it was sent, with its quotes


class Program:
    def __init__(self, caller: Caller, peer: Peer) -> None:
        self._caller, self._peer = caller, peer

    async def ask(self, wish: Wish, at: str = "", heard: bytearray | None = None) -> Answer:
        """What is answered to a wish about the folder `at` of the share (with its slash).

        Raises Unreachable when the connection breaks; what was `heard` of the body until then is there.
        """
        if isinstance(wish, Part):
            return await self._part(wish, at)
        data = _in_pieces(wish.body) if wish.chunked and wish.body is not None else wish.body
        path = f"{wish.root}shared/{at}{wish.path}"
        headers = {**wish.headers, **({"Destination": f"/dav/shared/{at}{wish.to}"} if wish.to else {})}
        asked = self._caller.request(self._peer, wish.method, path, headers=headers, data=data, ok=EVERY)
        async with asked as answer:
            body = bytearray() if heard is None else heard
            async for piece in answer.content.iter_any():
                body += piece
            return Answer(answer.status, bytes(body), answer.headers.get("ETag", ""))

    async def _part(self, wish: Part, at: str) -> Answer:
        address, body = f"/dav/shared/{at}{wish.path}", wish.body or b""
        token, total = {"Upload-Token": wish.token}, len(body)
        asking = {**token, "Content-Range": f"bytes */{total}"}
        async with self._caller.request(self._peer, "PUT", address, headers=asking, ok=EVERY) as answer:
            first = int(answer.headers["Upload-Offset"])
        headers = {**token, "Content-Range": f"bytes {first}-{total - 1}/{total}", "Content-Length": str(total - first)}
        data = _breaking(body[first : wish.cut]) if wish.cut else body[first:]
        try:
            asked = self._caller.request(self._peer, "PUT", address, headers=headers, data=data, ok=EVERY)
            async with asked as answer:
                return Answer(answer.status, await answer.read(), "")
        except _BrokeOffError:
            return Answer(204, b"", "")


class _BrokeOffError(Exception):
    pass


async def _breaking(body: bytes) -> AsyncIterator[bytes]:
    async for piece in _in_pieces(body):
        yield piece
    raise _BrokeOffError


async def _in_pieces(body: bytes) -> AsyncIterator[bytes]:
    step = max(1, len(body) // 5)
    for at in range(0, len(body), step):
        yield body[at : at + step]
        await asyncio.sleep(0)


def shelf(folder: Path) -> Shelf:
    """What lies in a folder: content by path, None for a folder."""
    found: Shelf = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(".commonhold"):
            found[name] = path.read_bytes() if path.is_file() else None
    return found


class Vanishing:
    """The names of a folder that were gone for an instant, as the kernel saw it: no look can be too late.

    Of two names that trade places it tells what comes before what goes, one right after the other.
    """

    MOVED_FROM, MOVED_TO, DELETED, OVERFLOWN = 0x40, 0x80, 0x200, 0x4000
    WATCHED = MOVED_FROM | MOVED_TO | DELETED

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = libc.inotify_add_watch(self._handle, os.fsencode(folder), self.WATCHED)
        assert watch >= 0, os.strerror(ctypes.get_errno())

    def names(self) -> list[str]:
        """Since the last call."""
        found, came = [], ""
        while True:
            try:
                events = os.read(self._handle, 65536)
            except BlockingIOError:
                return found
            while events:
                _, mask, _, length = struct.unpack_from("iIII", events)
                assert not mask & self.OVERFLOWN
                name = events[16 : 16 + length].rstrip(b"\0").decode()
                if not mask & self.MOVED_TO and not (mask & self.MOVED_FROM and name == came):
                    found.append(name)
                came = name if mask & self.MOVED_TO else ""
                events = events[16 + length :]

    def close(self) -> None:
        os.close(self._handle)
