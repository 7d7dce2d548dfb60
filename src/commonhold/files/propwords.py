"""PROPPATCH on the wire: what it asks, and its answer (RFC 4918, 9.2 and 14.19). *Pure.*

Values are kept as the elements that they are, with all namespaces and the language that held where they stood:
prefixes too, since a value may speak of them in its text (4.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree.ElementTree import ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from commonhold.errors import WrongUsage
from commonhold.files import multistatus
from commonhold.files.multistatus import DAV
from commonhold.files.properties import Setting

LONGEST_PATCH = 256 * 1024  # bytes of the body of a PROPPATCH
DEEPEST = 64  # elements in one another
_XML = "http://www.w3.org/XML/1998/namespace"
_LANG = f"{{{_XML}}}lang"
_SHAPE = ([f"{DAV}propertyupdate"], [f"{DAV}set", f"{DAV}remove"], [f"{DAV}prop"])


def parse_patch(body: bytes) -> list[Setting]:
    """What is to be set and removed, in the order of the document. Raises WrongUsage."""
    if len(body) > LONGEST_PATCH:
        raise WrongUsage("The body of the request is too long.")
    reader = _PatchReader()
    try:
        parser = DefusedXMLParser(target=reader, forbid_dtd=True)
        parser.feed(body)
        parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise WrongUsage("The body of the request is no XML that can be read.") from error
    if not reader.changes:
        raise WrongUsage("The body of the request changes no property.")
    return reader.changes


def answer(address: str, changes: Iterable[Setting], failed: Mapping[str, int]) -> bytes:
    """Every property once; when some `failed`, with that status, the others depended on them and failed, too."""
    by_status: dict[int, list[str]] = {}
    for name in dict.fromkeys(change.name for change in changes):
        by_status.setdefault(failed.get(name, 424) if failed else 200, []).append(multistatus.element(name))
    stats = (
        f"<D:propstat><D:prop>{''.join(names)}</D:prop>{multistatus.status_line(status)}"
        + ("<D:error><D:cannot-modify-protected-property/></D:error>" if status == 403 else "")
        + "</D:propstat>"
        for status, names in by_status.items()
    )
    text = f"<D:response><D:href>{address}</D:href>{''.join(stats)}</D:response>\n"
    return b"".join((multistatus.HEAD, text.encode(), multistatus.TAIL))


class _PatchReader:
    """What the parser calls."""

    def __init__(self) -> None:
        self.changes: list[Setting] = []
        self._tags: list[str] = []
        self._scopes: list[dict[str, str]] = [{}]
        self._languages = [""]
        self._declared: dict[str, str] = {}
        self._written: list[str] = []

    def start_ns(self, prefix: str, uri: str) -> None:
        self._declared[prefix or ""] = uri or ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        depth = len(self._tags)
        if depth >= DEEPEST or (depth < len(_SHAPE) and tag not in _SHAPE[depth]):
            raise ValueError("no propertyupdate")
        self._scopes.append({**self._scopes[-1], **self._declared})
        self._languages.append(attributes.get(_LANG, self._languages[-1]))
        if depth == len(_SHAPE):
            self._written = []
            language = {_LANG: self._languages[-1]} if self._languages[-1] else {}
            self._open(tag, {**attributes, **language}, self._scopes[-1])
        elif depth > len(_SHAPE):
            self._open(tag, attributes, self._declared)
        self._tags.append(tag)
        self._declared = {}

    def data(self, text: str) -> None:
        if len(self._tags) > len(_SHAPE):
            self._written.append(escape(text, {"\r": "&#13;"}))

    def end(self, tag: str) -> None:
        self._tags.pop()
        if len(self._tags) >= len(_SHAPE):
            self._written.append(f"</{self._qualified(tag)}>")
        if len(self._tags) == len(_SHAPE):
            setting = self._tags[1] == f"{DAV}set"
            self.changes.append(Setting(tag, "".join(self._written) if setting else None))
        self._scopes.pop()
        self._languages.pop()

    def close(self) -> None:
        """Part of what a parser's target has."""

    def _open(self, tag: str, attributes: dict[str, str], declared: dict[str, str]) -> None:
        names = [f"xmlns:{prefix}" if prefix else "xmlns" for prefix in declared]
        spaces = "".join(f" {name}={quoteattr(uri)}" for name, uri in zip(names, declared.values(), strict=True))
        others = "".join(f" {self._qualified(name, True)}={quoteattr(text)}" for name, text in attributes.items())
        self._written.append(f"<{self._qualified(tag)}{spaces}{others}>")

    def _qualified(self, name: str, attribute: bool = False) -> str:
        """The name with a prefix that means its namespace here; an attribute without one is in none."""
        namespace, _, local = name.removeprefix("{").rpartition("}")
        if not namespace:
            return local
        if namespace == _XML:
            return f"xml:{local}"
        scope = self._scopes[-1]
        prefix = next(each for each in reversed(scope) if scope[each] == namespace and (each or not attribute))
        return f"{prefix}:{local}" if prefix else local
