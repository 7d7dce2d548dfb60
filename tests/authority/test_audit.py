"""The record: chained, append-only, and still readable after power cuts and full disks."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime

import msgspec
import pytest

from commonhold.authority.audit import Audit, entries, verify
from commonhold.errors import Damaged

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def begun(path):
    """A record of three lines, closed."""
    audit = Audit(path, lambda: NOON)
    audit.record("founding", network="casa", computer="tower")
    audit.record("join", computer="laptop", person="bob")
    audit.record("remove", computer="phone")
    audit.close()
    return path


def events(path) -> list[str]:
    return [entry["event"] for entry in entries(path)]


def test_a_line_says_what_was_done_and_when(begun):
    first = next(entries(begun))
    assert first == {
        "n": 1,
        "time": "2026-11-22T12:00:00Z",
        "prev": "0" * 64,
        "event": "founding",
        "network": "casa",
        "computer": "tower",
    }
    assert verify(begun) is None


def test_the_record_goes_on_after_a_restart(begun):
    audit = Audit(begun)
    audit.record("up")
    audit.close()
    assert events(begun) == ["founding", "join", "remove", "up"]
    assert [entry["n"] for entry in entries(begun)] == [1, 2, 3, 4]
    assert verify(begun) is None


def test_a_line_can_be_read_as_soon_as_it_is_recorded(path):
    audit = Audit(path)
    audit.record("up")
    assert events(path) == ["up"]
    audit.sync()
    audit.close()


def test_nobody_else_on_the_machine_reads_it(begun):
    assert begun.stat().st_mode & 0o777 == 0o600


def test_nothing_is_recorded_yet(path):
    assert list(entries(path)) == []
    assert verify(path) is None


def test_a_changed_line_breaks_the_chain_at_the_next(begun):
    begun.write_bytes(begun.read_bytes().replace(b"bob", b"eve"))
    assert verify(begun) == 3


def test_a_dropped_line_is_missed(begun):
    first, _, third = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(first + third)
    assert verify(begun) == 2


def test_exchanged_lines_are_noticed(begun):
    first, second, third = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(second + first + third)
    assert verify(begun) == 1


def test_a_line_slipped_in_is_noticed(begun):
    lines = begun.read_bytes().splitlines(keepends=True)
    forged = msgspec.json.decode(lines[2]) | {"n": 4}
    begun.write_bytes(b"".join(lines) + msgspec.json.encode(forged) + b"\n")
    assert verify(begun) == 4


def test_the_changed_last_line_is_found_once_another_follows(begun):
    begun.write_bytes(begun.read_bytes().replace(b"phone", b"piano"))
    audit = Audit(begun)
    audit.record("up")
    audit.close()
    assert verify(begun) is None, "a chain alone cannot know: its head must be known elsewhere"


@pytest.mark.parametrize("cut", [1, 2, 30, 60])
def test_a_torn_last_line_is_put_aside_and_the_record_goes_on(begun, cut):
    whole = begun.read_bytes()
    begun.write_bytes(whole[:-cut])
    assert events(begun) == ["founding", "join"]
    assert verify(begun) is None
    audit = Audit(begun)
    audit.record("up")
    audit.close()
    assert events(begun) == ["founding", "join", "record mended", "up"]
    assert verify(begun) is None
    torn = begun.with_name("audit.jsonl.torn").read_bytes()
    assert torn == whole.splitlines()[-1][: len(torn) - 1] + b"\n"


def test_a_record_that_is_nothing_but_a_torn_line_begins_anew(path):
    path.write_bytes(b'{"n":1,"time":"2026')
    audit = Audit(path)
    audit.close()
    assert events(path) == ["record mended"]
    assert verify(path) is None


def test_an_unreadable_line_in_the_middle_hides_no_other(begun):
    first, _, third = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(first + b"\0" * 20 + b"\xff\n" + third)
    assert events(begun) == ["founding", "remove"]
    assert verify(begun) == 2


def test_after_an_unreadable_last_line_the_record_goes_on(begun):
    lines = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(lines[0] + lines[1] + b"\0\0\0\n")
    audit = Audit(begun)
    audit.record("up")
    audit.close()
    assert [entry["n"] for entry in entries(begun)] == [1, 2, 4]
    assert verify(begun) == 3


def test_no_name_from_outside_ends_a_line_or_breaks_it(path):
    audit = Audit(path)
    hostile = ['a\n{"n":2,"event":"forged"}', "a\u2028b", "a\x00b", "\udcff", "é", '"', "x" * 100_000]
    for name in hostile:
        audit.record("refused", path=name)
    audit.close()
    kept = [entry["path"] for entry in entries(path)]
    assert kept[:3] == hostile[:3]
    assert kept[3] == "?"
    assert len(kept) == len(hostile)
    assert len(kept[-1]) < 6_000
    assert verify(path) is None


def test_values_keep_their_kind(path):
    audit = Audit(path)
    audit.record("job", tasks=3, done=True, until=NOON, load=0.5, lender=None, verb=["a"])
    audit.close()
    (entry,) = entries(path)
    assert [entry[word] for word in ("tasks", "done", "until", "load", "lender", "verb")] == [
        3,
        True,
        "2026-11-22T12:00:00Z",
        0.5,
        None,
        "['a']",
    ]


@pytest.mark.parametrize("word", ["code", "password", "recovery", "secret", "token", "n", "prev", "time"])
def test_secrets_and_the_record_s_own_words_are_not_taken(path, word):
    audit = Audit(path)
    with pytest.raises(TypeError, match=word):
        audit.record("invite", **{word: "7-otter-plum"})
    audit.close()
    assert path.read_bytes() == b""


def test_many_threads_make_one_chain(path):
    audit = Audit(path)

    def work(name: int) -> None:
        for number in range(50):
            audit.record("read", thread=name, number=number)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    assert len(events(path)) == 400
    assert verify(path) is None


def test_a_full_disk_loses_lines_but_says_how_many(path, caplog):
    """The limit on a file's size stands for the full disk: both make a write fall short or fail."""
    audit = Audit(path)
    audit.record("up")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
    try:
        audit.record("join", computer="laptop")
        audit.record("join", computer="desk")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    audit.record("down")
    audit.close()
    assert events(path) == ["up", "lines lost", "down"]
    assert [entry.get("lines") for entry in entries(path)] == [None, 2, None]
    assert verify(path) is None
    assert "does not take “join”" in caplog.text


def test_a_killed_process_loses_no_line(path):
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from commonhold.authority.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]))\n"
        "for number in range(20): audit.record('read', number=number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, os.fspath(path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(events(path)) == 20
    assert verify(path) is None


def test_a_process_that_ends_without_closing_it_still_ends(path):
    program = (
        "import sys; from pathlib import Path; from commonhold.authority.audit import Audit\n"
        "Audit(Path(sys.argv[1])).record('founding')\n"
    )
    subprocess.run([sys.executable, "-c", program, os.fspath(path)], check=True, timeout=60)
    assert events(path) == ["founding"]


def test_a_record_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(Damaged, match=r"audit\.jsonl cannot be opened"):
        Audit(tmp_path / "no such folder" / "audit.jsonl")
