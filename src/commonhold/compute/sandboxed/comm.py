"""Dask's messages without any network: a comm backend whose addresses are a session's participants.

    hold://p0        the scheduler
    hold://p3        the worker that lender 3 started

Imported inside sandboxed processes. Such a process has no network and listens nowhere; it holds one
datagram socket to its node, over which connected stream sockets travel (SCM_RIGHTS): to connect, it
makes a pair and hands one end out with the participant's name; what others connect comes in the same
way. The node carries the bytes (relay.py) and can read none of them, because on each stream stands
the session's own TLS. A person's own process, which takes part too, connects in another way (wires.py)
and is connected to by nobody. Unix sockets in a folder were tried first: their paths are bounded to 108
bytes, a task could take their place, and each stream needed a line that named its target.

Extends the TLS comm of distributed 2026.8.0, which is pinned for this file's sake.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

from distributed.comm.core import BaseListener, CommClosedError, Connector
from distributed.comm.registry import Backend, backends
from distributed.comm.tcp import MAX_BUFFER_SIZE, TLS, convert_stream_closed_error
from tornado.iostream import SSLIOStream, StreamClosedError

SCHEME = "hold"
LONGEST_TARGET = 64  # bytes of a participant's name in a datagram

log = logging.getLogger(__name__)


def participant(location: str) -> str:
    """The participant in a scheme-less address; Dask appends a port to some: `p3:0`."""
    return location.partition(":")[0]


class Outlet(Protocol):
    """How a process connects to others of its session."""

    me: str

    def connect(self, target: str) -> socket.socket: ...


class Wiring:
    """A sandboxed process's end of the datagram socket. One for each process."""

    def __init__(self, me: str, node: socket.socket) -> None:
        self.me = me
        self._node = node
        self._accept: Callable[[socket.socket], None] | None = None
        node.setblocking(False)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._node, self._incoming)

    def listen(self, accept: Callable[[socket.socket], None] | None) -> None:
        self._accept = accept

    def connect(self, target: str) -> socket.socket:
        """A stream to that participant; raises OSError when the node takes no more just now."""
        near, far = socket.socketpair()
        if target == self.me:
            self._deliver(far)
            return near
        with far:
            try:
                socket.send_fds(self._node, [target.encode()], [far.fileno()])
            except OSError:
                near.close()
                raise
        return near

    def _incoming(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                _, descriptors, _, _ = socket.recv_fds(self._node, LONGEST_TARGET, 1)
                for descriptor in descriptors:
                    self._deliver(socket.socket(fileno=descriptor))

    def _deliver(self, stream: socket.socket) -> None:
        if self._accept is None:
            stream.close()
        else:
            self._accept(stream)


class _UnixTls(ssl.SSLSocket):
    """TLS on a Unix stream, where TCP's options, which Dask sets on each connection, mean nothing."""

    def setsockopt(self, level: int, *option: Any) -> None:
        if level != socket.IPPROTO_TCP:
            super().setsockopt(level, *option)


def _stream(plain: socket.socket, context: ssl.SSLContext, server_side: bool) -> SSLIOStream:
    plain.setblocking(False)
    context.sslsocket_class = _UnixTls
    tls = context.wrap_socket(plain, server_side=server_side, do_handshake_on_connect=False)
    return SSLIOStream(tls, ssl_options=context, max_buffer_size=MAX_BUFFER_SIZE)


def _context(arguments: dict[str, Any]) -> ssl.SSLContext:
    context = arguments.get("ssl_context")
    if not isinstance(context, ssl.SSLContext):
        raise TypeError("a session's streams are encrypted: hold:// needs the session's Security")
    return context


class HoldConnector(Connector):
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    async def connect(self, address: str, deserialize: bool = True, **arguments: Any) -> TLS:
        target = participant(address)
        stream = _stream(self._outlet.connect(target), _context(arguments), server_side=False)
        try:
            await stream.wait_for_handshake()
        except (StreamClosedError, ssl.SSLError) as trouble:
            convert_stream_closed_error(self, trouble)  # type: ignore[no-untyped-call]
        except BaseException:  # a time-out: the stream must not outlive the try
            stream.close()
            raise
        return TLS(stream, f"{SCHEME}://{self._outlet.me}", f"{SCHEME}://{target}", deserialize)


class HoldListener(BaseListener):
    prefix = f"{SCHEME}://"

    def __init__(self, wiring: Wiring, comm_handler: Any, deserialize: bool, **arguments: Any) -> None:
        super().__init__()
        self._wiring = wiring
        self._handler = comm_handler
        self._deserialize = deserialize
        self._offload = arguments.get("allow_offload", True)
        self._context = _context(arguments)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._wiring.listen(self._accepted)

    def stop(self) -> None:
        self._wiring.listen(None)

    def _accepted(self, plain: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(plain))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, plain: socket.socket) -> None:
        stream = _stream(plain, self._context, server_side=True)
        try:
            await stream.wait_for_handshake()
        except (OSError, StreamClosedError) as trouble:
            log.warning("A stream without this session's certificate was refused: %s", trouble)
            return
        comm = TLS(stream, self.listen_address, f"{SCHEME}://{self._name_in(stream)}", self._deserialize)
        comm.allow_offload = self._offload
        try:
            await self.on_connection(comm)
        except CommClosedError:
            return
        await self._handler(comm)

    @staticmethod
    def _name_in(stream: SSLIOStream) -> str:
        """Who connected, by the certificate that TLS has just verified."""
        certificate: dict[str, Any] = stream.socket.getpeercert() or {}
        names = dict(pair for part in certificate.get("subject", ()) for pair in part)
        return str(names.get("commonName", ""))

    @property
    def listen_address(self) -> str:
        return f"{SCHEME}://{self._wiring.me}"

    contact_address = listen_address


class HoldBackend(Backend):
    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def get_connector(self) -> HoldConnector:
        return HoldConnector(self._outlet)

    def get_listener(self, loc: str, handle_comm: Any, deserialize: bool, **arguments: Any) -> HoldListener:
        if not isinstance(self._outlet, Wiring):
            raise TypeError("only a session's scheduler and workers are connected to")
        return HoldListener(self._outlet, handle_comm, deserialize, **arguments)

    def get_address_host(self, loc: str) -> str:
        return participant(loc)

    def get_address_host_port(self, loc: str) -> tuple[str, int]:
        return participant(loc), 0

    def resolve_address(self, loc: str) -> str:
        return participant(loc)

    def get_local_address_for(self, loc: str) -> str:
        return self._outlet.me


def register(wiring: Wiring) -> None:
    """Make `hold://` known to Dask in this process, and start taking streams."""
    backends[SCHEME] = HoldBackend(wiring)
    wiring.start()
