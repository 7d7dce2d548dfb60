"""JSON bodies of requests, as large as jobs make them, checked as they are parsed."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from aiohttp import web

from commonhold.errors import WrongUsage

LARGEST = 64 * 2**20  # bytes: the papers of 100,000 tasks

T = TypeVar("T")


async def read(request: web.Request, kind: type[T]) -> T:
    """The request's document. Raises WrongUsage for what is none, or too large.

    aiohttp's own bound is one for the whole application, and meant for small requests.
    """
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > LARGEST:
            raise WrongUsage("The request is too large.", "make several jobs of it")
        pieces.append(piece)
    try:
        return msgspec.json.decode(b"".join(pieces), type=kind, dec_hook=_named)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongUsage(f"The request cannot be understood: {error}.") from error


def _named(kind: type[T], text: object) -> T:
    """Names and ids of names.py: making one is the check."""
    return kind(text)  # type: ignore[call-arg]


def answer(document: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
