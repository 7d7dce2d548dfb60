"""JSON documents in requests and answers: one way to write them, one way to read what others sent."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from commonhold.errors import WrongUsage
from commonhold.wire import from_json, to_json

LARGEST = 2**20  # bytes of a request's document, unless its reader expects more

T = TypeVar("T")


def json_answer(value: object) -> web.Response:
    return web.Response(body=to_json(value), content_type="application/json")


async def document(request: web.Request, kind: type[T], largest: int = LARGEST) -> T:
    """The request's document, checked as it is parsed. Raises WrongUsage for what is none, or too large.

    aiohttp's own bound is one for the whole application, and raises an error of its own.
    """
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > largest:
            raise WrongUsage(f"The request is too large: at most {largest} bytes are read here.")
        pieces.append(piece)
    try:
        return from_json(b"".join(pieces), kind)
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are kinds of it
        raise WrongUsage(f"The request cannot be understood: {error}.") from error
