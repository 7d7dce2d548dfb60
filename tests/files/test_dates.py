"""A file keeps the time of its last change, in both directions; and what nobody means by a time is ignored."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.authority.authority import ROOT, Verb
from commonhold.files import webdav
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
