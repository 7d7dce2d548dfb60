"""Locks on the wire: what LOCK asks, and how locks read in properties and errors (RFC 4918, 9.10, 14, 16). *Pure.*"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from xml.etree.ElementTree import Element, tostring
from xml.sax.saxutils import escape

import msgspec

from commonhold.errors import WrongUsage
from commonhold.files.locks import Lock
from commonhold.files.multistatus import DAV, root_of

LONGEST_WISH = 16_384  # bytes of the body of a LOCK
LONGEST_OWNER = 4096  # bytes of what a program says of itself
USUAL, SHORTEST, LONGEST = 3600, 1, 86_400  # seconds; who asks for ever gets a day, and may renew
XML = '<?xml version="1.0" encoding="utf-8"?>\n'
SUPPORTED = (
    "<D:supportedlock>"
    "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>"
    "<D:lockentry><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>"
    "</D:supportedlock>"
)

_SECONDS = re.compile(r"second-([0-9]{1,10})", re.IGNORECASE)
_TOKEN = re.compile(r"\s*<?([A-Za-z][A-Za-z0-9+.-]*:[\x21-\x3b\x3d\x3f-\x7e]+)>?\s*")


class LockWish(msgspec.Struct, frozen=True):
    """A lock that somebody asks for. `owner` is what their program says of itself: an element of XML, or nothing."""

    deep: bool = False
    shared: bool = False
    owner: str = ""
    seconds: int = USUAL


def parse_wish(body: bytes, *, deep: bool, seconds: int) -> LockWish:
    """From the body of a LOCK. Raises WrongUsage."""
    root = root_of(body, LONGEST_WISH)
    scopes = [each.tag for each in root.iterfind(f"{DAV}lockscope/*")]
    types = [each.tag for each in root.iterfind(f"{DAV}locktype/*")]
    if (
        root.tag != f"{DAV}lockinfo"
        or types != [f"{DAV}write"]
        or scopes not in ([f"{DAV}exclusive"], [f"{DAV}shared"])
    ):
        raise WrongUsage("What kind of lock is meant can't be read.", "an exclusive or a shared lock to write")
    owner = _as_sent(root.find(f"{DAV}owner"))
    if len(owner.encode()) > LONGEST_OWNER:
        raise WrongUsage(f"The owner of a lock has at most {LONGEST_OWNER} bytes.")
    return LockWish(deep, scopes == [f"{DAV}shared"], owner, seconds)


def _as_sent(owner: Element | None) -> str:
    """With all that is in it; its namespaces are declared in it, under whatever prefixes."""
    if owner is None:
        return ""
    owner.tail = None
    try:
        return tostring(owner, encoding="unicode")
    except RecursionError as error:  # it calls itself for what is inside
        raise WrongUsage("What the owner of the lock says is nested too deep.") from error


def parse_timeout(header: str | None) -> int:
    """Seconds: the first that can be read in the Timeout header, within our bounds (RFC 4918, 10.7)."""
    for each in (header or "").split(","):
        if each.strip().lower() == "infinite":
            return LONGEST
        if match := _SECONDS.fullmatch(each.strip()):
            return min(max(int(match[1]), SHORTEST), LONGEST)
    return USUAL


def parse_token(header: str | None) -> str:
    """The token in a Lock-Token header; Windows forgets its brackets. Raises WrongUsage."""
    match = _TOKEN.fullmatch(header or "")
    if not match:
        raise WrongUsage("Which lock is meant can't be read.", "Lock-Token: <urn:uuid:…>")
    return match[1]


def discovery(locks: Iterable[Lock], now: datetime, shown: Callable[[Lock], bool], root: Callable[[Lock], str]) -> str:
    """The property lockdiscovery. `shown`: whether the asker may see its token; `root`: the address it was made at."""
    active = (_active(each, now, shown(each), root(each)) for each in locks)
    return f"<D:lockdiscovery>{''.join(active)}</D:lockdiscovery>"


def _active(lock: Lock, now: datetime, shown: bool, root: str) -> str:
    return (
        "<D:activelock><D:locktype><D:write/></D:locktype>"
        f"<D:lockscope>{'<D:shared/>' if lock.shared else '<D:exclusive/>'}</D:lockscope>"
        f"<D:depth>{'infinity' if lock.deep else '0'}</D:depth>{lock.owner}"
        f"<D:timeout>Second-{max(0, round((lock.until - now).total_seconds()))}</D:timeout>"
        + (f"<D:locktoken><D:href>{escape(lock.token)}</D:href></D:locktoken>" if shown else "")
        + f"<D:lockroot><D:href>{root}</D:href></D:lockroot></D:activelock>"
    )


def answer(discovery: str) -> bytes:
    """The body of the answer to LOCK."""
    return f'{XML}<D:prop xmlns:D="DAV:">{discovery}</D:prop>\n'.encode()


def error(name: str, address: str = "") -> bytes:
    """A condition of RFC 4918, 16, that was not met, and the address of the lock that it is about."""
    inside = f"<D:{name}><D:href>{address}</D:href></D:{name}>" if address else f"<D:{name}/>"
    return f'{XML}<D:error xmlns:D="DAV:">{inside}</D:error>\n'.encode()


def member_error(name: str, asked: str, address: str) -> bytes:
    """207: the request for `asked` failed since something in it, at `address`, is locked (RFC 4918, 9.10.9)."""
    return (
        f'{XML}<D:multistatus xmlns:D="DAV:">'
        f"<D:response><D:href>{address}</D:href><D:status>HTTP/1.1 423 Locked</D:status>"
        f"<D:error><D:{name}><D:href>{address}</D:href></D:{name}></D:error></D:response>"
        f"<D:response><D:href>{asked}</D:href><D:status>HTTP/1.1 424 Failed Dependency</D:status></D:response>"
        "</D:multistatus>\n"
    ).encode()
