"""Listings as XML, written and read."""

from __future__ import annotations

from datetime import UTC, datetime
from mimetypes import MimeTypes
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import Damaged, WrongUsage
from commonhold.files import multistatus
from commonhold.files.entry import Entry
from commonhold.files.multistatus import HEAD, QUESTION, TAIL, AnswerReader, Question, answers, parse_question
from commonhold.files.webdav import href

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
FILE = Entry("sub/a & <b>.html", "file", 5, NOON, "abc")
FOLDER = Entry("sub", "folder", 0, NOON, "def")
SHARE = Entry("photos", "share", 0, None, "")


def ask(inner: str) -> Question:
    return parse_question(f'<D:propfind xmlns:D="DAV:" xmlns:x="urn:x">{inner}</D:propfind>'.encode())


def written(question: Question, *entries: Entry) -> list[dict[str, dict[str, str | None]]]:
    """For each entry: status -> property -> text."""
    body = HEAD + answers(question, [(href("photos", e.path), e) for e in entries]) + TAIL
    return [
        {
            stat.findtext("{DAV:}status", "").split()[1]: {p.tag: p.text for p in stat.find("{DAV:}prop")}
            for stat in response.iterfind("{DAV:}propstat")
        }
        for response in ElementTree.fromstring(body)  # noqa: S314 - our own
    ]


@given(st.lists(st.sampled_from([".", "a", ".tar", ".gz", ".jpg", ".JPG", " "]), min_size=1).map("".join))
def test_a_media_type_is_the_standard_library_s(name):
    expected = MimeTypes().guess_type(f"x/{name}", strict=False)[0]
    assert multistatus.content_type(name) == (expected or "application/octet-stream")


def test_all_properties_of_a_file_and_a_folder():
    file, folder, share = written(Question(), FILE, FOLDER, SHARE)
    assert file["200"]["{DAV:}getcontentlength"] == "5"
    assert file["200"]["{DAV:}displayname"] == "a & <b>.html"
    assert file["200"]["{DAV:}getetag"] == '"abc"'
    assert file["200"]["{DAV:}getcontenttype"] == "text/html"
    assert file["200"]["{DAV:}getlastmodified"] == "Sun, 22 Nov 2026 12:00:00 GMT"
    assert "{DAV:}getcontentlength" not in folder["200"]
    assert set(share["200"]) == {"{DAV:}resourcetype", "{DAV:}displayname"}
    assert all(set(each) == {"200"} for each in (file, folder, share))


def test_named_properties_that_are_not_there_are_said_to_be_missing():
    question = ask("<D:prop><D:getetag/><x:colour/><D:getcontentlength/><D:owner/><plain/></D:prop>")
    file, folder = written(question, FILE, FOLDER)
    assert set(file["200"]) == {"{DAV:}getetag", "{DAV:}getcontentlength"}
    assert set(file["404"]) == {"{urn:x}colour", "{DAV:}owner", "plain"}
    assert set(folder["404"]) == {"{urn:x}colour", "{DAV:}owner", "plain", "{DAV:}getcontentlength"}
    (nothing,) = written(ask("<D:prop><x:colour/></D:prop>"), FILE)
    assert set(nothing) == {"404"}


def test_names_only():
    (file,) = written(ask("<D:propname/>"), FILE)
    assert set(file["200"]) == {f"{{DAV:}}{name}" for name in multistatus.PROPERTIES}
    assert not any(file["200"].values())


def test_questions():
    assert parse_question(b"  ") == Question()
    assert ask("<D:allprop/>") == Question()
    assert ask("<D:prop/>") == Question(named=())
    assert parse_question(QUESTION).named is not None


@pytest.mark.parametrize(
    "body",
    [
        b"<", b"nonsense", b"<a/>", b"<propfind/>", b'<D:propfind xmlns:D="DAV:"/>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>',
        b'<!DOCTYPE x [<!ENTITY a "b">]><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>',
        b'<?xml version="1.0" encoding="none"?><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>',
        b'<D:propfind xmlns:D="DAV:"><D:prop>' + b"".join(b"<a%d/>" % n for n in range(65)) + b"</D:prop></D:propfind>",
        b"<D:propfind>" + b" " * 70_000,
        b"\xff\xfe<", b'<D:propfind xmlns:D="DAV:"><x:a/></D:propfind>',
    ],
)  # fmt: skip
def test_questions_that_cannot_be_read_are_refused(body):
    with pytest.raises(WrongUsage):
        parse_question(body)


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\\"), min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, st.booleans(), st.integers(0, 2**62)), max_size=8), st.integers(1, 200))
def test_what_is_written_is_read_however_it_is_cut(items, step):
    entries = [
        Entry(name, "folder" if folder else "file", 0 if folder else size, NOON, "abc") for name, folder, size in items
    ]
    pairs = [(href("photos", e.path, folder=e.kind == "folder"), e) for e in entries]
    for question in (Question(), parse_question(QUESTION)):
        body = HEAD + answers(question, pairs) + TAIL
        reader = AnswerReader()
        found = [item for at in range(0, len(body), step) for item in reader.feed(body[at : at + step])]
        reader.finish()
        assert [(i.address, i.folder, i.size, i.modified, i.etag) for i in found] == [
            (address, e.kind == "folder", e.size, NOON, "abc") for address, e in pairs
        ]


@pytest.mark.parametrize(
    "body",
    [
        b"<", b"{}", b'<!DOCTYPE a [<!ENTITY b "c">]><D:multistatus xmlns:D="DAV:"/>',
        b'<a xmlns="DAV:"><response><getcontentlength>-5</getcontentlength></response></a>',
        b'<a xmlns="DAV:"><response><getcontentlength>\xd9\xa3</getcontentlength></response></a>',
        b'<a xmlns="DAV:"><response><getetag>abc</getetag></response></a>',
        b'<a xmlns="DAV:"><response>',
    ],
)  # fmt: skip
def test_listings_that_cannot_be_read_are_damaged(body):
    reader = AnswerReader()

    def read() -> None:
        reader.feed(body)
        reader.finish()

    with pytest.raises(Damaged):
        read()
