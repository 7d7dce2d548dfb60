"""`audit` reads the record where it lies; `audit verify` names the first line that is not what it was."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from commonhold.authority.audit import Audit
from commonhold.cli.audit import Wanted, _row
from commonhold.cli.words import Past

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def recorded(sleeping):
    """What happened in three days: the node is down."""
    now = NOW - timedelta(days=3)
    audit = Audit(sleeping.audit, lambda: now, part_bytes=400)
    audit.record("founding", network="casa", shape="peer-to-peer", person="ann", computer="tower")
    now = NOW - timedelta(hours=3)
    audit.record("join", computer="laptop", person="bob", fingerprint="f" * 64, address="127.0.0.3")
    audit.record("rule", by="ann", effect="allow", who="bob", verb="read", door="photos")
    now = NOW - timedelta(minutes=5)
    audit.record("door opened", person="bob", computer="laptop", verb="read", door="photos")
    audit.record("removal", by="ann", who="bob", computers=["laptop", "phone"])
    audit.close()
    return sleeping


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--person", "BOB"), [2, 3, 4, 5]),
        (("--person", "ann"), [1, 3, 5]),
        (("--computer", "phone"), [5]),
        (("--computer", "laptop", "--door", "photos"), [4]),
        (("--door", "photos"), [3, 4]),
        (("--since", "4h"), [2, 3, 4, 5]),
        (("--since", "4h", "--until", "1h"), [2, 3]),
        (("--until", (NOW - timedelta(days=2)).isoformat()), [1]),
        (("--event", "Door opened"), [4]),
        (("--person", "nobody"), []),
    ],
)
def test_lines_are_chosen_by_whom_where_and_when(cli, recorded, options, lines):
    seen = cli("--json", "audit", *options)
    assert seen.code == 0
    assert [entry["n"] for entry in seen.document] == lines
    assert len(cli("audit", *options).lines) == (len(lines) + 1 if lines else 0)


def test_a_table_for_people(cli, recorded):
    seen = cli("audit", "--event", "rule")
    assert seen.lines[0].split() == ["TIME", "EVENT", "WHO", "WHAT"]
    assert seen.lines[1].split()[2:5] == ["rule", "by", "ann"]
    assert seen.lines[1].endswith("  effect=allow who=bob verb=read door=photos")
    assert "laptop,phone" in cli("audit", "--person", "bob").out
    assert (
        _row({"event": "quota", "by": "ann", "who": "bob", "bytes": 5, "files": None})[-1]
        == "who=bob bytes=5 files=none"
    )
    seen = cli("audit", "--door", "none")
    assert (seen.out, seen.err) == ("", "The record has no such line.\n")


def test_a_line_that_is_nonsense_still_has_a_row():
    assert _row({"n": 1, "time": "soon"}) == ("-", "?", "-", "")
    assert not Wanted(None, None, None, None, NOW, None).takes({"time": 7})


@pytest.mark.parametrize(
    "options", [("--since", "soon"), ("--until", ""), ("verify", "--person", "ann"), ("verify", "-f"), ("check",)]
)
def test_what_makes_no_sense_is_wrong_usage(cli, recorded, options):
    assert cli("audit", *options).code == 2


def test_following_prints_what_comes_and_no_document(cli, recorded):
    assert cli("--json", "audit", "-f").code == 2
    program = [sys.executable, "-m", "commonhold", "audit", "-f", "--event", "unshare"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as following:
        audit = Audit(recorded.audit, part_bytes=400)
        for number in range(5):  # over the ends of parts
            audit.record("unshare", door=f"music{number}")
        audit.close()
        assert following.stdout is not None
        told = [following.stdout.readline() for _ in range(5)]
        following.terminate()
    assert [line.rpartition("=")[2].strip() for line in told] == [f"music{number}" for number in range(5)]


def test_a_record_that_holds_says_how_far(cli, recorded):
    seen = cli("audit", "verify")
    assert seen.code == 0
    assert seen.out.startswith("5 lines hold, from ")
    document = cli("--json", "audit", "verify").document
    assert (document["lines"], document["broken"]) == (5, None)


def test_the_first_line_that_is_not_what_it_was_is_named(cli, recorded):
    part = recorded.audit.with_name("audit-0001.jsonl")
    part.write_bytes(part.read_bytes().replace(b'"bob"', b'"eve"'))
    seen = cli("audit", "verify")
    assert seen.code == 1
    assert seen.err.startswith(
        "commonhold: Line 3 of the record is not what it was: it does not follow the line before"
    )
    assert "(audit.jsonl, line 1)" in seen.err
    assert "hint: 2 lines hold, from " in seen.err
    assert cli("--json", "audit", "verify").document["verdict"]["broken"]["n"] == 3


def test_a_computer_that_has_not_joined_has_no_record(cli):
    assert cli("audit").code == 3
    assert cli("audit", "verify").code == 3


def test_nothing_recorded_yet(cli, sleeping):
    assert cli("audit").err == "The record has no such line.\n"
    assert cli("audit", "verify").out == "Nothing was recorded yet.\n"


def test_times_past():
    assert Past().convert("2h", None, None) < datetime.now(UTC) - timedelta(minutes=119)
    assert Past().convert("2026-01-31T18:00+00:00", None, None) == datetime(2026, 1, 31, 18, tzinfo=UTC)
