"""Carries the streams of a session between its participants: inside one computer, and to another over a WebSocket.

A star: only the hub knows where everybody is. A lender's node takes whatever is not here to the hub,
which hands it to its scheduler or on to the lender where the target runs. What passes is TLS between
processes of the session; no node can read it, and each only carries for the computers in the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import stat
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import aiohttp
from aiohttp import web

from commonhold.compute.channel import SCHEDULER
from commonhold.errors import CommonholdError, NotFound, Refused
from commonhold.names import Fingerprint

CHUNK = 262_144  # bytes of one message
LONGEST_TARGET = 64  # bytes of a participant's name
TARGET = re.compile(r"p\d{1,4}(\.\d{1,4})?")  # p0, p3, p3.1; a guest's word becomes part of an address
MOST_STREAMS = 256  # of one participant at once; a guest cannot use up the node's descriptors
FULL_RETRY = 0.02  # seconds until a full queue is tried again
FULL_TRIES = 250
MOST_TAKEN = 64  # messages of one guest at a time: it may send faster than they are read, and others wait


class Wire(Protocol):
    """What client and server WebSockets of aiohttp have in common."""

    async def receive(self) -> aiohttp.WSMessage: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def close(self) -> bool: ...


Elsewhere = Callable[[str], AbstractAsyncContextManager[Wire]]


class Switch:
    """One session's streams on this computer.

    `elsewhere(target)` opens the WebSocket to a participant that is not here, or raises NotFound;
    `computers` are those whose nodes may send streams here. What lenders may tell one another is for the
    hub to say: `mesh` lets workers fetch results of one another, as functions need it and commands do not.
    """

    def __init__(
        self,
        elsewhere: Elsewhere,
        computers: Callable[[], frozenset[Fingerprint]],
        is_hub: bool = False,
        mesh: bool = False,
    ) -> None:
        self.computers = computers
        self.is_hub = is_hub
        self._mesh = mesh or not is_hub
        self._elsewhere = elsewhere
        self._here: dict[str, socket.socket] = {}
        self._carrying: set[asyncio.Task[None]] = set()
        self._counts: dict[str, int] = {}

    def attach(self, participant: str, streams: socket.socket) -> None:
        """A process runs here: `streams` is this end of its datagram socket."""
        self._here[participant] = streams
        asyncio.get_running_loop().add_reader(streams, self._incoming, participant, streams)

    def detach(self, participant: str) -> None:
        """Before the sockets of its processes are closed."""
        for process in [each for each in self._here if each.partition(".")[0] == participant]:
            asyncio.get_running_loop().remove_reader(self._here.pop(process))

    async def close(self) -> None:
        for participant in list(self._here):
            self.detach(participant)
        for task in list(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    def _incoming(self, source: str, streams: socket.socket) -> None:
        """A process wants streams to others: each a connected socket, and whom it is for."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(MOST_TAKEN):
                target, descriptors, _, _ = socket.recv_fds(streams, LONGEST_TARGET, 4)
                for descriptor in descriptors:
                    self._start(source, target.decode(errors="replace"), descriptor)

    def _start(self, source: str, target: str, descriptor: int) -> None:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):  # a guest may send any handle: each that stays is one less
            os.close(descriptor)
            return
        stream = socket.socket(fileno=descriptor)
        meant = TARGET.fullmatch(target) and (self._mesh or SCHEDULER in {source, target})
        fit = (stream.family, stream.type) == (socket.AF_UNIX, socket.SOCK_STREAM) and meant
        if not fit or self._counts.get(source, 0) >= MOST_STREAMS:
            stream.close()
            return
        self._counts[source] = self._counts.get(source, 0) + 1
        task = asyncio.create_task(self._connect(target, stream))
        self._carrying.add(task)
        task.add_done_callback(lambda _: self._counts.update({source: self._counts[source] - 1}))
        task.add_done_callback(self._carrying.discard)

    async def _connect(self, target: str, stream: socket.socket) -> None:
        """What cannot be connected is closed; the process sees its stream end, and tries again as Dask does."""
        with stream, contextlib.suppress(CommonholdError, OSError):
            if target in self._here:
                await self._hand_over(target, stream)
                return
            async with self._elsewhere(target) as wire:
                await carry(stream, wire)

    async def accept(self, target: str, wire: Wire) -> None:
        """Carry what another computer's node brought, until either end closes.

        Raises NotFound. Where only commands run, the hub's computer takes streams for the scheduler alone:
        lenders have nothing to tell one another, nor the worker that runs beside it.
        """
        if target != SCHEDULER and not self._mesh:
            raise NotFound("There is no such participant.")
        if target not in self._here:
            await self._pass_on(target, wire)
            return
        near, far = socket.socketpair()
        with near:
            with far:
                await self._hand_over(target, far)
            await carry(near, wire)

    async def _pass_on(self, target: str, wire: Wire) -> None:
        """From one lender to another, through the hub."""
        if not self.is_hub:
            raise NotFound("There is no such participant.")
        async with self._elsewhere(target) as onwards:
            await _until_first(_forward(wire, onwards), _forward(onwards, wire))

    async def _hand_over(self, target: str, stream: socket.socket) -> None:
        for _ in range(FULL_TRIES):
            with contextlib.suppress(BlockingIOError):
                socket.send_fds(self._here[target], [b"."], [stream.fileno()])
                return
            await asyncio.sleep(FULL_RETRY)
            if target not in self._here:
                return


async def carry(stream: socket.socket, wire: Wire) -> None:
    """Bytes between a local stream and a WebSocket, with back-pressure in both directions."""
    reader, writer = await asyncio.open_unix_connection(sock=stream.dup(), limit=CHUNK)
    try:
        await _until_first(_outwards(reader, wire), _inwards(wire, writer))
    finally:
        writer.close()


async def _outwards(reader: asyncio.StreamReader, wire: Wire) -> None:
    while chunk := await reader.read(CHUNK):
        await wire.send_bytes(chunk)


async def _inwards(wire: Wire, writer: asyncio.StreamWriter) -> None:
    while (message := await wire.receive()).type is aiohttp.WSMsgType.BINARY:
        writer.write(message.data)
        await writer.drain()


async def _forward(source: Wire, target: Wire) -> None:
    while (message := await source.receive()).type is aiohttp.WSMsgType.BINARY:
        await target.send_bytes(message.data)


async def _until_first(*ways: object) -> None:
    """Until one of them ends; the others are cancelled then. Lost connections are an end like any other."""
    tasks = [asyncio.ensure_future(way) for way in ways]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Switchboard:
    """The switches of all sessions that this node takes part in, as hub or as lender."""

    def __init__(self) -> None:
        self.switches: dict[str, Switch] = {}

    def get(self, session: str, computer: Fingerprint | None) -> Switch:
        """Raises NotFound, or Refused to a computer that has no part in it."""
        switch = self.switches.get(session)
        if switch is None:
            raise NotFound("That session is over.")
        if computer not in switch.computers():
            raise Refused("That session is for the computers that take part in it.")
        return switch

    def join(self, session: str, hub: Fingerprint | None, elsewhere: Elsewhere) -> Switch:
        """The switch of a session to which another computer has asked us. Raises Refused for one that is not its."""
        if hub is None:
            raise Refused("A session comes from a computer.")
        switch = self.switches.get(session)
        if switch is None:
            switch = self.switches[session] = Switch(elsewhere, lambda: frozenset({hub}))
        elif switch.is_hub or hub not in switch.computers():
            # Its number is known to all who take part: none of them may put a process of its own into it.
            raise Refused("That session is another computer's.")
        return switch

    async def relay(
        self, session: str, target: str, computer: Fingerprint | None, request: web.Request
    ) -> web.WebSocketResponse:
        """The answer to GET /sessions/SESSION/relay/TARGET."""
        switch = self.get(session, computer)
        wire = web.WebSocketResponse(max_msg_size=4 * CHUNK, compress=False)
        await wire.prepare(request)
        with contextlib.suppress(CommonholdError, ConnectionError):
            await switch.accept(target, wire)
        await wire.close()
        return wire
