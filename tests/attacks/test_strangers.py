"""Somebody on the local network without a certificate, against a real node."""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from commonhold.errors import from_problem
from commonhold.transport.connections import STRANGERS

from ..conftest import town, until

METHODS = ("GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "POST", "DELETE", "MKCOL", "MOVE", "TRACE", "PATCH", "LOCK")
ROUTES = (
    "/",
    "/dav/",
    "/dav/photos/a",
    "/roster",
    "/rules",
    "/explanation",
    "/passes",
    "/passes/1",
    "/readings",
    "/readings/0123456789abcdef",
    "/sessions",
    "/sessions/x/relay/p0",
    "/sessions/x/p1/jobs/1",
    "/jobs",
    "/jobs/1/log",
    "/jobs/1/said",
    "/jobs/1/inputs",
    "/jobs/1/collecting",
    "/api/status",
    "/join/",
    "/join/1/../../dav/photos/a",
    "//join/1",
    "/join/%2e%2e/roster",
    "/dav/../join/1",
    "http://x/dav/photos/a",
    "http://x/roster",
)


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    with town(tmp_path_factory.mktemp("casa")) as make:
        made = make("tower", "ann")
        made.create("casa")
        yield made


def connected(tower, to):
    """A TLS connection without a certificate, closed with `to`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    host, _, port = tower.address.rpartition(":")
    plain = socket.create_connection((host, int(port)), timeout=10)
    return to.enter_context(context.wrap_socket(to.enter_context(plain)))


def answered(connection, request):
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer and (piece := connection.recv(65536)):
        answer += piece
    return int(answer.split()[1])


@pytest.mark.parametrize("route", ROUTES)
def test_nothing_but_joining_answers_a_stranger(tower, route):
    for method in METHODS:
        with ExitStack() as closing:
            head = f"{method} {route} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            assert answered(connected(tower, closing), head.encode()) == 401, method


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000, 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 100_000, 400),
        (b"POST /roster HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 401),
        (b"POST /join/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n" + b"x" * 20_000, 400),
        (b"GET /dav/photos/a HTTP/1.1\r\nHost: x\r\nCommonhold-Pass: " + b"0" * 32 + b"\r\n\r\n", 401),
    ],
    ids=["header", "headers", "body", "joining", "pass"],
)
def test_too_much_is_not_read(tower, request_, status):
    with ExitStack() as closing:
        connection = connected(tower, closing)
        assert answered(connection, request_) == status


def test_silent_connections_are_broken_and_leave_room_for_others(tower):
    with ExitStack() as closing:
        silent = [connected(tower, closing) for _ in range(2 * STRANGERS)]

        def broken():
            count = 0
            for each in silent:
                each.setblocking(False)
                try:
                    count += each.recv(1) == b""
                except (ssl.SSLWantReadError, BlockingIOError):
                    continue
                except OSError:
                    count += 1
            return count

        until(lambda: broken() >= STRANGERS, "the oldest are broken", seconds=20)
        time.sleep(0.1)
        assert broken() < len(silent), "the newest stay: whoever joins is among them"


@pytest.mark.parametrize("failed", [7, [1], [{"path": 3}], None])
def test_an_error_of_another_computer_says_no_more_than_an_error_may(failed):
    document = {"type": "Refused", "title": "no", "failed": failed, "exit": 0, "kind": "none", "error": "", "self": 1}
    error = from_problem(document, 403)
    assert (error.sentence, error.more) == ("no", {})
