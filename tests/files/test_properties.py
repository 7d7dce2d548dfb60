"""PROPPATCH and PROPFIND of what programs keep with files: at the real door, and where it goes when the file goes."""

from __future__ import annotations

import os
from xml.etree import ElementTree

import pytest

from commonhold.authority.authority import Verb
from commonhold.errors import WrongUsage
from commonhold.files import properties, propwords

NAMESPACES = 'xmlns:D="DAV:" xmlns:x="urn:x" xmlns:Z="urn:schemas-microsoft-com:"'
COLOUR = "{urn:x}colour"
FULL, OTHERS = 507, 424


def update(*steps: str) -> bytes:
    return f"<D:propertyupdate {NAMESPACES}>{''.join(steps)}</D:propertyupdate>".encode()


def put(inner: str) -> str:
    return f"<D:set><D:prop>{inner}</D:prop></D:set>"


def drop(inner: str) -> str:
    return f"<D:remove><D:prop>{inner}</D:prop></D:remove>"


def told(body: bytes) -> dict[str, dict[int, dict[str, ElementTree.Element]]]:
    """address -> status -> property -> element."""
    return {
        response.findtext("{DAV:}href", ""): {
            int(stat.findtext("{DAV:}status", "").split()[1]): {p.tag: p for p in stat.find("{DAV:}prop")}
            for stat in response.iterfind("{DAV:}propstat")
        }
        for response in ElementTree.fromstring(body)  # noqa: S314 - our own
    }


@pytest.fixture
def drive(tower):
    share = tower.offer("drive", laptop=Verb.WRITE, desk=Verb.LIST)
    (share.root / "a.txt").write_bytes(b"a")
    return share


@pytest.fixture
def patch(tower):
    async def ask(path: str, *steps: str, who: str = "laptop", **headers: str) -> dict[int, set[str]]:
        answer = await tower.ask(who, "PROPPATCH", f"/dav/drive/{path}", update(*steps), **headers)
        assert answer.status == 207, answer.body
        (stats,) = told(answer.body).values()
        return {status: set(found) for status, found in stats.items()}

    return ask


@pytest.fixture
def colours(tower):
    """The colours of all that lies in a folder, and its own, by name."""

    async def ask(path: str = "", question: bytes | None = None) -> dict[str, str | None]:
        answer = await tower.ask("laptop", "PROPFIND", f"/dav/drive/{path}", question, Depth="1")
        found = told(answer.body)
        return {
            address.removeprefix("/dav/drive/"): stats[200][COLOUR].text
            for address, stats in found.items()
            if COLOUR in stats.get(200, {})
        }

    return ask


async def test_a_property_is_set_named_listed_and_removed(tower, drive, patch, colours):
    assert await patch("a.txt", put("<x:colour>red</x:colour><plain/>")) == {200: {COLOUR, "plain"}}
    assert await colours() == await colours("a.txt") == {"a.txt": "red"}
    named = f"<D:propfind {NAMESPACES}><D:prop><x:colour/><x:none/><D:getetag/></D:prop></D:propfind>".encode()
    (stats,) = told((await tower.ask("desk", "PROPFIND", "/dav/drive/a.txt", named, Depth="0")).body).values()
    assert {status: set(found) for status, found in stats.items()} == {
        200: {COLOUR, "{DAV:}getetag"}, 404: {"{urn:x}none"}
    }  # fmt: skip
    names = f"<D:propfind {NAMESPACES}><D:propname/></D:propfind>".encode()
    (stats,) = told((await tower.ask("desk", "PROPFIND", "/dav/drive/a.txt", names, Depth="0")).body).values()
    assert {COLOUR, "plain", "{DAV:}lockdiscovery"} < set(stats[200])
    included = f"<D:propfind {NAMESPACES}><D:allprop/><D:include><D:quota-used-bytes/></D:include></D:propfind>"
    (stats,) = told((await tower.ask("desk", "PROPFIND", "/dav/drive/", included.encode(), Depth="0")).body).values()
    assert "{DAV:}quota-used-bytes" in stats[200]
    assert await patch("a.txt", drop("<x:colour/>"), put("<x:colour>blue</x:colour>")) == {200: {COLOUR}}
    assert await colours() == {"a.txt": "blue"}, "in the order of the document"
    assert await patch("a.txt", put("<x:colour/>"), drop("<x:colour/><x:never/>")) == {200: {COLOUR, "{urn:x}never"}}
    assert await colours() == {}
    assert await patch("", put("<x:colour>white</x:colour>")) == {200: {COLOUR}}, "of the share itself"
    assert await colours() == {"": "white"}


async def test_all_is_changed_or_nothing(tower, drive, patch, colours, monkeypatch):
    await patch("a.txt", put("<x:colour>red</x:colour>"))
    blue = put("<x:colour>blue</x:colour>")
    live = {f"{{DAV:}}{name}" for name in ("getetag", "resourcetype", "lockdiscovery", "quota-used-bytes")}
    protected = put("".join(f"<D:{tag.removeprefix('{DAV:}')}/>" for tag in live))
    assert await patch("a.txt", blue, protected) == {OTHERS: {COLOUR}, 403: live}
    long = f"<x:long>{'x' * properties.LONGEST}</x:long>"
    assert await patch("a.txt", blue, put(long)) == {OTHERS: {COLOUR}, FULL: {"{urn:x}long"}}
    monkeypatch.setattr(properties, "MOST", 3)
    assert FULL in await patch("a.txt", put("<x:b/><x:c/><x:d/>"))
    monkeypatch.setattr(properties, "MOST_BYTES", 1000)
    assert FULL in await patch("a.txt", blue, put(f"<x:b>{'x' * 1000}</x:b>"))
    bad = put("<Z:Win32LastModifiedTime>soon</Z:Win32LastModifiedTime>")
    assert await patch("a.txt", blue, bad) == {OTHERS: {COLOUR}, 409: {properties.CONTENT}}
    assert await colours() == {"a.txt": "red"}


async def test_it_takes_the_right_to_write_and_holds_no_condition_for_nothing(tower, drive, patch, colours):
    body = update(put("<x:colour>red</x:colour>"))
    refused = {("desk", "a.txt"): 403, ("laptop", "none"): 404, ("desk", "none"): 403}
    for (who, path), status in refused.items():
        assert (await tower.ask(who, "PROPPATCH", f"/dav/drive/{path}", body)).status == status
    assert (await tower.ask("laptop", "PROPPATCH", "/dav/drive/a.txt", body, If_Match='"x"')).status == 412
    assert (await tower.ask("laptop", "PROPPATCH", "/dav/", body)).status == 405
    assert await colours() == {}


async def test_room_is_made_by_what_is_no_more(drive, patch, colours, monkeypatch):
    (drive.root / "b.txt").write_bytes(b"b")
    assert 200 in await patch("b.txt", put(f"<x:b>{'x' * 500}</x:b>"))
    (drive.root / "b.txt").unlink()
    monkeypatch.setattr(properties, "MOST_BYTES", 900)
    assert 200 in await patch("a.txt", put(f"<x:colour>{'x' * 500}</x:colour>"))


async def test_it_follows_the_file_and_no_other(tower, drive, patch, colours):
    async def ask(method: str, path: str, to: str = "", data: bytes | None = None) -> None:
        headers = {"Destination": f"/dav/drive/{to}"} if to else {}
        assert (await tower.ask("laptop", method, f"/dav/drive/{path}", data, **headers)).status < 300

    (drive.root / "sub").mkdir()
    await patch("a.txt", put("<x:colour>red</x:colour>"))
    await ask("PUT", "a.txt", data=b"new")
    assert await colours() == {"a.txt": "red"}, "another content"
    await ask("COPY", "a.txt", "sub/c.txt")
    await patch("sub", put("<x:colour>grey</x:colour>"))
    await ask("MOVE", "sub", "moved")
    await ask("COPY", "moved", "copy")
    assert await colours("moved") == {"moved/": "grey", "moved/c.txt": "red"}
    assert await colours("copy") == {"copy/": "grey", "copy/c.txt": "red"}
    (drive.root / "sub").mkdir()
    assert await colours("sub") == {}, "another folder of that name"
    tower.offer("other", laptop=Verb.WRITE)
    assert (await tower.ask("laptop", "MOVE", "/dav/drive/copy", Destination="/dav/other/x")).status == 201
    body = (await tower.ask("laptop", "PROPFIND", "/dav/other/x", Depth="1")).body
    assert {stats[200][COLOUR].text for stats in told(body).values()} == {"grey", "red"}
    await ask("DELETE", "moved/c.txt")
    (drive.root / "moved" / "c.txt").write_bytes(b"anew")
    assert await colours("moved") == {"moved/": "grey"}, "made anew by the owner"
    (drive.root / "a.txt").unlink()
    (drive.root / "a.txt").write_bytes(b"anew")
    assert await colours() == {"moved/": "grey"}, "also where the disk gives the number of the old file to the new"


async def test_what_was_overwritten_or_deleted_comes_back_with_its_own(tower, drive, patch, colours):
    await patch("a.txt", put("<x:colour>red</x:colour>"))
    assert (await tower.ask("laptop", "DELETE", "/dav/drive/a.txt")).status == 204
    assert await colours() == {}
    version = drive.versions.find("kept")[-1].id
    with drive._retiring.store() as store:  # as `restore` does: a rename
        os.rename(version, drive.root / "a.txt", src_dir_fd=store)
    assert await colours() == {"a.txt": "red"}


async def test_explorers_times_are_kept_and_the_last_change_is_set(tower, drive, patch):
    words = ("CreationTime", "LastAccessTime", "LastModifiedTime")
    times = "".join(f"<Z:Win32{word}>Tue, 24 Nov 2020 10:00:00 GMT</Z:Win32{word}>" for word in words)
    done = await patch("a.txt", put(f"{times}<Z:Win32FileAttributes>00000020</Z:Win32FileAttributes>"))
    assert set(done) == {200}
    assert (drive.root / "a.txt").stat().st_mtime == 1606212000
    await tower.ask("laptop", "PUT", "/dav/drive/a.txt", b"new")
    (stats,) = told((await tower.ask("laptop", "PROPFIND", "/dav/drive/a.txt", Depth="0")).body).values()
    kept = {tag.rpartition("}")[2] for tag in stats[200] if "microsoft" in tag}
    assert kept == {"Win32CreationTime", "Win32LastAccessTime", "Win32FileAttributes"}, "a new content, a new time"


VALUES = [
    '<x:p xml:lang="de">Grün &amp; &lt;rot&gt;</x:p>',
    '<p xmlns="urn:d"><q a="1" b="&quot;&#10;"/>t<r xmlns="">u</r></p>',
    '<y:p xmlns:y="urn:y" xmlns:z="urn:z" z:a="z:name"><z:q xmlns:z="urn:y"/>\U0001f600&#13;</y:p>',
    '<p xmlns=""><D:href>x</D:href></p>',
]


@pytest.mark.parametrize("value", VALUES)
def test_values_stay_what_they_are(value):
    (change,) = propwords.parse_patch(update(put(value)).replace(b"<D:prop>", b'<D:prop xml:lang="en">'))
    sent = ElementTree.fromstring(f"<a {NAMESPACES}>{value}</a>")[0]  # noqa: S314
    kept = ElementTree.fromstring(change.value)  # noqa: S314 - alone, as in any answer
    sent.attrib.setdefault("{http://www.w3.org/XML/1998/namespace}lang", "en")
    assert ElementTree.canonicalize(ElementTree.tostring(sent)) == ElementTree.canonicalize(ElementTree.tostring(kept))
    assert ('xmlns:z="urn:z"' in change.value) == ("z:name" in value), "names in a text keep their meaning"


BOMBS = [
    b"", b"<", b"<a/>", update(), update("<D:set/>"), update("<D:prop><x:a/></D:prop>"), update(put("")),
    b'<!DOCTYPE a [<!ENTITY b "b">]>' + update(put("<x:a>&b;</x:a>")),
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd">' + update(put("<x:a/>")), update(put("<x:a>&b;</x:a>")),
    update(put("<y:a/>")), update(put("<x:a>")), update(put("<x:a>" * 200 + "</x:a>" * 200)),
    b'<?xml version="1.0" encoding="utf-32"?>' + update(put("<x:a/>")), update(put("<x:a/>")) + b"<b/>",
    b'<?xml version="1.0" encoding="none"?>' + update(put("<x:a/>")), b" " * (propwords.LONGEST_PATCH + 1),
    update(put("<x:a>\x00</x:a>")), update(put("<:a/>")), update(put('<x:a b="1" b="2"/>')), b"\xff" + update(),
    update(put('<a xmlns:q=""/>')),
]  # fmt: skip


@pytest.mark.parametrize("body", BOMBS)
def test_what_is_no_change_of_properties_is_refused(body):
    with pytest.raises(WrongUsage):
        propwords.parse_patch(body)


async def test_neither_copies_nor_overwrites_make_more_properties_than_there_is_room_for(
    tower, drive, patch, colours, monkeypatch
):
    """Each copied as much as one file may have, a megabyte at a time, into the computer's own state."""
    await patch("a.txt", put(f"<x:colour>{'red' * 100}</x:colour>"))
    monkeypatch.setattr(properties, "MOST_BYTES", 2000)
    for number in range(6):
        assert (await tower.ask("laptop", "PUT", "/dav/drive/a.txt", b"%d" % number)).status == 204
        copied = await tower.ask("laptop", "COPY", "/dav/drive/a.txt", Destination=f"/dav/drive/copy{number}")
        assert copied.status == 201
    assert drive._properties._measured() <= 2000
    assert (await colours())["a.txt"] == "red" * 100
