"""The header `If`: what somebody believes of a file or folder, and the locks they hold (RFC 4918, 10.4). *Pure.*

    If: (<urn:uuid:58f2…> ["etag"]) (Not <DAV:no-lock>)          of what the request is about
    If: </dav/photos/a> (<urn:uuid:58f2…>) </dav/photos/b> (["etag"])     of what each address names

It holds when one of its lists does, a list when all its claims do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from commonhold.errors import WrongUsage

LONGEST = 8192  # characters
MOST_CLAIMS = 100

_GAP = re.compile(r"[ \t]*")
_TAG = re.compile(r"<((?:[A-Za-z][A-Za-z0-9+.-]*:|/)[\x21-\x3b\x3d\x3f-\x7e\x80-\U0010ffff]*)>")
_CLAIM = re.compile(
    r"(?P<negated>not[ \t]*)?"
    r"(?:<(?P<token>[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x3b\x3d\x3f-\x7e]*)>"
    r'|\[[ \t]*(?P<weak>W/)?"(?P<etag>[\x21\x23-\x7e\x80-\xff]*)"[ \t]*\])',
    re.IGNORECASE,
)


class Claim(msgspec.Struct, frozen=True):
    """One claim: that something is locked with that token, or has that etag (without quotes); or, negated, not."""

    token: str = ""
    etag: str | None = None  # None: it is about a token
    weak: bool = False  # such an etag is nobody's here
    negated: bool = False


class Claims(msgspec.Struct, frozen=True):
    """One list of them: about what an address names, as it was sent; None: about what the request does."""

    about: str | None
    claims: tuple[Claim, ...]


def parse_if(header: str) -> tuple[Claims, ...]:
    """Raises WrongUsage when it can't be read: to ignore what somebody relied upon would lose their data."""
    if len(header) > LONGEST:
        raise WrongUsage("The If header of the request is too long.")
    found: list[Claims] = []
    about, at = None, _gap(header, 0)
    while at < len(header):
        if header[at] == "<":
            tag = _TAG.match(header, at)
            if not tag or (found and found[0].about is None):
                raise _unreadable()
            about, at = tag[1], _gap(header, tag.end())
        claims, at = _list(header, at)
        found.append(Claims(about, claims))
        at = _gap(header, at)
    if not found or sum(len(each.claims) for each in found) > MOST_CLAIMS:
        raise _unreadable()
    return tuple(found)


def _list(header: str, at: int) -> tuple[tuple[Claim, ...], int]:
    """The list that begins there, and where it ends."""
    if header[at : at + 1] != "(":
        raise _unreadable()
    claims: list[Claim] = []
    at = _gap(header, at + 1)
    while match := _CLAIM.match(header, at):
        claims.append(Claim(match["token"] or "", match["etag"], bool(match["weak"]), bool(match["negated"])))
        at = _gap(header, match.end())
    if not claims or header[at : at + 1] != ")":
        raise _unreadable()
    return tuple(claims), at + 1


def _gap(header: str, at: int) -> int:
    gap = _GAP.match(header, at)
    return gap.end() if gap else at


def _unreadable() -> WrongUsage:
    return WrongUsage("The If header of the request can't be read.", 'If: (<urn:uuid:…> ["etag"])')


def submitted(lists: tuple[Claims, ...]) -> frozenset[str]:
    """The tokens that somebody shows; who says that something is not locked with one does not show it."""
    return frozenset(claim.token for claim in _claims(lists) if claim.etag is None and not claim.negated)


def _claims(lists: tuple[Claims, ...]) -> Iterator[Claim]:
    for each in lists:
        yield from each.claims


def holds(
    lists: tuple[Claims, ...],
    etag_of: Callable[[str | None], str | None],
    locked: Callable[[str | None, str], bool],
) -> bool:
    """Whether the header is true. `etag_of(about)`: None where nothing is; `locked(about, token)`."""

    def true(about: str | None, claim: Claim) -> bool:
        if claim.etag is None:
            return locked(about, claim.token) != claim.negated
        return (not claim.weak and etag_of(about) == claim.etag) != claim.negated

    return any(all(true(each.about, claim) for claim in each.claims) for each in lists)
