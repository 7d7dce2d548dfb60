"""The header `If` is read as RFC 4918 writes it, and judged as it says; what can't be read is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commonhold.errors import WrongUsage
from commonhold.files.ifheader import LONGEST, Claim, Claims, holds, parse_if, submitted

A, B = "urn:uuid:181d4fae-7d8c-11d0-a765-00a0c91e6bf2", "urn:uuid:58f202ac-22cf-11d1-b12d-002035b29092"

tokens = st.from_regex(r"[a-z][a-z0-9+.-]{0,8}:[!-;=?-~]{0,20}", fullmatch=True)
etags = st.text(st.characters(codec="latin-1", categories=("L", "N", "P", "S"), exclude_characters='"'), max_size=20)
claims = st.builds(Claim, token=tokens, negated=st.booleans()) | st.builds(
    Claim, etag=etags, weak=st.booleans(), negated=st.booleans()
)
lists = st.lists(claims, min_size=1, max_size=4).map(tuple)
about_itself = st.lists(st.builds(Claims, st.none(), lists), min_size=1, max_size=4)
about_others = st.lists(st.builds(Claims, tokens | st.just("/dav/photos/a%20b"), lists), min_size=1, max_size=4)


def written(lists: list[Claims], gap: str) -> str:
    """The header that says so, with as much white space as may be."""

    def one(claim: Claim) -> str:
        what = f"<{claim.token}>" if claim.etag is None else f'[{"W/" if claim.weak else ""}"{claim.etag}"]'
        return ("Not" + (gap or " ") if claim.negated else "") + what

    tag = [f"<{each.about}>{gap}" if each.about is not None else "" for each in lists]
    return gap.join(f"{tag}({gap}{gap.join(map(one, each.claims))}{gap})" for tag, each in zip(tag, lists, strict=True))


@given(about_itself | about_others, st.sampled_from(["", " ", "\t "]))
def test_whatever_is_said_is_read_back(lists, gap):
    assert parse_if(written(lists, gap)) == tuple(lists)


@given(st.text(st.sampled_from('()<>[]"W/Not a:\t\x00é'), max_size=40) | st.text(max_size=40))
@example("(")
def test_whatever_else_comes_is_refused_and_nothing_worse(text):
    with suppress(WrongUsage):
        assert parse_if(text)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "()",
        "(Not)",
        f"<{A}>",
        f"(<{A}>",
        "(<no scheme>)",
        "([etag])",
        f"(<{A}>) </dav/photos/a> (<{A}>)",  # either about the request's own, or about addresses
        "*",
        f"(<{A}>), (<{A}>)",
        "(<a:>)" * 101,
        f"(<{A}>){' ' * LONGEST}",
    ],
)
def test_what_is_none(header):
    with pytest.raises(WrongUsage):
        parse_if(header)


def test_a_tag_goes_on_until_the_next():
    read = parse_if(f'</dav/a> (<{A}>) (["x"]) <http://tower/dav/b> (Not <{B}>)')
    assert [each.about for each in read] == ["/dav/a", "/dav/a", "http://tower/dav/b"]


@pytest.mark.parametrize(
    ("header", "true"),
    [
        (f"(<{A}>)", True),
        (f"(<{B}>)", False),
        (f'(<{A}> ["now"])', True),
        (f'(<{A}> ["then"])', False),
        (f'(<{A}> ["then"]) (["now"])', True),
        ("(Not <DAV:no-lock>)", True),
        (f"(Not <{A}>)", False),
        ('([W/"now"])', False),
        ('(Not [W/"now"])', True),
        ('</dav/gone> (["now"])', False),
        ('</dav/gone> (Not ["now"])', True),  # what is not there has no etag
    ],
)
def test_a_header_holds_when_one_of_its_lists_does(header, true):
    def etag_of(about: str | None) -> str | None:
        return "now" if about is None else None

    def locked(about: str | None, token: str) -> bool:
        return (about, token) == (None, A)

    assert holds(parse_if(header), etag_of, locked) is true


def test_who_denies_a_token_does_not_show_it():
    assert submitted(parse_if(f'(<{A}> ["x"]) (Not <{B}>)')) == {A}
