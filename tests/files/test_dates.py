"""A file keeps the time of its last change, in both directions; and what nobody means by a time is ignored."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.authority import ROOT, Verb
from commonhold.files import webdav
from commonhold.files.ground import entry_of
from commonhold.files.used import copy
from commonhold.names import SharePath

LONG_AGO = 1_234_567_890_123_456_789  # nanoseconds: in 2009


@given(st.integers(webdav.EARLIEST * 10**9, webdav.LATEST * 10**9 - 1))
def test_a_time_of_change_comes_back_from_its_header(modified):
    assert webdav.parse_mtime(webdav.mtime_header(modified)) == modified


@pytest.mark.parametrize(
    "header", [None, "", "yesterday", "1e9", "0x10", "99999999999", "-9999999999", "1.5.2", "\u0661"]
)
def test_what_is_no_time_is_ignored(header):
    assert webdav.parse_mtime(header) is None


@pytest.mark.parametrize("size", [10, 300_000], ids=["small", "large"])
async def test_a_file_keeps_its_time_there_and_back(tower, tmp_path, size):
    share = tower.offer("photos", laptop=Verb.WRITE)
    local = tmp_path / "a"
    local.write_bytes(os.urandom(size))
    os.utime(local, ns=(LONG_AGO, LONG_AGO))
    await copy.put(tower.caller("laptop"), tower.peer, local, "photos", ROOT)
    assert (share.root / "a").stat().st_mtime_ns == LONG_AGO
    await copy.get(tower.caller("laptop"), tower.peer, "photos", SharePath.parse("a"), tmp_path / "b")
    assert int((tmp_path / "b").stat().st_mtime) == LONG_AGO // 10**9


async def test_the_door_says_that_it_took_the_time_as_owncloud_s_does(tower):
    share = tower.offer("photos", laptop=Verb.WRITE)
    taken = await tower.ask("laptop", "PUT", "/dav/photos/a", b"x", X_OC_Mtime="1234567890")
    assert (taken.status, taken.headers["X-OC-Mtime"]) == (201, "accepted")
    assert (share.root / "a").stat().st_mtime == 1234567890
    ignored = await tower.ask("laptop", "PUT", "/dav/photos/b", b"x", X_OC_Mtime="never")
    assert ignored.status == 201
    assert "X-OC-Mtime" not in ignored.headers
    changed = await tower.ask("laptop", "PUT", "/dav/photos/a", b"y", X_OC_Mtime="1234567890")
    assert changed.headers["ETag"] != taken.headers["ETag"], "the same time makes no two contents the same"


@given(st.integers(-(2**62), 2**62))
def test_a_date_is_the_calendar_s_and_what_no_calendar_holds_is_its_first_or_last(seconds):
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC, microsecond=0)
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        moment = first if seconds < 0 else last
    assert webdav.date_of(seconds) == webdav.http_date(moment) == format_datetime(moment, usegmt=True)
    assert webdav.timestamp_of(seconds) == moment.strftime(f"{moment.year:04d}-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(("seconds", "year"), [(2**40, 9999), (-(2**40), 1), (0, 1970)])
def test_a_file_of_an_absurd_date_is_told_of_like_others(seconds, year):
    """A disk may hold what no calendar does."""
    ns = seconds * 10**9 + 999_999_999
    status = os.stat_result((0o100644, 7, 0, 1, 0, 0, 5, 0, 0, 0), {"st_mtime_ns": ns, "st_ctime_ns": ns})
    entry = entry_of("a", status)
    assert (entry.modified.year, entry.modified.microsecond) == (year, 999_999)
    assert webdav.date_of(seconds) == webdav.http_date(entry.modified)


@given(st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)))
def test_a_date_is_read_as_the_standard_library_reads_it(moment):
    text = webdav.http_date(moment)
    assert webdav.parse_date(text) == parsedate_to_datetime(text) == moment.replace(microsecond=0)


@pytest.mark.parametrize("text", ["Sun, 99 Nov 2026 12:00:00 GMT", "Sun, 22 Foo 2026 12:00:00 GMT", "x" * 29])
def test_what_is_no_date_is_ignored(text):
    assert webdav.parse_date(text) is None
