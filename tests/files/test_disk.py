"""The fsync of a folder, shared among those who wait for it."""

from __future__ import annotations

import errno
import json
import os
import threading

import pytest

from commonhold.authority.authority import Verb
from commonhold.errors import CommonholdError, NoSpace
from commonhold.files.disk import ANSWERS, FolderSync, explained

from .test_batch import sent, store


def test_everybody_s_work_is_covered_by_a_call_that_began_after_it(tmp_path, monkeypatch):
    """The calls are counted at the system's door: fsync itself still happens."""
    log: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (log.append("begin"), fsync(handle), log.append("end")))
    sync = FolderSync()
    handle = os.open(tmp_path, os.O_RDONLY)
    covered = []

    def work() -> None:
        for _ in range(20):
            at = len(log)
            sync(handle)
            covered.append("begin" in log[at:] and log[at:].index("begin") < len(log[at:]) - 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(handle)
    assert len(covered) == 160
    assert all(covered)
    assert log.count("begin") <= 160
    assert not sync._turns


def test_a_call_that_fails_covers_nobody(tmp_path):
    sync = FolderSync()
    reading, writing = os.pipe()  # a pipe can't be synced: EINVAL
    for _ in range(2):
        with pytest.raises(OSError, match="Invalid argument"):
            sync(reading)
    os.close(reading)
    os.close(writing)
    assert not sync._turns


@pytest.mark.parametrize("number", [*ANSWERS, errno.EMFILE])
def test_every_answer_of_a_disk_is_a_sentence(number):
    with pytest.raises(CommonholdError) as caught, explained("a {b}.txt", "photos"):
        raise OSError(number, os.strerror(number))
    assert caught.value.sentence.endswith(".")
    assert "photos" in caught.value.sentence
    assert not caught.value.hint.endswith(".")


@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN])
async def test_a_disk_that_fails_is_no_fault_of_whoever_sends_and_is_written_down(tower, monkeypatch, number):
    share = tower.offer("photos", laptop=Verb.WRITE)
    (share.root / "a").write_bytes(b"as it was")
    fsync = os.fsync

    def fails(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    for name, data in {"a": b"small", "new": b"x" * 2**20}.items():
        monkeypatch.setattr(os, "fsync", fails)
        answer = await tower.ask("laptop", "PUT", f"/dav/photos/{name}", data)
        monkeypatch.setattr(os, "fsync", fsync)
        said = f"The disk that holds photos reports an error at “{name}”."
        assert (answer.status, json.loads(answer.body)["title"]) == (500, said)
        told = {"person": "bob", "computer": "laptop", "door": "photos", "path": name, "reason": said}
        assert tower.events[-1] == ("disk error", told)
    monkeypatch.setattr(os, "fsync", fails)
    (answered,) = await store(tower, "laptop", "/dav/photos", sent("several", b"one"))
    monkeypatch.setattr(os, "fsync", fsync)
    assert (answered.status, tower.events[-1][1]["path"]) == (500, "several")
    assert {path.name: path.read_bytes() for path in share.root.iterdir() if path.is_file()} == {"a": b"as it was"}
    assert (await tower.ask("laptop", "PUT", "/dav/photos/a", b"small")).status == 204


def test_a_full_disk_is_no_space():
    with pytest.raises(NoSpace), explained("a", "photos"):
        raise OSError(errno.ENOSPC, "No space left on device")
