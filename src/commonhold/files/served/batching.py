"""POST: many small files in one request, and many in one answer. docs/webdav.md says it to those who write a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, suppress

from aiohttp import web

from commonhold.authority.authority import Hearing, Permit, Verb, let_go
from commonhold.authority.gate import SUBJECT
from commonhold.errors import CommonholdError, Conflict, Damaged, NoSpace, WrongUsage
from commonhold.files import webdav
from commonhold.files.batch import ASKED, FILES, Answered, Sent, Unpacking
from commonhold.files.disk import DiskError
from commonhold.files.entry import Conditions
from commonhold.files.fetchwords import FETCH
from commonhold.files.gathered import Bundled
from commonhold.files.quota import Payer, QuotaLedger, Storing
from commonhold.files.served.access import Access, to_store
from commonhold.files.served.changing import make_folder
from commonhold.files.served.convoy import place
from commonhold.files.served.giving import Giving
from commonhold.files.served.problem import problem
from commonhold.files.served.upload import go_on, write_small
from commonhold.files.share import Share, Taken
from commonhold.names import SharePath
from commonhold.thrift import give_back
from commonhold.transport import answer_groups

MOST = 256  # files that are made durable together
LARGEST_GROUP = 2 * 2**20  # bytes of them: no more of a request is in memory, however long it is
MOST_FOLDERS = 256  # on the way to them: all are asked for, and open at the same time
DEEPEST = 64  # folders on the way to one file; what lies deeper goes by itself
MOMENT = 0.05  # seconds without a byte after which what has come is stored: the other side may wait for the answer
PATIENCE = 60.0  # seconds without a byte after which a request is over


class Batching:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._giving = Giving(access)

    async def post(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        try:
            return await self._post(request, name, path)
        finally:
            give_back()

    async def _post(self, request: web.Request, name: str, path: SharePath) -> web.StreamResponse:
        if request.content_type == ASKED:
            return await self._giving.answer(request, name, path)
        if request.content_type != FILES:
            return problem(WrongUsage(f"A share takes {FILES}, {ASKED} or {FETCH} by POST."), 415)
        share, _ = self._access.permit(request, Verb.ADD, name, path)
        await go_on(request)
        return await answer_groups(request, _Receiving(self._access, request, share, name, path).outcomes())


class TooDeep(WrongUsage):
    """A file that goes by itself."""

    status = 413


class _File:
    """One file of a request; what is wrong with it already is in `refused`."""

    __slots__ = ("bundled", "number", "refused", "unseen")

    def __init__(self, number: int) -> None:
        self.number = number
        self.refused: CommonholdError | None = None
        self.bundled: Bundled | None = None
        self.unseen = False


class _Receiving:
    """The files of one request, group by group: a group is stored and answered before more is read."""

    def __init__(self, access: Access, request: web.Request, share: Share, name: str, top: SharePath) -> None:
        self._access, self._request = access, request
        self._share, self._name, self._top = share, name, top
        self._payer = access.payer(request[SUBJECT])
        self._conditions = webdav.conditions(request.headers)
        self._waiting: list[_File] = []
        self._folders: dict[tuple[str, ...], Permit | None] = {}  # on the way to those, if they may be made
        self._count = self._size = 0  # files so far; bytes of those that wait

    async def outcomes(self) -> AsyncIterator[list[Answered]]:
        """What became of each file, in their order. Raises WrongUsage at what is no stream of files, after those

        that came before it.
        """
        unpacking, trouble = Unpacking(Sent), None
        while not unpacking.ended and trouble is None:
            piece = await self._piece()
            taking = self._take(unpacking, piece)
            try:
                for _ in taking:
                    yield await self._store()
            except WrongUsage as error:
                trouble = error
            if self._waiting and (not piece or trouble or unpacking.ended):
                yield await self._store()
        if trouble:
            raise trouble

    async def _piece(self) -> bytes | None:
        """The next bytes; empty at the end, None when none come for a while."""
        try:
            async with asyncio.timeout(MOMENT if self._waiting else PATIENCE):
                return await self._request.content.readany()
        except TimeoutError:
            return None

    def _take(self, unpacking: Unpacking[Sent], piece: bytes | None) -> Iterator[None]:
        """Let the files that are whole now wait; whenever that is enough for a group, it stops. Raises WrongUsage."""
        if piece is None:
            if not self._waiting:
                raise WrongUsage(f"Nothing came for {PATIENCE:.0f} seconds.", "send the rest")
            return
        hearing = self._access.hearing(self._request, self._name)
        for sent, data in unpacking.feed(piece):
            self._waiting.append(self._file(sent, data, hearing))
            self._size += sent.size
            if len(self._waiting) >= MOST or self._size >= LARGEST_GROUP or len(self._folders) >= MOST_FOLDERS:
                yield
                hearing = self._access.hearing(self._request, self._name)
        if not piece:
            unpacking.finish()

    def _file(self, sent: Sent, data: bytes, hearing: Hearing) -> _File:
        """Ask whether it may be stored, as a PUT does."""
        file = _File(self._count)
        self._count += 1
        try:
            path = SharePath.parse(sent.path)
            if self._top.parts:
                path = SharePath((*self._top.parts, *path.parts))
            if len(path.parts) > DEEPEST:
                raise TooDeep(f"“{path.name}” lies deeper than {DEEPEST} folders.", "send it by itself")
            given, file.unseen = to_store(hearing, path)
            file.bundled = Bundled(given, data, sent.sha256, sent.conditions(self._conditions), sent.modified)
            if not file.unseen:
                self._ask_for_folders(given.verb, path, hearing)
        except CommonholdError as error:
            file.refused = error
        return file

    def _ask_for_folders(self, verb: Verb, path: SharePath, hearing: Hearing) -> None:
        if path.parts[:-1] in self._folders:  # as of nearly all files: nothing is made for those
            return
        for above in path.above():
            if (parts := above.parts) in self._folders:
                return
            self._folders[parts] = hearing.permit(verb, above) if hearing.decide(verb, above).allowed else None

    async def _store(self) -> list[Answered]:
        group, folders = self._waiting, self._folders
        self._waiting, self._folders, self._size = [], {}, 0
        try:
            await self._access.run(
                _Storing(self._access.ledger, self._share, self._payer, folders, self._conditions.tokens).run, group
            )
        finally:
            for given in [*folders.values(), *(file.bundled.permit for file in group if file.bundled)]:
                if given is not None:
                    let_go(given)
        return [self._outcome(file) for file in group]

    def _outcome(self, file: _File) -> Answered:
        bundled = file.bundled
        error = file.refused or (bundled.failed if bundled else None)
        if error is not None or bundled is None or bundled.entry is None:
            error = error or CommonholdError("It was not stored.", "send it again")
            if isinstance(error, DiskError) and bundled:
                where = {"door": self._share.door.name, "path": str(bundled.permit.path)}
                self._access.record("disk error", self._request, **where, reason=error.sentence)
            status = 400 if isinstance(error, Damaged) else error.status
            return Answered(file.number, status, failed=error.problem())
        if not bundled.created:
            words = {"door": self._share.door.name, "path": str(bundled.permit.path), "size": bundled.entry.size}
            self._access.record("overwritten", self._request, **words)
        return Answered(file.number, 201 if bundled.created else 204, bundled.entry.etag)


class _Storing:
    """How a group of files is stored. Blocks."""

    def __init__(
        self, ledger: QuotaLedger, share: Share, payer: Payer, folders: dict[tuple[str, ...], Permit | None],
        tokens: frozenset[str],
    ) -> None:  # fmt: skip
        self._tokens = tokens
        self._ledger, self._share, self._payer, self._folders = ledger, share, payer, folders
        self._counted = False  # the disk was asked what this payer has

    def run(self, group: Sequence[_File]) -> None:
        with ExitStack() as held:
            allowed = [(file.bundled, file.unseen) for file in group if file.bundled and file.refused is None]
            for bundled in [bundled for bundled, unseen in allowed if unseen]:
                if storing := self._room(bundled, unseen=True):
                    self._drop(bundled, held.enter_context(storing))
            self._place([bundled for bundled, unseen in allowed if not unseen], held)

    def _room(self, bundled: Bundled, *, unseen: bool = False) -> Storing | None:
        """Hold room for it; the disk is asked once for all of them."""
        path = bundled.permit.path
        what = self._payer, self._share.door.id, str(path), len(bundled.data), len(path.parts) if unseen else 1
        try:
            return self._ledger.begin(*what, unseen=unseen)
        except NoSpace:
            try:
                return self._ledger.begin_anew(*what, unseen=unseen, counted=self._counted)
            except NoSpace as error:
                bundled.failed = error
                return None
            finally:
                self._counted = True

    def _drop(self, bundled: Bundled, storing: Storing) -> None:
        """Into a drop-box each goes as a PUT does: what is there shows in nothing."""
        what = bundled.data, bundled.modified, bundled.conditions, bundled.sha256
        try:
            upload, bundled.entry = write_small(self._share, bundled.permit, *what, storing, True)
            bundled.created = upload.created
        except CommonholdError as error:
            bundled.failed = error

    def _place(self, files: Sequence[Bundled], held: ExitStack) -> None:
        with self._share.gather(self._make) as gathered:
            gathered.open_folders(files)  # first: those that are made take room, too
            rooms = [(each, self._room(each)) for each in files if each.failed is None]
            ready = [(each, held.enter_context(storing)) for each, storing in rooms if storing]
            place(gathered, self._ledger, ready)

    def _make(self, path: SharePath) -> None:
        """A folder on the way, if it may be made."""
        if (given := self._folders.get(path.parts)) is None:
            raise Conflict(f"There is no folder “{path}” in {self._share.door.name} to put it in.", "make it first")
        what = self._payer, self._share.door.id, str(path), 0
        try:
            storing = self._ledger.begin(*what)
        except NoSpace:
            storing = self._ledger.begin_anew(*what)
        with storing, suppress(Taken):
            make_folder(self._share, given, Conditions(tokens=self._tokens), storing, False)
