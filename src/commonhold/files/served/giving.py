"""Many small files in one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiohttp import web

from commonhold.authority.authority import Permit, Verb, let_go
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.files.batch import END, FILES, LARGEST, LONGEST_QUESTION, MAGIC, Asked, Given, pack
from commonhold.files.served.access import Access
from commonhold.files.served.download import find
from commonhold.files.share import Share
from commonhold.names import SharePath

AT_ONCE = 16  # files that are read while those before are sent: 4 MiB at most


class Giving:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def answer(self, request: web.Request, name: str, top: SharePath) -> web.StreamResponse:
        """Each file is whole, and as it was at one moment; what cannot be had is said in its place."""
        share, _ = self._access.permit(request, Verb.READ, name, top)
        paths = await _question(request)
        response = web.StreamResponse(headers={"Content-Type": FILES, "Cache-Control": "private, no-cache"})
        await response.prepare(request)
        await response.write(MAGIC)
        async for frames in self._frames(request, share, name, top, paths):
            await response.write(frames)
        await response.write_eof(END)
        return response

    async def _frames(
        self, request: web.Request, share: Share, name: str, top: SharePath, paths: Sequence[str]
    ) -> AsyncIterator[bytes]:
        """Read ahead: the next files while those before are sent."""
        ahead: asyncio.Task[bytes] | None = None
        try:
            for first in range(0, len(paths), AT_ONCE):
                asked = [self._ask(request, name, top, path) for path in paths[first : first + AT_ONCE]]
                before, ahead = ahead, asyncio.create_task(self._read(share, first, asked))
                if before:
                    yield await before
            if ahead:
                yield await ahead
        finally:
            if ahead:
                ahead.cancel()

    def _ask(self, request: web.Request, name: str, top: SharePath, path: str) -> Permit | CommonholdError:
        try:
            at = SharePath((*top.parts, *SharePath.parse(path).parts))
            return self._access.permit(request, Verb.READ, name, at)[1]
        except CommonholdError as error:
            return error

    async def _read(self, share: Share, first: int, asked: Sequence[Permit | CommonholdError]) -> bytes:
        try:
            return await self._access.run(_packed, share, first, asked)
        finally:
            for each in asked:
                if isinstance(each, Permit):
                    let_go(each)


async def _question(request: web.Request) -> list[str]:
    """Raises WrongUsage."""
    body = b""
    while len(body) <= LONGEST_QUESTION and (piece := await request.content.readany()):
        body += piece
    if len(body) > LONGEST_QUESTION:
        raise WrongUsage(f"The question is longer than {LONGEST_QUESTION} bytes.", "ask for fewer files at a time")
    try:
        return msgspec.json.decode(body, type=Asked).paths
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongUsage(f"The question can't be read: {error}.") from error


def _packed(share: Share, first: int, asked: Sequence[Permit | CommonholdError]) -> bytes:
    """The frames of these files. Blocks."""
    return b"".join(_frame(share, number, each) for number, each in enumerate(asked, first))


def _frame(share: Share, number: int, permit: Permit | CommonholdError) -> bytes:
    try:
        if not isinstance(permit, Permit):
            raise permit
        found = find(share, permit, {}, False)
    except CommonholdError as error:
        return pack(Given(number, status=error.status, failed=error.problem()))
    if found.data is None:
        if found.reader:
            found.reader.close()
        large = WrongUsage(f"“{permit.path}” has more than {LARGEST} bytes.", "ask for it by itself")
        return pack(Given(number, status=413, failed=large.problem()))
    entry = found.entry
    modified = round(entry.modified.timestamp() * 10**6) * 1000 if entry.modified else None
    return pack(Given(number, len(found.data), found.sha256, modified, entry.etag), found.data)
