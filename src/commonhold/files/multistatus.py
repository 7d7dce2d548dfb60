"""Listings on the wire: PROPFIND and its answer, 207 Multi-Status (RFC 4918, sections 9.1 and 13). *Pure.*

What things read in it is in files/listing.py. What comes from others is read by defusedxml: no entity, no external
reference, no bomb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from http import HTTPStatus
from mimetypes import MimeTypes
from posixpath import splitext
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape, quoteattr

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from commonhold.errors import CommonholdError, Damaged, WrongUsage
from commonhold.files.webdav import parse_date, parse_etags

LONGEST_QUESTION = 65_536  # bytes of a PROPFIND body
USUAL_QUESTION = 4096  # bytes of one that is remembered
LONGEST_LINE = 65_536  # bytes of an answer that is read without a parser
MOST_PROPERTIES = 64  # that one question may name: each answer repeats them
LONGEST_NAMES = 8192  # characters of their names together
DAV = "{DAV:}"
HEAD = b'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus xmlns:D="DAV:">\n'
TAIL = b"</D:multistatus>\n"
FINITE_DEPTH = b'<?xml version="1.0" encoding="utf-8"?>\n<D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>\n'

_NO_CHARACTERS = {0xFFFE: "�", 0xFFFF: "�"}  # legal in names, not in XML
_types = MimeTypes()  # the standard library's own table: the same on every machine


def content_type(name: str) -> str:
    """The media type that the name's ending means."""
    dot = name.find(".")
    if dot > 0 and name.rfind(".") == dot:  # most names; `splitext` says the same, five times slower
        return _type_of(name[dot:])
    stem, ending = splitext(name)
    return _type_of(splitext(stem)[1] + ending)


@lru_cache(maxsize=1024)
def _type_of(endings: str) -> str:
    """Of the last two endings, as in `.tar.gz`: looked up once, since a folder has thousands of them."""
    return _types.guess_type(f"x{endings}", strict=False)[0] or "application/octet-stream"


def texts(names: Sequence[str]) -> list[str]:
    """How these names read in XML: all in one go, since listings have thousands. None has a slash."""
    joined = "/".join(names)
    if not joined.isascii():
        joined = joined.translate(_NO_CHARACTERS)
    return escape(joined).split("/") if names else []


QUOTA = ("quota-available-bytes", "quota-used-bytes")


class Question(msgspec.Struct, frozen=True):
    """What a PROPFIND asks: the named properties (in ElementTree's `{namespace}name`), all, or only their names."""

    named: tuple[str, ...] | None = None
    names_only: bool = False
    include: tuple[str, ...] = ()  # beside all

    @property
    def everything(self) -> bool:
        return self.named is None and not self.names_only

    @property
    def for_quota(self) -> bool:
        """By name: who asks for all properties does not mean these (RFC 4331, 2)."""
        return any(f"{DAV}{name}" in (self.named or self.include) for name in QUOTA)


def root_of(body: bytes, longest: int) -> Element:
    """The root of a request's XML, of so many bytes at most. Nothing in it is expanded. Raises WrongUsage."""
    if len(body) > longest:
        raise WrongUsage("The body of the request is too long.")
    try:
        parser = DefusedXMLParser(forbid_dtd=True)
        parser.feed(body)
        root: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise WrongUsage("The body of the request is no XML that can be read.") from error
    return root


def parse_question(body: bytes) -> Question:
    """From the body of a PROPFIND; an empty one asks for all properties. Raises WrongUsage."""
    return _usual(body) if len(body) <= USUAL_QUESTION else _parsed(body)


@lru_cache(maxsize=64)
def _usual(body: bytes) -> Question:
    """Programs ask the same thousands of times."""
    return _parsed(body)


def _parsed(body: bytes) -> Question:
    if not body.strip():
        return Question()
    root = root_of(body, LONGEST_QUESTION)
    if root.tag != f"{DAV}propfind":
        raise WrongUsage("The body of the request is no propfind element.")
    if root.find(f"{DAV}propname") is not None:
        return Question(names_only=True)
    if (prop := root.find(f"{DAV}prop")) is None:
        if root.find(f"{DAV}allprop") is None:
            raise WrongUsage("The propfind element asks for nothing.")
        include = root.find(f"{DAV}include")
        return Question(include=_named(include) if include is not None else ())
    return Question(named=_named(prop))


def _named(prop: Iterable[Any]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(element.tag for element in prop))
    if len(named) > MOST_PROPERTIES or sum(len(element(tag)) for tag in named) > LONGEST_NAMES:
        raise WrongUsage(f"A question names at most {MOST_PROPERTIES} properties, in {LONGEST_NAMES} characters.")
    return named


def failures(each: Iterable[tuple[str, CommonholdError]]) -> bytes:
    """A whole document: of each address the status and sentence of its error (RFC 4918, 9.8.8)."""
    lines = (
        f"<D:response><D:href>{address}</D:href>{status_line(error.status)}"
        f"<D:responsedescription>{escape(error.sentence.translate(_NO_CHARACTERS))}</D:responsedescription>"
        "</D:response>\n"
        for address, error in each
    )
    return b"".join((HEAD, "".join(lines).encode(), TAIL))


def status_line(status: int) -> str:
    return f"<D:status>HTTP/1.1 {status} {HTTPStatus(status).phrase}</D:status>"


def element(tag: str) -> str:
    namespace, _, name = tag.removeprefix("{").rpartition("}")
    if namespace == "DAV:":
        return f"<D:{name}/>"
    return f"<x:{name} xmlns:x={quoteattr(namespace)}/>" if namespace else f'<{name} xmlns=""/>'


class Answer(msgspec.Struct, frozen=True):
    """One response of a listing as it was sent; `address` is not checked yet."""

    address: str
    folder: bool
    size: int
    modified: Any  # datetime | None
    etag: str


class AnswerReader:
    """Reads a 207 answer piece by piece: `feed` gives the responses that are complete. Raises Damaged.

    Nothing of the document is kept, so that a listing of any length takes little memory. Lines that are written as
    our own computers write them to QUESTION need no parser; from the first that is not, it reads all that follows.
    """

    def __init__(self) -> None:
        self._parser = DefusedXMLParser(target=self, forbid_dtd=True)
        self._done: list[Answer] = []
        self._text: list[str] | None = None
        self._fields: dict[str, str] = {}
        self._rest: bytes | None = b""  # what came of a line that is not whole yet; None: the parser reads now
        self._begun = False

    def feed(self, data: bytes) -> list[Answer]:
        try:
            if self._rest is None:
                self._parser.feed(data)
            else:
                self._skim(self._rest + data)
        except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
            raise Damaged("The listing that arrived can't be read.") from error
        done, self._done = self._done, []
        return done

    def _skim(self, data: bytes) -> None:
        """Take from these bytes the lines that need no parser."""
        if not self._begun and data.startswith(HEAD):
            self._parser.feed(HEAD)
            self._begun, data = True, data[len(HEAD) :]
        whole, at = data.rfind(b"\n") + 1 if self._begun else 0, 0
        while at < whole and (line := _OWN_LINE.match(data, at)):
            self._done.append(_skimmed(line))
            at = line.end()
        rest = data[at:]
        if at == whole and len(rest) < LONGEST_LINE and (self._begun or HEAD.startswith(rest)):
            self._rest = rest
        else:
            self._rest = None
            self._parser.feed(rest)

    def finish(self) -> None:
        """Raises Damaged when the document is not whole."""
        try:
            self._parser.feed(self._rest or b"")
            self._parser.close()
        except ParseError as error:
            raise Damaged("The listing that arrived breaks off.") from error

    # What the parser calls.

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        if tag in _READ:
            self._text = []
        elif tag == f"{DAV}collection":
            self._fields["folder"] = "yes"

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if tag in _READ:
            self._fields[tag] = "".join(self._text or ()).strip()
            self._text = None
        elif tag == f"{DAV}response":
            self._done.append(_answer(self._fields))
            self._fields = {}

    def close(self) -> None:
        """Part of what a parser's target has."""


_READ = frozenset(f"{DAV}{name}" for name in ("href", "getcontentlength", "getlastmodified", "getetag"))
QUESTION = (
    b'<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/>'
    b"<D:getcontentlength/><D:getlastmodified/><D:getetag/></D:prop></D:propfind>"
)


# As files/listing.py writes a file or folder. None of these characters means anything else in XML.
_OWN_LINE = re.compile(
    rb"<D:response><D:href>([A-Za-z0-9_.~/%-]+)</D:href><D:propstat><D:prop>"
    rb"<D:resourcetype(?:/>|(><D:collection/></D:resourcetype>))"
    rb"(?:<D:getcontentlength>([0-9]{1,19})</D:getcontentlength>)?"
    rb"<D:getlastmodified>([A-Za-z0-9:, ]+)</D:getlastmodified><D:getetag>\"([0-9a-f]+)\"</D:getetag>"
    rb"</D:prop><D:status>HTTP/1\.1 200 OK</D:status></D:propstat>"
    rb"(?:<D:propstat><D:prop><D:getcontentlength/></D:prop><D:status>HTTP/1\.1 404 Not Found</D:status></D:propstat>)?"
    rb"</D:response>\n"
)


def _skimmed(line: re.Match[bytes]) -> Answer:
    address, folder, size, modified, etag = line.groups(b"")
    return Answer(address.decode(), bool(folder), int(size or 0), parse_date(modified.decode()), etag.decode())


def _answer(fields: dict[str, str]) -> Answer:
    size = fields.get(f"{DAV}getcontentlength") or "0"
    if not (size.isascii() and size.isdigit() and len(size) < 20):
        raise Damaged("The listing that arrived has a size that is none.")
    try:
        etags = parse_etags(fields.get(f"{DAV}getetag") or None, weak=False) or ("",)
    except WrongUsage as error:
        raise Damaged("The listing that arrived has an etag that is none.") from error
    return Answer(
        fields.get(f"{DAV}href", ""),
        "folder" in fields,
        int(size),
        parse_date(fields.get(f"{DAV}getlastmodified")),
        next(iter(etags), ""),
    )
