"""What docs/files-on-disk.md says of odd files and names, where no other test of shares says it."""

from __future__ import annotations

import os
import stat
import threading
import unicodedata
from contextlib import suppress

import pytest

from commonhold.authority.authority import Verb
from commonhold.errors import CommonholdError, NotFound, WrongUsage

from .conftest import Folder


def composed_and_decomposed(name):
    return [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]


def test_a_file_with_other_names_keeps_what_it_had_under_them(folder, tmp_path):
    (tmp_path / "album.jpg").write_bytes(b"old")
    (folder.root / "a.jpg").hardlink_to(tmp_path / "album.jpg")
    assert folder.read("a.jpg") == b"old"
    folder.put("a.jpg", b"new")
    assert folder.read("a.jpg") == b"new"
    assert (tmp_path / "album.jpg").read_bytes() == b"old"
    folder.share.delete(folder.permit(Verb.WRITE, "a.jpg"))
    assert (tmp_path / "album.jpg").read_bytes() == b"old"


def test_a_device_does_not_exist(folder):
    try:
        os.mknod(folder.root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this user may make no devices")
    assert folder.names() == set()
    for verb, act in (
        (Verb.READ, folder.share.read),
        (Verb.WRITE, folder.share.delete),
        (Verb.LIST, folder.share.stat),
    ):
        with pytest.raises(NotFound):
            act(folder.permit(verb, "zero"))
    with pytest.raises(CommonholdError, match="taken by something that is not shared"):
        folder.put("zero", b"x")


def test_twins_that_differ_by_case_are_two_files(folder):
    folder.put("Report.txt", b"one")
    folder.put("report.txt", b"two")
    assert folder.names() == {"Report.txt", "report.txt"}, "where the disk holds both"
    assert (folder.read("Report.txt"), folder.read("report.txt")) == (b"one", b"two")


def test_twins_that_differ_by_composition_are_met_each_by_its_own_spelling(folder):
    twins = composed_and_decomposed("été.txt")
    for name in twins:
        (folder.root / name).write_text(name)
    assert folder.names() == set(twins), "the owner made both: nothing is hidden"
    for name in twins:
        assert folder.read(name) == name.encode()
    folder.put(twins[1], b"new")
    assert folder.read(twins[0]) == twins[0].encode()
    folder.share.delete(folder.permit(Verb.WRITE, twins[1]))
    assert folder.read(twins[1]) == twins[0].encode(), "the one that is left has both spellings"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x", "雪" * 85])
def test_a_name_of_255_bytes_is_held_and_a_longer_one_refused(folder, name):
    assert len(name.encode()) == 255
    folder.put(name, b"x")
    assert folder.read(name) == b"x"
    with pytest.raises(WrongUsage, match="longer than 255 bytes"):
        folder.put(name + "y", b"x")


def test_a_path_of_more_than_4096_bytes_is_refused_and_a_long_one_works(folder):
    parts = ["d" * 200] * 19
    for depth in range(1, len(parts) + 1):
        folder.share.mkdir(folder.permit(Verb.WRITE, "/".join(parts[:depth])))
    folder.put("/".join([*parts, "deep.txt"]), b"x")
    assert folder.read("/".join([*parts, "deep.txt"])) == b"x"
    with pytest.raises(WrongUsage, match="longer than 4096 bytes"):
        folder.put("/".join([*parts, *parts]), b"x")


def swapping(folder: Folder, outside, over: threading.Event) -> threading.Thread:
    """Somebody at the computer who makes `way` a folder and a link out, by turns, as fast as they can."""

    def swap():
        (folder.root / "link").symlink_to(outside)
        while not over.is_set():
            for one in ("link", "real"):
                with suppress(OSError):
                    (folder.root / one).rename(folder.root / "way")
                    (folder.root / "way").rename(folder.root / one)

    thread = threading.Thread(target=swap)
    thread.start()
    return thread


def test_a_link_that_is_swapped_in_during_a_request_leads_nowhere(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_bytes(b"secret")
    (folder.root / "real").mkdir()
    (folder.root / "real" / "key").write_bytes(b"mine")
    over, heard = threading.Event(), set()
    thread = swapping(folder, outside, over)
    try:
        for _ in range(2000):
            with suppress(CommonholdError):
                heard.add(folder.read("way/key"))
            with suppress(CommonholdError):
                folder.share.mkdir(folder.permit(Verb.WRITE, "way/planted"))
                folder.share.delete(folder.permit(Verb.WRITE, "way/planted"))
    finally:
        over.set()
        thread.join()
    assert heard <= {b"mine"}
    assert [each.name for each in outside.iterdir()] == ["key"]
    assert (outside / "key").read_bytes() == b"secret"
