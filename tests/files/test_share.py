"""What a share promises about its files, and what it never opens."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import unicodedata
from pathlib import Path

import pytest

from commonhold.authority.authority import Door, Verb, permit
from commonhold.errors import Changed, Conflict, Damaged, NoSpace, NotFound, Refused, WrongUsage
from commonhold.files.entry import ANYTHING, NEW, NONE, Conditions
from commonhold.files.handing import NoFile
from commonhold.files.share import Share, Taken, unchanged
from commonhold.names import PersonId, SharePath


def test_a_file_comes_back_as_it_was_put(folder):
    entry = folder.put("a.jpg", b"picture")
    assert (entry.path, entry.kind, entry.size) == ("a.jpg", "file", 7)
    assert folder.read("a.jpg") == b"picture"
    assert (folder.root / "a.jpg").read_bytes() == b"picture"
    assert folder.share.stat(folder.permit(Verb.LIST, "a.jpg")) == entry
    assert not folder.rubbish()


def test_a_permit_of_another_door_or_verb_opens_nothing(folder):
    folder.put("a.jpg", b"picture")
    elsewhere = Door("share", "0" * 32, "papers", PersonId("a" * 32))
    stray = permit(folder.casa.authority, folder.casa.who("tower"), Verb.WRITE, elsewhere, SharePath.parse("a.jpg"))
    for method in (folder.share.read, folder.share.stat, folder.share.list, folder.share.write, folder.share.delete):
        with pytest.raises(Refused):
            method(stray)
    with pytest.raises(Refused):
        folder.share.read(folder.permit(Verb.LIST, "a.jpg"))
    with pytest.raises(Refused):
        folder.share.write(folder.permit(Verb.READ, "b.jpg"))
    with pytest.raises(Refused):
        folder.share.delete(folder.permit(Verb.ADD, "a.jpg"))


def test_a_reader_keeps_the_old_file_while_a_new_one_takes_its_name(folder):
    folder.put("a.txt", b"old" * 1000)
    file, _ = folder.share.read(folder.permit(Verb.READ, "a.txt"))
    with file:
        assert file.read(3) == b"old"
        upload = folder.share.write(folder.permit(Verb.WRITE, "a.txt"))
        upload.write(b"new")
        assert folder.read("a.txt") == b"old" * 1000  # half an upload is no file
        upload.commit()
        assert folder.read("a.txt") == b"new"
        assert file.read() == (b"old" * 1000)[3:]


def test_an_upload_that_ends_early_leaves_nothing(folder):
    folder.put("a.txt", b"old")
    for verb_path in ("a.txt", "new.txt"):
        upload = folder.share.write(folder.permit(Verb.WRITE, verb_path))
        upload.write(b"x" * 100_000)
        assert folder.rubbish()
        upload.abort()
        upload.abort()
    assert folder.names() == {"a.txt"}
    assert folder.read("a.txt") == b"old"
    assert not folder.rubbish()
    with pytest.raises(Conflict):
        upload.write(b"more")
    with pytest.raises(Conflict):
        upload.commit()


def test_damaged_bytes_change_nothing(folder):
    folder.put("a.txt", b"old")
    upload = folder.share.write(folder.permit(Verb.WRITE, "a.txt"))
    upload.write(b"new")
    with pytest.raises(Damaged):
        upload.commit(sha256=b"\0" * 32)
    assert folder.read("a.txt") == b"old"
    assert not folder.rubbish()


def test_the_etag_changes_with_every_change_and_the_mode_stays(folder):
    first = folder.put("a.sh", b"one")
    (folder.root / "a.sh").chmod(0o750)
    second = folder.put("a.sh", b"two")
    third = folder.put("a.sh", b"two")
    assert len({first.etag, second.etag, third.etag}) == 3
    assert (folder.root / "a.sh").stat().st_mode & 0o777 == 0o750


def test_somebody_at_the_computer_who_writes_into_an_open_file_is_noticed(folder):
    folder.put("log.txt", b"one")
    file, entry = folder.share.read(folder.permit(Verb.READ, "log.txt"))
    with file:
        assert unchanged(file, entry)
        with (folder.root / "log.txt").open("ab") as log:
            log.write(b"two")
        assert not unchanged(file, entry)


def test_who_reads_a_file_has_it_whole_also_when_it_is_replaced_and_deleted_meanwhile(folder):
    folder.put("a", b"one")
    file, entry = folder.share.read(folder.permit(Verb.READ, "a"))
    with file:
        folder.put("a", b"two")
        folder.share.delete(folder.permit(Verb.WRITE, "a"))
        assert unchanged(file, entry)
        assert file.read() == b"one"


def test_of_many_who_replace_the_same_version_one_wins(folder):
    before = folder.put("a.txt", b"old").etag
    uploads = []
    for number in range(8):
        upload = folder.share.write(folder.permit(Verb.WRITE, "a.txt"))
        upload.write(str(number).encode())
        uploads.append(upload)
    won: list[int] = []
    lost: list[int] = []

    def commit(number: int) -> None:
        try:
            uploads[number].commit(Conditions(if_match=frozenset({before})))
            won.append(number)
        except Changed:
            lost.append(number)

    threads = [threading.Thread(target=commit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert folder.read("a.txt") == str(won[0]).encode()
    assert not folder.rubbish()


def test_of_many_who_make_the_same_name_one_wins(folder):
    uploads = [folder.share.write(folder.permit(Verb.WRITE, "new.txt")) for _ in range(4)]
    for upload in uploads:
        upload.write(b"x")
    uploads[2].commit(NEW)
    for upload in (uploads[0], uploads[1], uploads[3]):
        with pytest.raises(Changed):
            upload.commit(NEW)
    assert not folder.rubbish()


def test_whoever_may_only_add_never_replaces(folder):
    folder.put("new.txt", b"carol's", Verb.ADD, "desk")
    with pytest.raises(Conflict, match="carol may only add"):
        folder.put("new.txt", b"again", Verb.ADD, "desk")
    upload = folder.share.write(folder.permit(Verb.ADD, "new.txt", "desk"))
    with pytest.raises(Conflict, match="carol may only add"):  # and cannot find out the etag by guessing
        upload.commit(Conditions(if_match=frozenset({"0"})))
    assert folder.read("new.txt") == b"carol's"
    assert not folder.rubbish()


def test_a_large_file_is_whole_though_the_disk_began_with_it_before_the_end(folder):
    blocks = [bytes([number]) * (2**20 + number) for number in range(19)]
    upload = folder.share.write(folder.permit(Verb.WRITE, "large"))
    for block in blocks:
        upload.write(block)
    upload.commit()
    assert folder.read("large") == b"".join(blocks)
    assert upload.sha256 == hashlib.sha256(b"".join(blocks)).digest()


def drop(folder, path, data=b"dropped", conditions=NONE):
    upload = folder.share.write(folder.permit(Verb.ADD, path, "desk"), len(data), unseen=True)
    upload.write(data)
    return upload.commit(conditions)


def test_a_drop_box_takes_every_name_as_if_it_were_free(folder):
    for number in range(12):
        drop(folder, "letter.tar.gz", str(number).encode())
    assert folder.read("letter.tar.gz") == b"0"
    assert folder.read("letter.tar (9).gz") == b"8"
    assert len(folder.names()) == 12
    drop(folder, "letter.tar.gz", conditions=NEW)
    with pytest.raises(Changed):
        drop(folder, "letter.tar.gz", conditions=Conditions(if_match=ANYTHING))
    with pytest.raises(Changed):
        drop(folder, "not there", conditions=Conditions(if_match=ANYTHING))
    assert len(folder.names()) == 13
    assert not folder.rubbish()


def test_a_drop_box_steps_around_whatever_stands_in_the_way(folder, tmp_path):
    (folder.root / "file").write_bytes(b"mine")
    (folder.root / "link").symlink_to(tmp_path)
    (folder.root / "full" / "file").mkdir(parents=True)
    for way in ("file", "link", "full", "new/er"):
        folder.share.mkdir(folder.permit(Verb.ADD, way, "desk"), unseen=True)
        drop(folder, f"{way}/file")
    assert folder.read("file") == b"mine"
    assert folder.read("file (2)/file") == folder.read("link (2)/file") == folder.read("full/file (2)") == b"dropped"
    assert folder.read("new/er/file") == b"dropped"
    assert {entry.name for entry in tmp_path.iterdir()} == {"photos"}


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "a." + "b" * 250, "." + "c" * 200 + ".tar.gz"])
def test_a_long_name_is_shortened_to_make_room_for_its_number(folder, name):
    for _ in range(11):
        drop(folder, name)
    assert len(folder.names()) == 11
    assert max(len(each.encode()) for each in folder.names()) <= 255


def test_a_file_that_somebody_makes_at_the_computer_meanwhile_is_not_lost(folder):
    upload = folder.share.write(folder.permit(Verb.ADD, "a.txt", "desk"))
    upload.write(b"from afar")
    (folder.root / "a.txt").write_bytes(b"local")
    with pytest.raises(Conflict):
        upload.commit()
    assert folder.read("a.txt") == b"local"


def test_folders_are_made_listed_and_deleted_whole(folder):
    folder.share.mkdir(folder.permit(Verb.ADD, "2026", "desk"))
    folder.share.mkdir(folder.permit(Verb.ADD, "2026/may", "desk"))
    folder.put("2026/may/a.jpg", b"x")
    (folder.root / "2026" / "link").symlink_to("/etc")
    with pytest.raises(Taken):
        folder.share.mkdir(folder.permit(Verb.WRITE, "2026"))
    with pytest.raises(Conflict, match="no folder"):
        folder.share.mkdir(folder.permit(Verb.WRITE, "2027/may"))
    with pytest.raises(Conflict, match="no folder"):
        folder.put("2026/may/a.jpg/b.jpg", b"x")
    with pytest.raises(Conflict):
        folder.put("2026", b"x")
    with pytest.raises(NoFile):
        folder.read("2026")
    assert folder.names() == {"2026"}
    assert folder.names("2026") == {"may"}
    gone = folder.share.delete(folder.permit(Verb.WRITE, "2026"))
    assert gone.kind == "folder"
    assert folder.names() == set()
    assert Path("/etc").is_dir()
    assert not folder.rubbish()


def test_deleting_respects_conditions_and_the_share_itself_stays(folder):
    old = folder.put("a.txt", b"old")
    folder.put("a.txt", b"new")
    with pytest.raises(Changed):
        folder.share.delete(folder.permit(Verb.WRITE, "a.txt"), Conditions(if_match=frozenset({old.etag})))
    folder.share.delete(folder.permit(Verb.WRITE, "a.txt"))
    with pytest.raises(NotFound):
        folder.share.delete(folder.permit(Verb.WRITE, "a.txt"))
    with pytest.raises(Refused):
        folder.share.delete(folder.permit(Verb.WRITE))
    with pytest.raises(Conflict):
        folder.put("", b"x")


@pytest.fixture
def traps(folder, tmp_path, monkeypatch):
    """A share full of what must not be opened."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.pem").write_text("secret")
    folder.put("a.jpg", b"picture")
    (folder.root / "link").symlink_to(secret / "key.pem")
    (folder.root / "inner").symlink_to("a.jpg")
    (folder.root / "folder").symlink_to(secret)
    (folder.root / "loop").symlink_to("loop")
    os.mkfifo(folder.root / "pipe")
    monkeypatch.chdir(folder.root)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    (folder.root / "back\\slash").write_text("x")
    Path(os.fsdecode(os.fsencode(folder.root) + b"/bad\xff")).write_text("x")
    (folder.root / "new\nline").write_text("x")
    return folder


@pytest.mark.parametrize("name", ["link", "inner", "folder", "loop", "pipe", "socket", "folder/key.pem", "a.jpg/a.jpg"])
def test_links_pipes_and_sockets_do_not_exist(traps, name):
    with pytest.raises(NotFound):
        traps.read(name)
    with pytest.raises(NotFound):
        traps.share.stat(traps.permit(Verb.LIST, name))
    with pytest.raises((NotFound, Conflict)):
        list(traps.share.list(traps.permit(Verb.LIST, name)))
    with pytest.raises((Conflict, NotFound)):
        traps.put(name, b"overwritten")
    with pytest.raises(NotFound):
        traps.share.delete(traps.permit(Verb.WRITE, name))
    assert (traps.root.parent / "secret" / "key.pem").read_text() == "secret"
    assert not traps.rubbish()


def test_only_files_and_folders_are_listed(traps):
    assert traps.names() == {"a.jpg"}


def test_a_parent_that_becomes_a_link_during_the_upload_leads_nowhere(traps):
    traps.share.mkdir(traps.permit(Verb.WRITE, "real"))
    upload = traps.share.write(traps.permit(Verb.WRITE, "real/planted"))
    upload.write(b"x")
    (traps.root / "real").rmdir()
    (traps.root / "real").symlink_to(traps.root.parent / "secret")
    with pytest.raises(Conflict):
        upload.commit()
    assert [path.name for path in (traps.root.parent / "secret").iterdir()] == ["key.pem"]
    assert not traps.rubbish()


@pytest.mark.parametrize("path", [".commonhold", ".commonhold/tmp", ".CommonHold", "inner/.commonhold/tmp/x"])
def test_our_own_folder_is_reachable_by_no_path(folder, path):
    folder.put("a.jpg", b"x")
    with pytest.raises(WrongUsage):
        SharePath.parse(path)
    assert folder.names() == {"a.jpg"}


def test_our_own_folder_replaced_by_a_link_is_not_followed(folder, tmp_path):
    (folder.root / ".commonhold").symlink_to(tmp_path)
    with pytest.raises(NotFound):
        folder.put("a.jpg", b"x")
    assert not (tmp_path / "tmp").exists()


def test_composed_and_decomposed_names_are_one_name(folder):
    composed, decomposed = (unicodedata.normalize(form, "été à la plage.jpg") for form in ("NFC", "NFD"))
    assert composed != decomposed
    folder.put(decomposed, b"one")
    assert folder.read(composed) == b"one"
    folder.put(composed, b"two")
    assert {path.name for path in folder.root.iterdir()} == {decomposed, ".commonhold"}
    assert folder.read(decomposed) == b"two"
    with pytest.raises(Taken):
        folder.share.mkdir(folder.permit(Verb.WRITE, composed))
    folder.share.delete(folder.permit(Verb.WRITE, composed))
    assert folder.names() == set()
    folder.share.mkdir(folder.permit(Verb.WRITE, decomposed))
    folder.put(f"{composed}/a", b"x")
    assert folder.read(f"{decomposed}/a") == b"x"


@pytest.mark.parametrize("name", ["a:b", "con", "NUL.txt", "dot.", "space ", "what?"])
def test_names_that_windows_cannot_hold_are_not_made_but_read(folder, name):
    (folder.root / name).write_text("x")
    assert folder.read(name) == b"x"
    with pytest.raises(WrongUsage, match="Windows"):
        folder.put(name, b"y")
    with pytest.raises(WrongUsage, match="Windows"):
        folder.share.mkdir(folder.permit(Verb.WRITE, name + "/inner"))


def test_the_rubbish_of_a_killed_process_goes_when_the_share_is_opened_and_a_running_upload_stays(folder):
    running = folder.share.write(folder.permit(Verb.WRITE, "slow.bin"))
    running.write(b"half")
    dying = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from commonhold.authority.authority import Door
        from commonhold.files.share import Share
        from commonhold.files.catalogue import Catalogue
        import sqlite3
        share = Share(Door("share", "1", "photos"), Path(sys.argv[1]), Catalogue(sqlite3.connect(":memory:")))
        share._ground.new_file()
        os.mkdir(Path(sys.argv[1], ".commonhold", "tmp", "removed"))
        Path(sys.argv[1], ".commonhold", "tmp", "removed", "a").write_text("x")
        os._exit(9)
    """)
    subprocess.run([sys.executable, "-c", dying, str(folder.root)], check=False)
    assert len(folder.rubbish()) == 4
    Share(folder.share.door, folder.root, folder.share.catalogue)
    assert len(folder.rubbish()) == 1
    running.commit()
    assert folder.read("slow.bin") == b"half"


def test_a_folder_that_vanished_is_said_to_be_missing_and_may_come_back(folder):
    folder.put("a.jpg", b"x")
    away = folder.root.rename(folder.root.with_name("unplugged"))
    assert folder.share.missing
    for work in (folder.names, lambda: folder.read("a.jpg"), lambda: folder.put("b.jpg", b"y")):
        with pytest.raises(NotFound, match="not there at the moment"):
            work()
    away.rename(folder.root)
    assert folder.names() == {"a.jpg"}


def test_more_than_there_is_room_for_is_refused_at_once(folder):
    with pytest.raises(NoSpace):
        folder.share.write(folder.permit(Verb.WRITE, "huge.bin"), 2**60)
    assert not folder.rubbish()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_changes_nothing(folder, tmp_path):
    """In a mount namespace of its own, so that nothing stays mounted whatever happens."""
    script = textwrap.dedent("""
        import sqlite3
        import sys
        from pathlib import Path
        from commonhold.authority.authority import Door, Permit, Verb
        from commonhold.files.catalogue import Catalogue
        from commonhold.authority import authority
        from commonhold.errors import NoSpace
        from commonhold.files.share import Share
        from commonhold.names import SharePath
        root = Path(sys.argv[1])
        share = Share(Door("share", "1", "photos"), root, Catalogue(sqlite3.connect(":memory:")))
        def key(verb, path):
            subject = authority.Subject(authority.Standing.MEMBER)
            return Permit(authority._SEAL, subject, verb, share.door, SharePath.parse(path))
        upload = share.write(key(Verb.WRITE, "a.bin"), 100_000)
        upload.write(b"a" * 100_000)
        upload.commit()
        upload = share.write(key(Verb.WRITE, "a.bin"))
        try:
            while True:
                upload.write(b"b" * 100_000)
        except NoSpace as error:
            print(error.sentence)
        assert (root / "a.bin").read_bytes() == b"a" * 100_000
        assert not list((root / ".commonhold" / "tmp").iterdir())
        upload = share.write(key(Verb.WRITE, "b.bin"), 100_000)
        upload.write(b"c" * 100_000)
        upload.commit()
        print("room again")
    """)
    small = tmp_path / "small"
    small.mkdir()
    command = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", command, "sh", str(small), sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr and done.returncode:
        pytest.skip("this machine lets nobody mount")
    assert done.stdout.splitlines() == [
        "The disk that holds photos is full; “a.bin” was left as it was.",
        "room again",
    ], done.stderr


def test_a_folder_that_changes_while_it_is_listed_is_listed_once_and_whole(folder):
    """What stays there is told of, each once; what came or went meanwhile may be; nothing fails."""
    stays = {f"{number}.txt" for number in range(300)}
    for name in stays:
        (folder.root / name).write_text("x")
        (folder.root / f"gone {name}").write_text("x")
    found: list[str] = []
    for place, seen in enumerate(folder.share.list(folder.permit(Verb.LIST))):
        found += [*seen.files, *seen.folders]
        if place == 0:
            for name in stays:
                (folder.root / f"gone {name}").unlink()
                (folder.root / f"came {name}").mkdir()
            for name in sorted(stays)[::2]:
                (folder.root / name).write_text("changed")
    assert len(found) == len(set(found))
    assert stays <= set(found) <= stays | {f"{which} {name}" for which in ("gone", "came") for name in stays}
