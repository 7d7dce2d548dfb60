"""Which requests are like one before, on real connections; tower's handler says `usual`, what stands for it `again`."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from commonhold.identity.keys import Key
from commonhold.transport import Address, Listener, answer_alike
from commonhold.transport import alike as likeness
from commonhold.transport.tls import knocking_context

from .conftest import NOON, self_signed

HEADERS = "Host: tower\r\nUser-Agent: a program\r\n"


class Line:
    """One connection to a door where everything is answered alike, but for `/slow`, `/not`, `/else`; `/late` later."""

    def __init__(self):
        app = web.Application()
        app.add_routes([web.route("*", "/{path:.*}", self._usual)])
        key = Key.generate()
        self.listener = Listener(app, key, self_signed(key, NOON))
        self.go_on = asyncio.Event()

    async def _usual(self, request):
        body = await request.read()
        if request.path in {"/slow", "/late"}:
            await self.go_on.wait()
        if request.path == "/slow":
            pass
        elif request.path not in {"/not", "/else"}:
            answer_alike(request, self._again)
        return web.Response(text=f"usual {request.path} {body.decode()}".strip())

    def _again(self, target):
        if target == "/else":
            return None
        text = f"again {target}"
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()

    async def open(self):
        await self.listener.start([Address("127.0.0.1", 0)])
        where = self.listener.addresses[0]
        self.reader, self.writer = await asyncio.open_connection(
            *where, ssl=knocking_context(), server_hostname="tower"
        )

    async def close(self):
        self.writer.transport.abort()
        await self.listener.close()

    async def ask(self, path, headers=HEADERS, method="GET", body=""):
        self.send(path, headers, method, body)
        return await self.hear()

    def send(self, path, headers=HEADERS, method="GET", body=""):
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{headers}\r\n{body}".encode())

    async def hear(self):
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        length = int(head.lower().partition("content-length:")[2].split()[0])
        return (await self.reader.readexactly(length)).decode()


@pytest.fixture
async def line():
    made = Line()
    await made.open()
    yield made
    await made.close()


async def test_what_differs_in_nothing_but_its_target_is_answered_again(line):
    assert await line.ask("/a") == "usual /a"
    assert [await line.ask("/a"), await line.ask("/b%20c/d")] == ["again /a", "again /b%20c/d"]


async def test_what_nobody_offered_to_answer_goes_the_usual_way(line):
    assert [await line.ask("/not"), await line.ask("/not")] == ["usual /not"] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"method": "HEAD"},
        {"method": "PUT", "headers": HEADERS + "Content-Length: 3\r\n", "body": "abc"},
        {"headers": HEADERS + "Range: bytes=0-1\r\n"},
        {"headers": HEADERS + "Accept: */*\r\n"},
        {"headers": HEADERS.replace("a program", "another")},
        {"path": "/a?b"},
        {"path": "/else"},
    ],
)
async def test_what_differs_in_more_goes_the_usual_way_and_nothing_gets_out_of_step(line, other):
    await line.ask("/a")
    if other.get("method") == "HEAD":
        line.send("/a", HEADERS, "HEAD")
        assert "HTTP/1.1 200" in (await line.reader.readuntil(b"\r\n\r\n")).decode()
    else:
        assert (await line.ask(**{"path": "/a"} | other)).startswith("usual ")
    assert await line.ask("/not") == "usual /not"
    assert [await line.ask("/b"), await line.ask("/c")] == ["usual /b", "again /c"]


@pytest.mark.parametrize("header", ["Range: bytes=0-0", "If-None-Match: *", "Cookie: a=b", "Content-Length: 0", "X: y"])
async def test_a_header_that_may_mean_something_makes_a_request_like_no_other(line, header):
    headers = f"{HEADERS}{header}\r\n"
    assert [await line.ask("/a", headers), await line.ask("/a", headers)] == ["usual /a"] * 2


async def test_requests_that_come_in_pieces_or_together_are_answered_in_their_order(line):
    await line.ask("/a")
    whole = f"GET /b HTTP/1.1\r\n{HEADERS}\r\n".encode()
    for cut in (1, 7, len(whole) - 2):
        line.writer.write(whole[:cut])
        await asyncio.sleep(0.05)
        line.writer.write(whole[cut:])
        assert await line.hear() == "usual /b"
    line.writer.write(whole + whole.replace(b"/b", b"/c") + whole[:9])
    assert [await line.hear(), await line.hear()] == ["usual /b", "usual /c"]
    line.writer.write(whole[9:])
    assert await line.hear() == "usual /b"
    assert [await line.ask("/d"), await line.ask("/e")] == ["usual /d", "again /e"]


async def test_nothing_overtakes_what_is_answered_still(line):
    await line.ask("/a")
    line.send("/slow", HEADERS + "Accept: */*\r\n")
    line.send("/a")
    line.send("/a")
    await asyncio.sleep(0.1)
    line.go_on.set()
    assert [await line.hear() for _ in range(3)] == ["usual /slow", "usual /a", "usual /a"]


async def test_what_comes_while_one_is_answered_lends_it_no_headers(line):
    """Else requests with a condition would be answered like the one before, which had none."""
    conditional = HEADERS + "If-Match: *\r\n"
    line.send("/late")
    await asyncio.sleep(0.1)
    line.send("/a", conditional)
    await asyncio.sleep(0.1)
    line.go_on.set()
    assert [await line.hear(), await line.hear()] == ["usual /late", "usual /a"]
    assert [await line.ask("/b", conditional) for _ in range(2)] == ["usual /b"] * 2


async def test_the_beginning_of_the_next_request_is_no_part_of_one(line):
    begun = f"GET /a HTTP/1.1\r\n{HEADERS}\r\nGET /b HTTP/1.1\r\nAccept: ".encode()
    for path in ("/a", "/b", "/b"):  # which the next one is the rest of, whatever it looks like
        line.writer.write(begun)
        assert await line.hear() == f"usual {path}"


async def test_the_end_of_a_request_is_no_request_of_its_own_whatever_it_looks_like(line):
    """What came before it said who asks."""
    end = b"GET /b HTTP/1.1\r\nHost: tower\r\n\r\n"
    line.writer.write(b"GET /a HTTP/1.1\r\nAuthorization: Basic YTpi\r\nAccept: ")
    await asyncio.sleep(0.1)
    line.writer.write(end)
    assert await line.hear() == "usual /a"
    line.writer.write(end)
    assert await line.hear() == "usual /b"


async def test_a_head_of_the_same_length_is_not_the_same(line):
    await line.ask("/a")
    assert await line.ask("/a", HEADERS.replace("User-Agent: a program", 'If-None-Match: "a"   ')) == "usual /a"


async def test_after_a_while_one_goes_the_usual_way(line, monkeypatch):
    monkeypatch.setattr(likeness, "STAYS", -1.0)
    assert [await line.ask("/a"), await line.ask("/a")] == ["usual /a"] * 2
