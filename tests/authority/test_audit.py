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

from commonhold.authority.audit import Audit
from commonhold.authority.lines import entries, hashes, part, parts, verify
from commonhold.errors import Damaged

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def begun(path):
    """A record of three lines, closed."""
    audit = Audit(path, lambda: NOON)
    audit.record("founding", network="casa", shape="peer-to-peer", person="ann", computer="tower")
    audit.record("password set", by="ann", person="bob")
    audit.record("unshare", door="phone")
    audit.close()
    return path


def broken(path) -> int | None:
    """The number of the first line that is not what it was."""
    found = verify(path).broken
    return found.n if found else None


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
        "shape": "peer-to-peer",
        "person": "ann",
        "computer": "tower",
    }
    assert broken(begun) is None


def test_the_record_goes_on_after_a_restart(begun):
    audit = Audit(begun)
    audit.record("unshare", door="photos")
    audit.close()
    assert events(begun) == ["founding", "password set", "unshare", "unshare"]
    assert [entry["n"] for entry in entries(begun)] == [1, 2, 3, 4]
    assert broken(begun) is None


def test_a_line_can_be_read_as_soon_as_it_is_recorded(path):
    audit = Audit(path)
    audit.record("unshare", door="photos")
    assert events(path) == ["unshare"]
    audit.sync()
    audit.close()


def test_nobody_else_on_the_machine_reads_it(begun):
    assert begun.stat().st_mode & 0o777 == 0o600


def test_nothing_is_recorded_yet(path):
    assert list(entries(path)) == []
    assert broken(path) is None


def test_a_changed_line_breaks_the_chain_at_the_next(begun):
    begun.write_bytes(begun.read_bytes().replace(b"bob", b"eve"))
    assert broken(begun) == 3


def test_a_dropped_line_is_missed(begun):
    first, _, third = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(first + third)
    assert broken(begun) == 2


def test_exchanged_lines_are_noticed(begun):
    first, second, third = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(second + first + third)
    assert broken(begun) == 1


def test_a_line_slipped_in_is_noticed(begun):
    lines = begun.read_bytes().splitlines(keepends=True)
    forged = msgspec.json.decode(lines[2]) | {"n": 4}
    begun.write_bytes(b"".join(lines) + msgspec.json.encode(forged) + b"\n")
    assert broken(begun) == 4


def test_the_changed_last_line_is_found_once_another_follows(begun):
    begun.write_bytes(begun.read_bytes().replace(b"phone", b"piano"))
    audit = Audit(begun)
    audit.record("unshare", door="photos")
    audit.close()
    assert broken(begun) is None, "a chain alone cannot know: its head must be known elsewhere"


@pytest.mark.parametrize("cut", [1, 2, 30, 60])
def test_a_torn_last_line_is_put_aside_and_the_record_goes_on(begun, cut):
    whole = begun.read_bytes()
    begun.write_bytes(whole[:-cut])
    assert events(begun) == ["founding", "password set"]
    assert broken(begun) is None
    audit = Audit(begun)
    audit.record("unshare", door="photos")
    audit.close()
    assert events(begun) == ["founding", "password set", "record mended", "unshare"]
    assert broken(begun) is None
    torn = begun.with_name("audit.jsonl.torn").read_bytes()
    assert torn == whole.splitlines()[-1][: len(torn) - 1] + b"\n"


def test_a_record_that_is_nothing_but_a_torn_line_begins_anew(path):
    path.write_bytes(b'{"n":1,"time":"2026')
    audit = Audit(path)
    audit.close()
    assert events(path) == ["record mended"]
    assert broken(path) is None


def test_an_unreadable_line_in_the_middle_hides_no_other(begun):
    first, _, third = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(first + b"\0" * 20 + b"\xff\n" + third)
    assert events(begun) == ["founding", "unshare"]
    assert broken(begun) == 2


def test_after_an_unreadable_last_line_the_record_goes_on(begun):
    lines = begun.read_bytes().splitlines(keepends=True)
    begun.write_bytes(lines[0] + lines[1] + b"\0\0\0\n")
    audit = Audit(begun)
    audit.record("unshare", door="photos")
    audit.close()
    assert [entry["n"] for entry in entries(begun)] == [1, 2, 4]
    assert broken(begun) == 3


def test_no_name_from_outside_ends_a_line_or_breaks_it(path):
    audit = Audit(path)
    hostile = ['a\n{"n":2,"event":"forged"}', "a\u2028b", "a\x00b", "\udcff", "é", '"', "x" * 100_000]
    for name in hostile:
        audit.record("unshare", door=name)
    audit.close()
    kept = [entry["door"] for entry in entries(path)]
    assert kept[:3] == hostile[:3]
    assert kept[3] == "?"
    assert len(kept) == len(hostile)
    assert len(kept[-1]) < 6_000
    assert broken(path) is None


def test_values_keep_their_kind(path):
    audit = Audit(path)
    audit.record("group", by=None, change=True, group=NOON, who=["a", 1, "b"])
    audit.record("lines lost", lines=0.5)
    audit.close()
    group, lost = entries(path)
    kept = [group[word] for word in ("by", "change", "group", "who")]
    assert kept == [None, True, "2026-11-22T12:00:00Z", ["a", 1, "b"]]
    assert lost["lines"] == 0.5


@pytest.mark.parametrize("word", ["code", "password", "recovery", "secret", "token", "n", "prev", "time"])
def test_secrets_and_the_record_s_own_words_are_not_taken(path, word):
    audit = Audit(path)
    with pytest.raises(TypeError, match=word):
        audit.record("invitation", **{word: "7-otter-plum"})
    audit.close()
    assert path.read_bytes() == b""


def test_many_threads_make_one_chain(path):
    audit = Audit(path)

    def work(name: int) -> None:
        for number in range(50):
            audit.record("wrong code", number=number, address="", tries=name)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    assert len(events(path)) == 400
    assert broken(path) is None


def test_a_full_disk_loses_lines_but_says_how_many(path, caplog):
    """The limit on a file's size stands for the full disk: both make a write fall short or fail."""
    audit = Audit(path)
    audit.record("unshare", door="photos")
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
    try:
        audit.record("signed out", person="bob")
        audit.record("signed out", person="eve")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    audit.record("unshare", door="music")
    audit.close()
    assert events(path) == ["unshare", "lines lost", "unshare"]
    assert [entry.get("lines") for entry in entries(path)] == [None, 2, None]
    assert broken(path) is None
    assert "does not take “signed out”" in caplog.text


def test_a_killed_process_loses_no_line(path):
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from commonhold.authority.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]))\n"
        "for number in range(20): audit.record('clock jump', seconds=number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, os.fspath(path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(events(path)) == 20
    assert broken(path) is None


def test_a_process_that_ends_without_closing_it_still_ends(path):
    program = (
        "import sys; from pathlib import Path; from commonhold.authority.audit import Audit\n"
        "Audit(Path(sys.argv[1])).record('signed out', person='bob')\n"
    )
    subprocess.run([sys.executable, "-c", program, os.fspath(path)], check=True, timeout=60)
    assert events(path) == ["signed out"]


def test_a_record_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(Damaged, match=r"audit\.jsonl cannot be opened"):
        Audit(tmp_path / "no such folder" / "audit.jsonl")


# -- parts

SMALL = 400  # bytes of a part: three lines


def grown(path, lines=10):
    """A record of several parts."""
    audit = Audit(path, lambda: NOON, SMALL)
    for number in range(lines):
        audit.record("clock jump", seconds=number)
    audit.close()
    return path


def test_a_full_part_is_put_aside_and_the_chain_goes_on(path):
    grown(path)
    assert [each.name for each in parts(path)] == [*(f"audit-000{number}.jsonl" for number in (1, 2, 3)), path.name]
    verdict = verify(path)
    assert (verdict.lines, verdict.broken, verdict.first, verdict.last) == (10, None, NOON, NOON)
    assert [entry["seconds"] for entry in entries(path)] == list(range(10))
    assert {each.stat().st_mode & 0o777 for each in parts(path)} == {0o600}
    grown(path, 2)
    assert verify(path).lines == 12


def test_without_a_free_handle_the_full_part_grows_on_and_no_line_is_lost(path):
    """Whoever uses a node's handles up has not silenced it: it cannot even look which parts there are."""
    audit = Audit(path, lambda: NOON, SMALL)
    audit.record("clock jump", seconds=0)
    bounds = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(path, os.O_RDONLY)
    os.close(lowest)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, bounds[1]))
        for number in range(1, 6):
            audit.record("clock jump", seconds=number)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, bounds)
    assert [each.name for each in parts(path)] == [path.name]
    for number in range(6, 10):
        audit.record("clock jump", seconds=number)
    audit.close()
    assert len(parts(path)) > 1, "once there are handles again, it goes on in parts"
    assert (verify(path).lines, broken(path)) == (10, None)
    assert [entry["seconds"] for entry in entries(path)] == list(range(10))


def test_a_record_goes_on_from_a_part_when_the_next_is_still_empty(path):
    grown(path, 4)
    path.unlink()
    whole = verify(path).lines
    grown(path, 1)
    assert (verify(path).lines, broken(path)) == (whole + 1, None)


def test_a_missing_part_is_named(path):
    part(grown(path), 2).unlink()
    found = verify(path)
    assert (found.lines, found.broken.file, found.broken.why) == (3, "audit-0002.jsonl", "this part is missing")
    part(path, 3).unlink()  # now nothing tells that there were three
    found = verify(path).broken
    assert (found.file, found.line, found.n) == (path.name, 1, 4)
    assert "its number is 10" in found.why


def test_a_changed_line_in_a_part_is_named_with_its_place(path):
    changed = part(grown(path), 2)
    changed.write_bytes(changed.read_bytes().replace(b'"seconds":3', b'"seconds":8'))
    found = verify(path)
    assert (found.lines, found.broken.file, found.broken.line, found.broken.n) == (4, "audit-0002.jsonl", 2, 5)


def test_hashes_are_read_from_the_parts_that_hold_them(path):
    grown(path)
    everything = hashes(path, 0)
    assert len(everything) == 10
    for after in range(12):
        assert hashes(path, after) == everything[after:]
    third = list(entries(path))[3]
    assert third["prev"] == everything[2]
    assert hashes(path.with_name("none.jsonl"), 0) == []


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from commonhold.authority import audit as file

path, line = Path(sys.argv[1]), 0
while True:  # one child for each line of code on the way: killed there, as nothing else ends a process
    line += 1
    child = os.fork()
    if child == 0:
        record = file.Audit(path, part_bytes=1)
        left = line
        def each(frame, event, _):
            global left
            if event == "line" and frame.f_code.co_filename == file.__file__:
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return each
        sys.settrace(each)
        record.record("clock jump", seconds=line)
        sys.settrace(None)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(line)
"""


def test_killed_at_any_line_of_putting_a_part_aside_it_comes_back(path):
    audit = Audit(path)
    audit.record("clock jump", seconds=0)
    audit.close()
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=True, timeout=100, capture_output=True, text=True)
    tried = int(done.stdout)
    assert tried > 20
    verdict = verify(path)
    assert verdict.broken is None
    assert verdict.lines == len(list(entries(path))) > 3  # those killed after the write left their line
    assert len(parts(path)) > 3
    audit = Audit(path)
    assert audit.head[0] == verdict.lines
    audit.close()
