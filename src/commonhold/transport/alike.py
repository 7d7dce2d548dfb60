"""Requests that are like one before them on their connection, but for their target: answered in the same breath.

Programs ask for one file after the other with the same headers, byte for byte. What aiohttp does for each (parsing,
a task, middlewares, routes, the answer's headers) costs several times what asking for the right and reading a small
file does. Nothing is parsed in a way of our own: the bytes after the first line mean what they meant when aiohttp
parsed them on this very connection, and the first line has one form only, without room for a second reading. Who
asks, and whether they may, is asked at each; whatever is out of the ordinary goes the usual way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Self

from aiohttp import web

from commonhold.names import Fingerprint

END_OF_HEAD = b"\r\n\r\n"
LONGEST_ALIKE = 4096  # bytes of a request
STAYS = 60.0  # seconds; then one goes the usual way again, and its password is looked up anew
# Headers that change nothing of what a GET is answered, or who asks; any other, and none is like it.
INDIFFERENT = frozenset(
    {
        "host",
        "user-agent",
        "authorization",
        "accept",
        "accept-encoding",
        "accept-language",
        "referer",
        "dnt",
        "priority",
    }
    | {"want-repr-digest"}  # small files bear theirs always
)

Again = Callable[[str], bytes | None]  # the answer for a target, head and body; None sends it the usual way

Stamp = Callable[[Fingerprint | None], Mapping[str, str]]  # headers that every answer to a computer bears
STAMP: web.AppKey[Stamp] = web.AppKey("commonhold.stamp")

_FIRST_LINE = re.compile(rb"GET (/[A-Za-z0-9/._~%!$&'()*+,;=:@-]*) HTTP/1\.1\r\n")


class Alike:
    """What requests must be like, and who answers them."""

    __slots__ = ("_again", "_rest", "_until")

    def __init__(self, rest: bytes, again: Again) -> None:
        self._rest, self._again = rest, again
        self._until = time.monotonic() + STAYS

    @classmethod
    def of(cls, request: web.Request, asked: bytes, again: Again) -> Self | None:
        """From a request and its bytes; None when it is nothing that others are like."""
        first, line, rest = asked.partition(b"\r\n")
        if not _FIRST_LINE.fullmatch(first + line) or any(each.lower() not in INDIFFERENT for each in request.headers):
            return None
        return cls(rest, again)

    def answer(self, data: bytes) -> bytes | None:
        """What a connection is to send for these bytes, all that have come since the last request."""
        if not data.endswith(self._rest) or time.monotonic() > self._until:
            return None
        first = _FIRST_LINE.fullmatch(data, 0, len(data) - len(self._rest))
        return self._again(first[1].decode("ascii")) if first else None
