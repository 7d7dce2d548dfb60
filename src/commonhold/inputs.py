"""What a person named as a job's inputs: files and folders here and at other computers, globs, and plain values.

Remote files are looked for before anything runs: many in one folder by one listing, not by a question for each.
"""

from __future__ import annotations

import asyncio
import glob
import itertools
import mimetypes
import os
import re
import stat
import unicodedata
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from commonhold.compute.job import MOST_INPUTS, Found, Input, file_inputs
from commonhold.errors import NotFound, Refused, WrongUsage
from commonhold.files.used.globs import WILD, is_glob, named
from commonhold.files.used.ignoring import Ignoring
from commonhold.files.used.remote import Remote
from commonhold.files.used.together import each
from commonhold.names import HIDDEN, RemotePath, SharePath, folded
from commonhold.transport import Caller, Peer

AT_ONCE = 8  # questions to other computers
FEW = 4  # files of one folder that are asked for one by one; of more the folder is listed
MOST_DOUBTS = 3  # that are told
LONGEST_DOUBT = 200  # characters of a value that may be meant as a path
LOOK = "look with commonhold ls"


class Inputs:
    """Makes inputs of words."""

    def __init__(self, caller: Caller, find: Callable[[str], Awaitable[Peer]], computers: Sequence[str]) -> None:
        """`find` says where a computer is; `computers` are the network's: only their names begin a remote path."""
        self._caller = caller
        self._find = find
        self._computers = {folded(name): name for name in computers}
        self._ignoring = Ignoring()
        self.doubts: list[str] = []  # values that look as if a file had been meant

    async def of(self, words: Sequence[str]) -> tuple[Input, ...]:
        """Remote files (globs expanded there), files that are here, else plain values; in the order given.

        Of a folder it is all files below it. Raises NotFound for a remote file that is not there, and for a glob or
        folder that holds none; WrongUsage for too many.
        """
        pieces: list[list[Found] | None] = [None] * len(words)
        remote = {place: target for place, word in enumerate(words) if (target := self._target(word))}
        await asyncio.to_thread(self._look_here, words, frozenset(remote), pieces)
        await self._look_there(remote, pieces)
        known = iter(file_inputs([found for piece in pieces if piece is not None for found in piece]))
        made: list[Input] = []
        for word, piece in zip(words, pieces, strict=True):
            made += [Input("value", word)] if piece is None else [next(known) for _ in piece]
        if len(made) > MOST_INPUTS:
            raise _too_many()
        values = (word for word, piece in zip(words, pieces, strict=True) if piece is None)
        self.doubts = list(itertools.islice(filter(None, map(doubt, values)), MOST_DOUBTS))
        return tuple(made)

    def _target(self, word: str) -> RemotePath | None:
        computer, colon, rest = word.partition(":")
        known = self._computers.get(folded(computer)) if colon else None
        if known is None:
            return None
        target = RemotePath.parse(f"{known}:{rest}")
        if not target.share:
            raise WrongUsage(f"{target} is a computer, and no file.", f"name a folder or files: {target}SHARE/PATH")
        return target

    # Here

    def _look_here(self, words: Sequence[str], but: frozenset[int], pieces: list[list[Found] | None]) -> None:
        for place, word in enumerate(words):
            if word and place not in but:
                pieces[place] = self._here(word)

    def _here(self, word: str) -> list[Found] | None:
        """The files that a word names, or None for a plain value."""
        try:
            path = os.path.abspath(os.path.expanduser(word))  # noqa: PTH100, PTH111 - of each of 100,000
            mode = os.stat(path).st_mode  # noqa: PTH116
        except (OSError, ValueError):  # not there, too long for a path, or with a NUL
            return self._fitting(word) if WILD & set(word) else None
        if stat.S_ISDIR(mode):
            parts = Path(path).parts[1:]
            return self._below(word, path, len(parts))
        return [_local(path)] if stat.S_ISREG(mode) else None

    def _fitting(self, word: str) -> list[Found] | None:
        """The files that a glob fits here; one that fits none is a value."""
        with suppress(OSError, ValueError):
            paths = sorted(map(os.path.abspath, glob.glob(os.path.expanduser(word), recursive=True)))  # noqa: PTH111, PTH207
            return [_local(path) for path in paths if os.path.isfile(path)] or None  # noqa: PTH113
        return None

    def _below(self, word: str, folder: str, depth: int) -> list[Found]:
        found = []
        for path in self._walk(folder, ""):
            found.append(_local(path, depth))
            if len(found) > MOST_INPUTS:
                raise _too_many()
        if not found:
            raise NotFound(f"There is no file in {word}.", "links, and what systems strew into folders, are left out")
        return sorted(found)

    def _walk(self, folder: str, below: str) -> Iterator[str]:
        """Regular files; links are not followed."""
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    inner = entry.is_dir(follow_symlinks=False)
                    if entry.name.casefold() == HIDDEN or self._ignoring(below + entry.name, inner):
                        continue
                    if inner:
                        yield from self._walk(entry.path, f"{below}{entry.name}/")
                    elif entry.is_file(follow_symlinks=False):
                        yield entry.path
        except OSError as error:
            raise NotFound(f"{folder} cannot be read: {error.strerror}.") from error

    # At other computers

    async def _look_there(self, remote: dict[int, RemotePath], pieces: list[list[Found] | None]) -> None:
        globs: list[int] = []
        folders: dict[tuple[str, str, SharePath], list[int]] = {}
        for place, target in remote.items():
            if is_glob(target.path):
                globs.append(place)
            else:
                above = target.path.parent if target.path.parts else SharePath()
                folders.setdefault((target.computer, target.share, above), []).append(place)

        async def fit(place: int) -> None:
            pieces[place] = await self._matching(remote[place])

        async def look(places: list[int]) -> None:
            for place, found in zip(places, await self._together([remote[p] for p in places]), strict=True):
                pieces[place] = found

        await each(globs, fit, AT_ONCE)
        await each(folders.values(), look, AT_ONCE)

    async def _matching(self, target: RemotePath) -> list[Found]:
        there = await self._share(target)
        entries = named(there, target.path)
        found = [_remote(target, SharePath.parse(entry.path)) async for entry in entries if entry.kind == "file"]
        if not found:
            raise NotFound(f"No file of {target.computer} fits {target.share}/{target.path}.", LOOK)
        return sorted(found)

    async def _together(self, targets: list[RemotePath]) -> list[list[Found]]:
        """What lies in one folder, or is one by itself."""
        there = await self._share(targets[0])
        kinds: dict[str, str] = {}
        if len(targets) > FEW:
            with suppress(Refused, NotFound):  # each hears what is said of it
                async for entry in there.entries(targets[0].path.parent):
                    kinds[unicodedata.normalize("NFC", entry.path)] = entry.kind
        found = []
        for target in targets:
            kind = kinds.get(unicodedata.normalize("NFC", str(target.path)))
            kind = kind or (await there.stat(target.path)).kind
            found.append([_remote(target, target.path)] if kind == "file" else await self._tree(there, target))
        return found

    async def _tree(self, there: Remote, folder: RemotePath) -> list[Found]:
        depth = len(folder.path.parts)
        found = []
        async for entry in there.walk(folder.path, recursive=True):
            path = SharePath.parse(entry.path)
            if entry.kind == "file" and not self._ignoring("/".join(path.parts[depth:]), False):
                found.append(_remote(folder, path, depth))
                if len(found) > MOST_INPUTS:
                    raise _too_many()
        if not found:
            raise NotFound(f"There is no file in {folder}.", LOOK)
        return sorted(found)

    async def _share(self, target: RemotePath) -> Remote:
        return Remote(self._caller, await self._find(target.computer), target.share)


def doubt(value: str) -> str:
    """What is odd about a plain value that looks as if a file had been meant; nothing of most."""
    computer, colon, path = value.partition(":")
    if colon and re.fullmatch(r"[\w-]+", computer) and re.fullmatch(r"[^/\s]+/.*", path):
        return f"There is no computer {computer} in the network: “{value}” is taken as a plain value."
    if "://" in value or len(value) > LONGEST_DOUBT or not value.isprintable():
        return ""
    if WILD & set(value) and {"/", "."} & set(value):
        return f"No file here fits “{value}”: it is taken as a plain value."
    near = "/" in value.strip("/") and os.path.isdir(os.path.dirname(os.path.expanduser(value)))  # noqa: PTH111, PTH112, PTH120
    if near or ("/" not in value and _types().guess_type(value)[0]):
        return f"There is no file “{value}” here: it is taken as a plain value."
    return ""


@cache
def _types() -> mimetypes.MimeTypes:
    """Python's own: a system's know `.com`, too, and a host is no file."""
    return mimetypes.MimeTypes()


def _local(path: str, depth: int | None = None) -> Found:
    parts = tuple(path.split("/")[1:])
    return "local", path, parts, len(parts) - 1 if depth is None else depth


def _remote(target: RemotePath, path: SharePath, depth: int | None = None) -> Found:
    parts = (target.computer, target.share, *path.parts)
    whole = str(RemotePath(target.computer, target.share, path))
    return "remote", whole, parts, len(parts) - 1 if depth is None else depth + 2


def _too_many() -> WrongUsage:
    return WrongUsage(f"A job takes at most {MOST_INPUTS} inputs.", "make several jobs of it")
