"""WebDAV's and HTTP's words: addresses of files, conditions, digests. *Pure.*

RFC 4918 (WebDAV), RFC 9110 (HTTP: conditions, dates), RFC 9530 (Repr-Digest).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from commonhold.errors import CommonholdError, WrongUsage
from commonhold.files.entry import ANYTHING, FIRST_SECOND, LAST_SECOND, Conditions, Entry, later
from commonhold.files.ifheader import parse_if, submitted
from commonhold.names import JOB_SHARE, ShareName, SharePath

ROOT = "/dav/"
COMPLIANCE = "1, 2, 3"  # what the header DAV says (RFC 4918, 18)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

EARLIEST, LATEST = -(2**31), 15_032_385_536  # seconds since 1970: 1901 to 2446, which is what ext4 holds

_ABSOLUTE = re.compile(r"(https?)://([^/]+)(/.*)?", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ETAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")
_DATE = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MTIME = re.compile(r"\s*(-?[0-9]{1,11})(?:\.([0-9]{1,9})[0-9]{0,9})?\s*")
_SHA_256 = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;[^,]*)?(?=,|$)", re.IGNORECASE)


@lru_cache(maxsize=512)
def target(raw: str, root: str = ROOT) -> tuple[str, SharePath]:
    """The share's name (empty: the list of shares) and the path in it, from a request's target as it was sent.

    Percent-decoded exactly once, component by component, in strict UTF-8; one slash at the end is
    allowed. Raises WrongUsage for whatever could be read in two ways, or lead out.
    """
    path = raw.partition("?")[0]
    if path + "/" == root:
        path = root
    if not path.startswith(root):
        raise WrongUsage("That is no address of a file.")
    rest = path[len(root) :].removesuffix("/")
    if not rest:
        return "", SharePath()
    share, *parts = (decoded(part) for part in rest.split("/"))
    return share if JOB_SHARE.fullmatch(share) else str(ShareName(share)), SharePath(tuple(parts))


class OtherServer(CommonholdError):
    """A destination that is none of this server's (RFC 4918, 9.8.5)."""

    exit_code = 2
    status = 502


def destination(header: str | None, host: str, root: str = ROOT) -> tuple[str, SharePath]:
    """As `target`, from a Destination header: an absolute path, or an address of the `host` that was asked.

    http and https are one: a program in between may speak the other. Raises WrongUsage, OtherServer.
    """
    if not header:
        raise WrongUsage("A copy or move needs a Destination.")
    header = header.strip()
    if "?" in header or "#" in header:
        raise WrongUsage("A Destination has neither a query nor a fragment.")
    if not header.startswith("/"):
        match = _ABSOLUTE.fullmatch(header)
        if not match or _authority(match[1], match[2]) != _authority(match[1], host):
            raise OtherServer(
                "The Destination is not on this server.", "copy it there with: commonhold cp, or get it and put it"
            )
        header = match[3] or "/"
    return target(header, root)


def _authority(scheme: str, host: str) -> str:
    return host.lower().removesuffix(":443" if scheme.lower() == "https" else ":80")


def overwrite(header: str | None) -> bool:
    """Whether a copy or move may replace what is there: yes, unless it says no. Raises WrongUsage."""
    word = (header or "T").strip().upper()
    if word not in {"T", "F"}:
        raise WrongUsage("Overwrite is T or F.")
    return word == "T"


def decoded(part: str) -> str:
    """One component of an address, percent-decoded once, in strict UTF-8. Raises WrongUsage."""
    if _BAD_ESCAPE.search(part):
        raise WrongUsage("The address has a percent sign that encodes nothing.")
    try:
        return unquote_to_bytes(part.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise WrongUsage("The address is not in UTF-8.") from error


def href(share: str, path: str = "", *, folder: bool = False, root: str = ROOT) -> str:
    """The percent-encoded address of what lies at `path`; that of a folder ends with a slash."""
    rest = "/".join(part for part in (share, path) if part)
    return root + _quoted(rest) + ("/" if folder and rest else "")


def hrefs(share: str, path: str, names: Sequence[str], *, folders: bool = False, root: str = ROOT) -> list[str]:
    """`href` of each of these names in the folder at `path`: all in one go, since listings have thousands."""
    before, end = href(share, path, folder=True, root=root), "/" if folders else ""
    quoted = _quoted("/".join(names))  # no space in it, so that one can stand between addresses
    return f"{before}{quoted.replace('/', f'{end} {before}')}{end}".split(" ") if names else []


def _quoted(text: str) -> str:
    """As `urllib.parse.quote`, which looks at each letter in turn."""
    for character, escaped in _ESCAPES:
        if character in text:
            text = text.replace(character, escaped)
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(lambda found: quote(found[0]), text)


# Printable ASCII that `quote` escapes; the percent sign first.
_ESCAPES = tuple((each, quote(each)) for each in "% !\"#$&'()*+,:;<=>?@[\\]^`{|}")
_UNSAFE = re.compile(r"[^\x20-\x7e]+")


def http_date(moment: datetime) -> str:
    """As RFC 9110, 5.6.7 writes it. strftime would speak the machine's language."""
    return date_of((moment - _EPOCH) // _SECOND)


@lru_cache(maxsize=4096)
def date_of(seconds: int) -> str:
    """The same, of a moment in seconds since 1970; what no calendar holds counts as its first or last second."""
    (day, _), clock = _split(seconds)
    return f"{day} {clock} GMT"


@lru_cache(maxsize=4096)
def timestamp_of(seconds: int) -> str:
    """As RFC 3339 writes it; else as `date_of`."""
    (_, day), clock = _split(seconds)
    return f"{day}T{clock}Z"


def _split(seconds: int) -> tuple[tuple[str, str], str]:
    """The day, in both ways, and the time of the day. Most files have a second of their own, but not a day."""
    minute, second = divmod(min(max(seconds, FIRST_SECOND), LAST_SECOND), 60)
    day, minute = divmod(minute, 1440)
    return _day(day), f"{_minute(minute)}:{_TWO_DIGITS[second]}"


@lru_cache(maxsize=4096)
def _day(number: int) -> tuple[str, str]:
    day = date.fromordinal(_EPOCH.toordinal() + number)
    return f"{DAYS[day.weekday()]}, {day.day:02d} {MONTHS[day.month - 1]} {day.year:04d}", day.isoformat()


@lru_cache(maxsize=1440)
def _minute(number: int) -> str:
    return f"{number // 60:02d}:{number % 60:02d}"


_TWO_DIGITS = tuple(f"{number:02d}" for number in range(60))
_EPOCH, _SECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(seconds=1)


def parse_date(text: str | None) -> datetime | None:
    """The moment, or None when the header is absent or no date: a date that can't be read is ignored."""
    try:
        if text and len(text) == len("Sun, 22 Nov 2026 12:00:00 GMT") and (usual := _usual_date(text)):
            return usual
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


@lru_cache(maxsize=4096)
def _usual_date(text: str) -> datetime | None:
    """As we write it ourselves; read in a tenth of the time, since listings have thousands. Raises ValueError."""
    match = _DATE.fullmatch(text)
    if match is None or match[2] not in MONTHS:
        return None
    day, _, year, hour, minute, second = match.groups()
    month = MONTHS.index(match[2]) + 1
    return datetime(int(year), month, int(day), int(hour), int(minute), int(second), tzinfo=UTC)


def mtime_header(modified: int) -> str:
    """The value of `X-OC-Mtime`, which ownCloud's and Nextcloud's clients send: when the file that is sent was changed.

    `modified` is in nanoseconds since 1970, the header in seconds; those programs read no fraction, and mind none.
    """
    return f"{modified // 10**9}.{modified % 10**9:09d}"


def parse_mtime(header: str | None) -> int | None:
    """That time in nanoseconds; None without one, and for what no disk and no calendar holds: then it is ignored."""
    match = _MTIME.fullmatch(header or "")
    if not match or not EARLIEST <= int(match[1]) < LATEST:
        return None
    return int(match[1]) * 10**9 + int((match[2] or "").ljust(9, "0"))


def parse_etags(header: str | None, *, weak: bool) -> frozenset[str] | None:
    """The etags in an If-Match (`weak=False`: weak ones never match) or If-None-Match header, without quotes.

    ANYTHING for `*`, None when there is no header. Raises WrongUsage when it can't be read: to ignore
    a condition that somebody relied upon would lose their data.
    """
    if header is None:
        return None
    if header.strip() == "*":
        return ANYTHING
    found, at = set(), 0
    while at < len(header):
        match = _ETAG.match(header, at)
        if not match:
            raise WrongUsage("A condition of the request can't be read.", 'etags stand in quotes: If-Match: "abc"')
        if weak or not match[1]:
            found.add(match[2])
        at = match.end()
    return frozenset(found)


def conditions(headers: Mapping[str, str]) -> Conditions:
    """What a request that changes something demands. Raises WrongUsage."""
    lists = parse_if(headers["If"]) if "If" in headers else ()
    return Conditions(
        if_match=parse_etags(headers.get("If-Match"), weak=False),
        if_none_match=parse_etags(headers.get("If-None-Match"), weak=True),
        unmodified_since=parse_date(headers.get("If-Unmodified-Since")),
        lists=lists,
        tokens=submitted(lists),
    )


def not_modified(headers: Mapping[str, str], entry: Entry) -> bool:
    """Whether a GET or HEAD is answered with 304, in the order of RFC 9110, 13.2.2. Raises Changed, WrongUsage."""
    demanded = conditions(headers)
    Conditions(if_match=demanded.if_match, unmodified_since=demanded.unmodified_since).require(entry)
    if (known := demanded.if_none_match) is not None:
        return known == ANYTHING or entry.etag in known
    since = parse_date(headers.get("If-Modified-Since"))
    return since is not None and not later(entry.modified, since)


def content_range(header: str | None) -> tuple[int, int, int] | None:
    """The answer's (first, one after the last, size of the whole), or None."""
    match = _CONTENT_RANGE.fullmatch(header or "")
    return (int(match[1]), int(match[2]) + 1, int(match[3])) if match else None


def digest_header(sha256: bytes) -> str:
    """The value of Repr-Digest (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(sha256).decode()}:"


def parse_digest(header: str | None) -> bytes | None:
    """The SHA-256 in a Repr-Digest header, or None without one. Raises WrongUsage when it can't be read."""
    match = _SHA_256.search(header or "")
    if not match:
        return None
    try:
        digest = base64.b64decode(match[1], validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != 32:
        raise WrongUsage("The Repr-Digest of the request is no SHA-256.")
    return digest


def depth(header: str | None) -> int | None:
    """0 or 1; None for infinity, which is also what no header means. Raises WrongUsage."""
    match (header or "infinity").strip().lower():
        case "0":
            return 0
        case "1":
            return 1
        case "infinity":
            return None
    raise WrongUsage("Depth is 0, 1 or infinity.")
