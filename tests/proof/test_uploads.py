"""Readers see the old file or the new one; an upload that breaks, wherever, changes nothing and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commonhold.transport.tls import calling_context

from ..conftest import until
from .rig import Program, Rig, shelf
from .wishes import LARGE, SMALL, Wish, sealed, whole

GET = Wish("GET", "read", {})


@pytest.fixture(scope="module")
def raw(rig: Rig) -> ssl.SSLContext:
    return calling_context(rig.key, rig.certificate, rig.peer.certificate)


def message(name: str, body: bytes, chunked: bool) -> bytes:
    """A PUT as it goes over the wire."""
    head = f"PUT /dav/shared/{name} HTTP/1.1\r\nHost: tower\r\n".encode()
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    pieces = [body[at : at + 60_000] for at in range(0, len(body), 60_000)]
    lines = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + lines + b"0\r\n\r\n"


def sent(rig: Rig, raw: ssl.SSLContext, data: bytes, gently: bool, wait: int = 0) -> bytes:
    """These bytes, so many of an answer, and the end: as a program that ended leaves it, or as a lost network does."""
    with socket.create_connection(rig.peer.addresses[0], timeout=15) as plain:
        if not gently:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        with raw.wrap_socket(plain) as connection:
            connection.sendall(data)
            return connection.recv(wait) if wait else b""


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    size=st.sampled_from([1, SMALL, LARGE]),
    chunked=st.booleans(),
    new=st.booleans(),
    gently=st.booleans(),
    cut=st.data(),
)
def test_an_upload_that_is_cut_at_any_byte_changes_and_leaves_nothing(rig, raw, size, chunked, new, gently, cut):
    folder = rig.shared / "cut"
    folder.mkdir(exist_ok=True)
    (folder / "old").write_bytes(b"old")
    before = (folder / "old").stat()
    whole_message = message("cut/new" if new else "cut/old", os.urandom(size), chunked)
    sent(rig, raw, whole_message[: cut.draw(st.integers(0, len(whole_message) - 1))], gently)
    until(lambda: not rig.rubbish(), "what came of it is cleared away")
    assert shelf(folder) == {"old": b"old"}
    assert (folder / "old").stat().st_ino == before.st_ino


def test_what_is_not_cut_arrives(rig: Rig, raw: ssl.SSLContext):
    """Else the test above would hold of a door that takes nothing."""
    for number, chunked in enumerate([False, True]):
        body = os.urandom(LARGE)
        assert b" 201 " in sent(rig, raw, message(f"whole{number}", body, chunked), gently=True, wait=64)
        assert (rig.shared / f"whole{number}").read_bytes() == body


def test_readers_see_the_old_file_or_the_new_one_and_never_a_mixture(rig: Rig):
    dice = Random(7)
    (rig.shared / "read").write_bytes(sealed(b"first"))

    async def overwrite(program: Program) -> None:
        for size in [SMALL, LARGE] * 15:
            body = sealed(dice.randbytes(dice.randrange(size)))
            answer = await program.ask(Wish("PUT", "read", {}, body, chunked=dice.random() < 0.5))
            assert answer.status == 204, answer

    async def read(program: Program, writing: asyncio.Task[None]) -> int:
        seen = set()
        while not writing.done():
            answer = await program.ask(GET)
            assert answer.status == 200, answer
            assert whole(answer.body)
            seen.add(answer.body)
        return len(seen)

    async def both() -> list[int]:
        async with rig.program() as program:
            writing = asyncio.create_task(overwrite(program))
            seen = await asyncio.gather(*(read(program, writing) for _ in range(4)))
            await writing
            return seen

    assert min(asyncio.run(both())) > 5, "they looked in between"
