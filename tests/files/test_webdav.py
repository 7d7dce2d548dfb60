"""The words of WebDAV and HTTP, without a network."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import Changed, WrongUsage
from commonhold.files import ranges, webdav
from commonhold.files.entry import ANYTHING, Conditions, Entry
from commonhold.files.ranges import Unsatisfiable
from commonhold.names import SharePath

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
FILE = Entry("a/b.txt", "file", 100, NOON, "abc")


@pytest.mark.parametrize(
    ("raw", "share", "path"),
    [
        ("/dav/", "", ""),
        ("/dav", "", ""),
        ("/dav/photos", "photos", ""),
        ("/dav/photos/", "photos", ""),
        ("/dav/photos/a/b.jpg?x=/../y", "photos", "a/b.jpg"),
        ("/dav/%70hotos/%C3%A9t%C3%A9%20%25.jpg", "photos", "été %.jpg"),
        ("/dav/photos/a%2541", "photos", "a%41"),  # decoded once
        ("/dav/.job-12/out/1", ".job-12", "out/1"),
    ],
)
def test_addresses_are_decoded_exactly_once(raw, share, path):
    assert webdav.target(raw) == (share, SharePath.parse(path))


@pytest.mark.parametrize(
    "raw",
    [
        "/", "/davx/a", "/dav//photos", "/dav/photos//", "/dav/photos/%", "/dav/photos/%4", "/dav/photos/%g1",
        "/dav/photos/%ff", "/dav/.hidden/a", "/dav/..", "/dav/photos/..", "/dav/ph%2fotos/a", "/dav/compute/a",
        "http://tower/dav/photos", "*", "/dav/.job-x/a", "/dav/photos/a%5cb", "/dav/photos/%ed%a0%80",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(raw):
    with pytest.raises(WrongUsage):
        webdav.target(raw)


NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."} and name.casefold() != ".commonhold")


@given(st.lists(NAMES, max_size=5), st.booleans())
def test_every_path_has_an_address_that_means_it(parts, folder):
    path = SharePath(tuple(parts))
    address = webdav.href("photos", str(path), folder=folder)
    assert address.isascii()
    assert not set(address) & set(' "<>&?#')
    assert webdav.target(address) == ("photos", path)


@given(st.text())
def test_no_text_breaks_what_reads_headers(text):
    headers = dict.fromkeys(("If-Match", "If-None-Match", "If-Modified-Since", "Range", "If-Range"), text)
    for read in (
        lambda: webdav.conditions(headers),
        lambda: webdav.not_modified(headers, FILE),
        lambda: ranges.wanted(headers, FILE),
        lambda: webdav.parse_digest(text),
        lambda: webdav.parse_date(text),
        lambda: webdav.content_range(text),
        lambda: webdav.depth(text),
        lambda: webdav.target("/dav/" + text),
    ):
        try:
            read()
        except (WrongUsage, Changed, Unsatisfiable):
            continue


@given(st.binary(min_size=32, max_size=32))
def test_digests_are_read_as_written(digest):
    assert webdav.parse_digest(webdav.digest_header(digest)) == digest
    assert webdav.parse_digest(f"md5=:AAAA:, {webdav.digest_header(digest)}") == digest
    assert webdav.parse_digest("md5=:AAAA:") is None


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)))
def test_dates_are_read_as_written(moment):
    assert webdav.parse_date(webdav.http_date(moment)) == moment.replace(microsecond=0)


def test_dates_are_written_in_english():
    assert webdav.http_date(NOON) == "Sun, 22 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"abc"', {"abc"}),
        ('"a", W/"b" ,"c,d"', {"a", "c,d"}),
        ("*", ANYTHING),
        ('W/"abc"', set()),
    ],
)
def test_strong_etags_of_a_header(header, expected):
    assert webdav.parse_etags(header, weak=False) == expected


@pytest.mark.parametrize("header", ["abc", '"abc', '"a" "b"', "*, *", "W/abc"])
def test_etags_that_cannot_be_read_are_an_error(header):
    with pytest.raises(WrongUsage):
        webdav.parse_etags(header, weak=False)


def test_conditions_are_asked_in_the_order_of_the_rfc():
    late, early = webdav.http_date(NOON), "Sun, 22 Nov 2020 12:00:00 GMT"
    assert not webdav.not_modified({}, FILE)
    assert webdav.not_modified({"If-None-Match": '"abc"'}, FILE)
    assert webdav.not_modified({"If-None-Match": 'W/"abc"'}, FILE)
    assert webdav.not_modified({"If-None-Match": "*"}, FILE)
    assert not webdav.not_modified(
        {"If-None-Match": '"other"', "If-Modified-Since": late}, FILE
    )  # etags go before dates
    assert webdav.not_modified({"If-Modified-Since": late}, FILE)
    assert not webdav.not_modified({"If-Modified-Since": early}, FILE)
    assert not webdav.not_modified({"If-Modified-Since": "yesterday"}, FILE)
    assert not webdav.not_modified({"If-Match": '"abc"', "If-Unmodified-Since": early}, FILE)
    with pytest.raises(Changed):
        webdav.not_modified({"If-Match": '"other"', "If-None-Match": '"abc"'}, FILE)
    with pytest.raises(Changed):
        webdav.not_modified({"If-Unmodified-Since": early}, FILE)


def test_conditions_on_what_is_not_there():
    Conditions(if_none_match=ANYTHING).require(None)
    Conditions(unmodified_since=NOON).require(None)
    for broken in (Conditions(if_match=ANYTHING), Conditions(if_match=frozenset({"abc"}))):
        with pytest.raises(Changed):
            broken.require(None)
    with pytest.raises(Changed):
        Conditions(if_none_match=frozenset({"abc"})).require(FILE)


def test_where_an_answer_stands_in_the_whole_is_read():
    assert webdav.content_range("bytes 1-2/100") == (1, 3, 100)
    assert webdav.content_range("bytes */100") is None
