"""The shares of another computer, seen from here: a WebDAV client over `transport.Caller`.

What comes from the other computer is checked before it is used: names become SharePaths, and an
entry that does not lie where it was asked for is no entry.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

import aiohttp

from commonhold.authority.authority import ROOT
from commonhold.authority.gate import PASS_HEADER
from commonhold.errors import (
    Changed,
    CommonholdError,
    Conflict,
    Damaged,
    PartlyFailed,
    Refused,
    Unreachable,
    WrongUsage,
)
from commonhold.files import webdav
from commonhold.files.entry import Entry, Kind
from commonhold.files.multistatus import QUESTION, Answer, AnswerReader
from commonhold.files.used.pace import Pace
from commonhold.files.used.together import each
from commonhold.names import LONGEST_COMPONENT, LONGEST_PATH, SharePath, harmless
from commonhold.transport import Caller, Peer

FOLDERS_AT_ONCE = 8  # listings under way when a whole tree is listed
CHUNK = 2**20


class Written(NamedTuple):
    """What the other computer says of a file that it has stored."""

    sha256: bytes | None
    etag: str  # empty when it does not say


class Unsent(NamedTuple):
    """What is left of an upload: by which token the other computer knows it, and how many bytes it has."""

    token: str
    first: int

    def headers(self, size: int) -> dict[str, str]:
        span = f"bytes {self.first}-{size - 1}/{size}"
        return {"Upload-Token": self.token, "Content-Range": span, "Content-Length": str(size - self.first)}


@dataclass(frozen=True, slots=True)
class Remote:
    """One share of another computer; under a pass if there is one. Methods raise what that computer reports,

    and Unreachable and Damaged.
    """

    caller: Caller
    peer: Peer
    share: str  # empty: the list of its shares
    pass_id: str = ""
    pace: Pace | None = None  # the limit on bytes a second, if there is one

    def request(
        self,
        method: str,
        path: SharePath,
        headers: Mapping[str, str] | None = None,
        data: bytes | AsyncIterable[bytes] | None = None,
        ok: Collection[int] = (),
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        sent = {**(headers or {}), **({PASS_HEADER: self.pass_id} if self.pass_id else {})}
        if method == "GET":  # it is asked for at the end, or comes with the answer
            sent["Want-Repr-Digest"] = "sha-256=10"
        address = webdav.href(self.share, str(path))
        if self.pace and data:
            if isinstance(data, bytes):
                sent.setdefault("Content-Length", str(len(data)))
            data = self.pace.slowed(data)
        return self.caller.request(self.peer, method, address, headers=sent, data=data, ok=ok)

    def pieces(self, answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body of an answer as it comes, not faster than it may."""
        return answer.content.iter_any() if self.pace is None else self._slow(answer, self.pace)

    async def _slow(self, answer: aiohttp.ClientResponse, pace: Pace) -> AsyncIterator[bytes]:
        async for piece in answer.content.iter_any():
            await pace(len(piece))
            yield piece

    async def stat(self, path: SharePath) -> Entry:
        """The file or folder there. Raises NotFound, Refused."""
        only, *_ = [entry async for entry in self._propfind(path, 0)]
        return only

    async def ls(
        self,
        path: SharePath,
        recursive: bool = False,
        failed: Callable[[str, CommonholdError], None] | None = None,
    ) -> list[Entry]:
        """What lies in the folder, by name; of a file itself. `recursive`: with all folders in it, too.

        A folder in it that cannot be listed is told to `failed`; without that its error is raised.
        """
        found = [entry async for entry in self._propfind(path, 1)]
        own, *inner = found
        if own.kind == "file":
            return [own]
        level = inner
        while recursive and (folders := [entry for entry in level if entry.kind == "folder"]):
            level = []

            async def look(folder: Entry, into: list[Entry] = level) -> None:
                try:
                    into.extend([e async for e in self._propfind(SharePath.parse(folder.path), 1)][1:])
                except Unreachable:
                    raise
                except CommonholdError as error:
                    if failed is None:
                        raise
                    failed(folder.path, error)

            await each(folders, look, FOLDERS_AT_ONCE)
            inner += level
        return sorted(inner, key=lambda entry: entry.path)

    async def walk(self, path: SharePath, recursive: bool = False) -> AsyncGenerator[Entry, None]:
        """As `ls`, in no order, and as it is told: nothing is gathered but the names of folders."""
        first = await self.stat(path)
        if first.kind == "file":
            yield first
        folders = [path] if first.kind != "file" else []
        while folders:
            async for entry in self.entries(folders.pop()):
                yield entry
                if recursive and entry.kind == "folder":
                    folders.append(SharePath.parse(entry.path))

    async def entries(self, path: SharePath) -> AsyncGenerator[Entry, None]:
        """What lies in the folder as it is told, in no order: nothing is gathered. Of a file nothing."""
        first = True
        async for entry in self._propfind(path, 1):
            if not first:
                yield entry
            first = False

    async def _propfind(self, path: SharePath, depth: int) -> AsyncIterator[Entry]:
        """The thing itself, then with depth 1 what lies in it."""
        reader, count, inner = AnswerReader(), 0, _Inner(self.share, path)
        headers = {"Depth": str(depth), "Content-Type": "application/xml"}
        async with self.request("PROPFIND", path, headers, QUESTION) as answer:
            async for piece in answer.content.iter_any():
                for item in reader.feed(piece):
                    yield (inner(item) if count else None) or self._entry(item, path, own=not count)
                    count += 1
            reader.finish()
        if not count:
            raise Damaged(f"{self.peer.name} answered with an empty listing.")

    def _entry(self, item: Answer, asked: SharePath, own: bool) -> Entry:
        try:
            share, path = webdav.target(item.address)
            if not self.share and share and not path.parts:
                share, path = "", SharePath((share,))
        except WrongUsage as error:
            raise Damaged(f"{self.peer.name} lists a name that can't be one.") from error
        right = path == asked if own else len(path.parts) == len(asked.parts) + 1 and path.within(asked)
        if share.casefold() != self.share.casefold() or not right:
            raise Damaged(f"{self.peer.name} lists what was not asked for.")
        kind: Kind = "file" if not item.folder else "folder" if self.share else "share"
        return Entry(str(path), kind, item.size, item.modified, item.etag)

    async def read(self, path: SharePath) -> AsyncGenerator[bytes, None]:
        """The bytes of a file as they come; Damaged at the end when they were not right."""
        digest = hashlib.sha256()
        async with self.request("GET", path) as answer:
            etag, expected = etag_of(answer), webdav.parse_digest(answer.headers.get("Repr-Digest"))
            async for piece in answer.content.iter_chunked(CHUNK):
                digest.update(piece)
                yield piece
        if expected is None:
            with suppress(Changed):  # replaced since: what came was whole, TLS vouches for it, and nobody can compare
                expected = await self.digest(path, etag)
        if expected not in {None, digest.digest()}:
            raise Damaged(f"“{path}” arrived damaged.", "get it again")

    async def digest(self, path: SharePath, etag: str) -> bytes | None:
        """The SHA-256 that the other computer finds. Raises Changed when the file is another meanwhile."""
        headers = {"Want-Repr-Digest": "sha-256=10", "If-Match": f'"{etag}"'}
        try:
            async with self.request("HEAD", path, headers) as answer:
                return webdav.parse_digest(answer.headers.get("Repr-Digest"))
        except Refused:
            async with self.request("GET", path, {"Range": "bytes=0-0"}):  # no answer to HEAD says why
                raise

    async def write(
        self,
        path: SharePath,
        data: bytes | AsyncIterable[bytes],
        size: int,
        etag: str = "",
        sha256: bytes | None = None,
        modified: int | None = None,
        part: Unsent | None = None,
    ) -> Written:
        """Make it the file there. An iterable gives exactly `size` bytes.

        It replaces the file of that etag, or none: raises Changed. `sha256` is checked before anything changes.
        `part`: `data` is only what is unsent of it. `modified`: the time of change that it is to have, in
        nanoseconds since 1970.
        """
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        if part is not None:
            headers |= part.headers(size)
        headers |= {"If-Match": f'"{etag}"'} if etag else {"If-None-Match": "*"}
        if sha256:
            headers["Repr-Digest"] = webdav.digest_header(sha256)
        if modified is not None:
            headers["X-OC-Mtime"] = webdav.mtime_header(modified)
        if not isinstance(data, bytes):
            headers["Expect"] = "100-continue"  # a refusal comes before the bytes
        async with self.request("PUT", path, headers, data) as answer:
            return Written(webdav.parse_digest(answer.headers.get("Repr-Digest")), etag_of(answer))

    async def upload_offset(self, path: SharePath, token: str, size: int) -> int | None:
        """How many bytes of that upload have come; None where uploads don't go on. Raises what a PUT would."""
        headers = {"Upload-Token": token, "Content-Range": f"bytes */{size}"}
        async with self.request("PUT", path, headers, ok=(400, 501)) as answer:
            offset = answer.headers.get("Upload-Offset", "")
        return int(offset) if re.fullmatch("[0-9]{1,18}", offset) and int(offset) < size else None

    async def mkdir(self, path: SharePath, exist_ok: bool = False) -> bool:
        """Make a folder; whether it is new. Raises Conflict when it exists, or nothing to put it in does."""
        async with self.request("MKCOL", path, ok=(405,) if exist_ok else ()) as answer:
            return answer.status != 405

    async def relocate(
        self, method: Literal["COPY", "MOVE"], path: SharePath, share: str, goal: SharePath, etag: str = ""
    ) -> bool:
        """Copy or move what is there to `goal` of a share of the same computer; whether that computer can.

        It takes the place of the file of that etag, or of none: raises Changed. PartlyFailed when something in a
        folder could not be read, and is not in the copy.
        """
        headers = {"Destination": webdav.href(share, str(goal)), "Overwrite": "T" if etag else "F"}
        if etag:
            headers["If"] = f'<{headers["Destination"]}> (["{etag}"])'
        async with self.request(method, path, headers, ok=(405,)) as answer:
            if answer.status == 207:
                raise PartlyFailed(f"Some of what is in “{path}” could not be read; the rest was copied.")
            return answer.status != 405

    async def rm(self, path: SharePath, recursive: bool = False) -> None:
        """Delete a file; with `recursive` a folder and all in it, too."""
        etag = ""
        if not recursive and path.parts:  # of a share itself the other computer says why not
            entry = await self.stat(path)
            if entry.kind != "file":
                raise WrongUsage(f"“{path}” is a folder.", "delete it and all that is in it with -r")
            etag = entry.etag
        await self.remove(path, etag)

    async def remove(self, path: SharePath, etag: str = "") -> None:
        """Delete what is there, a folder with all that is in it; with `etag` only a file that is still that one."""
        async with self.request("DELETE", path, {"If-Match": f'"{etag}"'} if etag else {}):
            pass


class _Inner:
    """Reads answers that tell of something in a folder: most names are harmless at a glance."""

    def __init__(self, share: str, folder: SharePath) -> None:
        self._before = webdav.href(share, str(folder), folder=True)
        self._above = f"{folder}/" if folder.parts else ""
        self._sound = bool(share) and len(self._above.encode()) + LONGEST_COMPONENT <= LONGEST_PATH

    def __call__(self, item: Answer) -> Entry | None:
        """None: it needs a closer look."""
        if not self._sound or not item.address.startswith(self._before):
            return None
        name = item.address[len(self._before) :].removesuffix("/").replace("%20", " ")
        try:
            name = webdav.decoded(name) if "%" in name else name
        except WrongUsage:
            return None
        if not harmless(name):
            return None
        kind: Kind = "folder" if item.folder else "file"
        return Entry(self._above + name, kind, item.size, item.modified, item.etag)


def etag_of(answer: aiohttp.ClientResponse) -> str:
    """The strong etag of an answer, without quotes; empty when there is none."""
    try:
        return next(iter(webdav.parse_etags(answer.headers.get("ETag"), weak=False) or ()), "")
    except WrongUsage:
        return ""


async def shares(caller: Caller, peer: Peer) -> list[Entry]:
    """The shares in which one may list or add."""
    return await Remote(caller, peer, "").ls(ROOT)


async def ls(caller: Caller, peer: Peer, share: str, path: SharePath, recursive: bool = False) -> list[Entry]:
    """What lies in a folder of a share, by path; of a file itself."""
    return await Remote(caller, peer, share).ls(path, recursive)


def read(caller: Caller, peer: Peer, share: str, path: SharePath) -> AsyncIterator[bytes]:
    """The bytes of a file as they come; raises Damaged at the end when they were not right."""
    return Remote(caller, peer, share).read(path)


async def mkdir(caller: Caller, peer: Peer, share: str, path: SharePath, parents: bool = False) -> None:
    """Make a folder; with `parents` those above it too, and then it may exist. Raises Conflict."""
    there = Remote(caller, peer, share)
    if not parents:
        await there.mkdir(path)
        return
    for length in range(1, len(path.parts) + 1):
        await there.mkdir(SharePath(path.parts[:length]), exist_ok=True)
    if (await there.stat(path)).kind == "file":
        raise Conflict(f"“{path}” is a file.", "choose another name")


async def rm(caller: Caller, peer: Peer, share: str, path: SharePath, recursive: bool = False) -> None:
    """Delete a file; with `recursive` a folder and all in it, too."""
    await Remote(caller, peer, share).rm(path, recursive)
