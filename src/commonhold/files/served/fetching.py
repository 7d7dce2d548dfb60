"""POST: files fetched straight from another computer, for somebody who may store them here.

Each is stored as a PUT would store it, in the name of who asks and within their rights here. It is read there under a
pass that they were given there, never under this computer's own rights, and only from a member of the network: known by
its key, and at no address that somebody names. docs/webdav.md says it to those who write a client.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial

import aiohttp
from aiohttp import web
from msgspec.structs import replace

from commonhold.authority.authority import Subject, Verb, let_go
from commonhold.authority.gate import SUBJECT
from commonhold.authority.passes import handed_by
from commonhold.errors import CommonholdError, Conflict, Damaged, Refused, Unreachable, WrongUsage
from commonhold.files import webdav
from commonhold.files.entry import ANYTHING, Conditions
from commonhold.files.fetchwords import Fetched, FetchWish, FileWish
from commonhold.files.served.access import Access
from commonhold.files.served.upload import Coming, Uploads
from commonhold.files.used.pace import Pace
from commonhold.files.used.remote import Remote
from commonhold.files.used.together import each
from commonhold.names import JOB_SHARE, Fingerprint, ShareName, SharePath
from commonhold.transport import Caller, Peer, answer_groups, document

AT_ONCE = 6  # files under way from one computer for one that asks
FROM_ONE = 12  # files under way from one computer: the node's own requests to it find a connection
PATIENCE = 10.0  # seconds that others may hold all of these
TRIES = 8  # a connection that breaks this often in one file ends it
TELL = 0.5  # seconds after which it is told how far it is, and that it goes on


class Neighbours:
    """The other computers of the network, as those that have files."""

    def __init__(self, caller: Caller, find: Callable[[Fingerprint], Peer], here: Fingerprint) -> None:
        """`find` raises NotFound for whoever is no member."""
        self._caller, self._find, self._here = caller, find, here
        self._own: defaultdict[tuple[Fingerprint, Fingerprint], asyncio.Semaphore]
        self._own = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._all: defaultdict[Fingerprint, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(FROM_ONE))

    def share(self, wish: FetchWish, by: Fingerprint) -> Remote:
        """The share that is named in the wish, under the pass that `by` hands on. Raises NotFound, WrongUsage."""
        if wish.computer == self._here:
            raise WrongUsage("That share is of this computer itself.", "copy within one computer with COPY")
        if not JOB_SHARE.fullmatch(wish.share):
            ShareName(wish.share)
        pace = Pace(wish.limit) if wish.limit else None
        return Remote(self._caller, self._find(wish.computer), wish.share, handed_by(by, wish.token), pace)

    @asynccontextmanager
    async def turn(self, computer: Fingerprint, by: Fingerprint) -> AsyncIterator[None]:
        """Held while a file of that computer is under way. Raises Conflict when others hold all turns for long."""
        every = self._all[computer]
        async with self._own[computer, by]:
            try:
                async with asyncio.timeout(PATIENCE):
                    await every.acquire()
            except TimeoutError:
                raise Conflict("Too much is fetched from that computer at this moment.", "try again later") from None
            try:
                yield
            finally:
                every.release()


class Fetching:
    def __init__(self, access: Access, uploads: Uploads, neighbours: Neighbours) -> None:
        self._access, self._uploads, self._neighbours = access, uploads, neighbours

    async def post(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        """Who may store nothing here has this computer ask nobody."""
        self._access.permit(request, Verb.ADD, name, path)
        subject: Subject = request[SUBJECT]
        if subject.computer is None or subject.pass_id is not None:
            raise Refused("Files are fetched for a person at a computer of the network only.", "send them here")
        wish = await document(request, FetchWish)
        there = self._neighbours.share(wish, subject.computer)
        turn = partial(self._neighbours.turn, wish.computer, subject.computer)
        fetches = _Fetches(self._access, self._uploads, request, (name, path), there, turn)
        working = asyncio.create_task(each(enumerate(wish.files), fetches.one, AT_ONCE))
        try:
            return await answer_groups(request, fetches.lines(working))
        finally:
            working.cancel()
            await asyncio.wait({working})


class _Source:
    """A file at the computer that has it. `failed`: what went wrong lay there, or on the way."""

    def __init__(self, there: Remote, file: FileWish) -> None:
        self.came = 0  # bytes
        self.failed = False
        self.size: int | None = None
        self.modified: int | None = None
        self._there, self._path, self._etag = there, SharePath.parse(file.source), file.etag
        self._sha256: bytes | None = None

    async def open(self, stack: AsyncExitStack, turn: AbstractAsyncContextManager[None]) -> AsyncIterator[bytes]:
        """Its bytes, when what is told ahead of them is known."""
        with self._elsewhere():
            await stack.enter_async_context(turn)
        pieces = await stack.enter_async_context(aclosing(self._read()))
        await anext(pieces)
        return pieces

    async def _read(self) -> AsyncGenerator[bytes, None]:
        """Nothing, when it has begun; then its bytes. Where the way breaks it goes on, if this try came further."""
        with self._elsewhere():
            for tries_left in reversed(range(TRIES)):
                had, headers = self.came, {"If-Match": f'"{self._etag}"'}
                if had:
                    headers["Range"] = f"bytes={had}-"
                try:
                    async with self._there.request("GET", self._path, headers) as answer:
                        if not had:
                            self._begin(answer)
                            yield b""
                        elif not _goes_on(answer, had):
                            raise Damaged(f"Another part of “{self._path}” came than was asked for.", "copy it again")
                        async for piece in self._there.pieces(answer):
                            self.came += len(piece)
                            yield piece
                    return
                except Unreachable:
                    if not tries_left or self.came == had:
                        raise

    def _begin(self, answer: aiohttp.ClientResponse) -> None:
        self.size = answer.content_length
        self.modified = _modified(answer)
        self._sha256 = webdav.parse_digest(answer.headers.get("Repr-Digest"))

    async def sha256(self) -> bytes | None:
        """What the bytes that came must have. Raises Changed when the file is another meanwhile."""
        with self._elsewhere():
            return self._sha256 or await self._there.digest(self._path, self._etag)

    @contextmanager
    def _elsewhere(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self.failed = True
            raise


class _Fetches:
    """The files of one request."""

    def __init__(
        self,
        access: Access,
        uploads: Uploads,
        request: web.Request,
        to: tuple[str, SharePath],
        there: Remote,
        turn: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self._access, self._uploads, self._request = access, uploads, request
        self._name, self._top = to
        self._there, self._turn = there, turn
        self._conditions = webdav.conditions(request.headers)
        self._under_way: dict[int, _Source] = {}
        self._over: list[Fetched] = []
        self._lost: Fetched | None = None  # the other computer is not reached: the rest need not try

    async def lines(self, working: asyncio.Task[None]) -> AsyncIterator[list[Fetched]]:
        """How far it is, every now and then: so it is noticed here, too, when nobody listens any more."""
        while not working.done():
            await asyncio.wait({working}, timeout=TELL)
            over, self._over = self._over, []
            yield [*(Fetched(number, source.came) for number, source in self._under_way.items()), *over]
        working.result()

    async def one(self, numbered: tuple[int, FileWish]) -> None:
        number, file = numbered
        if self._lost is not None:
            self._over.append(replace(self._lost, number=number))
            return
        source: _Source | None = None
        try:
            source = self._under_way[number] = _Source(self._there, file)
            status = await self._store(file, source)
            outcome = Fetched(number, source.came, status)
        except CommonholdError as error:
            status = 400 if isinstance(error, Damaged) else error.status
            elsewhere, came = (source.failed, source.came) if source else (False, 0)
            outcome = Fetched(number, came, status, error.problem(), elsewhere)
            if elsewhere and not came and isinstance(error, Unreachable):
                self._lost = outcome
        finally:
            self._under_way.pop(number, None)
        self._over.append(outcome)

    async def _store(self, file: FileWish, source: _Source) -> int:
        """As a PUT does; its status."""
        path = SharePath((*self._top.parts, *SharePath.parse(file.target).parts))
        share, given, unseen = self._access.permit_to_store(self._request, self._name, path)
        try:
            async with AsyncExitStack() as stack:
                pieces = await source.open(stack, self._turn())

                async def whole() -> bytes | None:
                    sha256 = await source.sha256()
                    let_go(self._access.permit(self._request, given.verb, self._name, path)[1])
                    return sha256

                size = source.size
                coming = Coming(pieces, size, size, self._only(file), source.modified, whole)
                with await self._access.storing(self._request, given, size, unseen) as storing:
                    upload, entry = await self._uploads.receive(coming, share, given, storing, unseen=unseen)
        finally:
            let_go(given)
        if not upload.created:
            self._access.record("overwritten", self._request, door=share.door.name, path=str(path), size=entry.size)
        return 201 if upload.created else 204

    def _only(self, file: FileWish) -> Conditions:
        """With what the `If` header of the request says for all its files."""
        match, none_match = (frozenset({file.before}), None) if file.before else (None, ANYTHING)
        return Conditions(match, none_match, lists=self._conditions.lists, tokens=self._conditions.tokens)


def _goes_on(answer: aiohttp.ClientResponse, had: int) -> bool:
    """Whether the answer is what comes after so many bytes, to the end."""
    span = webdav.content_range(answer.headers.get("Content-Range"))
    return answer.status == 206 and span is not None and span[0] == had and span[1] == span[2]


def _modified(answer: aiohttp.ClientResponse) -> int | None:
    """When the file was changed there, in nanoseconds; nothing when no disk could hold that."""
    moment = webdav.parse_date(answer.headers.get("Last-Modified"))
    seconds = int(moment.timestamp()) if moment else 0
    return seconds * 10**9 if moment and webdav.EARLIEST <= seconds < webdav.LATEST else None
