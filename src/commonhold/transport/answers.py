"""How answers and errors read on the wire, on both sides: JSON, JSON lines, RFC 9457 problems."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import msgspec
from aiohttp import web

from commonhold.errors import (
    BY_STATUS,
    CommonholdError,
    Damaged,
    NotFound,
    TooManyTries,
    WrongUsage,
    from_problem,
)
from commonhold.names import Fingerprint
from commonhold.transport.tls import fingerprint_shown
from commonhold.wire import to_json

PROBLEM = "application/problem+json"
LARGEST_PROBLEM = 65_536  # bytes of an error that we read
LARGEST_JSON = 64 * 2**20  # bytes of an answer that `ask` reads: a roster of thousands, no more
PROBLEM_HEADER = "Commonhold-Problem"  # a refused WebSocket: the client's library drops the body
THEIRS: dict[int, tuple[type[CommonholdError], str]] = {  # what aiohttp refuses by itself, by status
    404: (NotFound, "There is nothing at this address."),
    405: (WrongUsage, "That is not what one can do at this address."),
    413: (WrongUsage, "The request is too large."),
    417: (WrongUsage, "What this request expects is not done here."),
}
_STARTED = web.RequestKey("commonhold.started", bool)

_log = logging.getLogger("commonhold.transport")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def caller_of(request: web.Request) -> Fingerprint | None:
    """The computer whose certificate TLS verified on this request's connection; None without one."""
    return fingerprint_shown(request.get_extra_info("ssl_object"))


def prepare(app: web.Application) -> None:
    """What both doors set on an application before it serves."""

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        request[_STARTED] = True
        response.headers["Server"] = "commonhold"  # no versions for strangers

    app.on_response_prepare.append(on_prepare)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a CommonholdError as a problem document; anything unforeseen as one that says so, and log it.

    When the answer is under way already, only breaking the connection tells the other side.
    """
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except web.HTTPException as error:  # of aiohttp itself: no such address, no such method, too large
        return as_problem(error)
    except CommonholdError as error:
        trouble = error
    except Exception as error:
        _log.exception("%s %s failed", request.method, request.path)
        trouble = CommonholdError("The other computer met an error of its own.", "see its log")
        trouble.__cause__ = error
    if request.get(_STARTED):
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError("the answer was under way already") from trouble
    return _problem_answer(request, trouble)


def as_problem(error: web.HTTPException) -> web.Response:
    """What aiohttp refuses by itself, in our words."""
    kind, sentence = THEIRS.get(
        error.status, (BY_STATUS.get(error.status, CommonholdError), "That cannot be answered.")
    )
    kept = {name: value for name, value in error.headers.items() if name == "Allow"}
    body = to_json(kind(sentence).problem())
    return web.Response(status=error.status, body=body, content_type=PROBLEM, headers=kept)


def _problem_answer(request: web.Request, trouble: CommonholdError) -> web.Response:
    headers = {}
    if "Upgrade" in request.headers:
        short = {"type": type(trouble).__name__, "title": trouble.sentence[:500], "hint": trouble.hint[:200]}
        headers[PROBLEM_HEADER] = quote(msgspec.json.encode(short))
    if isinstance(trouble, TooManyTries):
        headers["Retry-After"] = str(trouble.more.get("retry_after", 1))
    body = to_json(trouble.problem())
    return web.Response(status=trouble.status, body=body, content_type=PROBLEM, headers=headers)


async def answer_lines(request: web.Request, items: AsyncIterator[object]) -> web.StreamResponse:
    """Answer with one JSON document a line, as they come; an error on the way is the last line.

    `json_lines` at the other end raises it there.
    """
    return await answer_groups(request, ([item] async for item in items))


async def answer_groups(request: web.Request, groups: AsyncIterator[Iterable[object]]) -> web.StreamResponse:
    """As `answer_lines`, several at a time: writing five hundred lines one by one costs more than what they tell."""
    answer = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
    await answer.prepare(request)
    try:
        async for group in groups:
            await answer.write(b"".join([to_json(item) + b"\n" for item in group]))
    except CommonholdError as error:
        last = {"problem": error.problem(), "status": error.status}
        await answer.write(to_json(last) + b"\n")
    await answer.write_eof()
    return answer


async def json_lines(answer: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """The documents that `answer_lines` wrote; raises the error that ended them."""
    rest = b""
    async for piece in answer.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > LARGEST_JSON:
            raise Damaged("The answer has a line without an end.")
        for line in lines:
            item = _decoded(line)
            if isinstance(item, dict) and isinstance(item.get("problem"), dict) and "status" in item:
                raise from_problem(item["problem"], int(item["status"]))
            yield item


async def read_json(answer: aiohttp.ClientResponse) -> Any:
    """The answer's document; None for an empty one. Raises Damaged when it is none."""
    body = await _read(answer, LARGEST_JSON)
    return _decoded(body) if body else None


async def problem_in(answer: aiohttp.ClientResponse) -> CommonholdError:
    """The error that the other side reported."""
    body = b"" if answer.content_type != PROBLEM else await _read(answer, LARGEST_PROBLEM)
    try:
        return from_problem(_decoded(body), answer.status)
    except Damaged:
        return from_problem(None, answer.status)


def problem_of_handshake(headers: Mapping[str, str] | None, status: int) -> CommonholdError:
    """The error behind a WebSocket that was refused."""
    try:
        return from_problem(_decoded(unquote((headers or {}).get(PROBLEM_HEADER, "")).encode()), status)
    except Damaged:
        return from_problem(None, status)


async def _read(answer: aiohttp.ClientResponse, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise Damaged(f"The answer is larger than {most} bytes.")
    return b"".join(pieces)


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged("The answer is not JSON.") from error
