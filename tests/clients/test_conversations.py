"""What Finder, Explorer and Office say to a server, replayed: they ask in an order, and give up, or lose a file, where
an answer is not the one they know. Written after traces in bug reports, since neither system runs here.
"""

from __future__ import annotations

import http.client
import re
import ssl
from email.utils import parsedate_to_datetime

import pytest
from defusedxml.ElementTree import fromstring

from ..people import basic
from .conftest import PASSWORD

PROPERTIES = '<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop>{}</D:prop></D:propfind>'
FINDER_ASKS = PROPERTIES.format("<D:getlastmodified/><D:getcontentlength/><D:creationdate/><D:resourcetype/>")
QUOTA = PROPERTIES.format("<D:quota-available-bytes/><D:quota-used-bytes/><D:quota/><D:quotaused/>")
JUNK = (
    "._.", ".DS_Store", "._.DS_Store", ".Spotlight-V100", ".metadata_never_index", ".ql_disablethumbnails",
    ".ql_disablecache", ".hidden", "mach_kernel", "Backups.backupdb", "Contents", ".localized", ".Trashes",
)  # fmt: skip
LOCKING = (
    '<?xml version="1.0" encoding="utf-8"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>'
    "<D:locktype><D:write/></D:locktype><D:owner><D:href>{}</D:href></D:owner></D:lockinfo>"
)
TIMES = (
    '<?xml version="1.0" encoding="utf-8" ?><D:propertyupdate xmlns:D="DAV:" xmlns:Z="urn:schemas-microsoft-com:">'
    "<D:set><D:prop><Z:Win32CreationTime>Sat, 04 Jul 2026 09:12:00 GMT</Z:Win32CreationTime>"
    "<Z:Win32LastAccessTime>Mon, 06 Jul 2026 07:00:00 GMT</Z:Win32LastAccessTime>"
    "<Z:Win32LastModifiedTime>Sun, 05 Jul 2026 18:30:00 GMT</Z:Win32LastModifiedTime>"
    "<Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>"
)


class Program:
    """One program's connection, kept open as programs do; every answer must leave it fit for the next question."""

    def __init__(self, drive, agent, name="bob"):
        host, _, port = drive.computer.address.rpartition(":")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
        self._connection.connect()
        self._always = {"User-Agent": agent}
        self.name = name
        self.at = f"/dav/{drive.share}"

    def say(self, method, path, body=None, **headers):
        """`path` below the share, or from the root when it begins so; `Lock_Token` is a header."""
        named = self._always | {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str):
            body = body.encode()
            named["Content-Type"] = 'text/xml; charset="utf-8"'
        where = path if path.startswith("/") else f"{self.at}/{path}"
        before = self._connection.sock
        self._connection.request(method, where, body, named, encode_chunked=body is not None)
        answer = self._connection.getresponse()
        answer.body = answer.read()
        assert self._connection.sock is before, f"{method} {path}: {answer.status}, and the connection was closed"
        assert answer.getheader("Content-Length") is not None or method == "HEAD" or answer.status == 204
        return answer

    def sign_in(self):
        self._always["Authorization"] = basic(self.name, PASSWORD)

    def lock(self, path, owner):
        """The token of an exclusive lock."""
        answer = self.say("LOCK", path, LOCKING.format(owner), Depth="0", Timeout="Second-600")
        assert answer.status == 200, answer.body
        assert fromstring(answer.body).find(".//{DAV:}activelock/{DAV:}lockroot/{DAV:}href") is not None
        return re.fullmatch("<(.+)>", answer.getheader("Lock-Token"))[1]

    def found(self, path, question=FINDER_ASKS):
        """The properties that a PROPFIND finds there."""
        answer = self.say("PROPFIND", path, question, Depth="0")
        assert answer.status == 207, answer.body
        groups = fromstring(answer.body).iter("{DAV:}propstat")
        good = [each for each in groups if " 200 " in each.findtext("{DAV:}status")]
        return {each.tag.rpartition("}")[2]: each.text for group in good for each in group.find("{DAV:}prop")}

    def close(self):
        self._connection.close()


@pytest.fixture
def program(drive):
    """Opens connections of programs."""
    opened = []

    def begin(agent, name="bob"):
        opened.append(Program(drive, agent, name))
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


def chunks(data):
    """A body whose length the request does not tell."""
    yield from (data[:1000], data[1000:])


@pytest.fixture
def finder(program):
    """It asks for the options before it says who it is, and gives up unless the refusal speaks of locks."""
    made = program("WebDAVFS/3.0.0 (03008000) Darwin/25.0.0 (arm64)")
    first = made.say("OPTIONS", "")
    assert (first.status, first.getheader("DAV")) == (401, "1, 2")
    assert first.getheader("WWW-Authenticate").startswith("Basic ")
    made.sign_in()
    allowed = made.say("OPTIONS", "")
    assert (allowed.status, allowed.getheader("DAV")) == (200, "1, 2, 3")
    return made


def test_finder_mounts_and_looks_around(finder, drive):
    (drive.root / "report.txt").write_bytes(b"draft")
    assert set(finder.found("", QUOTA)) >= {"quota-available-bytes", "quota-used-bytes"}
    for name in JUNK:
        assert finder.say("PROPFIND", name, FINDER_ASKS, Depth="0").status == 404
    listed = finder.say("PROPFIND", "", FINDER_ASKS, Depth="1")
    hrefs = [each.text for each in fromstring(listed.body).iter("{DAV:}href")]
    assert hrefs == [f"{finder.at}/", f"{finder.at}/report.txt"]
    assert b"location" not in listed.body, "it would show everything twice"
    assert finder.say("GET", "report.txt", Range="bytes=0-2").body == b"dra"


def test_finder_copies_a_file_with_what_it_keeps_beside(finder, drive):
    data = b"0123456789" * 700
    for name in ("report.txt", "._report.txt"):
        assert finder.say("PROPFIND", name, FINDER_ASKS, Depth="0").status == 404
        assert finder.say("PUT", name, b"").status == 201
        token = finder.lock(name, "http://www.apple.com/webdav_fs/")
        length = str(len(data))
        put = finder.say("PUT", name, chunks(data), X_Expected_Entity_Length=length, If=f"(<{token}>)")
        assert put.status == 204
        assert finder.found(name)["getcontentlength"] == length
        assert finder.say("UNLOCK", name, Lock_Token=f"<{token}>").status == 204
    assert drive.files() == {"report.txt": data, "._report.txt": data}
    assert finder.say("MOVE", "report.txt", Destination=f"{drive.url}final.txt", Overwrite="F").status == 201
    assert finder.say("DELETE", "._report.txt").status == 204
    assert drive.files() == {"final.txt": data}


@pytest.fixture
def explorer(program):
    """Asks at the root of the computer first, whatever the share, and calls its person by a domain."""
    made = program("Microsoft-WebDAV-MiniRedir/10.0.26100", "OFFICE\\bob")
    first = made.say("OPTIONS", "/")
    assert (first.status, first.getheader("DAV")) == (401, "1, 2")
    assert made.say("PROPFIND", "/", FINDER_ASKS, Depth="0").status == 401, "with a body, which is read all the same"
    made.sign_in()
    allowed = made.say("OPTIONS", "/", Translate="f")
    assert allowed.status == 200
    assert (allowed.getheader("DAV"), allowed.getheader("MS-Author-Via")) == ("1, 2, 3", "DAV")
    return made


def test_explorer_finds_the_share_from_the_root_of_its_computer(explorer):
    for path in ("/", "/dav", f"/dav/{explorer.at.rpartition('/')[2]}"):
        assert explorer.found(path)["resourcetype"] is None
        assert explorer.say("PROPFIND", path, Depth="1").status == 207
    assert explorer.say("PROPFIND", "/", Depth="infinity").status == 403
    below = [each.text for each in fromstring(explorer.say("PROPFIND", "/", Depth="1").body).iter("{DAV:}href")]
    assert below == ["/", "/dav/"]
    for name in ("desktop.ini", "Thumbs.db", "AutoRun.inf"):
        assert explorer.say("PROPFIND", name, Depth="0").status == 404


def test_explorer_saves_a_file_with_its_times(explorer, drive):
    name, data = "Neues%20Dokument.txt", b"x" * 5000
    assert explorer.say("PUT", name, b"", Translate="f").status == 201
    token = explorer.lock(name, "OFFICE\\bob")
    assert explorer.say("PROPPATCH", name, TIMES, If=f"(<{token}>)").status == 207
    assert explorer.say("HEAD", name, Translate="f").getheader("Content-Length") == "0"
    assert explorer.say("PUT", name, data, If=f"(<{token}>)").status == 204
    told = explorer.say("PROPPATCH", name, TIMES, If=f"(<{token}>)")
    assert {each.text for each in fromstring(told.body).iter("{DAV:}status")} == {"HTTP/1.1 200 OK"}
    assert explorer.say("UNLOCK", name, Lock_Token=f"<{token}>").status == 204
    assert drive.files() == {"Neues Dokument.txt": data}
    asked = PROPERTIES.format('<Z:Win32FileAttributes xmlns:Z="urn:schemas-microsoft-com:"/><D:getlastmodified/>')
    found = explorer.found(name, asked)
    assert found["Win32FileAttributes"] == "00000020"
    assert found["getlastmodified"] == "Sun, 05 Jul 2026 18:30:00 GMT", "the time that the file had on its own disk"
    on_disk = (drive.root / "Neues Dokument.txt").stat().st_mtime
    assert on_disk == parsedate_to_datetime(found["getlastmodified"]).timestamp()


def test_office_edits_a_document_that_nobody_else_can_save_meanwhile(program, drive):
    (drive.root / "letters").mkdir()
    (drive.root / "letters" / "a.docx").write_bytes(b"old")
    word, other = program("Microsoft Office Word 2016"), program("Microsoft Office Word 2016")
    for each in (word, other):
        each.sign_in()
        assert each.say("OPTIONS", "letters").getheader("DAV") == "1, 2, 3"
        assert each.say("HEAD", "letters").status == 200
    token = word.lock("letters/a.docx", "bob")
    assert other.say("LOCK", "letters/a.docx", LOCKING.format("bob"), Depth="0").status == 423
    assert other.say("PUT", "letters/a.docx", b"theirs").status == 423
    assert word.say("LOCK", "letters/a.docx", If=f"(<{token}>)", Timeout="Second-3600").status == 200, "kept alive"
    assert word.say("PUT", "letters/a.docx", b"new", If=f"(<{token}>)").status == 204
    assert word.say("PROPPATCH", "letters/a.docx", TIMES, If=f"(<{token}>)").status == 207
    assert word.say("UNLOCK", "letters/a.docx", Lock_Token=f"<{token}>").status == 204
    assert other.say("PUT", "letters/a.docx", b"theirs").status == 204


def test_a_person_with_a_password_goes_back_as_one_with_a_computer_does(program, drive):
    """No file manager asks so, but a script with curl does."""
    curl, past = program("curl/8"), f"/history/{drive.share}/a.txt"
    assert curl.say("GET", past).status == 401
    curl.sign_in()
    for text in (b"first", b"second"):
        curl.say("PUT", "a.txt", text)
    kept = curl.say("GET", past)
    assert (kept.status, kept.body.count(b'"version"')) == (200, 1)
    assert curl.say("POST", past, b"{}").status == 200
    assert curl.say("GET", "a.txt").body == b"first"
