"""How files and folders read in the answer to a PROPFIND (RFC 4918, 9.1 and 15). *Pure.*

A folder may have a hundred thousand of them, so each question is made a form, once: the text that is the same for
all, and columns in between. A column is made for many things at a time, and what they read is put together at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from commonhold.files.entry import DiskStatus, etag_for
from commonhold.files.lockwords import SUPPORTED
from commonhold.files.multistatus import DAV, QUOTA, Question, content_type, element, texts
from commonhold.files.webdav import date_of, timestamp_of

Told: TypeAlias = Mapping[str, str]  # dead properties: name, as ElementTree writes it -> the element


class Lines(NamedTuple):
    """Things of one kind that are to be told of; a column has something for each of them."""

    addresses: Sequence[str]  # percent-encoded
    names: Sequence[str]
    statuses: Sequence[DiskStatus] = ()  # of shares none
    above: str = ""  # the folder that has these names: its path in the share, and a slash
    locks: Callable[[str], str] = lambda _: "<D:lockdiscovery/>"  # the property of that name, by path
    told: Mapping[str, Told] = MappingProxyType({})  # dead properties, by name
    room: tuple[int, int] = (0, 0)  # bytes that whoever asks may still store, and has stored (RFC 4331)


Column: TypeAlias = Callable[[Lines], Sequence[str]]
Part: TypeAlias = str | Column  # what is told of all, or of each
Thing: TypeAlias = Literal["file", "folder", "share"]


def _names(lines: Lines) -> Sequence[str]:
    return texts(lines.names)


def _sizes(lines: Lines) -> Sequence[str]:
    return [str(status.st_size) for status in lines.statuses]


def _modified(lines: Lines) -> Sequence[str]:
    return [date_of(status.st_mtime_ns // 10**9) for status in lines.statuses]


def _created(lines: Lines) -> Sequence[str]:
    # No file system tells it everywhere; clients take it for display only.
    return [timestamp_of(status.st_mtime_ns // 10**9) for status in lines.statuses]


def _etags(lines: Lines) -> Sequence[str]:
    return [etag_for(status) for status in lines.statuses]


def _types(lines: Lines) -> Sequence[str]:
    return [content_type(name) for name in lines.names]


def _locks(lines: Lines) -> Sequence[str]:
    return [lines.locks(lines.above + name) for name in lines.names]


def _dead(lines: Lines) -> Sequence[str]:
    return ["".join(lines.told[name].values()) if name in lines.told else "" for name in lines.names]


def _available(lines: Lines) -> Sequence[str]:
    return [str(lines.room[0])] * len(lines.names)


def _used(lines: Lines) -> Sequence[str]:
    return [str(lines.room[1])] * len(lines.names)


def _addresses(lines: Lines) -> Sequence[str]:
    return lines.addresses


def _each(name: str, column: Column, quote: str = "") -> tuple[Part, ...]:
    return f"<D:{name}>{quote}", column, f"{quote}</D:{name}>"


_NAME = {"displayname": _each("displayname", _names)}
_DATED = {
    "getlastmodified": _each("getlastmodified", _modified),
    "getetag": _each("getetag", _etags, '"'),
    "creationdate": _each("creationdate", _created),
    "lockdiscovery": ("", _locks, ""),
    "supportedlock": (SUPPORTED,),
}
_FOLDER = {"resourcetype": ("<D:resourcetype><D:collection/></D:resourcetype>",)}
_FILE = {
    "resourcetype": ("<D:resourcetype/>",),
    "getcontentlength": _each("getcontentlength", _sizes),
    "getcontenttype": _each("getcontenttype", _types),
}
# What things have, and how it reads.
HAS: Mapping[Thing, Mapping[str, tuple[Part, ...]]] = {
    "file": _FILE | _NAME | _DATED,
    "folder": _FOLDER | _NAME | _DATED,
    "share": _FOLDER | _NAME,
}
LIVE = frozenset(f"{DAV}{name}" for name in (*HAS["file"], *HAS["folder"], *QUOTA))  # what nobody else can give
_ROOM = {name: _each(name, column) for name, column in zip(QUOTA, (_available, _used), strict=True)}


class Form:
    """The answer to a question, for things of one kind."""

    def __init__(self, question: Question, kind: Thing) -> None:
        self._question = question
        has = {**HAS[kind], **(_ROOM if kind == "folder" and question.for_quota else {})}
        self._has = {f"{DAV}{name}": parts for name, parts in has.items()}
        self._parts = self._filled({})

    def fill(self, lines: Lines) -> str:
        """A response element for each of them, in their order."""
        if self._question.everything or not any(lines.told.values()):
            return _together(self._parts, lines)
        return "".join(
            _together(self._filled(lines.told[name]) if name in lines.told else self._parts, _only(lines, number))
            for number, name in enumerate(lines.names)
        )

    def _filled(self, told: Told) -> Sequence[Part]:
        """The whole element; with the dead properties of the one that it is for."""
        found, missing = self._split(told)
        parts: list[Part] = ["<D:response><D:href>", _addresses, "</D:href>"]
        if found:
            parts += ["<D:propstat><D:prop>", *found, "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"]
        if missing or not found:
            parts += [f"<D:propstat><D:prop>{missing}</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>"]
        return _in_turns([*parts, "</D:response>\n"])

    def _split(self, told: Told) -> tuple[list[Part], str]:
        """What is found of that which was asked for, and what is missing."""
        if self._question.names_only:
            return [element(tag) for tag in chain(self._has, told)], ""
        if (asked := self._question.named) is None:
            return [*chain.from_iterable(self._has.values()), _dead], ""
        found = chain.from_iterable(self._has.get(tag) or (told.get(tag, ""),) for tag in asked)
        missing = (element(tag) for tag in asked if tag not in self._has and tag not in told)
        return [part for part in found if part], "".join(missing)


def beyond(question: Question) -> bool:
    """Whether it may ask for what others have given, which has to be looked up."""
    return question.named is None or not LIVE.issuperset(question.named)


@lru_cache(maxsize=128)
def form(question: Question, kind: Thing) -> Form:
    """Programs ask the same thousands of times."""
    return Form(question, kind)


def _in_turns(parts: Iterable[Part]) -> Sequence[Part]:
    """The same with one text before each column and one at the end."""
    turns: list[Part] = []
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        else:
            turns += [text, part]
            text = ""
    return [*turns, text]


def _together(parts: Sequence[Part], lines: Lines) -> str:
    """Each of the parts for the first line, then for the second: put in their places by slices, nothing is copied."""
    width, count = len(parts), len(lines.names)
    pieces = [""] * (width * count)
    for place, part in enumerate(parts):
        pieces[place::width] = [part] * count if isinstance(part, str) else part(lines)
    return "".join(pieces)


def _only(lines: Lines, number: int) -> Lines:
    one = slice(number, number + 1)
    return lines._replace(addresses=lines.addresses[one], names=lines.names[one], statuses=lines.statuses[one])
