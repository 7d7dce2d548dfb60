"""Listings as XML, written and read."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from mimetypes import MimeTypes
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonhold.errors import Damaged, WrongUsage
from commonhold.files import multistatus
from commonhold.files.entry import etag_for
from commonhold.files.listing import HAS, Lines, Thing, beyond, form
from commonhold.files.multistatus import HEAD, QUESTION, TAIL, AnswerReader, Question, parse_question
from commonhold.files.webdav import href, hrefs

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def status(size: int = 5, folder: bool = False, modified: datetime = NOON) -> os.stat_result:
    ns = int(modified.timestamp()) * 10**9 + 999_999_999
    mode = stat.S_IFDIR if folder else stat.S_IFREG
    return os.stat_result((mode, 7, 0, 1, 0, 0, size, 0, 0, 0), {"st_mtime_ns": ns, "st_ctime_ns": ns})


ETAG = etag_for(status())
FILE = "file", Lines([href("photos", "sub/a & <b>.html")], ["a & <b>.html"], [status()], "sub/")
FOLDER = "folder", Lines(["/dav/photos/sub/"], ["sub"], [status(0, folder=True)])
SHARE = "share", Lines(["/dav/photos/"], ["photos"])


def ask(inner: str) -> Question:
    return parse_question(f'<D:propfind xmlns:D="DAV:" xmlns:x="urn:x">{inner}</D:propfind>'.encode())


def document(question: Question, *things: tuple[Thing, Lines]) -> bytes:
    return HEAD + "".join(form(question, kind).fill(lines) for kind, lines in things).encode() + TAIL


def written(question: Question, *things: tuple[Thing, Lines]) -> list[dict[str, dict[str, str | None]]]:
    """For each thing: status -> property -> text."""
    return [
        {
            each.findtext("{DAV:}status", "").split()[1]: {p.tag: p.text for p in each.find("{DAV:}prop")}
            for each in response.iterfind("{DAV:}propstat")
        }
        for response in ElementTree.fromstring(document(question, *things))  # noqa: S314 - our own
    ]


@given(st.lists(st.sampled_from([".", "a", ".tar", ".gz", ".jpg", ".JPG", " "]), min_size=1).map("".join))
def test_a_media_type_is_the_standard_library_s(name):
    expected = MimeTypes().guess_type(f"x/{name}", strict=False)[0]
    assert multistatus.content_type(name) == (expected or "application/octet-stream")


def test_all_properties_of_a_file_and_a_folder():
    file, folder, share = written(Question(), FILE, FOLDER, SHARE)
    assert file["200"]["{DAV:}getcontentlength"] == "5"
    assert file["200"]["{DAV:}displayname"] == "a & <b>.html"
    assert file["200"]["{DAV:}getetag"] == f'"{ETAG}"'
    assert file["200"]["{DAV:}getcontenttype"] == "text/html"
    assert file["200"]["{DAV:}getlastmodified"] == "Sun, 22 Nov 2026 12:00:00 GMT"
    assert file["200"]["{DAV:}creationdate"] == "2026-11-22T12:00:00Z"
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
    assert set(file["200"]) == {f"{{DAV:}}{name}" for name in HAS["file"]}
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


class Parsing(AnswerReader):
    """Counts the elements for which the parser was needed."""

    parsed = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.parsed += 1
        super().start(tag, attributes)


@given(st.integers(0, 3), st.integers(1, 400))
def test_other_lines_between_ours_are_read_in_their_order(place, step):
    """A newer computer may write some of its lines in another way."""
    ours = document(parse_question(QUESTION), FILE, FILE, FILE)
    lines = ours.removeprefix(HEAD).removesuffix(TAIL).splitlines(keepends=True)
    lines.insert(place, b'<response xmlns="DAV:"><href>/&#120;</href></response>')
    body = HEAD + b"".join(lines) + TAIL
    reader = AnswerReader()
    found = [item.address for at in range(0, len(body), step) for item in reader.feed(body[at : at + step])]
    reader.finish()
    expected = [FILE[1].addresses[0]] * 3
    expected.insert(place, "/x")
    assert found == expected
    cut = AnswerReader()
    cut.feed(body[: -len(TAIL)])
    with pytest.raises(Damaged):
        cut.finish()


@given(st.dictionaries(NAMES, st.tuples(st.booleans(), st.integers(0, 2**62)), max_size=8), st.integers(1, 200))
def test_what_is_written_is_read_however_it_is_cut(items, step):
    files = {name: status(size) for name, (folder, size) in items.items() if not folder}
    folders = {name: status(4096, folder=True) for name, (folder, _) in items.items() if folder}
    things: list[tuple[Thing, Lines]] = [
        ("file", Lines(hrefs("photos", "", [*files]), [*files], [*files.values()])),
        ("folder", Lines(hrefs("photos", "", [*folders], folders=True), [*folders], [*folders.values()])),
    ]
    expected = [(href("photos", name), False, s.st_size, NOON, etag_for(s)) for name, s in files.items()]
    expected += [(href("photos", name, folder=True), True, 0, NOON, etag_for(s)) for name, s in folders.items()]
    for question in (Question(), parse_question(QUESTION)):
        body = document(question, *things)
        reader = Parsing()
        found = [item for at in range(0, len(body), step) for item in reader.feed(body[at : at + step])]
        reader.finish()
        assert [(i.address, i.folder, i.size, i.modified, i.etag) for i in found] == expected
        assert (reader.parsed > 1) == (question == Question() and bool(items)), "ours need no parser"


@given(
    st.lists(
        NAMES | st.text(st.characters(max_codepoint=127, exclude_categories=["Cc"], exclude_characters="/")), max_size=5
    )
)
def test_names_read_the_same_one_by_one_or_together(names):
    assert (
        multistatus.texts(names) == [escape(name.translate({0xFFFE: "\ufffd", 0xFFFF: "\ufffd"})) for name in names]
        or not names
    )
    for folders in (False, True):
        together = hrefs("photos", "a b/é", names, folders=folders)
        assert together == [f"/dav/photos/a%20b/%C3%A9/{quote(name, safe='')}{'/' * folders}" for name in names]
        assert together == [href("photos", f"a b/é/{name}", folder=folders) for name in names]


def test_dead_properties_and_what_is_missing_beside_them():
    colour, size = "{urn:x}colour", "{urn:x}size"
    told = {"b": {colour: '<x:colour xmlns:x="urn:x">red</x:colour>'}}
    lines = Lines(hrefs("photos", "", ["a", "b"]), ["a", "b"], [status(), status()], told=told)

    def found(question: Question) -> list[dict[str, set[str]]]:
        body = document(question, ("file", lines))
        return [
            {
                each.findtext("{DAV:}status", "").split()[1]: {p.tag for p in each.find("{DAV:}prop")}
                for each in response.iterfind("{DAV:}propstat")
            }
            for response in ElementTree.fromstring(body)  # noqa: S314 - our own
        ]

    a, b = found(ask("<D:prop><x:colour/><x:size/><D:getetag/></D:prop>"))
    assert a == {"200": {"{DAV:}getetag"}, "404": {colour, size}}
    assert b == {"200": {"{DAV:}getetag", colour}, "404": {size}}
    assert beyond(ask("<D:prop><x:colour/></D:prop>"))
    assert not beyond(parse_question(QUESTION)), "what nobody else can give is asked of nobody else"
    for question in (Question(), ask("<D:propname/>")):
        assert beyond(question)
        a, b = found(question)
        assert b["200"] - a["200"] == {colour}


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
