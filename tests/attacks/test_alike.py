"""Requests that are like one before them are answered without the middlewares: with no right that is over, no other
file, and never out of step. tower of ann shares; bob asks from desk over one connection, byte for byte the same."""

from __future__ import annotations

import base64
import itertools
import random
import threading
import time

import pytest

from commonhold.identity.keys import Key

from ..conftest import town
from .reach import certificate_of, connected, context, enrol

PLAIN = "Host: tower\r\nUser-Agent: p\r\n"
OTHER = PLAIN + "X-Other: 1\r\n"  # a header that makes a request like no other
PASSWORD, NEXT = "correct horse battery", "another horse battery"


class Line:
    """One connection, kept open."""

    def __init__(self, at, computer=None):
        shown = (Key.load(computer.home.key), [certificate_of(computer)]) if computer else ()
        self._socket = connected(at, context(*shown))
        self._heard = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data):
        self._socket.sendall(data)

    def send_in(self, data, cuts, pause=0.002):
        for first, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            self.send(data[first:end])
            time.sleep(pause)

    def hear(self):
        """Status, headers but the date, body. Raises EOFError."""
        while b"\r\n\r\n" not in self._heard:
            self._more()
        head, _, self._heard = self._heard.partition(b"\r\n\r\n")
        first, *lines = head.decode().lower().split("\r\n")
        told = dict(sorted(each.split(": ", 1) for each in lines))
        assert len(told) == len(lines), "no header comes twice"
        length = int(told.get("content-length", 0))
        while len(self._heard) < length:
            self._more()
        body, self._heard = self._heard[:length], self._heard[length:]
        return int(first.split()[1]), {**told, "date": ""}, body

    def _more(self):
        if not (piece := self._socket.recv(65536)):
            raise EOFError
        self._heard += piece

    def get(self, path, headers=PLAIN):
        self.send(f"GET /dav/{path} HTTP/1.1\r\n{headers}\r\n".encode())
        return self.hear()

    def status(self, path, headers=PLAIN):
        return self.get(path, headers)[0]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = tmp_path_factory.mktemp("casa")
    with town(folder) as make:
        tower, desk = make("tower", "ann"), make("desk", "bob")
        tower.create("casa")
        enrol(desk, tower)
        for name in ("photos", "secret"):
            (folder / name).mkdir()
            for number in range(6):
                (folder / name / f"{number}.txt").write_bytes(f"{name} {number}".encode() * 10**number)
            tower.net.share(folder / name)
        tower.net.allow("bob", "read", "photos")
        yield tower, desk, folder


@pytest.mark.parametrize(
    "path",
    [
        "photos/1.txt", "photos/%31.txt", "PHOTOS/1.txt", "photos/1.txt/", "/photos/1.txt", "photos//1.txt",
        "photos/./1.txt", "secret/1.txt", "secret/none", "nothing/1.txt", "photos/../secret/1.txt",
        "photos/%2e%2e/secret/1.txt", "photos%2f1.txt", "photos/.commonhold/tmp", "photos/1.txt;a=b", "photos/1.txt%00",
        "photos/1.txt%", "photos/", "", "photos/%ff", ".job-1/out/1.txt", "photos/1.TXT", "photos/5.txt", "photos/none",
    ],
)  # fmt: skip
def test_each_spelling_is_answered_as_by_itself(network, path):
    tower, desk, _ = network
    with Line(tower, desk) as line, Line(tower, desk) as usual:
        assert [line.status("photos/1.txt") for _ in range(2)] == [200, 200]
        assert line.get(path) == usual.get(path, OTHER)


def test_no_bytes_get_a_connection_out_of_step(network):
    """However they are cut or put together, requests get the answers that each gets on a connection of its own."""
    tower, desk, _ = network
    dice = random.Random(7)  # noqa: S311 - no secret
    chunked, hidden = b"5\r\nGET /\r\n0\r\n\r\n", b"GET /dav/secret/1.txt HTTP/1.1\r\n"
    kinds = [
        *[("GET", f"photos/{number}.txt", PLAIN, b"") for number in (1, 2, 3, 4, 5)] * 2,
        ("GET", "photos/3.txt", PLAIN + "Range: bytes=0-3\r\n", b""),
        ("GET", "photos/3.txt", PLAIN + "If-None-Match: *\r\n", b""),
        ("GET", "photos/3.txt", PLAIN.upper(), b""),
        ("GET", "photos/3.txt", PLAIN.replace("User-Agent: p", 'If-Match: "a"'), b""),  # as long as the plain ones
        ("GET", "photos/3.txt", f"{PLAIN}Content-Length: {len(hidden)}\r\n", hidden),
        ("POST", "photos/3.txt", f"{PLAIN}Content-Length: {len(hidden)}\r\n", hidden),
        ("POST", "photos/3.txt", PLAIN + "Transfer-Encoding: chunked\r\n", chunked),
        ("OPTIONS", "photos/3.txt", PLAIN, b""),
        ("GET", "photos/none", PLAIN, b""),
        ("GET", "secret/1.txt", PLAIN, b""),
    ]
    asked = [f"{method} /dav/{path} HTTP/1.1\r\n{headers}\r\n".encode() + body for method, path, headers, body in kinds]
    alone = {}
    for each in asked:
        with Line(tower, desk) as line:
            line.send(each)
            alone[each] = line.hear()
    for turn in range(60):
        several = [dice.choice(asked) for _ in range(dice.randrange(2, 10))]
        whole = b"".join(several)
        with Line(tower, desk) as line:
            if turn % 3 == 0:  # one at a time, some in two pieces
                heard = []
                for each in several:
                    line.send_in(each, dice.sample(range(len(each)), dice.choice([0, 1])))
                    heard.append(line.hear())
            else:  # without waiting for answers: cut between requests, or anywhere
                ends = list(itertools.accumulate(map(len, several)))[:-1]
                cuts = ends if turn % 3 == 1 else dice.sample(range(len(whole)), dice.randrange(5))
                line.send_in(whole, sorted(cuts), dice.choice([0, 0.002]))
                heard = [line.hear() for _ in several]
            for each in several:  # what stays of it on that connection
                line.send(each)
                heard.append(line.hear())
        assert heard == [alone[each] for each in [*several, *several]], (turn, several)


def test_a_right_that_is_over_opens_nothing_on_a_busy_connection(network):
    tower, desk, folder = network
    over, asked = threading.Event(), []

    def hammer():
        with Line(tower, desk) as line:
            while not over.is_set():
                began = time.monotonic()
                asked.append((began, line.status("photos/1.txt"), time.monotonic()))

    hammering = threading.Thread(target=hammer)
    hammering.start()
    shut = []
    try:
        for _ in range(15):
            tower.net.deny("bob", "read", "photos")
            began = time.monotonic()
            time.sleep(0.05)
            shut.append((began, time.monotonic()))
            tower.net.allow("bob", "read", "photos")
            time.sleep(0.05)
    finally:
        over.set()
        hammering.join()
    inside = [status for first, status, last in asked if any(first > began and last < end for began, end in shut)]
    assert set(inside) == {403}
    assert {status for _, status, _ in asked} == {200, 403}
    with Line(tower, desk) as line:
        assert [line.status("photos/2.txt") for _ in range(2)] == [200, 200]
        tower.net.unshare("photos")
        assert line.status("photos/2.txt") == 403
        (folder / "others").mkdir()
        (folder / "others" / "2.txt").write_text("of another share of that name")
        tower.net.share(folder / "others", "photos")
        assert line.status("photos/2.txt") == 403, "it is another door"
        tower.net.allow("bob", "read", "photos")
        assert [line.get("photos/2.txt")[2] for _ in range(2)] == [b"of another share of that name"] * 2
        tower.net.remove("desk")
        with pytest.raises((EOFError, OSError, AssertionError)):
            assert line.status("photos/2.txt") == 200


def test_a_password_that_is_over_opens_nothing_and_nobody_elses_headers_count(tmp_path):
    with town(tmp_path) as make:
        tower, desk = make("tower", "ann"), make("desk", "bob")
        tower.create("office", shape="client-server")
        enrol(desk, tower)
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "a").write_text("picture")
        tower.net.share(tmp_path / "photos")
        tower.typed("person", "add", "dora", input=f"{PASSWORD}\n{PASSWORD}\n")
        tower.net.allow("dora", "read", "photos")
        before, after = _basic(PASSWORD), _basic(NEXT)
        with Line(tower) as line, Line(tower, desk) as bobs:
            assert [line.status("photos/a", before) for _ in range(3)] == [200] * 3
            assert [line.status("photos/a", other) for other in (_basic("wrong"), PLAIN, before, before)] == [
                401, 401, 200, 200,
            ]  # fmt: skip
            assert [bobs.status("photos/a", before) for _ in range(2)] == [403, 403], "a certificate goes before"
            tower.net.deny("dora", "read", "photos")
            assert line.status("photos/a", before) == 403
            tower.net.allow("dora", "read", "photos")
            assert [line.status("photos/a", before) for _ in range(2)] == [200, 200]
            tower.typed("person", "passwd", "dora", input=f"{NEXT}\n{NEXT}\n")
            assert line.status("photos/a", before) == 401
            assert [line.status("photos/a", after) for _ in range(2)] == [200, 200]
            tower.typed("person", "remove", "dora", "--yes")
            assert line.status("photos/a", after) == 401


def _basic(password):
    secret = base64.b64encode(f"dora:{password}".encode()).decode()
    return f"{PLAIN}Authorization: Basic {secret}\r\n"
