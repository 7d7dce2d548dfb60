"""A member whose own computer is the one that nas fetches from, and that answers as it likes: nothing breaks or stays.

mallory's desk runs no node of ours, but a program with its key; nas of ann takes files of hers, up to a quota.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import suppress

import psutil
import pytest

from commonhold.files.fetchwords import FETCH
from commonhold.identity.keys import Key
from commonhold.transport.tls import listening_context

from ..conftest import town, until
from .reach import As, certificate_of

QUOTA = 5_000_000
OK = b"HTTP/1.1 200 OK\r\n"
PROBLEM = b"Content-Type: application/problem+json"


class Desk:
    """Answers at desk's address what `answer(connection, head)` says; it may go on for as long as somebody listens."""

    def __init__(self, desk, trusted):
        self.answer = None
        self._context = listening_context(Key.load(desk.home.key), certificate_of(desk), [trusted])
        host, _, port = desk.address.rpartition(":")
        self._door = socket.create_server((host, int(port)))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                threading.Thread(target=self._one, args=(self._door.accept()[0],), daemon=True).start()

    def _one(self, connection):
        heard = b""
        with suppress(OSError, ssl.SSLError), self._context.wrap_socket(connection, server_side=True) as line:
            while piece := line.recv(65536):
                heard += piece
                while b"\r\n\r\n" in heard:
                    head, _, heard = heard.partition(b"\r\n\r\n")
                    if self.answer(line, head):
                        return

    def close(self):
        self._door.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("casa")
    with town(folder) as make:
        nas, desk = make("nas", "ann"), make("desk", "mallory")
        nas.create("casa")
        desk.join(nas)
        (folder / "inbox").mkdir()
        nas.net.share(folder / "inbox", to="mallory", verb="write")
        nas.net.set_quota("mallory", bytes=QUOTA)
        desk.down()
        nas.inbox, nas.desk = folder / "inbox", Desk(desk, certificate_of(nas))
        yield nas, As(nas, desk)
        nas.desk.close()


def fetched(network, answer):
    """What nas says of the one file, when desk answers so."""
    nas, mallory = network
    nas.desk.answer = answer
    file = {"source": "a", "etag": "e", "target": "got"}
    wish = {"computer": mallory.fingerprint, "share": "theirs", "token": "0" * 32, "files": [file]}
    told = mallory("POST", "/dav/inbox", wish, Content_Type=FETCH)
    assert told.status == 200, told
    return json.loads(told.body.splitlines()[-1])


def whole(headers, body=b""):
    """Gives these to GET, and to HEAD the headers alone."""
    return lambda line, head: line.sendall(OK + headers + b"\r\n" + (b"" if head.startswith(b"HEAD") else body))


def says(head, body=b""):
    return lambda line, _: line.sendall(b"HTTP/1.1 " + head + b"\r\n" + body)


def endless(line, _):
    line.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        line.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")


def one_by_one(line, head):
    """One byte more each time, then the connection breaks."""
    at = int(head.lower().partition(b"range: bytes=")[2].split(b"-")[0] or 0)
    part = f"HTTP/1.1 206 Part\r\nContent-Range: bytes {at}-99/100\r\n".encode() if at else OK
    line.sendall(part + f"Content-Length: {100 - at}\r\n\r\nx".encode())
    return True


def heads_without_end(line, _):
    line.sendall(OK)
    while True:
        line.sendall(b"X-Y: " + b"y" * 8000 + b"\r\n")


def broken(line, _):
    line.sendall(OK + b"Content-Length: 10\r\n\r\nabc")
    return True


REFUSED = {
    "endless": (507, endless),
    "too large": (507, whole(b"Content-Length: 999999999999999\r\n", b"x")),
    "too large to count": (504, whole(b"Content-Length: " + b"9" * 30 + b"\r\n", b"x")),
    "negative": (504, whole(b"Content-Length: -5\r\n")),
    "heads without end": (504, heads_without_end),
    "one by one": (504, one_by_one),
    "another part": (400, broken),
    "noise": (504, lambda line, _: line.sendall(b"\x00\xff noise\r\n\r\n")),
    "elsewhere": (500, says(b"302 F\r\nLocation: https://127.0.0.1:9/\r\nContent-Length: 0\r\n")),
    "no digest": (400, whole(b"Content-Length: 3\r\nRepr-Digest: sha-256=:AA==:\r\n", b"abc")),
    "wrong digest": (400, whole(b"Content-Length: 3\r\nRepr-Digest: sha-256=:" + b"A" * 43 + b"=:\r\n", b"abc")),
    "large problem": (400, says(b"500 X\r\n" + PROBLEM + b"\r\nContent-Length: 70000\r\n", b"[" * 70_000)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_answer_is_the_end_of_that_file_and_of_nothing_else(network, what):
    nas, mallory = network
    status, answer = REFUSED[what]
    before = psutil.Process(nas.pid).memory_info().rss
    told = fetched(network, answer)
    assert (told["status"], "failed" in told) == (status, True), told
    assert psutil.Process(nas.pid).memory_info().rss - before < 30_000_000
    workshop = nas.inbox / ".commonhold" / "tmp"
    until(lambda: not (workshop.exists() and list(workshop.iterdir())), "nothing is left of it")
    assert not (nas.inbox / "got").exists()
    assert mallory("PUT", "/dav/inbox/still", bytes(QUOTA)).status in {201, 204}, "nothing is held for it"
    assert mallory("DELETE", "/dav/inbox/still").status == 204
    assert "Traceback" not in nas.log()


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Encoding: gzip\r\n",  # nothing is unpacked
        b"Content-Range: bytes x\r\n",
        b"Set-Cookie: a=b\r\n",
        b"Last-Modified: Mon, 01 Jan 0001 00:00:00 +2359\r\n",
        b"Last-Modified: Fri, 31 Dec 9999 23:59:59 -2359\r\n",
    ],
)
def test_what_means_nothing_changes_nothing(network, headers):
    nas, mallory = network
    assert fetched(network, whole(b"Content-Length: 3\r\n" + headers, b"abc")) == {
        "number": 0,
        "bytes": 3,
        "status": 201,
    }
    assert (nas.inbox / "got").read_bytes() == b"abc"
    assert mallory("DELETE", "/dav/inbox/got").status == 204
