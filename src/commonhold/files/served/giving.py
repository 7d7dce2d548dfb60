"""Many small files in one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiohttp import web

from commonhold.authority.authority import Hearing, Permit, Verb, let_go
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.files.batch import END, FILES, LARGEST, LONGEST_QUESTION, MAGIC, Asked, Given, moment, pack
from commonhold.files.handing import Handing
from commonhold.files.served.access import Access
from commonhold.files.share import Share
from commonhold.names import SharePath

AT_ONCE = 128  # files that are read while those before are sent
ENOUGH = 2**20  # bytes of them, after which it is time to send


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
        reading: asyncio.Task[list[bytes]] | None = None
        read: list[bytes] = []
        first = 0
        try:
            while first < len(paths):
                hearing = self._access.hearing(request, name)
                asked = [_ask(hearing, top, path) for path in paths[first : first + AT_ONCE]]
                reading = asyncio.create_task(self._read(share, first, asked))
                if read:
                    yield b"".join(read)
                read = await reading
                first += len(read)
            yield b"".join(read)
        finally:
            if reading:
                reading.cancel()

    async def _read(self, share: Share, first: int, asked: Sequence[Permit | CommonholdError]) -> list[bytes]:
        try:
            return await self._access.run(_packed, share, first, asked)
        finally:
            for each in asked:
                if isinstance(each, Permit):
                    let_go(each)


def _ask(hearing: Hearing, top: SharePath, path: str) -> Permit | CommonholdError:
    try:
        at = SharePath.parse(path)
        return hearing.permit(Verb.READ, SharePath((*top.parts, *at.parts)) if top.parts else at)
    except CommonholdError as error:
        return error


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


def _packed(share: Share, first: int, asked: Sequence[Permit | CommonholdError]) -> list[bytes]:
    """The frames of these files, or of the first of them when that is enough for once. Blocks."""
    frames: list[bytes] = []
    size = 0
    with share.give() as handing:
        for number, each in enumerate(asked, first):
            frames.append(_frame(handing, number, each))
            size += len(frames[-1])
            if size >= ENOUGH:
                break
    return frames


def _frame(handing: Handing, number: int, permit: Permit | CommonholdError) -> bytes:
    try:
        if not isinstance(permit, Permit):
            raise permit
        whole = handing.read(permit, LARGEST)
    except CommonholdError as error:
        return pack(Given(number, status=error.status, failed=error.problem()))
    return pack(Given(number, len(whole.data), whole.sha256, moment(whole.modified), whole.etag), whole.data)
