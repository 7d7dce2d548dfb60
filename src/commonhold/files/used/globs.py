"""Globs at another computer: `tower:photos/**/*.jpg`. The same for every command that takes remote paths."""

from __future__ import annotations

import fnmatch
import unicodedata
from collections.abc import AsyncGenerator

from commonhold.errors import NotFound, WrongUsage
from commonhold.files.entry import Entry
from commonhold.files.used.remote import Remote
from commonhold.names import SharePath

WILD = frozenset("*?[")


def is_glob(path: SharePath) -> bool:
    return any(WILD & set(part) for part in path.parts)


async def named(there: Remote, path: SharePath) -> AsyncGenerator[Entry, None]:
    """What is at `path`; of a glob all that fits, in no order, as it is found: listings are not kept.

    A folder that fits comes by itself, and then nothing that lies in it. Raises NotFound when nothing fits, and a
    folder that cannot be listed is an error: whoever names by glob relies upon having named all.
    """
    try:
        only = await there.stat(path)
    except (NotFound, WrongUsage):
        if not is_glob(path):
            raise
    else:  # a name may have a star in it: what is there is meant
        yield only
        return
    found = False
    async for entry in _fitting(there, SharePath(), path.parts):
        found = True
        yield entry
    if not found:
        raise NotFound(f"Nothing of {there.peer.name} matches {there.share}/{path}.", "look with commonhold ls")


async def _fitting(there: Remote, top: SharePath, patterns: tuple[str, ...]) -> AsyncGenerator[Entry, None]:
    fixed = 0
    while not WILD & set(patterns[fixed]):
        fixed += 1
    top = SharePath((*top.parts, *patterns[:fixed]))
    deep = len(patterns) > fixed + 1
    folders = [top]
    while folders:
        async for entry in there.entries(folders.pop()):
            parts = SharePath.parse(entry.path).parts
            if fits(parts[len(top.parts) :], patterns[fixed:]):
                yield entry
            elif deep and entry.kind == "folder" and _leads(parts[len(top.parts) :], patterns[fixed:]):
                folders.append(SharePath(parts))


def matches(path: str, pattern: str) -> bool:
    """Whether a path fits a glob, component by component, in NFC; `**` stands for any number of folders.

    >>> matches("a/b/c.py", "a/**/*.py"), matches("a/c.py", "a/**/*.py"), matches("a/b/c.py", "a/*.py")
    (True, True, False)
    """
    return fits(tuple(path.split("/")), tuple(pattern.split("/")))


def fits(parts: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    """`matches`, of components."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return fits(parts, patterns[1:]) or (bool(parts) and fits(parts[1:], patterns))
    return bool(parts) and _alike(parts[0], patterns[0]) and fits(parts[1:], patterns[1:])


def _leads(folder: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    """Whether something below the folder could fit."""
    for part, pattern in zip(folder, patterns, strict=False):
        if pattern == "**":
            return True
        if not _alike(part, pattern):
            return False
    return len(folder) < len(patterns)


def _alike(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", pattern))
