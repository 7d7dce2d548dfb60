"""JSON documents in requests and answers: one way to write them, one way to read what others sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from aiohttp import web

from commonhold.errors import Conflict, WrongUsage
from commonhold.names import Fingerprint
from commonhold.transport.answers import caller_of
from commonhold.wire import from_json, to_json

LARGEST = 2**20  # bytes of a request's document, unless its reader expects more

T = TypeVar("T")


def json_answer(value: object) -> web.Response:
    return web.Response(body=to_json(value), content_type="application/json")


_sending: set[Fingerprint | None] = set()  # computers of which a large document is being read


async def document(request: web.Request, kind: type[T], largest: int = LARGEST) -> T:
    """The request's document, checked as it is parsed. Raises WrongUsage for what is none, or too large.

    Of what is larger than most, one at a time is read from each computer (else Conflict): fourteen
    of 60 MB at once took 1.7 GB. aiohttp's own bound is one for the whole application, and raises an
    error of its own.
    """
    with ExitStack() as large:
        pieces, size = [], 0
        async for piece in request.content.iter_any():
            if size <= LARGEST < size + len(piece):
                large.enter_context(_alone(caller_of(request)))
            size += len(piece)
            if size > largest:
                raise WrongUsage(f"The request is too large: at most {largest} bytes are read here.")
            pieces.append(piece)
        try:
            return from_json(b"".join(pieces), kind)
        except ValueError as error:  # msgspec's errors and UnicodeDecodeError are kinds of it
            raise WrongUsage(f"The request cannot be understood: {error}.") from error


@contextmanager
def _alone(computer: Fingerprint | None) -> Iterator[None]:
    if computer in _sending:
        raise Conflict("Another large request of this computer is being read.", "send one after the other")
    _sending.add(computer)
    try:
        yield
    finally:
        _sending.discard(computer)
