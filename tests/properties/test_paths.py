"""SharePath never leaves its root, whatever is written, encoded or lying about on the disk."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commonhold.authority import authority
from commonhold.authority.authority import Door, Permit, Standing, Subject, Verb
from commonhold.errors import CommonholdError, WrongUsage
from commonhold.files.share import Share
from commonhold.files.webdav import target
from commonhold.names import HIDDEN, SharePath

from ..files.conftest import catalogue

# Every piece that traversals in the wild were made of; all sequences of up to four are tried.
PIECES = (
    "..", ".", "/", "//", "\\", "a", "folder", "inner", "%2e", "%2E%2e", "%2f", "%5c", "%252e%252e", "%c0%ae", "%00",
    "~", HIDDEN, "%2ecommonhold", "\u2024\u2024", "\uff0e\uff0e", "..;", "C:",
)  # fmt: skip
DOOR = Door("share", "1" * 32, "photos")
ANYBODY = Subject(Standing.MEMBER)


def stays_inside(path: SharePath) -> None:
    """Here and, where Windows could hold it at all, there; and never in our own folder."""
    assert not PurePosixPath(str(path)).is_absolute()
    assert os.path.normpath("/root/" + str(path)).startswith("/root")
    assert not {"..", ".", ""} & set(path.parts)
    assert HIDDEN not in {part.casefold() for part in path.parts}
    assert not any(set(part) & set("/\\\0\r\n") for part in path.parts)
    with suppress(WrongUsage):
        path.require_portable()
        assert not PureWindowsPath(str(path)).anchor


@given(st.text())
def test_whatever_text_is_parsed_stays_inside_or_is_refused(text):
    try:
        path = SharePath.parse(text)
    except WrongUsage:
        return
    stays_inside(path)
    assert SharePath.parse(str(path)) == path


@given(st.text("ab.\\/é \n", max_size=12) | st.sampled_from([HIDDEN, f"a/{HIDDEN}", "a" * 255, "a" * 256]))
def test_what_is_parsed_quickly_is_what_its_parts_are_one_by_one(text):
    parts = tuple(text.removeprefix("/").removesuffix("/").split("/"))
    try:
        expected = SharePath(parts if parts != ("",) else ())
    except WrongUsage:
        with pytest.raises(WrongUsage):
            SharePath.parse(text)
    else:
        assert SharePath.parse(text) == expected


@given(st.lists(st.text(), max_size=5))
def test_whatever_parts_are_given_stay_inside_or_are_refused(parts):
    try:
        path = SharePath(tuple(parts))
    except WrongUsage:
        return
    stays_inside(path)
    assert path.within(path.parent)
    assert all(path.within(SharePath(path.parts[:length])) for length in range(len(path.parts)))


@given(st.text(st.sampled_from("./\\%2eEfF5cC0aA~\0é\u0301"), max_size=30))
def test_whatever_address_is_decoded_stays_inside_or_is_refused(text):
    try:
        share, path = target("/dav/photos/" + text)
    except WrongUsage:
        return
    assert share == "photos"
    stays_inside(path)
    assert target("/dav/photos/" + quote(str(path))) == (share, path)


@pytest.fixture(scope="module")
def trapped(tmp_path_factory):
    """A share in which every way out is laid: links up, aside and to the root of the system."""
    around = tmp_path_factory.mktemp("around")
    (around / "secret").write_text("secret")
    root = around / "root"
    (root / "folder" / "inner").mkdir(parents=True)
    (root / "a").write_text("fine")
    (root / "folder" / "a").write_text("fine")
    (root / "~").symlink_to("/")
    (root / "..;").symlink_to("..")
    (root / "C:").symlink_to(around)
    (root / "folder" / "up").symlink_to("../..")
    (root / HIDDEN / "tmp").mkdir(parents=True)
    (root / HIDDEN / "tmp" / "a").mkdir()
    (root / HIDDEN / "secret").write_text("secret")
    return Share(DOOR, root, catalogue())


def test_no_sequence_of_pieces_reads_anything_outside(trapped):
    tried = read = 0
    for length in range(1, 5):
        for pieces in itertools.product(PIECES, repeat=length) if length < 4 else _sampled(4, 20_000):
            try:
                _, path = target("/dav/photos/" + "".join(pieces))
            except WrongUsage:
                continue
            tried += 1
            stays_inside(path)
            try:
                file, _ = trapped.read(Permit(authority._SEAL, ANYBODY, Verb.READ, DOOR, path))
            except CommonholdError:
                continue
            with file:
                assert file.read() == b"fine"
            read += 1
    assert tried > 1000
    assert read >= 2


def _sampled(length: int, count: int):
    """Every n-th of all sequences of that length: the same ones each time."""
    step = len(PIECES) ** length // count
    return itertools.islice(itertools.product(PIECES, repeat=length), 0, None, step)


@given(st.lists(st.sampled_from(["folder", "inner", "up", "a", "~", "..;", "C:", "new"]), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_nothing_is_made_or_deleted_outside(trapped, parts):
    around = trapped.root.parent
    before = sorted(str(each) for each in around.iterdir())
    path = SharePath(tuple(parts))
    permit = Permit(authority._SEAL, ANYBODY, Verb.WRITE, DOOR, path)
    try:
        upload = trapped.write(permit)
        upload.write(b"planted")
        upload.commit()
    except CommonholdError:
        assert not Path(around, *parts).is_file()
    else:
        assert Path(os.path.realpath(trapped.root / str(path))).is_relative_to(trapped.root)
        trapped.delete(permit)
        if path.name == "a":
            (trapped.root / str(path)).write_text("fine")
    assert sorted(str(each) for each in around.iterdir()) == before
    assert (around / "secret").read_text() == "secret"
