"""Parts of a file: which bytes a request asks for, and how several of them travel in one answer. *Pure.*

RFC 9110, sections 14 (ranges), 13.1.5 (If-Range) and 14.6 (multipart/byteranges).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from commonhold.errors import CommonholdError
from commonhold.files.entry import Entry
from commonhold.files.webdav import http_date

MOST_RANGES = 20  # in one answer
GAP = 80  # bytes between two ranges that are sent along: the head of a part costs more

_RANGE = re.compile(r"\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*")
_UNIT = re.compile(r"\s*bytes\s*=", re.IGNORECASE)


class Unsatisfiable(CommonholdError):
    """No range asked for lies in the file (RFC 9110, 15.5.17)."""

    exit_code = 2
    status = 416


class Span(NamedTuple):
    """Bytes of a file: the first one, and one after the last."""

    first: int
    end: int


def wanted(headers: Mapping[str, str], entry: Entry) -> list[Span]:
    """The bytes asked for; none named is the whole file.

    Ranges that touch or nearly do become one; those that lie outside are left out. Other units, nonsense, and more
    than MOST_RANGES are ignored, as 14.2 allows: the whole file is the answer, as with an If-Range of another
    version. Raises Unsatisfiable when all of them lie outside.
    """
    unit = _UNIT.match(header := headers.get("Range", ""))
    if not unit or not _same(headers.get("If-Range"), entry):
        return []
    asked = [_RANGE.fullmatch(each) for each in header[unit.end() :].split(",") if each.strip()]
    spans = [_span(each, entry.size) for each in asked if each and (each[1] or each[2])]
    if not spans or len(spans) < len(asked) or None in spans:
        return []
    inside = [span for span in spans if span and span.first < span.end]
    if not inside:
        raise Unsatisfiable(f"The file has {entry.size} bytes; the range asked for lies outside.", size=entry.size)
    merged = _merged(inside)
    return merged if len(merged) <= MOST_RANGES else []


def _span(asked: re.Match[str], size: int) -> Span | None:
    """An empty one lies outside; None is nonsense."""
    if not asked[1]:
        return Span(max(size - int(asked[2]), 0), size)
    if asked[2] and int(asked[2]) < int(asked[1]):
        return None
    return Span(int(asked[1]), min(int(asked[2]) + 1 if asked[2] else size, size))


def _merged(spans: list[Span]) -> list[Span]:
    """Each where the first of its ranges was asked for."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.first - merged[-1].end <= GAP:
            merged[-1] = Span(merged[-1].first, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    if len(merged) > MOST_RANGES:
        return merged
    return sorted(merged, key=lambda whole: next(n for n, s in enumerate(spans) if whole.first <= s.first < whole.end))


def _same(header: str | None, entry: Entry) -> bool:
    """Whether an If-Range names this very version."""
    if header is None:
        return True
    if header.strip().endswith('"'):
        return header.strip() == f'"{entry.etag}"'
    return entry.modified is not None and header.strip() == http_date(entry.modified)


def header(span: Span, size: int) -> str:
    """The value of Content-Range."""
    return f"bytes {span.first}-{span.end - 1}/{size}"


def parts(spans: Iterable[Span], size: int, kind: str, boundary: str) -> list[bytes | Span]:
    """The body of a multipart/byteranges: bytes as they are, and spans of a file of that size and media type."""
    plan: list[bytes | Span] = []
    for span in spans:
        between = "\r\n" if plan else ""
        head = f"{between}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {header(span, size)}\r\n\r\n"
        plan += [head.encode(), span]
    return [*plan, f"\r\n--{boundary}--\r\n".encode()]


def length(plan: Iterable[bytes | Span]) -> int:
    """In bytes, of what `parts` gives."""
    return sum(len(piece) if isinstance(piece, bytes) else piece.end - piece.first for piece in plan)
