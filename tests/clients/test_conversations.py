"""What Explorer says to a server, replayed after traces in bug reports, since no Windows runs here."""

from __future__ import annotations

import http.client
import ssl

import pytest
from defusedxml.ElementTree import fromstring

from ..people import basic
from .conftest import PASSWORD

PROPERTIES = '<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop>{}</D:prop></D:propfind>'
FINDER_ASKS = PROPERTIES.format("<D:getlastmodified/><D:getcontentlength/><D:creationdate/><D:resourcetype/>")


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
        assert answer.getheader("Content-Length") is not None or answer.status == 204, "Finder needs it"
        return answer

    def sign_in(self):
        self._always["Authorization"] = basic(self.name, PASSWORD)

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
    assert allowed.getheader("MS-Author-Via") == "DAV"
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
