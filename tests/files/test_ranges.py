"""Which bytes of a file a request asks for, and several of them in one answer."""

from __future__ import annotations

import email

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.authority import Verb
from commonhold.files import ranges, webdav
from commonhold.files.entry import Entry
from commonhold.files.ranges import MOST_RANGES, Span, Unsatisfiable

from ..authority.suite import NOON

TEXT = b"0123456789" * 100_000
FILE = Entry("a", "file", 10_000, NOON, "abc")


def wanted(text, file=FILE, **more):
    return ranges.wanted({"Range": text, **{name.replace("_", "-"): value for name, value in more.items()}}, file)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 120))
def test_ranges_are_those_of_a_slice(first, last, size):
    file = Entry("a", "file", size, NOON, "abc")
    data = bytes(size)
    for text, expected in (
        (f"bytes={first}-{last}", data[first : last + 1]),
        (f"bytes={first}-", data[first:]),
        (f"bytes=-{last}", data[-last:] if last else b""),
    ):
        try:
            spans = wanted(text, file)
        except Unsatisfiable:
            assert not expected
        else:
            assert [len(data[slice(*span)]) for span in spans] == ([len(expected)] if spans else [])
            assert spans or last < first


@given(st.lists(st.tuples(st.integers(0, 12_000), st.integers(0, 3_000)), min_size=1, max_size=30))
def test_several_ranges_hold_every_byte_asked_for_once(asked):
    whole = {n for first, more in asked for n in range(first, min(first + more + 1, FILE.size))}
    try:
        spans = wanted("bytes=" + ", ".join(f"{first}-{first + more}" for first, more in asked))
    except Unsatisfiable:
        assert not whole
        return
    assert len(spans) <= MOST_RANGES
    sent = [n for span in spans for n in range(*span)] or list(range(FILE.size))
    assert len(sent) == len(set(sent))
    assert whole <= set(sent)


def test_ranges_that_nearly_touch_are_one_and_the_others_stand_as_they_were_asked_for():
    assert wanted("bytes=9000-, 0-1, 3-4, 20000-, -50") == [Span(9000, 10_000), Span(0, 5)]
    assert wanted("BYTES = 0-1 ,, 500-501,") == [Span(0, 2), Span(500, 502)]
    with pytest.raises(Unsatisfiable):
        wanted("bytes=10000-, -0")


def test_what_cannot_be_understood_or_is_too_much_is_the_whole_file():
    for text in ("", "lines=1-2", "bytes=9-1", "bytes=-", "bytes=a-b", "bytes=", "bytes=0-1,9-3", "bytes=0-1;3-4"):
        assert wanted(text) == []
    many = [f"{n * 100}-{n * 100}" for n in range(MOST_RANGES + 1)]
    assert wanted("bytes=" + ",".join(many)) == []
    assert len(wanted("bytes=" + ",".join(many[1:]))) == MOST_RANGES


def test_a_range_of_another_version_is_the_whole_file():
    assert wanted("bytes=1-2", If_Range='"abc"') == [Span(1, 3)]
    assert wanted("bytes=1-2", If_Range='W/"abc"') == []
    assert wanted("bytes=1-2", If_Range='"other"') == []
    assert wanted("bytes=1-2", If_Range=webdav.http_date(NOON)) == [Span(1, 3)]


async def test_several_ranges_arrive_in_one_answer_of_small_and_large_files(tower):
    share = tower.offer("photos", laptop=Verb.READ)
    for name, data in (("small.txt", TEXT[:1000]), ("large.txt", TEXT)):
        (share.root / name).write_bytes(data)
        got = await tower.ask("laptop", "GET", f"/dav/photos/{name}", Range="bytes=-5, 0-3, 400-401")
        assert (got.status, int(got.headers["Content-Length"])) == (206, len(got.body))
        assert "Content-Range" not in got.headers
        told = f"Content-Type: {got.headers['Content-Type']}\r\n\r\n".encode() + got.body
        parts = email.message_from_bytes(told).get_payload()
        assert [(part["Content-Range"], part.get_content_type(), part.get_payload(decode=True)) for part in parts] == [
            (f"bytes {len(data) - 5}-{len(data) - 1}/{len(data)}", "text/plain", data[-5:]),
            (f"bytes 0-3/{len(data)}", "text/plain", data[:4]),
            (f"bytes 400-401/{len(data)}", "text/plain", data[400:402]),
        ]
        head = await tower.ask("laptop", "HEAD", f"/dav/photos/{name}", Range="bytes=0-3,400-401")
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(data)))
