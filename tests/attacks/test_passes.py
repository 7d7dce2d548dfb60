"""Passes at a real door, in the hands of the computer that they were given to: paths beside, ends, clocks, removals."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from ..conftest import town, until
from .reach import As, connected, context, enrol, get, status

LATER = "2100-01-01T00:00:00Z"
GIVEN, BESIDE, CLOSED = b"given to the job", b"beside what was given", b"of another share"


class Office:
    """tower of ann with two shares; desk of mallory, who may write in one of them; laptop of bob, who lends to her."""

    def __init__(self, make, folder):
        for share, text in (("open", BESIDE), ("closed", CLOSED)):
            (folder / share / "deep").mkdir(parents=True)
            for name in ("deep/file", "deep/twin", "twin", "Dêep"):
                (folder / share / name).write_bytes(text)
        (folder / "open" / "deep" / "file").write_bytes(GIVEN)
        (folder / "open" / "deep" / "way").symlink_to(folder / "closed")
        (folder / "open" / "out").mkdir()
        self.folder = folder
        self.tower, self.desk, self.laptop = make("tower", "ann"), make("desk", "mallory"), make("laptop", "bob")
        self.tower.create("casa")
        for each in (self.desk, self.laptop):
            enrol(each, self.tower)
        self.tower.knows("tower", "desk", "laptop")
        self.tower.net.share(folder / "open", to="mallory", verb="write")
        self.tower.net.share(folder / "closed")
        self.submitter, self.lender = As(self.tower, self.desk), As(self.tower, self.laptop)
        self.shows = context(self.lender.key, [self.lender.certificate])

    def wish(self, verb="read", until=LATER, job="7", lender=None, **what):
        to = (lender or self.lender).fingerprint
        wish = {"job": job, "share": "open", "verb": verb, "until": until, "lender": to, **what}
        return self.submitter("POST", "/passes", wish)

    def given(self, **wish):
        answer = self.wish(**wish)
        assert answer.status == 200, answer
        return answer.document

    def tree(self):
        """All that lies in both shares, but for the folder that a job may write in."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for share in ("open", "closed")
            for path in (self.folder / share).rglob("*")
            if path.is_file() and not {"out", ".commonhold"} & set(path.parts)
        }


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    folder = tmp_path_factory.mktemp("casa")
    with town(folder) as make:
        yield Office(make, folder)


@pytest.fixture
def reading(office):
    return office.given(paths=["deep/file"])


# Of the file that the pass names: none of these is that file, whatever a file system or a library makes of it.
BESIDES = (
    "open/deep/twin",
    "open/deep/../twin",
    "open/deep/file/../twin",
    "open/deep/file/../../twin",
    "open/deep/file/..",
    "open/deep/%2e%2e/twin",
    "open/deep/file%2f..%2ftwin",
    "open/deep/file%2F%2e%2e%2Ftwin",
    "open/deep/file/%252e%252e/twin",
    "open/deep\\twin",
    "open/deep%5ctwin",
    "open/deep/file%5c..%5ctwin",
    "open/deep/file%00",
    "open/deep/file%00/../twin",
    "open/deep/twin%00deep/file",
    "open/deep/file;/../twin",
    "open/deep/file%3b/../twin",
    "open/deep/\uff0e\uff0e/twin",  # full-width dots
    "open/deep/\u2025/twin",  # one sign that looks like two dots
    "open/deep/\u2024\u2024/twin",
    "open/deep/file\u200b/../twin",
    "open/deep/\u202etwin",
    "open/de\u0301ep/file",
    "open/DEEP/FILE/../twin",
    "open/deep/way/twin",
    "open/deep/way/deep/file",
    "open/deep/file/way/twin",
    "open/.commonhold/deep/file",
    "open/..%2fclosed/deep/file",
    "open/../closed/deep/file",
    "closed/deep/file",
    "CLOSED/deep/file",
    "open%2f..%2fclosed/deep/file",
    ".job-7/in/x",
    "/etc/hostname",
    "open/deep/",
    "open/",
)


def asked(office, pass_id, method, path, *more):
    """The whole answer to a request of the lender, sent byte for byte under that pass."""
    headers = (f"Commonhold-Pass: {pass_id}", "Depth: 1", "Connection: close", *more)
    with connected(office.tower, office.shows) as connection:
        connection.sendall(get(path, *headers, method=method))
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "PROPFIND", "PUT", "DELETE", "MKCOL", "PROPPATCH", "LOCK"])
def test_under_a_pass_no_spelling_leads_beside_the_file_that_it_names(office, reading, method):
    before = office.tree()
    for path in BESIDES:
        answer = asked(office, reading, method, f"/dav/{path}")
        assert status(answer) in {400, 403, 404, 405, 409, 415}, (path, answer[:300])
        assert not [text for text in (BESIDE, CLOSED, b"twin</") if text in answer], path
    assert office.tree() == before
    assert b"/dav/open" not in asked(office, reading, "PROPFIND", "/dav/"), "nor does it list the shares"
    assert office.lender("GET", "/dav/open/deep/file", Commonhold_Pass=reading).body == GIVEN


@pytest.mark.parametrize("method", ["PUT", "DELETE", "MOVE", "COPY", "MKCOL"])
def test_under_a_pass_to_write_in_a_folder_nothing_outside_of_it_changes(office, method):
    writing, before = office.given(verb="write", folder="out"), office.tree()
    ways = [path.replace("open/deep/file", "open/out/a.txt").replace("open/deep", "open/out") for path in BESIDES]
    for path in {*ways, *BESIDES, "open/out", "open/output/x", "open/out../x"}:
        if not (office.folder / "open" / "out" / "a.txt").is_file():
            assert office.lender("PUT", "/dav/open/out/a.txt", b"left", Commonhold_Pass=writing).status == 201, path
        if method in {"MOVE", "COPY"}:
            answer = asked(office, writing, method, "/dav/open/out/a.txt", f"Destination: /dav/{path}")
        else:
            answer = asked(office, writing, method, f"/dav/{path}")
        assert office.tree() == before, (path, answer[:300])
    assert sorted(each.name for each in office.folder.iterdir() if each.is_dir()) == [
        "closed", "desk", "laptop", "open", "tower",
    ]  # fmt: skip


def test_under_a_pass_what_the_lender_itself_may_is_not_added(office, reading):
    """Else a submitter could have a lender act with its own rights."""
    office.tower.net.allow("bob", "read", "closed")
    try:
        assert office.lender("GET", "/dav/closed/twin").body == CLOSED
        assert office.lender("GET", "/dav/closed/twin", Commonhold_Pass=reading).status == 403
    finally:
        office.tower.net.deny("bob", "read", "closed")


@pytest.mark.parametrize("said", ["", "0" * 32, "f" * 31, "x" * 32, "0" * 4000, "*", "../7", "job 7"])
def test_a_word_that_is_no_pass_opens_nothing(office, said):
    assert office.lender("GET", "/dav/open/deep/file", Commonhold_Pass=said).status in {400, 403, 431}


def test_a_pass_opens_nothing_after_its_end_whatever_the_lender_says_of_the_time(office):
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    short = office.given(paths=["deep/file"], until=soon, job="8")
    dated = {"Date": "Thu, 01 Jan 1970 00:00:00 GMT", "If_Unmodified_Since": "Thu, 31 Dec 2099 00:00:00 GMT"}

    def ended():
        return office.lender("GET", "/dav/open/deep/file", Commonhold_Pass=short, **dated).status == 403

    until(ended, "the pass is over")
    assert ended()


@pytest.mark.parametrize("until", ["1970-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "soon", "2100-01-01T00:00:00", None])
def test_a_pass_has_an_end_to_come(office, until):
    assert office.wish(paths=["deep/file"], until=until).status in {400, 422}


def test_no_pass_outlives_the_node_that_gave_it_and_after_a_clock_set_back_none_is_given_that_has_ended(
    office, reading
):
    """To a node that has known a later time it is later."""
    tower = office.tower
    tower.kill()
    later = time.time() + 30 * 24 * 3600
    os.utime(tower.home.clock, (later, later))
    tower.up()
    try:
        assert office.lender("GET", "/dav/open/deep/file", Commonhold_Pass=reading).status == 403, "of the one before"
        in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        assert office.wish(paths=["deep/file"], until=in_an_hour).status == 400
        assert (
            office.lender("GET", "/dav/open/deep/file", Commonhold_Pass=office.given(paths=["deep/file"])).body == GIVEN
        )
    finally:
        tower.down()
        tower.home.clock.unlink()
        tower.up()


def test_a_removal_in_the_middle_of_a_job_ends_its_passes(office):
    """First that of one of two lenders, then that of who submitted."""
    with town(office.folder / "more") as make:
        nas = make("nas", "carol")
        enrol(nas, office.tower)
        other = As(office.tower, nas)
        passes = {each: [office.given(paths=["deep/file"], lender=each),
                         office.given(verb="write", folder="out", lender=each)]
                  for each in (office.lender, other)}  # fmt: skip

        def opens(lender):
            reading, writing = passes[lender]
            read = lender("GET", "/dav/open/deep/file", Commonhold_Pass=reading)
            written = lender("PUT", "/dav/open/out/late.txt", b"x", Commonhold_Pass=writing)
            assert read.status != 200 or read.body == GIVEN
            return read.status, written.status

        late = office.folder / "open" / "out" / "late.txt"
        assert [opens(office.lender), opens(other)] == [(200, 201), (200, 204)]
        late.unlink()
        office.tower.net.remove("laptop")
        assert opens(office.lender) == (403, 403)
        assert not late.exists()
        assert opens(other) == (200, 201), "it lends on"
        late.unlink()
        office.tower.net.remove("mallory")
        assert opens(other) == (403, 403)
        assert not late.exists()
