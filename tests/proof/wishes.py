"""Every kind of request that changes something, as one line of a table: what is asked, and what is there afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from commonhold.files.batch import END, FILES, MAGIC, Sent, pack

Shelf: TypeAlias = dict[str, bytes | None]
"""What lies in a folder: content by path, None for a folder."""

HISTORY, UNDO = "/history/", "/undo/"
SMALL, LARGE = 3_000, 700_000  # bytes: one that is taken into memory, and one that is written as it comes


@dataclass(frozen=True)
class Wish:
    """One request."""

    method: str
    path: str
    after: Shelf  # what is there when it was acknowledged
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    to: str = ""  # where it is moved or copied to
    root: str = "/dav/"

    def trouble(self, answered: bytes) -> str:
        """What an answer that seems good says of what could not be done."""
        if self.root != UNDO:
            return ""
        (change,) = json.loads(answered)
        return str(change["reason"])

    def allows(self, before: Shelf, found: Shelf, heard: bytes) -> bool:
        """Whether that may be there when only so much of the answer was heard: all of it happened, or nothing."""
        return found in (before, self.after)


@dataclass(frozen=True)
class Batch(Wish):
    """Many files in one request: each happens or not, and a line of the answer says of each that it did."""

    paths: tuple[str, ...] = ()

    def allows(self, before: Shelf, found: Shelf, heard: bytes) -> bool:
        lines = [json.loads(line) for line in heard.splitlines(keepends=True) if line.endswith(b"\n")]
        sure = {self.paths[line["number"]] for line in lines if line["status"] in {201, 204}}
        for path in {*before, *found, *self.after}:
            old, new, now = (each.get(path, b"nothing") for each in (before, self.after, found))
            if now != new and (path in sure or now != old):
                return False
        return True


@dataclass(frozen=True)
class Part(Wish):
    """An upload that can go on: it breaks off after `cut` bytes, or goes on from what has come and ends."""

    token: str = ""
    cut: int = 0


Kind: TypeAlias = Callable[[Random, Shelf], list[Wish]]
"""Requests of one kind, to be sent in this order where that is there; none when they make no sense now."""


def sealed(data: bytes) -> bytes:
    """Content that shows whether it is whole."""
    return hashlib.sha256(data).digest() + data


def whole(content: bytes) -> bool:
    return content[:32] == hashlib.sha256(content[32:]).digest()


def put(dice: Random, there: Shelf, path: str, size: int) -> list[Wish]:
    body = sealed(dice.randbytes(dice.randrange(size)))
    return [Wish("PUT", path, {**there, path: body}, body, chunked=dice.random() < 0.5)]


def put_new(dice: Random, there: Shelf, size: int = SMALL) -> list[Wish]:
    return put(dice, there, _new(dice, there), size)


def put_new_large(dice: Random, there: Shelf) -> list[Wish]:
    return put_new(dice, there, LARGE)


def overwrite(dice: Random, there: Shelf, size: int = SMALL) -> list[Wish]:
    return [wish for path in _some(dice, _files(there)) for wish in put(dice, there, path, size)]


def overwrite_large(dice: Random, there: Shelf) -> list[Wish]:
    return overwrite(dice, there, LARGE)


def mkdir(dice: Random, there: Shelf) -> list[Wish]:
    path = _new(dice, there)
    return [Wish("MKCOL", path, {**there, path: None})]


def delete(dice: Random, there: Shelf) -> list[Wish]:
    """A file, or a folder with all that is in it."""
    return [Wish("DELETE", path, _without(there, path)) for path in _some(dice, sorted(there))]


def move(dice: Random, there: Shelf, method: str = "MOVE") -> list[Wish]:
    """A file, or a folder with all that is in it, to a new name or in the place of something else."""
    wishes = []
    for path in _some(dice, sorted(there)):
        others = [
            each for each in sorted(there) if not f"{each}/".startswith(f"{path}/") and not path.startswith(f"{each}/")
        ]
        to = dice.choice(others) if others and dice.random() < 0.5 else _new(dice, _without(there, path))
        inside = {f"{to}{each[len(path) :]}": there[each] for each in there if f"{each}/".startswith(f"{path}/")}
        rest = _without(there if method == "COPY" else _without(there, path), to)
        wishes.append(Wish(method, path, rest | inside, to=to))
    return wishes


def copy(dice: Random, there: Shelf) -> list[Wish]:
    return move(dice, there, "COPY")


def bundle(files: dict[str, bytes], there: Shelf) -> Batch:
    frames = [pack(Sent(path, len(data), hashlib.sha256(data).digest()), data) for path, data in files.items()]
    body = b"".join([MAGIC, *frames, END])
    return Batch("POST", "", {**there, **files}, body, {"Content-Type": FILES}, paths=tuple(files))


def batch(dice: Random, there: Shelf) -> list[Wish]:
    """Some new ones, some in the place of others, and a folder on the way."""
    folder = _new(dice, there)
    paths = {_new(dice, there), *_some(dice, _files(there)), *(f"{folder}/{number}" for number in range(4))}
    return [
        bundle({path: sealed(dice.randbytes(dice.randrange(SMALL))) for path in sorted(paths)}, {**there, folder: None})
    ]


def restore(dice: Random, there: Shelf) -> list[Wish]:
    """What was there until it was overwritten or deleted."""
    return [
        wish
        for first in dice.choice([overwrite, overwrite_large, delete])(dice, there)
        for wish in (first, back(first.path, there, HISTORY))
    ]


def undo(dice: Random, there: Shelf) -> list[Wish]:
    """Whatever was done, and of a move over something both steps of it."""
    wishes = []
    for done in dice.choice([put_new, overwrite, overwrite_large, mkdir, delete, move])(dice, there):
        moved = _without(there, done.to) if done.to else there
        wishes += [done, back(done.path, moved, UNDO)]
        wishes += [back(done.to, there, UNDO)] if done.to in there else []
    return wishes


def back(path: str, before: Shelf, root: str) -> Wish:
    return Wish("POST", path, before, b"{}", {"Content-Type": "application/json"}, root=root)


def resume(dice: Random, there: Shelf) -> list[Wish]:
    """An upload that breaks off, and goes on."""
    path, body = f"{dice.randrange(16**6):06x}", sealed(dice.randbytes(dice.randrange(1, LARGE)))
    token, cut = f"{dice.getrandbits(128):032x}", dice.randrange(1, len(body))
    return [
        Part("PUT", path, there, body, token=token, cut=cut),
        Part("PUT", path, {**there, path: body}, body, token=token),
    ]


CHANGES = (put_new, put_new_large, overwrite, overwrite_large, mkdir, delete, batch, move, copy)
KINDS: dict[str, Kind] = {kind.__name__: kind for kind in (*CHANGES, restore, undo, resume)}


def drawn(dice: Random, there: Shelf) -> list[Wish]:
    """Some requests that make sense now; folders neither stay empty nor grow without end."""
    kinds = [KINDS["delete"]] if len(there) > 30 else list(KINDS.values())
    while True:
        if wishes := dice.choice(kinds)(dice, there):
            return wishes


def _new(dice: Random, there: Shelf) -> str:
    folder = dice.choice(["", *(f"{path}/" for path, content in sorted(there.items()) if content is None)])
    return f"{folder}{dice.randrange(16**6):06x}"


def _files(there: Shelf) -> list[str]:
    return sorted(path for path, content in there.items() if content is not None)


def _some(dice: Random, paths: list[str]) -> list[str]:
    return [dice.choice(paths)] if paths else []


def _without(there: Shelf, path: str) -> Shelf:
    return {each: content for each, content in there.items() if each != path and not each.startswith(f"{path}/")}
