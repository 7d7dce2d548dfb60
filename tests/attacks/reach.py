"""How an attacker reaches a real node: over TLS with any certificate or none, in any words."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import tempfile
from collections.abc import AsyncIterable, Iterable
from typing import NamedTuple

from commonhold.identity.certificate import Certificate
from commonhold.identity.keys import Key
from commonhold.node import founding
from commonhold.transport import Address, Caller, Peer

from ..conftest import Computer, until


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self):
        return json.loads(self.body)


def certificate_of(computer: Computer) -> Certificate:
    return Certificate.parse(computer.home.certificate.read_bytes())


class As:
    """Sends anything to `at`'s node with the key of `computer`, or with one of its own making."""

    def __init__(self, at: Computer, computer: Computer) -> None:
        theirs = certificate_of(at)
        self.peer = Peer(at.name, theirs.fingerprint, theirs, (Address.parse(at.address),))
        self.key, self.certificate = Key.load(computer.home.key), certificate_of(computer)
        self.fingerprint = self.certificate.fingerprint

    def __call__(self, method: str, path: str, data: object = None, **headers: str) -> Answer:
        """`path` goes as it is; a dict is sent as JSON; header names have `_` for `-`."""
        return asyncio.run(self.ask(method, path, data, **headers))

    async def ask(self, method: str, path: str, data: object = None, **headers: str) -> Answer:
        body = data if isinstance(data, bytes | AsyncIterable | None) else json.dumps(data).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        caller = Caller(self.key, self.certificate)
        try:
            async with caller.request(self.peer, method, path, headers=named, data=body, ok=range(100, 600)) as answer:
                return Answer(answer.status, dict(answer.headers), await answer.read())
        finally:
            await caller.close()


def enrol(computer: Computer, inviter: Computer, person: str | None = None) -> None:
    """It joins, and stays asleep: of whoever has only a key to show no node is needed."""
    code = inviter.net.invite(person=person).code
    founding.join(computer.home, f"{code}@{inviter.address}", computer.person, computer.name, [computer.address])
    asking = As(inviter, computer)
    until(lambda: asking("GET", "/roster").status == 200, "the door knows the new certificate")


def context(key: Key | None = None, certificates: Iterable[Certificate | bytes] = ()) -> ssl.SSLContext:
    """A client's that verifies nothing, and shows that certificate (and those it says stand behind it), if any."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if key is not None:
        pem = [c if isinstance(c, bytes) else c.pem.encode() for c in certificates]
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"".join([key.pem(), *pem]))
            file.flush()
            made.load_cert_chain(file.name)
    return made


def connected(at: Computer, with_: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    host, _, port = at.address.rpartition(":")
    return with_.wrap_socket(socket.create_connection((host, int(port)), timeout=15), session=session)


def said(connection: socket.socket, request: bytes) -> bytes:
    """The head and what came with it; nothing when the connection was broken. Raises ssl.SSLError as TLS does."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer and (piece := connection.recv(65536)):
        answer += piece
    return answer


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Content-Length: 0", *headers, "", ""]).encode()
