"""Errors as answers, where the status or a header is not that of the error's class."""

from __future__ import annotations

import msgspec
from aiohttp import web

from commonhold.errors import CommonholdError


def problem(error: CommonholdError, status: int, **headers: str) -> web.Response:
    """`error` as a problem document (RFC 9457)."""
    body = msgspec.json.encode(error.problem())
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)
